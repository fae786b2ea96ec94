//! The rate limit service of a simulation.

use filter_kit::{Answer, Callout, config};
use rate_limit_service::{Config, Outcome};
use std::path::Path;
use std::time::Duration;

/// A service with its counts.
#[derive(Debug)]
pub struct Service {
    service: rate_limit_service::Service,
}

impl Service {
    /// Reads its limits.
    ///
    /// # Errors
    /// With the file's name.
    pub fn open(file: &Path) -> Result<Self, String> {
        let told = |why: String| format!("{}: {why}", file.display());
        let text = crate::config_file::read(file)?;
        let root = crate::config_file::parse(&text).map_err(|finding| finding.in_file(file))?;
        let config = config::parse::<Config>(root.value.to_json().to_string().as_bytes());
        let config = config.map_err(|error| {
            crate::config_file::Finding { position: root.locate(&error.at), why: error.to_string() }.in_file(file)
        })?;
        let service = rate_limit_service::Service::new(config).map_err(|error| told(error.to_string()))?;
        Ok(Self { service })
    }

    /// What it says at `now`, in nanoseconds.
    pub fn answer(&mut self, callout: &Callout, now: u64) -> Answer {
        let said = self.service.answer(&callout.message, Duration::from_nanos(now));
        let in_time = said.after < Duration::from_millis(callout.timeout_ms.into());
        match said.outcome {
            Outcome::Reply(message) if in_time => Answer::Message(message),
            Outcome::Failed { code, .. } if in_time => Answer::Failed(code),
            _ => Answer::UNAVAILABLE,
        }
    }
}
