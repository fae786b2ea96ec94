//! Where things are: the repository, the caches, cargo's folders, and the environment that nested programs get.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{During, Failure, Outcome};

/// The places that every command works with. All paths are absolute.
#[derive(Debug, Clone)]
pub struct Project {
    /// The repository.
    pub root: PathBuf,
    /// What is downloaded or built once; git ignores it. `SLUICE_CACHE`, or `.sluice` in the repository.
    pub cache: PathBuf,
    /// Where cargo puts the programs of this workspace (`target/debug`).
    pub programs: PathBuf,
    /// The cargo that runs us.
    cargo: OsString,
}

impl Project {
    /// Reads it from the environment that `cargo run` gives.
    pub fn find() -> Outcome<Self> {
        let own = env::current_exe().during(|| "cannot tell where this program is")?;
        let programs = own.parent().ok_or_else(|| Failure::new("this program has no folder"))?.to_path_buf();
        let root = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(manifest) => Path::new(&manifest).parent().map(Path::to_path_buf),
            None => env::current_dir().ok(),
        };
        let root = root
            .filter(|root| root.join("xtask/Cargo.toml").is_file())
            .ok_or_else(|| Failure::new("not in the repository; use `cargo xtask`"))?;
        let cache = env::var_os("SLUICE_CACHE").filter(|path| !path.is_empty()).unwrap_or_else(|| ".sluice".into());
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Ok(Self { cache: root.join(cache), root, programs, cargo })
    }

    /// A cargo command in the repository.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        self.clean(&mut command);
        command
    }

    /// Another program, started in the repository.
    pub fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        self.clean(&mut command);
        command
    }

    /// A path inside the repository as people would type it there.
    pub fn relative<'p>(&self, path: &'p Path) -> std::path::Display<'p> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    /// `cargo run` tells a program about its own package; other programs must not take that for theirs.
    fn clean(&self, command: &mut Command) {
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            let about_us = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
            if about_us.iter().any(|start| text.starts_with(start)) || text == "LD_LIBRARY_PATH" {
                command.env_remove(&name);
            }
        }
    }
}

/// Cargo's home: `CARGO_HOME`, or `.cargo` in the user's home.
pub fn cargo_home() -> Option<PathBuf> {
    match env::var_os("CARGO_HOME").filter(|path| !path.is_empty()) {
        Some(path) => std::path::absolute(path).ok(),
        None => env::home_dir().map(|home| home.join(".cargo")),
    }
}

/// This program in the first folder of `PATH` that holds it.
pub fn on_path(program: &str) -> Option<PathBuf> {
    on(&env::var_os("PATH")?, program)
}

/// The same for a list of folders like that of `PATH`.
pub fn on(path: &OsStr, program: &str) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(program)).find(|file| is_program(file))
}

/// Whether this is a file that may be executed.
pub fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_an_executable_file() {
        let dir = crate::scratch::Scratch::new("program");
        let file = dir.write("tool", b"");
        assert!(!is_program(&file));
        assert!(!is_program(dir.path()));
        assert!(!is_program(&dir.path().join("absent")));
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert!(is_program(&file));
    }

    #[test]
    fn sh_is_on_the_path_and_nonsense_is_not() {
        assert!(on_path("sh").is_some());
        assert_eq!(on_path("no-such-program-of-sluice"), None);
    }
}
