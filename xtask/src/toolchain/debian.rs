//! The Debian recipe: a current rustc and the std's source come as packages of the distribution, and so does
//! wasi-libc; the std itself is compiled from them once.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Toolchain, apt, sysroot};
use crate::failure::{During, Failure, Outcome};
use crate::process;
use crate::project::{Project, is_program};

/// Everything the recipe can need, in the order of the instructions. lld is left out where rustup's rust-lld exists.
pub const PACKAGES: [&str; 4] = ["rustc-web", "rust-web-src", "wasi-libc", "lld-22"];

/// The version that this workspace's `rust-version` asks for.
const WANTED: &str = env!("CARGO_PKG_RUST_VERSION");

/// The places where the packages put their files.
pub struct Files {
    /// The compiler.
    pub rustc: PathBuf,
    /// The std's source, with the crates it depends on below `vendor`.
    pub library: PathBuf,
    /// libc and start files.
    pub libc: PathBuf,
}

impl Files {
    /// Debian's places.
    pub fn new() -> Self {
        Self {
            rustc: "/usr/bin/rustc".into(),
            library: "/usr/lib/rustlib/src/rust/library".into(),
            libc: "/usr/lib/wasm32-wasi".into(),
        }
    }
}

/// The sysroot of an earlier run, if it is up to date.
pub fn cached(project: &Project) -> Result<Toolchain, String> {
    match sysroot::up_to_date(project, &Files::new()) {
        Some(stamp) => Ok(toolchain(project, stamp)),
        None => Err(format!("{}: no sysroot, or not of this compiler", project.relative(&sysroot::place(project)))),
    }
}

/// The sysroot, made now if need be.
pub fn get(project: &Project) -> Outcome<Result<Toolchain, String>> {
    if let Ok(found) = cached(project) {
        return Ok(Ok(found));
    }
    let files = Files::new();
    if let Err(why) = complete(project, &files)? {
        return Ok(Err(format!("Debian recipe: {why}")));
    }
    let lld = linker(project, &files.rustc).ok_or_else(|| Failure::new("no lld, although it was installed"))?;
    let stamp = sysroot::build(project, &files, &lld)?;
    Ok(Ok(toolchain(project, stamp)))
}

fn toolchain(project: &Project, stamp: crate::stamp::Stamp) -> Toolchain {
    let place = sysroot::place(project);
    let origin = format!("Debian's rustc with the std in {}", project.relative(&place));
    Toolchain { rustc: Some(place.join("bin/rustc")), origin, stamp, debian: true }
}

/// Sees that the packages are there, and installs those that are missing.
fn complete(project: &Project, files: &Files) -> Outcome<Result<(), String>> {
    let mut missing = Vec::new();
    let version = release(&files.rustc);
    if version.as_deref().is_none_or(|version| older(version, WANTED)) {
        missing.push("rustc-web".to_owned());
    }
    if !files.library.join("vendor").is_dir() {
        missing.push("rust-web-src".to_owned());
    }
    if !files.libc.join("libc.a").is_file() {
        missing.push("wasi-libc".to_owned());
    }
    if !missing.is_empty() {
        if let Some(found) = version.filter(|version| older(version, WANTED)) {
            crate::say::say(format_args!("{} is {found}; {WANTED} or later is needed", files.rustc.display()));
        }
        if let Err(why) = apt::install(&missing)? {
            return Ok(Err(why));
        }
        match release(&files.rustc) {
            Some(version) if !older(&version, WANTED) => {}
            Some(version) => {
                let policy =
                    process::answer(Command::new("apt-cache").args(["policy", "rustc-web"])).unwrap_or_default();
                let offered = apt::candidate(&policy).unwrap_or("nothing");
                return Ok(Err(format!(
                    "{} is {version}, {WANTED} or later is needed; apt offers rustc-web {offered} (Debian's security archive has newer ones)",
                    files.rustc.display()
                )));
            }
            None => return Ok(Err(format!("{} cannot be run", files.rustc.display()))),
        }
    }
    if linker(project, &files.rustc).is_none() {
        let llvm = field(&verbose_version(&files.rustc), "LLVM version")
            .and_then(|version| version.split('.').next().map(str::to_owned))
            .ok_or_else(|| Failure::new("rustc does not say which LLVM it has"))?;
        return apt::install(&[format!("lld-{llvm}")]);
    }
    Ok(Ok(()))
}

/// An lld: rustup's, or one of Debian's packages. They give the same output.
fn linker(project: &Project, rustc: &Path) -> Option<PathBuf> {
    let host = field(&verbose_version(rustc), "host")?;
    let beside = process::answer(project.command("rustc").args(["--print", "sysroot"]))
        .map(|sysroot| Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld"));
    let packaged = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut packaged: Vec<_> = packaged
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm-"))
        .map(|entry| entry.path().join("bin/lld"))
        .collect();
    packaged.sort();
    beside.into_iter().chain(packaged.into_iter().rev()).find(|file| is_program(file))
}

/// The release of a compiler, `1.96.0`.
fn release(rustc: &Path) -> Option<String> {
    field(&verbose_version(rustc), "release")
}

/// What `rustc -vV` prints; empty if it cannot be run.
pub fn verbose_version(rustc: &Path) -> String {
    process::answer(Command::new(rustc).arg("-vV")).unwrap_or_default()
}

/// One line's value in the output of `rustc -vV`.
pub fn field(version: &str, name: &str) -> Option<String> {
    version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(|value| value.trim().to_owned())
}

/// Whether a version is older than the wanted one, by its numbers (`1.95` counts as `1.95.0`).
fn older(version: &str, wanted: &str) -> bool {
    let numbers = |text: &str| {
        let plain = text.split(['-', '+']).next().unwrap_or_default().to_owned();
        let mut parts = plain.split('.').map(|part| part.parse::<u32>().unwrap_or(0)).collect::<Vec<_>>();
        parts.resize(3, 0);
        parts
    };
    numbers(version) < numbers(wanted)
}

/// Installs Debian's clippy, which is made from the same source as the compiler.
pub fn install_clippy() -> Outcome<()> {
    apt::install(&["rust-web-clippy".to_owned()])?.during(|| "clippy for Debian's rustc")
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERBOSE: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\n\
        commit-hash: ac68\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8";

    #[test]
    fn fields_of_the_verbose_version_are_found_by_name() {
        assert_eq!(field(VERBOSE, "host").as_deref(), Some("x86_64-unknown-linux-gnu"));
        assert_eq!(field(VERBOSE, "release").as_deref(), Some("1.96.0"));
        assert_eq!(field(VERBOSE, "LLVM version").as_deref(), Some("22.1.8"));
        assert_eq!(field(VERBOSE, "commit-date"), None);
    }

    #[test]
    fn versions_compare_by_number() {
        for (version, wanted, expected) in [
            ("1.96.0", "1.95", false),
            ("1.95.0", "1.95", false),
            ("1.94.1", "1.95", true),
            ("1.100.0", "1.95", false),
            ("1.63.0+dfsg1-2", "1.95", true),
            ("1.97.0-nightly", "1.95.1", false),
            ("", "1.95", true),
        ] {
            assert_eq!(older(version, wanted), expected, "{version} < {wanted}");
        }
    }
}
