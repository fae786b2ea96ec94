//! The clippy that belongs to the toolchain. Libraries compiled by one version of rustc cannot be read by the
//! clippy of another, so the one on `PATH` does only for the compiler that it came with.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::debian::{field, install_clippy, verbose_version};
use super::{TARGET, Toolchain};
use crate::failure::{Failure, Outcome};
use crate::process;
use crate::project::{Project, is_program};

/// A `cargo clippy` for the target, to which packages and lints are still to be added.
pub fn lint_command(project: &Project, toolchain: &Toolchain) -> Outcome<Command> {
    let Some(rustc) = &toolchain.rustc else {
        let mut command = project.cargo();
        command.args(["clippy", "--target", TARGET]);
        return Ok(command);
    };
    let mut found = matching(rustc);
    if found.is_none() && toolchain.debian {
        install_clippy()?;
        found = matching(rustc);
    }
    let clippy = found.ok_or_else(|| {
        Failure::new(format!(
            "no clippy of the same version as {}; looked beside it and in /usr/bin (cargo-clippy, clippy-driver)",
            rustc.display()
        ))
    })?;
    let sysroot = process::answer(Command::new(rustc).args(["--print", "sysroot"]))
        .ok_or_else(|| Failure::new(format!("{} does not name its sysroot", rustc.display())))?;
    let mut command = project.command(&clippy);
    command.env("CARGO", project.cargo().get_program()).env("RUSTC", rustc).env("SYSROOT", sysroot);
    command.args(["clippy", "--target", TARGET]);
    Ok(command)
}

/// A cargo-clippy whose driver was made from the same commit as the compiler.
fn matching(rustc: &Path) -> Option<PathBuf> {
    let wanted = field(&verbose_version(rustc), "commit-hash")?;
    let beside = std::fs::canonicalize(rustc).ok().and_then(|file| Some(file.parent()?.to_path_buf()));
    beside.into_iter().chain([PathBuf::from("/usr/bin")]).find_map(|folder| {
        let (cargo_clippy, driver) = (folder.join("cargo-clippy"), folder.join("clippy-driver"));
        if !is_program(&cargo_clippy) || !is_program(&driver) {
            return None;
        }
        let version = process::answer(Command::new(driver).args(["--rustc", "-vV"]))?;
        (field(&version, "commit-hash")? == wanted).then_some(cargo_clippy)
    })
}
