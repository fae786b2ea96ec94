//! Looks for a std that is there already.

use std::fs;
use std::path::Path;

use super::TARGET;
use crate::failure::Outcome;
use crate::process;
use crate::project::Project;
use crate::stamp::Stamp;

/// What this compiler's std for the target was made from, or why it has none.
pub fn std_of(project: &Project, rustc: &str) -> Outcome<Result<Stamp, String>> {
    // The folder is printed whether or not it exists.
    let mut command = project.command(rustc);
    command.args(["--print", "target-libdir", "--target", TARGET]);
    let Some(folder) = process::answer(&mut command) else {
        return Ok(Err(format!("cannot be run, or does not know {TARGET}")));
    };
    std_in(Path::new(&folder))
}

/// The same for a folder of compiled libraries.
fn std_in(folder: &Path) -> Outcome<Result<Stamp, String>> {
    let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let is_std = |file: &&std::path::PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    };
    match files.iter().find(is_std) {
        // The file's name carries a hash of the compiler that made it.
        Some(file) => Ok(Ok(Stamp::new("installed").file(file)?)),
        None => Ok(Err(format!("no libstd in {}", folder.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_folder_with_a_libstd_counts_and_others_do_not() {
        let dir = Scratch::new("libdir");
        assert!(std_in(&dir.path().join("absent")).unwrap().unwrap_err().starts_with("no libstd in "));
        dir.write("libcore-0123.rlib", b"core");
        dir.write("libstd-0123.so", b"std");
        assert!(std_in(dir.path()).unwrap().is_err());
        dir.write("libstd-0123.rlib", b"std");
        let stamp = std_in(dir.path()).unwrap().unwrap();
        assert!(stamp.text().contains("libstd-0123.rlib 3 "), "{}", stamp.text());
    }
}
