//! What a route does to headers.

use crate::headers::{HeaderMap, Role};

/// Edits of a header map. First headers are removed, then set, then added, as in Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// The names to remove, in lower case.
    pub remove: Vec<String>,
    /// What is set or added, in the order of the file.
    pub add: Vec<HeaderEdit>,
}

/// One header that is set or added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderEdit {
    /// Its name, in lower case.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What becomes of the values that are there.
    pub when_there: WhenThere,
}

/// `append_action`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenThere {
    /// They stay, and the new one is added.
    Append,
    /// They stay, and nothing is added.
    Keep,
    /// The new one takes their place, also where there is none.
    Overwrite,
    /// The new one takes their place; where there is none, nothing is added.
    OverwriteOnly,
}

impl HeaderEdits {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }

    /// Makes the edits.
    pub fn apply(&self, role: Role, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove_as(role, name.as_bytes());
        }
        let is_there = |headers: &HeaderMap, edit: &HeaderEdit| headers.get_as(role, edit.name.as_bytes()).is_some();
        for edit in &self.add {
            let overwrites = match edit.when_there {
                WhenThere::Overwrite => true,
                WhenThere::OverwriteOnly => is_there(headers, edit),
                WhenThere::Append | WhenThere::Keep => false,
            };
            if overwrites {
                headers.replace_as(role, edit.name.as_bytes(), edit.value.as_bytes());
            }
        }
        for edit in &self.add {
            let adds = match edit.when_there {
                WhenThere::Append => true,
                WhenThere::Keep => !is_there(headers, edit),
                WhenThere::Overwrite | WhenThere::OverwriteOnly => false,
            };
            if adds {
                headers.append(role, edit.name.as_bytes(), edit.value.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_come_in_envoys_order() {
        let edit =
            |name: &str, value: &str, when_there| HeaderEdit { name: name.into(), value: value.into(), when_there };
        let edits = HeaderEdits {
            remove: vec!["x-gone".into(), "x-a".into()],
            add: vec![
                edit("x-a", "1", WhenThere::Append),
                edit("x-a", "2", WhenThere::Append),
                edit("x-b", "new", WhenThere::Overwrite),
                edit("user-agent", "z", WhenThere::Append),
                edit("x-there", "n", WhenThere::Keep),
                edit("x-absent", "n", WhenThere::Keep),
                edit("x-there", "m", WhenThere::OverwriteOnly),
                edit("x-nowhere", "n", WhenThere::OverwriteOnly),
            ],
        };
        let mut headers: HeaderMap =
            [("x-a", "0"), ("x-b", "0"), ("x-b", "00"), ("user-agent", "u"), ("x-there", "0"), ("x-gone", "1")]
                .into_iter()
                .collect();
        edits.apply(Role::Request, &mut headers);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let seen: Vec<_> = headers.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect();
        assert_eq!(seen, ["user-agent=u,z", "x-b=new", "x-there=m", "x-a=1", "x-a=2", "x-absent=n"]);
    }
}
