//! What Envoy does with a `route_config`, as far as the tests need it.

use header_router::Explanation;
use regex_lite::Regex;
use serde_json::Value;

#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub cluster: Option<String>,
    pub status: Option<u16>,
    pub location: Option<String>,
    pub path: Option<String>,
    pub host: Option<String>,
}

impl Outcome {
    pub fn from(told: &Explanation) -> Self {
        let routed = told.target.is_some();
        let kept = |text: &Option<String>| text.clone().filter(|_| routed);
        Self {
            cluster: told.target.clone(),
            status: told.status.filter(|_| !routed),
            // a redirect may write the client's host in lower case
            location: told.location.as_ref().map(|location| location.to_lowercase()),
            path: kept(&told.path),
            host: kept(&told.host),
        }
    }
}

pub fn serve(config: &Value, request: &[(&str, &str)]) -> Outcome {
    let get = |name: &str| request.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
    let (path, authority) = (get(":path"), get(":authority"));
    let (only, query) = path.split_once('?').map_or((path, None), |(only, query)| (only, Some(query)));
    let found = virtual_host(config, authority)["routes"].as_array().unwrap().iter().find(|route| {
        let matched = &route["match"];
        fits_path(matched, only)
            && matched["headers"].as_array().into_iter().flatten().all(|wanted| {
                let value = get(wanted["name"].as_str().unwrap());
                fits(&wanted["string_match"], value) != (wanted["invert_match"] == true)
            })
    });
    let Some(route) = found else { return Outcome { status: Some(404), ..Outcome::default() } };
    if let Some(status) = route["direct_response"]["status"].as_u64() {
        return Outcome { status: u16::try_from(status).ok(), ..Outcome::default() };
    }
    let action = if route["route"].is_object() { &route["route"] } else { &route["redirect"] };
    let mut new = only.to_owned();
    if let Some(pattern) = action["regex_rewrite"]["pattern"]["regex"].as_str() {
        let substitution = action["regex_rewrite"]["substitution"].as_str().unwrap();
        let groups = Regex::new(r"\\([0-9])").unwrap();
        let substitution = groups.replace_all(&substitution.replace('$', "$$"), "$${$1}").replace(r"\\", r"\");
        new = Regex::new(pattern).unwrap().replace_all(only, substitution.as_str()).into_owned();
    }
    if let Some(path) = action["path_redirect"].as_str() {
        path.clone_into(&mut new);
    }
    if let (Some(query), false) = (query, action["strip_query"] == true) {
        new = format!("{new}?{query}");
    }
    if route["redirect"].is_object() {
        let scheme = if action["https_redirect"] == true { "https" } else { get(":scheme") };
        let port = action["port_redirect"].as_u64().map(|port| format!(":{port}")).unwrap_or_default();
        let own = if port.is_empty() { authority } else { authority.split(':').next().unwrap() };
        let location = format!("{scheme}://{}{port}{new}", action["host_redirect"].as_str().unwrap_or(own));
        let codes = ["MOVED_PERMANENTLY", "FOUND"].map(|code| action["response_code"] == code);
        let status = if codes[0] { 301 } else { 302 };
        return Outcome { status: Some(status), location: Some(location.to_lowercase()), ..Outcome::default() };
    }
    let host = action["host_rewrite_literal"].as_str().unwrap_or(authority);
    Outcome {
        cluster: Some(action["cluster"].as_str().unwrap().to_owned()),
        path: Some(new),
        host: Some(host.to_owned()),
        ..Outcome::default()
    }
}

/// The exact domain, else the longest that ends the host, else all.
fn virtual_host<'c>(config: &'c Value, authority: &str) -> &'c Value {
    let host = authority.split(':').next().unwrap().to_ascii_lowercase();
    let place = |domain: &str| match domain.strip_prefix('*') {
        Some("") => Some(0),
        Some(end) => (host.len() > end.len() && host.ends_with(end)).then_some(end.len()),
        None => (domain == host).then_some(usize::MAX),
    };
    let best = |virtual_host: &&Value| {
        let domains = virtual_host["domains"].as_array().unwrap();
        domains.iter().filter_map(|domain| place(domain.as_str().unwrap())).max()
    };
    config["virtual_hosts"].as_array().unwrap().iter().max_by_key(best).unwrap()
}

fn fits_path(matched: &Value, path: &str) -> bool {
    let folded = matched["case_sensitive"] == false;
    let path = if folded { path.to_ascii_lowercase() } else { path.to_owned() };
    if let Some(prefix) = matched["path_separated_prefix"].as_str() {
        return path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    }
    match (matched["prefix"].as_str(), matched["path"].as_str()) {
        (Some(prefix), _) => path.starts_with(prefix),
        (_, Some(exact)) => path == exact,
        _ => fits(matched, &path),
    }
}

fn fits(wanted: &Value, value: &str) -> bool {
    match wanted["exact"].as_str() {
        Some(exact) => exact == value,
        None => {
            let pattern = wanted["safe_regex"]["regex"].as_str().unwrap();
            Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap().is_match(value)
        }
    }
}
