//! What becomes of a request, and what it waits for.

use crate::claim::{Claim, Outcome};
use crate::headers::Told;
use crate::limit::Now;
use crate::reservation::Reservation;
use filter_kit::{Callout, Reply};

/// What a request takes at first, to be settled later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Price {
    /// So many units; refused where so many never fit.
    Exact(u64),
    /// At most as many as fit.
    Estimate(u64),
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is decided.
    Done(Decision),
    /// The service has to be asked first.
    Ask(Callout, Box<Asking>),
}

/// A request that waits for the service.
#[derive(Debug)]
pub struct Asking {
    pub(super) claims: Vec<Claim>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) now: Now,
    /// Claims that the service is asked about, and for how many units.
    pub(super) asked: Vec<(usize, u64)>,
    /// What it has said so far.
    pub(super) told: Vec<Told>,
    pub(super) response_headers: Vec<(String, Vec<u8>)>,
    pub(super) request_headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

/// A decision.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// The answer to a refused one.
    pub(crate) reply: Option<Reply>,
    /// What the limits said that clients are told of.
    pub(crate) told: Vec<Told>,
    /// Names of the limits that refused.
    pub(crate) violated: Vec<String>,
    /// Nanoseconds until the same request would pass; `None` if that cannot be said.
    pub(crate) wait: Option<u64>,
    /// What has to be corrected, or given back, later.
    pub(crate) reservation: Option<Reservation>,
    /// Headers that the service adds.
    pub(crate) response_headers: Vec<(String, Vec<u8>)>,
    /// The same for the request.
    pub(crate) request_headers: Vec<(String, Vec<u8>)>,
}

impl Decision {
    pub(super) fn refuse(reply: Reply) -> Self {
        Self { reply: Some(reply), ..Self::default() }
    }
}

impl From<Decision> for Step {
    fn from(decision: Decision) -> Self {
        Self::Done(decision)
    }
}
