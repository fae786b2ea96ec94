//! `sluice explain`: what becomes of a request, and why.

mod chain;
mod chains;
mod text;

pub use chain::{Chain, Report};
pub use chains::Chains;

use crate::config_file::Known;
use crate::output::written;
use crate::request::{Parts, any_seed, header};
use crate::requests::Lines;
use clap::Args;
use filter_kit::explain::Detail;
use serde::Serialize;
use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Options of `sluice explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The configuration of a filter, or an Envoy bootstrap with plugins, YAML or JSON; or a folder that `sluice convert` has written.
    #[arg(short, long)]
    config: PathBuf,
    /// In such a folder, where the request comes in; not needed if there is only one gateway.
    #[arg(long, value_name = "KIND/NAMESPACE/NAME")]
    entry: Option<String>,
    /// Which plugins of a bootstrap are meant, or whose configuration it is; otherwise what stands in the file tells.
    #[arg(long, value_enum)]
    filter: Option<Known>,
    /// Of several chains of filters in a bootstrap the one with a plugin that starts at this line.
    #[arg(long, value_name = "N")]
    line: Option<usize>,
    /// The method.
    #[arg(required_unless_present = "requests")]
    method: Option<OsString>,
    /// `https://host:port/path?query`, or only the path; the host is `localhost` then.
    #[arg(required_unless_present = "requests")]
    url: Option<OsString>,
    /// A request header, as in `x-user-type: beta`; several times for several.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<OsString>,
    /// The body; `@FILE` reads it from a file, `@-` from standard input.
    #[arg(short, long, value_name = "DATA")]
    data: Option<OsString>,
    /// The client's address, as the host trusts it.
    #[arg(long, value_name = "IP")]
    source_address: Option<IpAddr>,
    /// The port that the connection came to; otherwise that of the URL.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Explain each line of a file of JSON objects or of an access log; `-` is standard input. One JSON object a line comes out.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "url", "headers", "data", "source_address", "port"])]
    requests: Option<PathBuf>,
    /// JSON in place of text.
    #[arg(long)]
    json: bool,
    /// List rules of other hosts and paths too; with `--requests`, list rules at all.
    #[arg(long)]
    all: bool,
}

/// Largest body in bytes.
const MAX_BODY: u64 = 64 * 1024 * 1024;

impl Explain {
    /// Explains and prints.
    ///
    /// # Errors
    /// If something cannot be read, or a line of `--requests` was bad.
    pub fn run(&self) -> Result<(), String> {
        let chain = Chains::read(&self.config, self.filter, self.line, self.entry.as_deref())?;
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        match &self.requests {
            Some(file) => explain_lines(&chain, Lines::open(file)?, self.all, &mut out),
            None => self.explain_one(&chain, &mut out),
        }
    }

    fn explain_one(&self, chain: &Chains, out: &mut impl Write) -> Result<(), String> {
        let detail = if self.all { Detail::All } else { Detail::Candidates };
        let headers = self.headers.iter().map(|line| header(line.as_bytes())).collect::<Result<_, _>>()?;
        let bytes = |text: &Option<OsString>| text.as_ref().map(|text| text.as_bytes().to_vec()).unwrap_or_default();
        let parts = Parts {
            method: bytes(&self.method),
            url: bytes(&self.url),
            headers,
            body: self.data.clone().map(data).transpose()?,
            source_address: self.source_address,
            port: self.port,
            ..Parts::default()
        };
        let request = parts.request()?;
        let report = chain.explain(&request, any_seed(), detail);
        let text = if self.json {
            let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
            format!("{json}\n")
        } else {
            let mut text = text::text(&report, &request);
            for (label, source) in [("rule of", &report.source), ("to", &report.target_source)] {
                if let Some(source) = source {
                    text.push_str(&format!("{label:<9} {source}\n"));
                }
            }
            text
        };
        written(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map(|_| ())
    }
}

/// A result on a line of its own.
#[derive(Serialize)]
struct Line {
    line: u64,
    #[serde(flatten)]
    report: Report,
}

/// A line that could not be read.
#[derive(Serialize)]
struct Unread {
    line: u64,
    error: String,
}

fn explain_lines(chain: &Chains, mut lines: Lines, all: bool, out: &mut impl Write) -> Result<(), String> {
    let detail = if all { Detail::Candidates } else { Detail::Outcome };
    let (mut bad, mut total) = (0u64, 0u64);
    while let Some((line, request)) = lines.next()? {
        total += 1;
        let wrote = match request {
            // the same draws every time
            Ok(request) => {
                let report = chain.explain(&request, line, detail);
                serde_json::to_writer(&mut *out, &Line { line, report }).map_err(io::Error::from)
            }
            Err(error) => {
                bad += 1;
                serde_json::to_writer(&mut *out, &Unread { line, error }).map_err(io::Error::from)
            }
        };
        if !written(wrote.and_then(|()| out.write_all(b"\n")))? {
            return Ok(());
        }
    }
    written(out.flush())?;
    if bad > 0 {
        return Err(format!("{bad} of {total} lines could not be read"));
    }
    Ok(())
}

/// The body that `-d` asks for.
fn data(given: OsString) -> Result<Vec<u8>, String> {
    let given = given.into_vec();
    let Some(file) = given.strip_prefix(b"@") else { return Ok(given) };
    let file = Path::new(std::ffi::OsStr::from_bytes(file));
    let mut body = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().take(MAX_BODY + 1).read_to_end(&mut body)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(MAX_BODY + 1).read_to_end(&mut body))
    };
    let size = read.map_err(|error| format!("{}: {error}", file.display()))?;
    if size as u64 > MAX_BODY {
        return Err(format!("{}: expected at most {MAX_BODY} bytes", file.display()));
    }
    Ok(body)
}
