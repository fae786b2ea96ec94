//! Names what a cache was made from, so that a change of the input makes a new cache.

use std::fmt::Write as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::failure::{During, Outcome};

/// Collects what a cache depends on, one line per input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp(String);

impl Stamp {
    /// A stamp that starts with the version of the recipe itself.
    pub fn new(recipe: &str) -> Self {
        Self(format!("{recipe}\n"))
    }

    /// Adds a file by its place, size and time of change (reading large files on every run would cost too much).
    pub fn file(mut self, path: &Path) -> Outcome<Self> {
        let data = path.metadata().during(|| path.display())?;
        let changed = data
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_nanos());
        let _ = writeln!(self.0, "{} {} {changed}", path.display(), data.len());
        Ok(self)
    }

    /// The stamp in full, as it is kept beside the cache.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Eight hexadecimal digits for the name of a folder (64-bit FNV-1a, folded to 32 bits).
    pub fn short(&self) -> String {
        let hash = self
            .0
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_is_stable_and_follows_every_byte() {
        // FNV-1a's published value for "a" is af63dc4c8601ec8c; folding halves it.
        assert_eq!(Stamp("a".into()).short(), format!("{:08x}", 0xaf63_dc4c_u32 ^ 0x8601_ec8c));
        assert_ne!(Stamp::new("recipe 1").short(), Stamp::new("recipe 2").short());
    }

    #[test]
    fn a_rewritten_file_gives_another_stamp_and_an_untouched_one_the_same() {
        let dir = crate::scratch::Scratch::new("stamp");
        let file = dir.write("input", b"one");
        let before = Stamp::new("r").file(&file).unwrap();
        assert_eq!(Stamp::new("r").file(&file).unwrap(), before);
        dir.write("input", b"three");
        assert_ne!(Stamp::new("r").file(&file).unwrap(), before);
    }

    #[test]
    fn a_missing_file_is_named() {
        let failure = Stamp::new("r").file(Path::new("/no/such/file")).unwrap_err();
        assert!(failure.to_string().starts_with("/no/such/file: "), "{failure}");
    }
}
