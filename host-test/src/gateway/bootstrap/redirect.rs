//! Redirects, as data. `gateway::redirect` makes the location.

use super::reader::At;
use super::{InvalidBootstrap, PathRewrite};

/// `redirect`
#[derive(Clone, Debug)]
pub struct Redirect {
    /// The scheme, where it changes.
    pub scheme: Option<String>,
    /// The host, where it changes.
    pub host: Option<String>,
    /// The port, where one is set.
    pub port: Option<u16>,
    /// What becomes of the path.
    pub path: PathRedirect,
    /// Whether the query is left out.
    pub strip_query: bool,
    /// The status.
    pub status: u16,
}

/// What becomes of the path of a redirect.
#[derive(Clone, Debug)]
pub enum PathRedirect {
    /// It stays.
    Keep,
    /// This, with the query of the request unless it has one itself.
    To(String),
    /// A rewrite.
    Rewrite(PathRewrite),
}

impl Redirect {
    pub(super) fn read(at: At) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let https = fields.take("https_redirect");
        let scheme = match (fields.take("scheme_redirect"), https) {
            (Some(_), Some(https)) => {
                return Err(https.fault("stands beside `scheme_redirect`; only one of them may be set"));
            }
            (Some(scheme), None) => Some(scheme.text()?).filter(|scheme| !scheme.is_empty()),
            (None, Some(https)) => https.flag()?.then(|| "https".to_owned()),
            (None, None) => None,
        };
        let host = fields.take("host_redirect").map(|host| host.text()).transpose()?.filter(|host| !host.is_empty());
        let port = fields.take("port_redirect").map(|port| port.number(65_535)).transpose()?;
        let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        let to = fields.take("path_redirect");
        let path = match (to, PathRewrite::take(&mut fields)?) {
            (Some(to), Some(_)) => {
                return Err(to.fault("stands beside a rewrite of the path; only one of them may be set"));
            }
            (Some(to), None) => PathRedirect::To(to.name()?),
            (None, Some(rewrite)) => PathRedirect::Rewrite(rewrite),
            (None, None) => PathRedirect::Keep,
        };
        let strip_query = fields.flag("strip_query", false)?;
        let status = match fields.take("response_code") {
            None => 301,
            Some(code) => code.choice(&[
                ("MOVED_PERMANENTLY", 301),
                ("FOUND", 302),
                ("SEE_OTHER", 303),
                ("TEMPORARY_REDIRECT", 307),
                ("PERMANENT_REDIRECT", 308),
            ])?,
        };
        fields.finish()?;
        Ok(Self { scheme, host, port, path, strip_query, status })
    }
}
