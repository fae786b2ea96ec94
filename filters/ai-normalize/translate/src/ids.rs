//! Names that a provider's grammar allows, made of names that clients chose.

use span_json::Text;
use std::collections::HashMap;

/// What a name may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// Letters, digits, `_` and `-`, at most so many.
    Word(usize),
    /// Exactly nine letters and digits (Mistral's ids).
    Nine,
    /// Gemini's functions: as a word of 64, with `.` and `:` as well, and no digit, `-`, `.` or `:` first.
    GeminiName,
}

impl Grammar {
    fn allows(self, name: &str) -> bool {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        match self {
            Self::Word(most) => (1..=most).contains(&name.len()) && name.bytes().all(word),
            Self::Nine => name.len() == 9 && name.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            Self::GeminiName => {
                (1..=64).contains(&name.len())
                    && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
                    && name.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b':'))
            }
        }
    }

    fn short(self) -> usize {
        match self {
            Self::Nine => 9,
            Self::Word(_) | Self::GeminiName => 20,
        }
    }
}

/// Makes names legal: those that are stay, others become a hash of theirs. The same name becomes the same in every request, and
/// two names of one request never become one.
#[derive(Debug)]
pub struct Names {
    grammar: Grammar,
    /// From the client's to the provider's.
    made: HashMap<String, String>,
    taken: HashMap<String, String>,
}

impl Names {
    /// For one request.
    pub fn new(grammar: Grammar) -> Self {
        Self { grammar, made: HashMap::new(), taken: HashMap::new() }
    }

    /// The legal name.
    pub fn legal<'a>(&mut self, name: &Text<'a>) -> Text<'a> {
        let name = name.decode();
        if self.grammar.allows(&name) && self.taken.get(name.as_ref()).is_none_or(|owner| *owner == *name) {
            self.taken.insert(name.clone().into_owned(), name.clone().into_owned());
            return Text::from(name);
        }
        if let Some(made) = self.made.get(name.as_ref()) {
            return Text::from(made.clone());
        }
        let mut salt = 0;
        loop {
            let made = hashed(&name, salt, self.grammar.short());
            if !self.taken.contains_key(&made) {
                self.taken.insert(made.clone(), name.clone().into_owned());
                self.made.insert(name.into_owned(), made.clone());
                return Text::from(made);
            }
            salt += 1;
        }
    }

    /// Names that were changed: (the provider's, the client's).
    pub fn renamed(self) -> Vec<(String, String)> {
        let mut renamed: Vec<_> = self.made.into_iter().map(|(asked, sent)| (sent, asked)).collect();
        renamed.sort();
        renamed
    }
}

/// Letters and digits from a name, a letter first; FNV-1a over 128 bits.
fn hashed(name: &str, salt: u64, length: usize) -> String {
    const DIGITS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in name.bytes().chain(salt.to_le_bytes()) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    // the low bits of FNV know little of the high ones
    hash ^= hash >> 61;
    let digit = |hash: &mut u128, base: u128| {
        let index = usize::try_from(*hash % base).unwrap_or(0);
        *hash /= base;
        DIGITS.get(index).copied().map_or('a', char::from)
    };
    (0..length).map(|place| digit(&mut hash, if place == 0 { 52 } else { 62 })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_names_stay_and_others_become_the_same_each_time() {
        let mut names = Names::new(Grammar::Word(64));
        assert_eq!(names.legal(&"call_1-a".into()), "call_1-a");
        let made = names.legal(&"call 1".into());
        assert_eq!(made, names.legal(&"call 1".into()));
        assert_eq!(made, Names::new(Grammar::Word(64)).legal(&"call 1".into()));
        assert_ne!(made, names.legal(&"call 2".into()));
        assert!(Grammar::Word(64).allows(&made.decode()));
        let mut nine = Names::new(Grammar::Nine);
        let (one, two) = (nine.legal(&"call_abcdefghi1".into()), nine.legal(&"call_abcdefghi2".into()));
        assert_ne!(one, two);
        assert!(Grammar::Nine.allows(&one.decode()));
        assert_eq!(nine.legal(&"abcDEF123".into()), "abcDEF123");
        assert_eq!(nine.renamed().len(), 2);
        assert!(!Grammar::GeminiName.allows("1a") && Grammar::GeminiName.allows("a.b:c-1"));
    }

    #[test]
    fn a_legal_name_that_another_one_became_is_changed_too() {
        let mut names = Names::new(Grammar::Nine);
        let made = names.legal(&"x".into()).into_owned();
        assert_ne!(names.legal(&made), made);
    }
}
