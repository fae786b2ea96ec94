//! `sluice diff`: what differs between two configurations, and which recorded requests that changes.

mod configs;
mod recorded;

use crate::config_file::Known;
use crate::explain::Chains;
use crate::output::print;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `sluice diff`. The exit code is 0 for no difference, 1 for some, 2 for trouble.
#[derive(Debug, Args)]
pub struct Diff {
    /// The configuration of a filter, or an Envoy bootstrap with plugins; YAML or JSON. Also from git, as in `HEAD:router.yaml`; or a folder
    /// that `sluice convert` has written.
    old: PathBuf,
    /// The other one.
    new: PathBuf,
    /// Which plugins of a bootstrap are meant, or whose configuration it is; otherwise what stands in the files tells.
    #[arg(long, value_enum)]
    filter: Option<Known>,
    /// In such folders, where requests come in; not needed if there is only one gateway.
    #[arg(long, value_name = "KIND/NAMESPACE/NAME")]
    entry: Option<String>,
    /// Requests to ask both of, as for `sluice explain`; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// How many lines are listed for each change of requests.
    #[arg(long, value_name = "N", default_value_t = 3)]
    lines: usize,
    /// JSON in place of text.
    #[arg(long)]
    json: bool,
}

impl Diff {
    /// Compares and prints.
    ///
    /// # Errors
    /// If something cannot be read.
    pub fn run(&self) -> Result<ExitCode, String> {
        let read = |file| Chains::read(file, self.filter, None, self.entry.as_deref());
        let (old, new) = (read(&self.old)?, read(&self.new)?);
        let configs = |chains: &Chains| {
            chains.all.iter().flat_map(|(_, chain)| chain.configs.iter().cloned()).collect::<Vec<_>>()
        };
        let (old_configs, new_configs) = (configs(&old), configs(&new));
        let changes = configs::compare(&old_configs, &new_configs);
        let recorded =
            self.requests.as_ref().map(|file| recorded::compare(&old, &new, file, self.lines)).transpose()?;
        let is_same = changes.is_empty() && recorded.as_ref().is_none_or(recorded::Recorded::is_same);
        let text = if self.json {
            let mut value = serde_json::json!({"changes": changes});
            if let (Some(recorded), Some(value)) = (&recorded, value.as_object_mut()) {
                value.insert("requests".to_owned(), serde_json::to_value(recorded).map_err(|error| error.to_string())?);
            }
            format!("{}\n", serde_json::to_string_pretty(&value).map_err(|error| error.to_string())?)
        } else {
            let several = old_configs.len().max(new_configs.len()) > 1;
            let mut text: String = changes.iter().map(|change| change.line(several)).collect();
            text.extend(recorded.as_ref().map(recorded::Recorded::text));
            text
        };
        print(&text)?;
        match recorded.map_or(0, |recorded| recorded.unreadable) {
            0 => Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
            1 => Err("1 line could not be read".to_owned()),
            bad => Err(format!("{bad} lines could not be read")),
        }
    }
}
