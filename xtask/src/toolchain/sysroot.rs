//! Compiles the std for the target once and lays it out as a sysroot that rustc takes as its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::TARGET;
use super::debian::{Files, field, verbose_version};
use crate::failure::{During, Failure, Outcome};
use crate::process;
use crate::project::Project;
use crate::say::{say, seconds};
use crate::stamp::Stamp;

/// Changes whenever the steps below change what they make.
const RECIPE: &str = "sysroot 1";

/// The package that is compiled so that cargo compiles the std for it.
const MANIFEST: &str = "[package]\nname = \"only-std\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
    [profile.release]\ncodegen-units = 1\n\n[workspace]\n";

/// Puts the sysroot in front of the compiler's arguments; finds it from its own place, so the folder may move.
const WRAPPER: &str = "#!/bin/sh\nexec RUSTC --sysroot \"$(cd \"$(dirname \"$0\")/..\" && pwd)\" \"$@\"\n";

/// Where the sysroot is kept.
pub fn place(project: &Project) -> PathBuf {
    project.cache.join("wasm-sysroot")
}

/// The stamp of the cached sysroot, if it was made from these files and is complete.
pub fn up_to_date(project: &Project, files: &Files) -> Option<Stamp> {
    let place = place(project);
    let wanted = stamp(files).ok()?;
    let kept = fs::read_to_string(place.join("stamp")).ok()?;
    // The linker is a link to a file elsewhere, which may have gone.
    let linker = fs::read_to_string(place.join("linker")).ok()?;
    (kept == wanted.text() && Path::new(linker.trim()).exists()).then_some(wanted)
}

/// What the sysroot is made from.
fn stamp(files: &Files) -> Outcome<Stamp> {
    Stamp::new(RECIPE).file(&files.rustc)?.file(&files.library.join("std/Cargo.toml"))?.file(&files.libc.join("libc.a"))
}

/// Makes the sysroot. It appears in its place complete or not at all.
pub fn build(project: &Project, files: &Files, lld: &Path) -> Outcome<Stamp> {
    let place = place(project);
    fs::create_dir_all(&project.cache).during(|| project.cache.display())?;
    // Two commands at the same time build it once.
    let lock = fs::File::create(project.cache.join("wasm-sysroot.lock")).during(|| "wasm-sysroot.lock")?;
    lock.lock().during(|| "wasm-sysroot.lock")?;
    if let Some(stamp) = up_to_date(project, files) {
        return Ok(stamp);
    }
    let started = Instant::now();
    say(format_args!("building the std for {TARGET} once, into {} (about a minute)", project.relative(&place)));
    let work = project.cache.join("wasm-sysroot.work");
    remove(&work)?;
    let libraries = compile(project, files, &work.join("only-std"))?;

    let stamp = stamp(files)?;
    let fresh = work.join("sysroot");
    lay_out(files, lld, &libraries, &fresh)?;
    fs::write(fresh.join("stamp"), stamp.text()).during(|| "stamp")?;
    fs::write(fresh.join("linker"), lld.display().to_string()).during(|| "linker")?;
    remove(&place)?;
    fs::rename(&fresh, &place).during(|| place.display().to_string())?;
    remove(&work)?;
    say(format_args!("built in {}", seconds(started.elapsed())));
    Ok(stamp)
}

/// Compiles the std; gives the folder with the libraries.
fn compile(project: &Project, files: &Files, package: &Path) -> Outcome<PathBuf> {
    fs::create_dir_all(package.join("src")).during(|| package.display())?;
    fs::write(package.join("Cargo.toml"), MANIFEST).during(|| "Cargo.toml")?;
    fs::write(package.join("src/lib.rs"), "").during(|| "lib.rs")?;
    // The std's own dependencies are in the source package; nothing is fetched.
    let vendor = fs::canonicalize(files.library.join("vendor")).during(|| "the std's dependencies")?;
    let mut cargo = project.cargo();
    cargo.current_dir(package);
    for unwanted in [
        "RUSTUP_TOOLCHAIN",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS",
    ] {
        cargo.env_remove(unwanted);
    }
    cargo
        .env("RUSTC", &files.rustc)
        // -Zbuild-std is for nightly compilers; this lets the std be built by a released one, as the distributions do.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", package.join("target"))
        // Without bitcode in the std, the filters could not be built with LTO.
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            format!("-Cembed-bitcode=yes\x1f--remap-path-prefix={}=/only-std", package.display()),
        )
        .args(["build", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort"])
        .args(["--config", "source.crates-io.replace-with=\"std-vendor\""])
        .args(["--config", &format!("source.std-vendor.directory=\"{}\"", vendor.display())]);
    process::run(&mut cargo).during(|| format!("building the std with {}", files.rustc.display()))?;
    Ok(package.join("target").join(TARGET).join("release/deps"))
}

/// Arranges libraries, libc, linker and compiler as a sysroot.
fn lay_out(files: &Files, lld: &Path, libraries: &Path, sysroot: &Path) -> Outcome<()> {
    let host =
        field(&verbose_version(&files.rustc), "host").ok_or_else(|| Failure::new("rustc does not name its host"))?;
    let target = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    let of_host = sysroot.join("lib/rustlib").join(&host);
    for folder in [&target.join("self-contained"), &of_host.join("bin"), &sysroot.join("bin")] {
        fs::create_dir_all(folder).during(|| folder.display())?;
    }
    for entry in fs::read_dir(libraries).during(|| libraries.display())?.flatten() {
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.ends_with(".rlib") && !text.starts_with("libonly_std") {
            fs::copy(entry.path(), target.join(&name)).during(|| text.clone())?;
        }
    }
    // In this folder rustc looks for them by itself; no link arguments are needed.
    for name in ["crt1-command.o", "crt1-reactor.o", "libc.a"] {
        fs::copy(files.libc.join(name), target.join("self-contained").join(name)).during(|| name)?;
    }
    // The same compiler also builds procedural macros and build scripts, for which it needs the host's std.
    let host_std = Path::new("/usr/lib/rustlib").join(&host).join("lib");
    symlink(&host_std, of_host.join("lib")).during(|| host_std.display().to_string())?;
    symlink(lld, of_host.join("bin/rust-lld")).during(|| lld.display().to_string())?;
    let rustc = sysroot.join("bin/rustc");
    fs::write(&rustc, WRAPPER.replace("RUSTC", &files.rustc.display().to_string())).during(|| rustc.display())?;
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).during(|| rustc.display())
}

fn remove(folder: &Path) -> Outcome<()> {
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("cannot remove {}: {cause}", folder.display())))
        }
        _ => Ok(()),
    }
}
