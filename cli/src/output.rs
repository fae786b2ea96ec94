//! Standard output that may be closed early, as by `| head`.

use std::io::{self, Write};

/// Writes a text.
///
/// # Errors
/// If it cannot be written although somebody reads.
pub fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map(|_| ())
}

/// Whether somebody is still reading.
///
/// # Errors
/// For everything but a reader that is gone.
pub fn written(result: io::Result<()>) -> Result<bool, String> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("standard output: {error}")),
    }
}
