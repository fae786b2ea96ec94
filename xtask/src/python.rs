//! The Python of this machine, for what is taken from PyPI.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{During, Failure, Outcome};
use crate::process;
use crate::project::on_path;
use crate::say::say;

/// The variable that names a Python.
const VARIABLE: &str = "PYTHON";

/// Says by its exit code whether it is modern enough.
const MODERN: &str = "import sys; sys.exit(sys.version_info < (3, 10))";

/// A Python of version 3.10 or later: the one that `PYTHON` names, or the first `python3`.
pub fn find() -> Outcome<PathBuf> {
    let given = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    choose(given, on_path("python3").into_iter().chain([PathBuf::from("/usr/bin/python3")]))
}

/// One that the user names must fit; others are passed over.
fn choose(given: Option<PathBuf>, others: impl IntoIterator<Item = PathBuf>) -> Outcome<PathBuf> {
    let fits = |python: &Path| process::succeeds(Command::new(python).args(["-c", MODERN]));
    if let Some(python) = given {
        if !fits(&python) {
            let text = format!("{VARIABLE} is {}, which is no Python of version 3.10 or later", python.display());
            return Err(Failure::new(text));
        }
        say(format_args!("Python: {} (named by {VARIABLE})", python.display()));
        return Ok(python);
    }
    let none = || Failure::new("no python3 of version 3.10 or later; PYTHON=/path/to/python3 names one elsewhere");
    others.into_iter().find(|python| fits(python)).ok_or_else(none)
}

/// Makes an environment in this folder and installs the requirements, whose every file has to have its hash.
pub fn fill(python: &Path, place: &Path, requirements: &Path) -> Outcome<()> {
    // Without pip it takes a tenth of the time, and works where the distribution packs pip separately.
    let mut venv = Command::new(python);
    process::run(venv.args(["-m", "venv", "--without-pip"]).arg(place))
        .during(|| "no venv (on Debian: python3-venv)")?;
    let own = place.join("bin/python");
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "--python"]).arg(&own);
    // pip before 22.3 cannot fill another environment than its own.
    if !process::succeeds(Command::new(python).args(["-m", "pip", "--python"]).arg(&own).arg("--version")) {
        let made = process::succeeds(Command::new(&own).args(["-m", "ensurepip"]));
        if !made {
            return Err(Failure::new("no pip 22.3 or later (on Debian: python3-pip, or python3-venv)"));
        }
        pip = Command::new(&own);
        pip.args(["-m", "pip"]);
    }
    pip.args(["install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-compile", "--no-deps"]);
    pip.args(["--only-binary", ":all:", "--require-hashes", "--requirement"]).arg(requirements);
    process::run(&mut pip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_python_must_fit_and_others_are_passed_over() {
        let [good, bad] = ["/bin/true", "/bin/false"].map(PathBuf::from);
        assert_eq!(choose(Some(good.clone()), [bad.clone()]).unwrap(), good);
        let text = choose(Some(bad.clone()), [good.clone()]).unwrap_err().to_string();
        assert_eq!(text, "PYTHON is /bin/false, which is no Python of version 3.10 or later");
        assert_eq!(choose(None, [bad.clone(), good.clone()]).unwrap(), good);
        let text = choose(None, [bad]).unwrap_err().to_string();
        assert!(text.starts_with("no python3 of version 3.10 or later;"), "{text}");
    }
}
