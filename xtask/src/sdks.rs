//! The providers' own SDKs, pinned by version and hash, in a folder of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::failure::{During, Failure, Outcome};
use crate::project::{Project, is_program};
use crate::python;
use crate::say::{say, seconds};

/// The variable that tells a test which Python has the SDKs.
pub const VARIABLE: &str = "SLUICE_SDKS";

/// What is installed, relative to the repository.
const REQUIREMENTS: &str = "filters/ai-normalize/sdk-tests/requirements.txt";

/// The Python that has the SDKs, installed now if need be.
pub fn get(project: &Project) -> Outcome<PathBuf> {
    let file = project.root.join(REQUIREMENTS);
    let requirements = fs::read_to_string(&file).during(|| REQUIREMENTS)?;
    let place = project.cache.join("sdk-tests");
    if let Some(python) = installed(&place, &requirements) {
        return Ok(python);
    }
    fs::create_dir_all(&project.cache).during(|| project.cache.display())?;
    // Two commands at the same time install them once.
    let lock = fs::File::create(project.cache.join("sdk-tests.lock")).during(|| "sdk-tests.lock")?;
    lock.lock().during(|| "sdk-tests.lock")?;
    if let Some(python) = installed(&place, &requirements) {
        return Ok(python);
    }
    let python = python::find().during(|| "the providers' SDKs")?;
    let started = Instant::now();
    say(format_args!(
        "fetching the providers' SDKs ({} packages of PyPI, 50 MB) into {}",
        requirements.matches("==").count(),
        project.relative(&place)
    ));
    let _ = fs::remove_dir_all(&place);
    python::fill(&python, &place, &file).during(|| "the providers' SDKs from PyPI")?;
    // Written last: a folder without it is not used.
    fs::write(place.join("installed.txt"), &requirements).during(|| "installed.txt")?;
    say(format_args!("fetched in {}", seconds(started.elapsed())));
    installed(&place, &requirements).ok_or_else(|| Failure::new("the environment of the SDKs has no bin/python"))
}

/// The Python of an earlier run, if the same was installed then and its own Python is still there.
fn installed(place: &Path, requirements: &str) -> Option<PathBuf> {
    if fs::read_to_string(place.join("installed.txt")).ok()? != requirements {
        return None;
    }
    Some(place.join("bin/python")).filter(|python| is_program(python))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_a_finished_installation_of_the_same_requirements_counts() {
        let dir = Scratch::new("sdks");
        let python = dir.write("bin/python", b"");
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(installed(dir.path(), "openai==3\n"), None);
        dir.write("installed.txt", b"openai==3\n");
        assert_eq!(installed(dir.path(), "openai==3\n"), Some(python.clone()));
        assert_eq!(installed(dir.path(), "openai==4\n"), None);
        fs::remove_file(&python).unwrap();
        std::os::unix::fs::symlink("/no/such/python", &python).unwrap();
        assert_eq!(installed(dir.path(), "openai==3\n"), None);
    }

    #[test]
    fn every_requirement_is_pinned_and_every_file_has_its_hash() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = fs::read_to_string(root.join(REQUIREMENTS)).unwrap();
        let mut packages = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.trim().trim_end_matches(" \\").strip_prefix("--hash=sha256:") {
                Some(hash) => assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}"),
                None => {
                    assert!(line.contains("==") && line.ends_with('\\'), "{line}");
                    packages += 1;
                }
            }
        }
        assert!(packages > 20, "{packages}");
    }
}
