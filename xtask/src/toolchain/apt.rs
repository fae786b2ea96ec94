//! Installs Debian packages, when this is such a system and we may.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::failure::{During, Outcome};
use crate::process;
use crate::project::on_path;
use crate::say::{say, seconds};

/// How packages can be installed here.
enum Rights {
    Root,
    Sudo,
}

/// Installs the packages. The inner error says why this is not possible here; the outer one, that it was tried and failed.
pub fn install(packages: &[String]) -> Outcome<Result<(), String>> {
    let list = packages.join(" ");
    if !Path::new("/etc/debian_version").exists() || on_path("apt-get").is_none() {
        return Ok(Err("this is no Debian-like system (no /etc/debian_version or no apt-get)".to_owned()));
    }
    let rights = if rustix::process::geteuid().is_root() {
        Rights::Root
    } else if on_path("sudo").is_some() && process::succeeds(Command::new("sudo").args(["-n", "true"])) {
        Rights::Sudo
    } else {
        return Ok(Err(format!("missing packages, and no right to install them; as root: apt-get install {list}")));
    };
    let started = Instant::now();
    say(format_args!("installing Debian packages: {list}"));
    if let Err(why) = process::run(apt_get(&rights).args(["-qq", "update"])) {
        // One unreachable source among several: the others may be all that is needed.
        say(format_args!("{why}; going on with the package lists that are there"));
    }
    // --no-remove: rustc-web excludes Debian's own rustc and rustup packages; removing those is not ours to decide.
    let options = ["-qq", "-y", "--no-install-recommends", "--no-remove", "-o", "Dpkg::Use-Pty=0", "install"];
    process::run(apt_get(&rights).args(options).args(packages)).during(|| format!("installing {list}"))?;
    say(format_args!("installed in {}", seconds(started.elapsed())));
    Ok(Ok(()))
}

fn apt_get(rights: &Rights) -> Command {
    match rights {
        Rights::Root => {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive");
            command
        }
        Rights::Sudo => {
            let mut command = Command::new("sudo");
            command.args(["-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
            command
        }
    }
}

/// The version that apt would install, from the output of `apt-cache policy NAME`.
pub fn candidate(policy: &str) -> Option<&str> {
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?.trim();
    (version != "(none)").then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_is_read_from_the_policy() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  Version table:\n";
        assert_eq!(candidate(policy), Some("1.96.0+dfsg1-1~deb12u2"));
        assert_eq!(candidate("x:\n  Installed: (none)\n  Candidate: (none)\n"), None);
        assert_eq!(candidate(""), None);
    }
}
