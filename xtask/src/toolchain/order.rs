//! The order in which ways to a toolchain are tried. Pure: what is asked for in, a list out.

use crate::failure::{Failure, Outcome};

/// The way that `SLUICE_WASM_TOOLCHAIN` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Whatever is there first; the default.
    Auto,
    /// A std that is installed already, and nothing else.
    Installed,
    /// rustup's, which may download it.
    Rustup,
    /// Debian's packages, and a std built from them once.
    Debian,
}

/// What the environment says about the toolchain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The way asked for.
    pub way: Way,
    /// The compiler that the user set, if any.
    pub rustc: Option<String>,
    /// Whether rustup may download.
    pub rustup_may_download: bool,
}

/// One thing to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The compiler that `RUSTC` names.
    Given,
    /// The std beside the ordinary compiler.
    Installed,
    /// A sysroot that the Debian recipe built earlier and that is up to date.
    CachedSysroot,
    /// `rustup target add`.
    RustupTarget,
    /// Nothing is tried, the reason is told.
    RustupForbidden,
    /// Debian's packages, installed if they are missing.
    Debian,
}

impl Settings {
    /// Reads the variables `SLUICE_WASM_TOOLCHAIN`, `RUSTC` and `RUSTUP_AUTO_INSTALL`.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Outcome<Self> {
        let set = |name| get(name).filter(|value: &String| !value.is_empty());
        let way = match set("SLUICE_WASM_TOOLCHAIN").as_deref() {
            None | Some("auto") => Way::Auto,
            Some("installed") => Way::Installed,
            Some("rustup") => Way::Rustup,
            Some("debian") => Way::Debian,
            Some(other) => {
                return Err(Failure::new(format!(
                    "SLUICE_WASM_TOOLCHAIN is `{other}`; it can be auto, installed, rustup or debian"
                )));
            }
        };
        Ok(Self { way, rustc: set("RUSTC"), rustup_may_download: set("RUSTUP_AUTO_INSTALL").as_deref() != Some("0") })
    }
}

/// What to try, first to last.
pub fn attempts(settings: &Settings) -> Vec<Attempt> {
    let own = if settings.rustc.is_some() { Attempt::Given } else { Attempt::Installed };
    let rustup = if settings.rustup_may_download { Attempt::RustupTarget } else { Attempt::RustupForbidden };
    match settings.way {
        // A compiler that the user names is the one to use: quietly taking another would hide a mistake.
        Way::Auto if settings.rustc.is_some() => vec![Attempt::Given],
        Way::Auto => vec![Attempt::Installed, Attempt::CachedSysroot, rustup, Attempt::Debian],
        Way::Installed => vec![own],
        Way::Rustup => vec![Attempt::Installed, rustup],
        Way::Debian => vec![Attempt::Debian],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(variables: &[(&str, &str)]) -> Vec<Attempt> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        attempts(&Settings::from_env(get).unwrap())
    }

    #[test]
    fn the_order_follows_the_environment() {
        use Attempt::*;
        let auto = vec![Installed, CachedSysroot, RustupTarget, Debian];
        assert_eq!(order(&[]), auto);
        assert_eq!(order(&[("SLUICE_WASM_TOOLCHAIN", "auto"), ("RUSTC", "")]), auto);
        assert_eq!(order(&[("RUSTUP_AUTO_INSTALL", "1")]), auto);
        assert_eq!(order(&[("RUSTC", "/x/rustc")]), [Given]);
        assert_eq!(order(&[("RUSTC", "/x/rustc"), ("SLUICE_WASM_TOOLCHAIN", "installed")]), [Given]);
        assert_eq!(order(&[("RUSTC", "/x/rustc"), ("SLUICE_WASM_TOOLCHAIN", "debian")]), [Debian]);
        assert_eq!(order(&[("SLUICE_WASM_TOOLCHAIN", "installed")]), [Installed]);
        assert_eq!(order(&[("SLUICE_WASM_TOOLCHAIN", "rustup")]), [Installed, RustupTarget]);
    }

    #[test]
    fn rustup_is_never_asked_to_download_when_it_shall_not() {
        let ways = ["auto", "installed", "rustup", "debian"];
        for way in ways {
            let order = order(&[("RUSTUP_AUTO_INSTALL", "0"), ("SLUICE_WASM_TOOLCHAIN", way)]);
            assert!(!order.contains(&Attempt::RustupTarget), "{way}: {order:?}");
        }
    }

    #[test]
    fn an_unknown_way_is_refused_by_name() {
        let failure = Settings::from_env(|name| (name == "SLUICE_WASM_TOOLCHAIN").then(|| "debain".to_owned()));
        let text = failure.unwrap_err().to_string();
        assert_eq!(text, "SLUICE_WASM_TOOLCHAIN is `debain`; it can be auto, installed, rustup or debian");
    }
}
