//! Access logs: where they go and what stands in a line.

use std::path::PathBuf;

use super::reader::{At, Shape};
use super::{InvalidBootstrap, typed};

const STDOUT: &str = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
const FILE: &str = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
/// Envoy's format where the file gives none.
const DEFAULT_FORMAT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% ",
    "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% ",
    "\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" ",
    "\"%UPSTREAM_HOST%\"\n",
);

/// One access log of a connection manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where the lines go.
    pub sink: Sink,
    /// What they say.
    pub format: LogFormat,
    /// Whether values that are not there leave nothing behind, instead of `-` or `null`.
    pub omit_empty: bool,
}

/// Where an access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// The end of a file.
    File(PathBuf),
}

/// The shape of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text as it stands, without a line end of its own.
    Text(Vec<Part>),
    /// A JSON object and a line end.
    Json(Json),
}

/// A value of a JSON line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// Nothing, a boolean or a number, as JSON spells it.
    Constant(String),
    /// A string; one that is a field alone has the field's type.
    Text(Vec<Part>),
    /// A list.
    List(Vec<Json>),
    /// An object, its keys in order.
    Object(Vec<(String, Json)>),
}

/// A piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// Something about the request, cut to so many bytes.
    Field(Field, Option<usize>),
}

/// What a format can show: Envoy's operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `%START_TIME%`
    StartTime,
    /// `%REQ(X?Y)%`: the first of these headers that is there.
    Request(Vec<String>),
    /// `%RESP(X?Y)%`
    Response(Vec<String>),
    /// `%PROTOCOL%`
    Protocol,
    /// `%RESPONSE_CODE%`
    ResponseCode,
    /// `%RESPONSE_CODE_DETAILS%`
    ResponseCodeDetails,
    /// `%RESPONSE_FLAGS%`
    ResponseFlags,
    /// `%BYTES_RECEIVED%`
    BytesReceived,
    /// `%BYTES_SENT%`
    BytesSent,
    /// `%DURATION%`
    Duration,
    /// `%UPSTREAM_HOST%`
    UpstreamHost,
    /// `%UPSTREAM_CLUSTER%`
    UpstreamCluster,
    /// `%UPSTREAM_REQUEST_ATTEMPT_COUNT%`
    AttemptCount,
    /// `%ROUTE_NAME%`
    RouteName,
    /// `%DOWNSTREAM_REMOTE_ADDRESS%`
    ClientAddress,
    /// `%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%`
    ClientIp,
    /// `%DOWNSTREAM_LOCAL_ADDRESS%`
    LocalAddress,
    /// `%CONNECTION_ID%`
    ConnectionId,
    /// `%FILTER_STATE(KEY:PLAIN)%`
    FilterState(String),
}

impl AccessLog {
    pub(super) fn read_all(list: Option<At>) -> Result<Vec<Self>, InvalidBootstrap> {
        let Some(list) = list else { return Ok(Vec::new()) };
        list.list()?.into_iter().map(Self::read).collect()
    }

    fn read(at: At) -> Result<Self, InvalidBootstrap> {
        let mut item = at.fields()?;
        if let Some(name) = item.take("name") {
            name.text()?;
        }
        let (kind, mut message) = typed(&mut item, &[STDOUT, FILE])?;
        item.finish()?;
        let sink = if kind == FILE { file(message.need("path")?.name()?) } else { Sink::Stdout };
        let (mut format, mut omit_empty) = (LogFormat::Text(parse(DEFAULT_FORMAT).unwrap_or_default()), false);
        if let Some(given) = message.take("log_format") {
            let mut given = given.fields()?;
            omit_empty = given.flag("omit_empty_values", false)?;
            let (kind, value) = given.one_of(&["json_format", "text_format_source"])?;
            given.finish()?;
            format = if kind == "json_format" { LogFormat::Json(json(value)?) } else { text(value)? };
        }
        message.finish()?;
        Ok(Self { sink, format, omit_empty })
    }
}

fn file(path: String) -> Sink {
    if path == "/dev/stdout" { Sink::Stdout } else { Sink::File(path.into()) }
}

fn text(at: At) -> Result<LogFormat, InvalidBootstrap> {
    let mut source = at.fields()?;
    let text = source.need("inline_string")?;
    source.finish()?;
    let parts = parse(&text.text()?).map_err(|why| text.fault(why))?;
    Ok(LogFormat::Text(parts))
}

fn json(at: At) -> Result<Json, InvalidBootstrap> {
    let fault = at.fault("");
    Ok(match at.shape()? {
        Shape::Constant(constant) => Json::Constant(constant),
        Shape::Text(text) => Json::Text(parse(&text).map_err(|why| InvalidBootstrap { why, ..fault })?),
        Shape::List(items) => Json::List(items.into_iter().map(json).collect::<Result<_, _>>()?),
        Shape::Map(entries) => {
            let members = entries.into_iter().map(|(key, value)| Ok((key, json(value)?)));
            let mut members = members.collect::<Result<Vec<_>, InvalidBootstrap>>()?;
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Json::Object(members)
        }
    })
}

