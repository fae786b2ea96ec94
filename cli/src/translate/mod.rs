//! `sluice translate`: what ai-normalize makes of a request, an answer, a stream or an error.

mod exchange;
mod sample;
mod show;

use crate::config_file::{self, Known};
use crate::output::written;
use crate::request::header;
use clap::Args;
use exchange::{Exchange, Feed};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Options of `sluice translate`.
#[derive(Debug, Args)]
pub struct Translate {
    /// Whose API the client speaks: `openai`, `anthropic` or `responses`.
    #[arg(long, value_name = "API", default_value = "openai")]
    client: String,
    /// The dialect of the provider: `openai`, `anthropic`, `gemini`, `bedrock`, ..
    #[arg(long, value_name = "DIALECT", required_unless_present = "config")]
    provider: Option<String>,
    /// A configuration of ai-normalize, or a bootstrap with one, in place of `--provider`.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["provider", "strict"])]
    config: Option<PathBuf>,
    /// What the provider calls the model; with `--config`, the model that the client asks for.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What the client wants: `chat`, `embeddings` or `count_tokens`.
    #[arg(long, value_name = "WHAT", default_value = "chat")]
    operation: String,
    /// Refuse what the provider has nothing like.
    #[arg(long)]
    strict: bool,
    /// FILE is a whole answer of the provider.
    #[arg(long, group = "kind")]
    response: bool,
    /// FILE is a stream of the provider; for Bedrock also one JSON object `{EVENT: PAYLOAD}` a line.
    #[arg(long, group = "kind")]
    stream: bool,
    /// FILE is an error of the provider.
    #[arg(long, group = "kind")]
    error: bool,
    /// The request that is answered; otherwise a small one.
    #[arg(long, value_name = "FILE", requires = "kind")]
    request: Option<PathBuf>,
    /// Status of the answer; 200, or 400 with `--error`.
    #[arg(long, value_name = "N", requires = "kind", value_parser = clap::value_parser!(u16).range(200..600))]
    status: Option<u16>,
    /// A header of FILE's message, as in `retry-after: 3`; several times for several.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<OsString>,
    /// Feed the stream so many bytes at a time; otherwise whole.
    #[arg(long, value_name = "N", requires = "stream", conflicts_with = "lines", value_parser = clap::value_parser!(u32).range(1..))]
    split: Option<u32>,
    /// Feed the stream line by line.
    #[arg(long, requires = "stream")]
    lines: bool,
    /// One JSON object with everything, in place of the head on standard error and the body on standard output.
    #[arg(long)]
    json: bool,
    /// The body; `-` is standard input.
    file: PathBuf,
}

/// Largest file in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

impl Translate {
    /// Translates and prints.
    ///
    /// # Errors
    /// If something cannot be read.
    pub fn run(&self) -> Result<(), String> {
        let client = sample::client(&self.client)?;
        let operation = sample::operation(&self.operation)?;
        let config = match &self.config {
            Some(file) => configured(file)?,
            None => sample::config(self.provider.as_deref().unwrap_or_default(), self.model.as_deref(), self.strict)?,
        };
        let headers = self.headers.iter().map(|line| header(line.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let body = read(&self.file)?;
        let asked = self.config.as_ref().and(self.model.as_deref());
        let is_answer = self.response || self.stream || self.error;
        let mut exchange = Exchange::new(config, &sample::path(client, operation, asked)?)?;
        let shown = if is_answer {
            let request = match &self.request {
                Some(file) => read(file)?,
                None => sample::request(client, operation, self.stream),
            };
            let sent = exchange.request(&[], request)?;
            if sent.is_refused() {
                return Err(format!("the request is refused:\n{}", String::from_utf8_lossy(&sent.body).trim_end()));
            }
            let status = self.status.unwrap_or(if self.error { 400 } else { 200 });
            exchange.answer(status, &headers, body, self.stream.then(|| self.feed()))?
        } else {
            exchange.request(&headers, body)?
        };
        if self.json {
            let text = format!("{}\n", show::json(&shown));
            return written(io::stdout().write_all(text.as_bytes())).map(|_| ());
        }
        let mut out = io::stdout().lock();
        // both may be one terminal: the head first
        written(io::stderr().write_all(show::head(&shown, self.config.is_some()).as_bytes()))?;
        written(out.write_all(&shown.body).and_then(|()| show::ended(&shown, &mut out)).and_then(|()| out.flush()))
            .map(|_| ())
    }

    fn feed(&self) -> Feed {
        match (self.split, self.lines) {
            (Some(size), _) => Feed::Pieces(usize::try_from(size).unwrap_or(usize::MAX)),
            (None, true) => Feed::Lines,
            (None, false) => Feed::Whole,
        }
    }
}

/// The one configuration of ai-normalize in a file.
fn configured(file: &Path) -> Result<Vec<u8>, String> {
    let text = config_file::read_or_show(file)?;
    let told = |finding: config_file::Finding| finding.in_file(file);
    let root = config_file::parse(&text).map_err(told)?;
    let plugins = config_file::plugins(&root, Some(Known::AiNormalize)).map_err(told)?;
    let plugin = plugins.first().ok_or_else(|| format!("{}: no configuration of ai-normalize", file.display()))?;
    plugin.mistake().map_or(Ok(()), |finding| Err(told(finding)))?;
    Ok(plugin.json())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let told = |error: io::Error| format!("{}: {error}", file.display());
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(told)?;
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(told)?;
    }
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{}: expected at most {MAX_FILE} bytes", file.display()));
    }
    Ok(bytes)
}
