//! What is wrong with a request body, and where. Each provider has its own words for it.

use std::fmt::Write as _;

/// A step down into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into a member.
    Name(String),
    /// Into an item.
    Index(usize),
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// No such member.
    Unknown,
    /// A member is missing.
    Missing,
    /// Not of this type.
    Type(&'static str),
    /// None of these words.
    Word(&'static [&'static str]),
    /// Something else, in words.
    Other(String),
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The way to it.
    pub path: Vec<Step>,
    /// What it is.
    pub wrong: Wrong,
}

impl Fault {
    /// `messages.0.content`
    pub fn dotted(&self) -> String {
        let steps = self.path.iter().map(|step| match step {
            Step::Name(name) => name.clone(),
            Step::Index(index) => index.to_string(),
        });
        steps.collect::<Vec<_>>().join(".")
    }

    /// `messages[0].content`
    pub fn bracketed(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            // a String takes all that is written to it
            let _ = match step {
                Step::Name(name) if text.is_empty() => write!(text, "{name}"),
                Step::Name(name) => write!(text, ".{name}"),
                Step::Index(index) => write!(text, "[{index}]"),
            };
        }
        text
    }

    /// The last name on the way.
    pub fn name(&self) -> &str {
        let names = self.path.iter().rev().filter_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Index(_) => None,
        });
        names.into_iter().next().unwrap_or_default()
    }

    /// The object that it is in, dotted.
    pub fn parent(&self) -> String {
        let path = self.path.split_last().map(|(_, before)| before.to_vec()).unwrap_or_default();
        Self { path, wrong: Wrong::Unknown }.dotted()
    }
}