/// Reads a format: text with `%OPERATOR(ARGUMENT):LENGTH%` in it, and `%%` for a percent sign.
fn parse(format: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), format);
    while let Some((before, behind)) = rest.split_once('%') {
        text.push_str(before);
        if let Some(behind) = behind.strip_prefix('%') {
            text.push('%');
            rest = behind;
            continue;
        }
        // An argument may hold a percent sign, a name may not.
        let from = if behind.find('(') < behind.find('%') { behind.find(')').unwrap_or(0) } else { 0 };
        let end = behind.get(from..).and_then(|tail| tail.find('%')).map(|end| from + end);
        let Some((operator, behind)) = end.and_then(|end| behind.split_at_checked(end)) else {
            return Err(format!("`%{behind}`: an operator ends with `%`, and a percent sign is written `%%`"));
        };
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(Part::new(operator)?);
        rest = behind.get(1..).unwrap_or_default();
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

impl Part {
    fn new(operator: &str) -> Result<Self, String> {
        let unknown = || format!("the operator `%{operator}%` is {}", super::NOT_SERVED);
        let (name, rest) = operator.split_at(operator.find(['(', ':']).unwrap_or(operator.len()));
        let (argument, length) = match rest.strip_prefix('(') {
            Some(rest) => rest.rsplit_once(')').ok_or_else(unknown)?,
            None => ("", rest),
        };
        let length = match length.strip_prefix(':') {
            Some(length) => Some(length.parse().map_err(|_| unknown())?),
            None if length.is_empty() => None,
            None => return Err(unknown()),
        };
        let names = || argument.split('?').take(2).map(str::to_ascii_lowercase).collect::<Vec<_>>();
        let field = match name {
            "REQ" if !argument.is_empty() => Field::Request(names()),
            "RESP" if !argument.is_empty() => Field::Response(names()),
            "REQ" | "RESP" => return Err(format!("`%{operator}%` needs the name of a header: `%{name}(X-NAME)%`")),
            "FILTER_STATE" => {
                let key = argument.strip_suffix(":PLAIN").filter(|key| !key.is_empty()).ok_or_else(unknown)?;
                Field::FilterState(key.to_owned())
            }
            _ if rest.is_empty() => Field::plain(name).ok_or_else(unknown)?,
            _ => return Err(unknown()),
        };
        Ok(Self::Field(field, length))
    }
}

impl Field {
    /// The operators without an argument.
    fn plain(name: &str) -> Option<Self> {
        Some(match name {
            "START_TIME" => Self::StartTime,
            "PROTOCOL" => Self::Protocol,
            "RESPONSE_CODE" => Self::ResponseCode,
            "RESPONSE_CODE_DETAILS" => Self::ResponseCodeDetails,
            "RESPONSE_FLAGS" => Self::ResponseFlags,
            "BYTES_RECEIVED" => Self::BytesReceived,
            "BYTES_SENT" => Self::BytesSent,
            "DURATION" => Self::Duration,
            "UPSTREAM_HOST" => Self::UpstreamHost,
            "UPSTREAM_CLUSTER" => Self::UpstreamCluster,
            "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Self::AttemptCount,
            "ROUTE_NAME" => Self::RouteName,
            "DOWNSTREAM_REMOTE_ADDRESS" => Self::ClientAddress,
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Self::ClientIp,
            "DOWNSTREAM_LOCAL_ADDRESS" => Self::LocalAddress,
            "CONNECTION_ID" => Self::ConnectionId,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_text_and_operators() {
        let text = |text: &str| Part::Text(text.into());
        for (format, expected) in [
            ("", vec![]),
            ("a 100%%", vec![text("a 100%")]),
            (
                "%REQ(X-A?:PATH):3%|%PROTOCOL%",
                vec![
                    Part::Field(Field::Request(vec!["x-a".into(), ":path".into()]), Some(3)),
                    text("|"),
                    Part::Field(Field::Protocol, None),
                ],
            ),
            ("%FILTER_STATE(wasm.a:PLAIN)%%%", vec![Part::Field(Field::FilterState("wasm.a".into()), None), text("%")]),
        ] {
            assert_eq!(parse(format).unwrap(), expected, "{format}");
        }
        assert!(parse(DEFAULT_FORMAT).is_ok());
    }

    #[test]
    fn operators_that_are_not_served_are_named() {
        for format in ["50%", "%FOO%", "%REQ%", "%REQ()%", "%req(a)%", "%REQ(a):b%", "%REQ(a", "%FILTER_STATE(a)%"] {
            assert!(parse(format).unwrap_err().contains('%'), "{format}");
        }
    }
}
