//! Builds the `.wasm` files and puts them where gateways and tests look for them.

mod dist;
mod packages;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::failure::{Failure, Outcome};
use crate::process;
use crate::project::{Project, cargo_home};
use crate::say::{bytes, say, seconds};
use crate::toolchain::{self, TARGET, Toolchain};

use dist::Change;
use packages::Package;

/// The cargo profile that the files are shipped with.
const PROFILE: &str = "wasm";

/// Finds the toolchain, builds every module and updates `dist/`.
pub fn build(project: &Project) -> Outcome<Toolchain> {
    let started = Instant::now();
    let toolchain = toolchain::find(project)?;
    let packages = found(project)?;
    let mut cargo = project.cargo();
    cargo.args(["build", "--profile", PROFILE, "--target", TARGET]);
    prepare(project, &toolchain, &mut cargo);
    if let Some(rustc) = &toolchain.rustc {
        cargo.env("RUSTC", rustc);
    }
    select(&packages, &mut cargo);
    process::run(&mut cargo)?;

    let built = target_dir(project, &toolchain).join(TARGET).join(PROFILE);
    let mut changed = 0;
    for package in &packages {
        let to = project.root.join(&package.output);
        if let Change::Updated(size) = dist::update(&built.join(&package.artifact), &to)? {
            changed += 1;
            say(format_args!("{} ({})", package.output.display(), bytes(size)));
        }
    }
    say(format_args!("{} modules, {changed} changed, in {}", packages.len(), seconds(started.elapsed())));
    Ok(toolchain)
}

/// Runs clippy over what exists only for the target.
pub fn lint(project: &Project) -> Outcome<()> {
    let toolchain = toolchain::find(project)?;
    let mut clippy = toolchain::lint_command(project, &toolchain)?;
    prepare(project, &toolchain, &mut clippy);
    clippy.args(["--profile", PROFILE]);
    select(&found(project)?, &mut clippy);
    if project.root.join("filters/shell/Cargo.toml").is_file() {
        clippy.args(["-p", "filter-shell"]);
    }
    process::run(clippy.args(["--", "-D", "warnings"]))
}

/// Prints the size of every module in `dist/`.
pub fn sizes(project: &Project) -> Outcome<()> {
    for package in found(project)? {
        match fs::metadata(project.root.join(&package.output)) {
            Ok(data) => println!("{:>10}  {}", bytes(data.len()), package.output.display()),
            Err(_) => println!("{:>10}  {}", "not built", package.output.display()),
        }
    }
    Ok(())
}

fn found(project: &Project) -> Outcome<Vec<Package>> {
    let packages = packages::find(&project.root)?;
    if packages.is_empty() {
        return Err(Failure::new("no package in filters/*/wasm or host-test/guests/*"));
    }
    Ok(packages)
}

fn select(packages: &[Package], command: &mut Command) {
    for package in packages {
        command.args(["-p", &package.name]);
    }
}

/// One folder for each std: cargo does not notice that the std of a compiler was replaced, and would go on with
/// libraries that no longer fit.
fn target_dir(project: &Project, toolchain: &Toolchain) -> PathBuf {
    let own = project.programs.parent().unwrap_or(&project.programs);
    own.join(format!("wasm-{}", toolchain.stamp.short()))
}

/// Sets what every build for the target has in common. The output does not depend on where cargo keeps the sources
/// of dependencies and its results, nor on flags meant for native builds.
fn prepare(project: &Project, toolchain: &Toolchain, command: &mut Command) {
    let target = target_dir(project, toolchain);
    let mut flags = vec![format!("--remap-path-prefix={}=/target", target.display())];
    flags.extend(cargo_home().map(|home| format!("--remap-path-prefix={}=/cargo", home.display())));
    command.env("CARGO_TARGET_DIR", target).env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
}
