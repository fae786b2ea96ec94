//! Runs other programs and waits for them, ready to stop them when we are asked to stop.

use std::io;
use std::iter;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{During, Failure, Outcome};
use crate::stop;

/// How long a program may take to end after SIGTERM before SIGKILL follows.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the command with our own stdin, stdout and stderr. Its failure is ours.
pub fn run(command: &mut Command) -> Outcome<()> {
    let name = name(command);
    let mut child = command.spawn().during(|| format!("cannot start {name}"))?;
    let status = wait(&mut child).during(|| name.clone())?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{name} failed ({status})"))) }
}

/// What a command printed on stdout, without the white space around it; its stderr is dropped.
/// `None` when it cannot be started or reports failure.
pub fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether the command can be started and reports success; what it prints is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    answer(command).is_some()
}

/// Waits for a child; when we are asked to stop, the child is stopped first.
pub fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return if stop::asked() { Err(io::Error::other("interrupted")) } else { Ok(status) };
        }
        if stop::asked() {
            end(child);
            return Err(io::Error::other("interrupted"));
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Ends a child with SIGTERM, and with SIGKILL if it is still there after the grace period.
pub fn end(child: &mut Child) {
    ask_to_end(child);
    see_end(child);
}

/// Waits for the end of a child that was asked to end; sends SIGKILL after the grace period.
pub fn see_end(child: &mut Child) {
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Sends SIGTERM to a child that has not been waited for (its number cannot have been given to another program).
pub fn ask_to_end(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// The start of a command line, with the program as it would be typed.
fn name(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = iter::once(program).chain(command.get_args()).take(3);
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failing_command_is_named_with_its_status() {
        assert_eq!(run(&mut sh("true")), Ok(()));
        assert_eq!(run(&mut sh("exit 3")).unwrap_err().to_string(), "sh -c exit 3 failed (exit status: 3)");
    }

    #[test]
    fn an_answer_is_trimmed_and_a_failure_gives_none() {
        assert_eq!(answer(&mut sh("echo ' a b '")).as_deref(), Some("a b"));
        assert_eq!(answer(&mut sh("echo a; exit 1")), None);
        assert_eq!(answer(&mut Command::new("/no/such/program")), None);
    }

    #[test]
    fn a_child_is_ended_by_sigterm() {
        use std::os::unix::process::ExitStatusExt as _;
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        end(&mut child);
        assert_eq!(child.wait().unwrap().signal(), Some(15));
    }
}
