//! Writes the line of an access log.

use super::AccessRecord;
use crate::HeaderMap;
use crate::gateway::bootstrap::{AccessLog, Field, Json, LogFormat, Part};

/// A value of a line.
enum Shown {
    Number(u64),
    Text(String),
}

impl AccessRecord {
    /// The line, with its end.
    pub(crate) fn line(&self, log: &AccessLog) -> String {
        match &log.format {
            LogFormat::Text(parts) => self.text(parts, if log.omit_empty { "" } else { "-" }),
            LogFormat::Json(json) => {
                let mut out = String::new();
                self.json(json, log.omit_empty, &mut out);
                out.push('\n');
                out
            }
        }
    }

    fn text(&self, parts: &[Part], absent: &str) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(field, length) => match self.field(field, *length) {
                None => absent.to_owned(),
                Some(Shown::Number(number)) => number.to_string(),
                // Nothing that a client sends breaks the line.
                Some(Shown::Text(text)) => text.chars().map(|c| if c.is_control() { '_' } else { c }).collect(),
            },
        };
        parts.iter().map(text).collect()
    }

    fn json(&self, json: &Json, omit_empty: bool, out: &mut String) {
        match json {
            Json::Constant(constant) => out.push_str(constant),
            Json::Text(parts) => match parts.as_slice() {
                [Part::Field(field, length)] => match self.field(field, *length) {
                    None => out.push_str("null"),
                    Some(Shown::Number(number)) => out.push_str(&number.to_string()),
                    Some(Shown::Text(text)) => out.push_str(&quoted(&text)),
                },
                parts => out.push_str(&quoted(&self.text(parts, if omit_empty { "" } else { "-" }))),
            },
            Json::List(items) => {
                let kept = items.iter().filter(|item| !(omit_empty && self.is_absent(item)));
                self.members('[', kept.map(|item| (None, item)), ']', omit_empty, out);
            }
            Json::Object(members) => {
                let kept = members.iter().filter(|(_, value)| !(omit_empty && self.is_absent(value)));
                self.members('{', kept.map(|(key, value)| (Some(key), value)), '}', omit_empty, out);
            }
        }
    }

    fn members<'a>(
        &self,
        open: char,
        members: impl Iterator<Item = (Option<&'a String>, &'a Json)>,
        close: char,
        omit_empty: bool,
        out: &mut String,
    ) {
        out.push(open);
        for (index, (key, value)) in members.enumerate() {
            if index > 0 {
                out.push(',');
            }
            if let Some(key) = key {
                out.push_str(&quoted(key));
                out.push(':');
            }
            self.json(value, omit_empty, out);
        }
        out.push(close);
    }

    fn is_absent(&self, json: &Json) -> bool {
        match json {
            Json::Constant(constant) => constant == "null",
            Json::Text(parts) => {
                matches!(parts.as_slice(), [Part::Field(field, length)] if self.field(field, *length).is_none())
            }
            Json::List(_) | Json::Object(_) => false,
        }
    }

    fn field(&self, field: &Field, length: Option<usize>) -> Option<Shown> {
        let text = |text: &str| Some(Shown::Text(text.to_owned()));
        let shown = match field {
            Field::StartTime => text(&self.start_time),
            Field::Request(names) => shown(&self.request, names),
            Field::Response(names) => shown(&self.response, names),
            Field::Protocol => text("HTTP/1.1"),
            Field::ResponseCode => Some(Shown::Number(self.status.into())),
            Field::ResponseCodeDetails => self.details.as_deref().and_then(text),
            Field::ResponseFlags if self.flags.is_empty() => text("-"),
            Field::ResponseFlags => text(&self.flags.join(",")),
            Field::BytesReceived => Some(Shown::Number(self.received as u64)),
            Field::BytesSent => Some(Shown::Number(self.sent as u64)),
            Field::Duration => Some(Shown::Number(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))),
            Field::UpstreamHost => self.upstream.and_then(|address| text(&address.to_string())),
            Field::UpstreamCluster => {
                self.route.as_ref().map(|(_, cluster)| cluster.as_str()).filter(|name| !name.is_empty()).and_then(text)
            }
            Field::AttemptCount => Some(Shown::Number(self.attempts.into())),
            Field::RouteName => {
                self.route.as_ref().map(|(route, _)| route.as_str()).filter(|name| !name.is_empty()).and_then(text)
            }
            Field::ClientAddress => text(&self.client),
            Field::ClientIp => text(without_port(&self.client)),
            Field::LocalAddress => text(&self.local),
            Field::ConnectionId => Some(Shown::Number(self.connection)),
            Field::FilterState(key) => {
                self.filter_state.get(key.as_bytes()).and_then(|value| text(&String::from_utf8_lossy(value)))
            }
        };
        match (shown, length) {
            (Some(Shown::Text(text)), Some(length)) => {
                let end = (0..=length.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
                Some(Shown::Text(text.get(..end).unwrap_or_default().to_owned()))
            }
            (shown, _) => shown,
        }
    }
}

