//! Finds a compiler with a standard library for the target, or gets one.

mod apt;
mod clippy;
mod debian;
mod installed;
mod order;
mod sysroot;

use std::env;
use std::path::PathBuf;

use crate::failure::{Failure, Outcome};
use crate::process;
use crate::project::{Project, on_path};
use crate::say::say;
use crate::stamp::Stamp;

pub use clippy::lint_command;
use order::{Attempt, Settings, attempts};

/// The one target that the filters are built for.
pub const TARGET: &str = "wasm32-wasip1";

/// A compiler that can build for [`TARGET`].
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// What to set `RUSTC` to; `None` keeps the compiler that cargo finds itself.
    pub rustc: Option<PathBuf>,
    /// Where it comes from, for the person at the terminal.
    pub origin: String,
    /// What its standard library was made from.
    pub stamp: Stamp,
    /// Whether Debian's packages provide it.
    pub debian: bool,
}

/// Finds or gets the toolchain, in the order of [`attempts`], and says which one it is.
pub fn find(project: &Project) -> Outcome<Toolchain> {
    let settings = Settings::from_env(|name| env::var(name).ok())?;
    let mut tried = Vec::new();
    for attempt in attempts(&settings) {
        match try_one(project, &settings, attempt)? {
            Ok(found) => {
                say(format_args!("{TARGET}: {}", found.origin));
                return Ok(found);
            }
            Err(why) => tried.push(why),
        }
    }
    Err(Failure::new(nothing_found(&tried)))
}

/// One attempt: a toolchain, or the reason why this way has none here.
fn try_one(project: &Project, settings: &Settings, attempt: Attempt) -> Outcome<Result<Toolchain, String>> {
    match attempt {
        Attempt::Given => {
            let rustc = settings.rustc.clone().unwrap_or_default();
            match installed::std_of(project, &rustc)? {
                Ok(stamp) => {
                    let origin = format!("the compiler that RUSTC names, {rustc}");
                    Ok(Ok(Toolchain { rustc: Some(rustc.into()), origin, stamp, debian: false }))
                }
                Err(why) => Ok(Err(format!("RUSTC={rustc}: {why}"))),
            }
        }
        Attempt::Installed => Ok(match installed::std_of(project, "rustc")? {
            Ok(stamp) => {
                let origin = "the std that is installed beside rustc".to_owned();
                Ok(Toolchain { rustc: None, origin, stamp, debian: false })
            }
            Err(why) => Err(format!("rustc: {why}")),
        }),
        Attempt::CachedSysroot => Ok(debian::cached(project)),
        Attempt::RustupTarget => {
            if on_path("rustup").is_none() {
                return Ok(Err("rustup: not installed".to_owned()));
            }
            say(format_args!("{TARGET}: not installed; running `rustup target add {TARGET}`"));
            let added = process::run(project.command("rustup").args(["target", "add", TARGET]));
            match added {
                Ok(()) => try_one(project, settings, Attempt::Installed),
                Err(why) => Ok(Err(format!("rustup target add {TARGET}: {why}"))),
            }
        }
        Attempt::RustupForbidden => {
            Ok(Err("rustup target add: not tried, because RUSTUP_AUTO_INSTALL=0 says that rustup shall not download"
                .to_owned()))
        }
        Attempt::Debian => debian::get(project),
    }
}

fn nothing_found(tried: &[String]) -> String {
    let mut text = format!("no Rust standard library for {TARGET}.");
    for why in tried {
        text.push_str("\n  - ");
        text.push_str(why);
    }
    text.push_str("\nEither of these gets one:\n");
    text.push_str(&format!("  rustup target add {TARGET}\n"));
    text.push_str(&format!("  apt-get install {}   (Debian 12 or later, as root)\n", debian::PACKAGES.join(" ")));
    text.push_str("then run the same command again. docs/build.md has the details.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_every_attempt_and_both_ways() {
        let text = nothing_found(&["rustc: no std".to_owned(), "rustup: not installed".to_owned()]);
        assert!(text.contains("  - rustc: no std\n  - rustup: not installed\n"), "{text}");
        assert!(text.contains("  rustup target add wasm32-wasip1\n"), "{text}");
        assert!(text.contains("  apt-get install rustc-web rust-web-src wasi-libc "), "{text}");
    }
}
