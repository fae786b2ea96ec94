//! What became of every document and field.

use crate::source::{Document, Field};
use placed_yaml::Position;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The parts of a report, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// What the source's API does when nothing is said, and stands in the output now.
    AppliedDefaults,
    /// What means the same as before.
    Kept,
    /// What is done in another way, or does a little less or more.
    Changed,
    /// Documents that are of no concern for the gateway.
    Skipped,
    /// What is lost.
    NotSupported,
    /// What only a person can say.
    NeedsADecision,
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Line {
    /// The part that it stands in.
    pub section: Section,
    /// What is said.
    pub text: String,
    /// The object, as in `GatewayRoute/default/products`.
    pub object: String,
    /// The field, as in `spec.httpRoute.match`; empty for the whole object.
    pub field: String,
    /// The file.
    pub file: String,
    /// The line in it.
    pub line: usize,
}

/// A report.
#[derive(Debug, Clone, Default)]
pub struct Report {
    lines: Vec<Line>,
}

/// Most objects that are named with one text; `report.json` has all of them.
const MAX_NAMED: usize = 20;

impl Section {
    /// Every part.
    pub const ALL: [Self; 6] =
        [Self::AppliedDefaults, Self::Kept, Self::Changed, Self::Skipped, Self::NotSupported, Self::NeedsADecision];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::AppliedDefaults => "Applied defaults",
            Self::Kept => "Kept",
            Self::Changed => "Changed",
            Self::Skipped => "Skipped documents",
            Self::NotSupported => "Not supported",
            Self::NeedsADecision => "Needs a decision",
        }
    }

    fn explained(self) -> &'static str {
        match self {
            Self::AppliedDefaults => "What the source did when nothing was said. It is written out now.",
            Self::Kept => "What means the same as before.",
            Self::Changed => "What is done in another way than before; look at each.",
            Self::Skipped => "Documents that say nothing about the gateway.",
            Self::NotSupported => "What is lost. The command fails because of these, unless `--allow not-supported`.",
            Self::NeedsADecision => {
                "What cannot be known from the manifests. The command fails because of these, unless `--allow decisions`."
            }
        }
    }
}

impl Report {
    /// Says something of a field.
    pub fn add(&mut self, section: Section, field: &Field<'_>, text: impl Into<String>) {
        self.push(section, field.document, &field.path, field.position(), text.into());
    }

    /// Says something of an object.
    pub fn object(&mut self, section: Section, document: &Document, text: impl Into<String>) {
        self.push(section, document, "", document.locate(""), text.into());
    }

    /// Says something of a place in an object.
    pub fn push(&mut self, section: Section, document: &Document, field: &str, position: Position, text: String) {
        let line = Line {
            section,
            text,
            object: document.id(),
            field: field.to_owned(),
            file: document.file.to_string(),
            line: position.line,
        };
        self.lines.push(line);
    }

    /// Says something that is put together already.
    pub fn line(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Sorts what was said, so that the order of the conversion does not show, and drops what was said twice.
    pub fn finish(&mut self) {
        self.lines.sort();
        self.lines.dedup();
    }

    /// All lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// How much stands in a part.
    pub fn count(&self, section: Section) -> usize {
        self.lines.iter().filter(|line| line.section == section).count()
    }

    /// The counts, a line each.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for section in Section::ALL {
            let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
            for line in self.lines.iter().filter(|line| line.section == section) {
                *kinds.entry(line.object.split('/').next().unwrap_or_default()).or_default() += 1;
            }
            let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            let line =
                format!("{:<17} {:>5}  {}", section.title().to_lowercase(), self.count(section), kinds.join(", "));
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    /// The report for people.
    pub fn markdown(&self, title: &str) -> String {
        let mut text = format!("# {title}\n\n| part | lines |\n|---|---|\n");
        for section in Section::ALL {
            let _ = writeln!(text, "| {} | {} |", section.title(), self.count(section));
        }
        for section in Section::ALL {
            let _ = writeln!(text, "\n## {}\n\n{}\n", section.title(), section.explained());
            let mut groups: Vec<(&str, Vec<&Line>)> = Vec::new();
            for line in self.lines.iter().filter(|line| line.section == section) {
                match groups.last_mut().filter(|(text, _)| *text == line.text) {
                    Some((_, lines)) => lines.push(line),
                    None => groups.push((&line.text, vec![line])),
                }
            }
            if groups.is_empty() {
                text.push_str("Nothing.\n");
            }
            for (what, lines) in groups {
                let _ = writeln!(text, "- {what}");
                for line in lines.iter().take(MAX_NAMED) {
                    let field = if line.field.is_empty() { String::new() } else { format!(" `{}`", line.field) };
                    let _ = writeln!(text, "  - {}{field} ({}:{})", line.object, line.file, line.line);
                }
                if lines.len() > MAX_NAMED {
                    let _ = writeln!(text, "  - and {} more; `report.json` has all", lines.len() - MAX_NAMED);
                }
            }
        }
        text
    }
}