fn without_port(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(ip, _)| ip.trim_start_matches('[').trim_end_matches(']'))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The first of some headers that is there.
fn shown(headers: &HeaderMap, names: &[String]) -> Option<Shown> {
    let value = names.iter().find_map(|name| headers.get(name.as_bytes()))?;
    Some(Shown::Text(String::from_utf8_lossy(value).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Attributes;
    use crate::gateway::bootstrap;

    fn log(lines: &str) -> AccessLog {
        let manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
        let stdout = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
        let router = "envoy.extensions.filters.http.router.v3.Router";
        let text = format!(
            r#"
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": a/{manager}
          stat_prefix: s
          route_config: {{}}
          http_filters: [{{name: r, typed_config: {{"@type": a/{router}}}}}]
          access_log:
          - typed_config: {{"@type": a/{stdout}{lines}}}
"#
        );
        bootstrap::parse(&text).unwrap().listeners.remove(0).http.access_log.remove(0)
    }

    fn record() -> AccessRecord {
        let request: HeaderMap =
            [(":method", "GET"), (":path", "/x?a=\"b"), (":authority", "h.test"), ("x-request-id", "id-1")]
                .into_iter()
                .collect();
        let mut record = AccessRecord::new(&request, &Attributes::default());
        record.upstream("127.0.0.1:18981".parse().unwrap());
        record.sent(3);
        record.flag("UF");
        record.flag("DC");
        record.answered(200, &[("x-envoy-upstream-service-time", "7"), ("x", "a\tb")].into_iter().collect());
        record.filter_state.insert(b"wasm.a".to_vec(), b"v".to_vec());
        record
    }

    #[test]
    fn the_line_is_envoys_default_one() {
        let line = record().line(&log(""));
        let (start, rest) = line.split_once("] ").unwrap();
        assert_eq!(start.len(), "[2026-11-24T20:10:45.993Z".len(), "{line}");
        let rest: Vec<_> = rest.split(' ').enumerate().filter(|(index, _)| *index != 7).map(|(_, part)| part).collect();
        assert_eq!(
            rest.join(" "),
            "\"GET /x?a=\"b HTTP/1.1\" 200 UF 0 3 7 \"-\" \"-\" \"id-1\" \"h.test\" \"127.0.0.1:18981\"\n"
        );
    }

    #[test]
    fn a_text_format_has_no_line_end_of_its_own() {
        let format = |more: &str| {
            log(&format!(
                ", log_format: {{{more} text_format_source: {{inline_string: '%REQ(:PATH):2% %RESP(x)% %REQ(NONE)%|'}}}}"
            ))
        };
        assert_eq!(record().line(&format("")), "/x a_b -|");
        assert_eq!(record().line(&format("omit_empty_values: true,")), "/x a_b |");
    }

    #[test]
    fn a_json_line_has_sorted_keys_and_typed_values() {
        let lines = r#"{z: 1, b: yes, list: ["%RESPONSE_CODE%", a], nest: {q: "%REQ(NONE)%"}, mix: "a %REQ(NONE)%", state: "%FILTER_STATE(wasm.a:PLAIN)%", flags: "%RESPONSE_FLAGS%", ip: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", void: ~, path: "%REQ(:PATH)%"}"#;
        let line = record().line(&log(&format!(", log_format: {{json_format: {lines}}}")));
        assert_eq!(
            line,
            concat!(
                r#"{"b":true,"flags":"UF","ip":"127.0.0.1","list":[200,"a"],"mix":"a -","nest":{"q":null},"#,
                r#""path":"/x?a=\"b","state":"v","void":null,"z":1}"#,
                "\n"
            )
        );
        let line = record().line(&log(&format!(", log_format: {{omit_empty_values: true, json_format: {lines}}}")));
        assert!(line.contains(r#""nest":{},"#) && line.contains(r#""mix":"a ","#) && !line.contains("null"), "{line}");
    }
}
