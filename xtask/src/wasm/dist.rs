//! Copies a module to its place, whole and only when it changed: a running gateway reloads what it sees there.

use std::fs;
use std::path::Path;

use crate::failure::{During, Failure, Outcome};

/// What a copy did.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// The same bytes were there.
    None,
    /// The file is new or has new content of this many bytes.
    Updated(u64),
}

/// Makes `to` hold what `from` holds.
pub fn update(from: &Path, to: &Path) -> Outcome<Change> {
    let fresh = fs::read(from).during(|| from.display())?;
    if fs::read(to).is_ok_and(|old| old == fresh) {
        return Ok(Change::None);
    }
    let folder = to.parent().ok_or_else(|| Failure::new("a module needs a folder"))?;
    fs::create_dir_all(folder).during(|| folder.display())?;
    // Written beside it and renamed: nobody ever reads half a file.
    let partial = to.with_extension(format!("wasm.{}", std::process::id()));
    fs::write(&partial, &fresh).during(|| partial.display())?;
    fs::rename(&partial, to).during(|| to.display())?;
    Ok(Change::Updated(fresh.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn only_a_change_replaces_the_file() {
        let dir = Scratch::new("dist");
        let from = dir.write("a.wasm", b"one");
        let to = dir.path().join("dist/guests/a.wasm");
        assert_eq!(update(&from, &to).unwrap(), Change::Updated(3));
        let first = to.metadata().unwrap().ino();
        assert_eq!(update(&from, &to).unwrap(), Change::None);
        assert_eq!(to.metadata().unwrap().ino(), first);
        dir.write("a.wasm", b"three");
        assert_eq!(update(&from, &to).unwrap(), Change::Updated(5));
        assert_eq!(fs::read(&to).unwrap(), b"three");
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
    }
}
