//! Conditions that a request can hardly meet.

use super::Remark;
use crate::matching::RequestMatchConfig;

/// Headers that end at the next proxy (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 8] =
    ["connection", "http2-settings", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Remarks on the conditions of a rule, which stand in `match` or `matches`.
pub fn conditions(one: Option<&RequestMatchConfig>, several: &[RequestMatchConfig]) -> Vec<Remark> {
    let one = one.map(|config| ("match".to_owned(), config));
    let several = several.iter().enumerate().map(|(at, config)| (format!("matches[{at}]"), config));
    let mut remarks = Vec::new();
    for (at, config) in one.into_iter().chain(several) {
        for (number, header) in config.headers.iter().enumerate() {
            let name = header.name.to_ascii_lowercase();
            if HOP_BY_HOP.contains(&name.as_str()) {
                let why =
                    format!("a proxy does not pass {name} on: it is about one connection (RFC 9110, section 7.6.1)");
                remarks.push(Remark::new(format!("{at}.headers[{number}].name"), why));
            }
        }
    }
    remarks
}
