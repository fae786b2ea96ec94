//! The rate limit service of a case in `core` and `host`: the same pure service that the `envoy` runner serves.

use super::format::File;
use filter_kit::Answer;
use rate_limit_service::{Call, Outcome, Service};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// The cluster that it is behind.
pub const CLUSTER: &str = "rate-limit-service";

/// The time that it always is for the service, in every runner: 2023-11-14 22:13:20 UTC. No window ends within a case, and windows end in
/// 40 s (minute), 2,800 s (hour), 6,400 s (day).
pub const NOW: Duration = Duration::from_secs(1_700_000_000);

/// A service that all filters of a case share, or none.
#[derive(Clone)]
pub struct Services(Option<Rc<RefCell<Service>>>);

/// A call of any service.
pub struct Ask<'a> {
    /// The service.
    pub service: &'a str,
    /// The method.
    pub method: &'a str,
    /// The request, encoded.
    pub message: &'a [u8],
    /// Longest wait.
    pub timeout: Duration,
}

impl Services {
    /// The service of a file, with no counts.
    pub fn new(file: &File) -> Result<Self, String> {
        let service = file.rate_limit_service.clone().map(Service::new).transpose();
        let service = service.map_err(|error| format!("rate_limit_service.{error}"))?;
        Ok(Self(service.map(|service| Rc::new(RefCell::new(service)))))
    }

    /// The clusters that can be asked.
    pub fn clusters(&self) -> &'static [&'static str] {
        if self.0.is_some() { &[CLUSTER] } else { &[] }
    }

    /// Asks the service; what would come too late has failed.
    pub fn ask(&self, ask: &Ask<'_>) -> Answer {
        let Some(service) = &self.0 else { return Answer::UNAVAILABLE };
        let mut service = service.borrow_mut();
        if service.is_gone() {
            return Answer::UNAVAILABLE;
        }
        if (ask.service, ask.method) != (rate_limit_protocol::SERVICE, rate_limit_protocol::METHOD) {
            return Answer::Failed(12);
        }
        let answer = service.answer(ask.message, NOW);
        match answer.outcome {
            _ if answer.after >= ask.timeout => Answer::UNAVAILABLE,
            Outcome::Reply(message) => Answer::Message(message),
            Outcome::Failed { code, .. } => Answer::Failed(code),
            Outcome::Hang | Outcome::Drop => Answer::UNAVAILABLE,
        }
    }

    /// What it was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        self.0.as_ref().map_or_else(Vec::new, |service| service.borrow().calls().to_vec())
    }
}
