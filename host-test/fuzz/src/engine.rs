//! The instrumented program: how it is built and run.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Target;

/// What `cargo fuzz` passes on a nightly compiler, without the sanitizer: coverage by LLVM's own pass, which stable compilers have too.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Longer inputs show nothing that shorter ones do not, and are slower.
const LONGEST_INPUT: u32 = 1024;

/// The built engine and the place of its files.
pub(crate) struct Engine {
    program: PathBuf,
    place: PathBuf,
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) executions: u64,
    pub(crate) kept: usize,
    /// The file that holds the input that failed, and the input.
    pub(crate) failure: Option<(PathBuf, Vec<u8>)>,
}

impl Engine {
    /// Builds the program `PACKAGE-engine`.
    pub(crate) fn build(package: &str) -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let place =
            root.canonicalize().map_err(|error| format!("cannot find the workspace: {error}"))?.join("target/fuzz");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let host = host()?;
        let status = Command::new(cargo)
            .current_dir(&root)
            // Naming the platform keeps the coverage out of build scripts.
            .args([
                "build",
                "--release",
                "--package",
                package,
                "--features",
                "engine",
                "--bin",
                &format!("{package}-engine"),
            ])
            .args(["--target", &host, "--target-dir"])
            .arg(place.join("build"))
            .env("RUSTFLAGS", COVERAGE)
            .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
            .env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true")
            .status()
            .map_err(|error| format!("cannot start cargo: {error}"))?;
        if !status.success() {
            return Err("the engine does not build; it needs a C++ compiler".into());
        }
        Ok(Self { program: place.join("build").join(host).join(format!("release/{package}-engine")), place })
    }

    pub(crate) fn run(&self, target: &Target, seconds: u64, seed: u32) -> Result<Ended, String> {
        let fail = |error: std::io::Error| format!("cannot run {}: {error}", target.name);
        let [corpus, seeds] = ["corpus", "seeds"].map(|folder| self.place.join(folder).join(target.name));
        let failures = self.place.join("failures");
        let dictionary = self.place.join(format!("{}.dict", target.name));
        for folder in [&corpus, &seeds, &failures] {
            fs::create_dir_all(folder).map_err(fail)?;
        }
        for (number, input) in (target.seeds)().iter().enumerate() {
            fs::write(seeds.join(number.to_string()), input).map_err(fail)?;
        }
        fs::write(&dictionary, quoted(target.dictionary)).map_err(fail)?;

        let option = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
            let mut option = OsString::from(format!("-{name}="));
            option.push(value);
            option
        };
        let mut prefix = failures.join(target.name).into_os_string();
        prefix.push("-");
        let mut engine = Command::new(&self.program)
            .env(crate::TARGET_VARIABLE, target.name)
            .args([option("max_total_time", &seconds.to_string()), option("seed", &seed.to_string())])
            .args([
                option("max_len", &LONGEST_INPUT.to_string()),
                option("timeout", &"10"),
                option("print_final_stats", &"1"),
            ])
            .args([option("artifact_prefix", &prefix), option("dict", &dictionary)])
            .args([&corpus, &seeds])
            .stderr(Stdio::piped())
            .spawn()
            .map_err(fail)?;
        let (mut executions, mut failed) = (0, None);
        for line in engine.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
            let line = String::from_utf8_lossy(line.map_err(fail)?.as_bytes()).into_owned();
            if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
                executions = number.trim().parse().unwrap_or(0);
            } else if let Some((_, path)) = line.split_once("Test unit written to ") {
                failed = Some(PathBuf::from(path));
            } else if !line.starts_with(['#', '\t', '"'])
                && !line.starts_with("WARNING: Failed to find")
                && !line.starts_with("INFO")
                && !line.starts_with("stat::")
            {
                eprintln!("{line}");
            }
        }
        let status = engine.wait().map_err(fail)?;
        let failure = match failed {
            Some(path) => Some((path.clone(), fs::read(path).map_err(fail)?)),
            None if status.success() => None,
            None => return Err(format!("{} ended with {status}", target.name)),
        };
        Ok(Ended { executions, kept: fs::read_dir(&corpus).map_err(fail)?.count(), failure })
    }
}

/// The platform that this compiler builds for by itself.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("cannot start rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc names no host".into())
}

/// A dictionary as libFuzzer reads it.
fn quoted(tokens: &[&[u8]]) -> String {
    let quote =
        |token: &&[u8]| format!("\"{}\"\n", token.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>());
    tokens.iter().map(quote).collect()
}
