//! Heads that are held until their body is there, and hosts that do not show it.
//!
//! A host that ignores `allow_on_headers_stop_iteration` stops everything when a head is held: no callback tells of the
//! body, and the exchange would hang. What a tick can see is how many bytes the host has received.

use crate::call;
use crate::raw::{self, Status};

/// How often held heads are looked at, in milliseconds.
const PERIOD: u32 = 1000;

/// Ticks without a further byte after which a body counts as not shown.
const PATIENCE: u8 = 2;

/// Bytes of the request that the host has received, its head included.
fn received() -> Option<u64> {
    call::number("request\0total_size")
}

/// What is known of a host, for one root.
#[derive(Default)]
pub(crate) struct Watch {
    /// A body was shown while its head was held: nothing to look out for any more.
    pub(crate) shown: bool,
    ticking: bool,
    told: bool,
}

impl Watch {
    /// A head is held for its body from now on. So many bytes of that have come while it was held for something else.
    pub(crate) fn begin(&mut self, came: u64) -> Wait {
        if self.shown {
            return Wait::default();
        }
        self.tick(true);
        let received = received();
        Wait { begin: received.map(|received| received.saturating_sub(came)), last: received, still: 0 }
    }

    /// A head is held for something else than its body from now on.
    pub(crate) fn note(&self, came: u64) -> Note {
        Note { at: if self.shown { None } else { received() }, came }
    }

    /// Starts or stops the ticks.
    pub(crate) fn tick(&mut self, on: bool) {
        if self.ticking != on && raw::set_tick_period(if on { PERIOD } else { 0 }).is_ok() {
            self.ticking = on;
        }
    }

    /// The host shows bodies of held heads.
    pub(crate) fn settle(&mut self) {
        self.shown = true;
        self.tick(false);
    }

    /// An exchange waits in vain. One line for each root: every such request has the same cause.
    pub(crate) fn tell(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            call::log_error(
                "a request waits for its body, and the host does not show it: set allow_on_headers_stop_iteration: true in \
                 the configuration of this plugin; until then such requests are answered with status 500",
            );
        }
    }
}

/// A head that is held for something else than its body. Edits of the head change what a host tells of it, so what comes is counted
/// between them.
#[derive(Clone, Copy)]
pub(crate) struct Note {
    /// Received when it began; `None` where nobody has to know.
    at: Option<u64>,
    /// Bytes of the body that had come before.
    came: u64,
}

impl Note {
    /// Bytes of the body that have come by now.
    pub(crate) fn came(self) -> u64 {
        let now = self.at.and_then(|at| Some(received()?.saturating_sub(at)));
        self.came.saturating_add(now.unwrap_or(0))
    }
}

/// One held head.
#[derive(Default)]
pub(crate) struct Wait {
    /// Received when the head was held, and at the last tick.
    begin: Option<u64>,
    last: Option<u64>,
    /// Ticks in a row in which nothing came.
    still: u8,
}

impl Wait {
    /// Whether the body of this exchange is there, or a part of it, and does not show. A client that has sent nothing
    /// of it, or still sends, is waited for; a host that cannot tell is not.
    pub(crate) fn tick(&mut self, exchange: u32) -> Result<bool, Status> {
        raw::select(exchange)?;
        let now = received();
        let moves = now.is_some() && self.begin.is_some() && (now <= self.begin || now != self.last);
        self.last = now;
        self.still = if moves { 0 } else { self.still.saturating_add(1) };
        Ok(self.still >= PATIENCE)
    }
}
