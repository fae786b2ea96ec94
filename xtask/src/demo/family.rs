//! The processes of a run: started together, ended together, each with a log file.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::failure::{During, Failure, Outcome};
use crate::process;

/// How much of a log is shown when its process ends by itself.
const LAST_LINES: usize = 30;

/// Running processes. Dropping it ends them all.
pub struct Family {
    logs: PathBuf,
    members: Vec<Member>,
}

struct Member {
    name: &'static str,
    process: Child,
}

impl Family {
    /// No process yet; logs go to this folder.
    pub fn new(logs: &Path) -> Outcome<Self> {
        fs::create_dir_all(logs).during(|| logs.display())?;
        Ok(Self { logs: logs.to_path_buf(), members: Vec::new() })
    }

    /// Starts a process whose output goes to `NAME.log`.
    pub fn start(&mut self, name: &'static str, mut command: Command) -> Outcome<()> {
        let file = self.log(name);
        let log = File::create(&file).during(|| file.display())?;
        let same = log.try_clone().during(|| file.display())?;
        // A group of its own: Ctrl-C reaches us alone, and we end everything in order.
        command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(same);
        let process = command.spawn().during(|| format!("cannot start {}", command.get_program().display()))?;
        self.members.push(Member { name, process });
        Ok(())
    }

    /// Fails when a process ended by itself, with what it said last.
    pub fn check(&mut self) -> Outcome<()> {
        for member in &mut self.members {
            if let Some(status) = member.process.try_wait().during(|| member.name)? {
                let text = last_lines(&self.logs.join(format!("{}.log", member.name)));
                return Err(Failure::new(format!(
                    "the {} ended by itself ({status}). Its last words:\n{text}",
                    member.name
                )));
            }
        }
        Ok(())
    }

    /// The end of a process's log.
    pub fn last_words(&self, name: &str) -> String {
        last_lines(&self.log(name))
    }

    /// Asks all to end, the gateway first, and waits until they have.
    pub fn end(&mut self) {
        for member in self.members.iter_mut().rev() {
            process::ask_to_end(&member.process);
        }
        for mut member in self.members.drain(..).rev() {
            process::see_end(&mut member.process);
        }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.end();
    }
}

fn last_lines(file: &Path) -> String {
    let mut last = VecDeque::new();
    for line in File::open(file).map(BufReader::new).into_iter().flat_map(|log| log.split(b'\n').map_while(Result::ok))
    {
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(format!("  | {}", String::from_utf8_lossy(&line)));
    }
    Vec::from(last).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// Waits until this is true; the limit only stops a test that would hang.
    fn eventually(mut holds: impl FnMut() -> bool) {
        let limit = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < limit, "it never came to be");
            sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_end_of_one_process_is_told_with_its_last_words() {
        let dir = Scratch::new("family");
        let mut family = Family::new(dir.path()).unwrap();
        family.start("upstreams", sh("exec sleep 60")).unwrap();
        family.start("gateway", sh("for i in $(seq 40); do echo line $i; done; echo why >&2; exit 3")).unwrap();
        let mut failure = String::new();
        eventually(|| {
            failure = family.check().err().map(|failure| failure.to_string()).unwrap_or_default();
            !failure.is_empty()
        });
        assert!(
            failure.starts_with("the gateway ended by itself (exit status: 3). Its last words:\n  | line 12\n"),
            "{failure}"
        );
        assert!(failure.ends_with("  | line 40\n  | why"), "{failure}");
    }

    #[test]
    fn all_are_ended_by_sigterm_when_the_family_goes() {
        let dir = Scratch::new("family-end");
        let mut family = Family::new(dir.path()).unwrap();
        let script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done";
        family.start("upstreams", sh(script)).unwrap();
        family.start("gateway", sh(script)).unwrap();
        eventually(|| ["upstreams", "gateway"].iter().all(|name| family.last_words(name) == "  | up"));
        assert_eq!(family.check(), Ok(()));
        drop(family);
        for name in ["upstreams.log", "gateway.log"] {
            assert_eq!(last_lines(&dir.path().join(name)), "  | up\n  | bye");
        }
    }
}
