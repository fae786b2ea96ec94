//! Which packages become `.wasm` files: those in `filters/*/wasm` and `host-test/guests/*`; a guest with a `wasm` folder
//! of its own is a pure crate, and its leaf stands there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{During, Failure, Outcome};

/// A package that is built for the target.
#[derive(Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name for cargo.
    pub name: String,
    /// The file that cargo makes.
    pub artifact: String,
    /// Where the file goes, from the repository's root.
    pub output: PathBuf,
}

/// All of them, in the order of their names.
pub fn find(root: &Path) -> Outcome<Vec<Package>> {
    let mut found = Vec::new();
    for folder in folders(&root.join("filters")) {
        if let Some((name, artifact)) = manifest(&folder.join("wasm/Cargo.toml"))? {
            let stem = name.strip_suffix("-wasm").unwrap_or(&name);
            let output = Path::new("dist").join(format!("{stem}.wasm"));
            found.push(Package { name, artifact, output });
        }
    }
    for folder in folders(&root.join("host-test/guests")) {
        let leaf = manifest(&folder.join("wasm/Cargo.toml"))?;
        if let Some((name, artifact)) =
            leaf.map_or_else(|| manifest(&folder.join("Cargo.toml")), |leaf| Ok(Some(leaf)))?
        {
            let stem = folder.file_name().unwrap_or_default().to_string_lossy();
            let output = Path::new("dist/guests").join(format!("{stem}.wasm"));
            found.push(Package { name, artifact, output });
        }
    }
    Ok(found)
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The package's name and its artifact's file name; `None` if there is no manifest.
fn manifest(file: &Path) -> Outcome<Option<(String, String)>> {
    if !file.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(file).during(|| file.display())?;
    let name = value(&text, "package", "name")
        .ok_or_else(|| Failure::new(format!("{}: no name in [package]", file.display())))?;
    let library = value(&text, "lib", "name").unwrap_or_else(|| name.replace('-', "_"));
    Ok(Some((name, format!("{library}.wasm"))))
}

/// A string in a manifest, written on one line as `key = "value"` below `[table]`: the form that our manifests have.
fn value(text: &str, table: &str, key: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            inside = header.split(']').next() == Some(table);
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            return value.trim().strip_prefix('"')?.split('"').next().map(str::to_owned);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn leaves_and_guests_are_found_by_folder() {
        let dir = Scratch::new("packages");
        dir.write("filters/kit/Cargo.toml", b"[package]\nname = \"filter-kit\"\n");
        dir.write("filters/suite/wasm/Cargo.toml", b"[package]\nname = \"suite-wasm\"\n[lib]\nname = \"the_suite\"\n");
        dir.write(
            "filters/header-router/wasm/Cargo.toml",
            b"[dependencies]\nname = \"no\"\n[package] # ours\ndescription = \"x\"\nname = \"header-router-wasm\" # y\n",
        );
        dir.write("host-test/guests/probe/Cargo.toml", b"[package]\nname = \"guest-probe\"\n");
        dir.write("host-test/guests/upper/Cargo.toml", b"[package]\nname = \"guest-upper\"\n");
        dir.write("host-test/guests/upper/wasm/Cargo.toml", b"[package]\nname = \"guest-upper-wasm\"\n");
        dir.write("host-test/guests/README.md", b"not a package");
        let package = |name: &str, artifact: &str, output: &str| Package {
            name: name.into(),
            artifact: artifact.into(),
            output: output.into(),
        };
        assert_eq!(
            find(dir.path()).unwrap(),
            [
                package("header-router-wasm", "header_router_wasm.wasm", "dist/header-router.wasm"),
                package("suite-wasm", "the_suite.wasm", "dist/suite.wasm"),
                package("guest-probe", "guest_probe.wasm", "dist/guests/probe.wasm"),
                package("guest-upper-wasm", "guest_upper_wasm.wasm", "dist/guests/upper.wasm"),
            ]
        );
    }

    #[test]
    fn a_manifest_without_a_name_is_refused() {
        let dir = Scratch::new("nameless");
        let file = dir.write("filters/x/wasm/Cargo.toml", b"[package]\nversion = \"1\"\n");
        let text = find(dir.path()).unwrap_err().to_string();
        assert_eq!(text, format!("{}: no name in [package]", file.display()));
    }
}
