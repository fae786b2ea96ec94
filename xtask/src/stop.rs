//! Ctrl-C, SIGTERM and SIGHUP: noted here, looked at by whoever waits.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::{During, Outcome};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on these signals are noted instead of ending the process at once.
pub fn listen() -> Outcome<()> {
    let asked = ASKED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(asked)).during(|| "cannot listen for signals")?;
    }
    Ok(())
}

/// Whether someone asked us to stop.
pub fn asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
}
