//! An explanation as a table for people.

use super::Report;
use super::chain::Told;
use crate::request::Request;
use filter_kit::explain::{Candidate, Found, Stage};
use rate_limit::WantedLimit;
use std::fmt::Write;

/// The whole explanation.
pub fn text(report: &Report, request: &Request) -> String {
    let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let mut before = (lossy(request.head.path()), lossy(request.head.authority()));
    let mut lines = Lines::default();
    let several = report.filters.len() > 1;
    for (number, told) in report.filters.iter().enumerate() {
        if several {
            if number > 0 {
                lines.text.push('\n');
            }
            lines.add("filter", told.name());
        }
        lines.told(told, &mut before);
    }
    lines.text
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn add(&mut self, label: &str, text: &str) {
        let line = format!("{label:<9} {text}");
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    fn told(&mut self, told: &Told, before: &mut (String, String)) {
        let (path, host) = before.clone();
        for (number, stage) in told.stages().iter().enumerate() {
            if number > 0 {
                self.add(
                    "service",
                    &format!("{}   {}", stage.table, change("path", &path, &stage.path, "host", &host, &stage.host)),
                );
            }
            self.stage(stage);
        }
        let (new_path, new_host) = match told {
            Told::HeaderRouter(told) => (&told.path, &told.host),
            Told::PrefixRewrite(told) => (&told.path, &told.host),
            Told::AiNormalize(told) => (&told.path, &told.host),
            Told::RateLimit(_) => (&None, &None),
        };
        let (new_path, new_host) = (new_path.as_ref().unwrap_or(&path), new_host.as_ref().unwrap_or(&host));
        let changes = change("path", &path, new_path, "host", &host, new_host);
        match told {
            Told::HeaderRouter(told) => self.routed(told, &changes),
            Told::PrefixRewrite(told) => match told.outcome {
                "rewritten" | "unchanged" => self.add(told.outcome, &changes),
                other => self.ended(other, told.status),
            },
            Told::AiNormalize(told) => self.asked(told, &changes),
            Told::RateLimit(told) => self.counted(told),
        }
        *before = (new_path.clone(), new_host.clone());
    }

    fn stage(&mut self, stage: &Stage) {
        let width = |of: fn(&Candidate) -> usize| stage.candidates.iter().map(of).max().unwrap_or(0);
        let names = width(|candidate| candidate.rule.chars().count());
        let numbers = width(|candidate| candidate.priority.to_string().len());
        let first = stage.candidates.iter().find(|candidate| candidate.found == Found::Matched);
        for Candidate { rule, priority, found, why } in &stage.candidates {
            let (label, why) = match (found, first) {
                (Found::Matched, _) => ("matched", why.clone()),
                (Found::Failed, _) => ("failed", why.clone()),
                (Found::Behind, Some(first)) => ("behind", format!("would match; {} comes first: {why}", first.rule)),
                (Found::Behind, None) => ("open", why.clone()),
            };
            self.add(label, &format!("{rule:<names$}  priority {priority:<numbers$}  {why}"));
        }
        let listed = if stage.candidates.is_empty() { "" } else { " more" };
        match stage.others {
            0 => {}
            1 => self.add("others", &format!("1{listed} rule, of another host or path")),
            others if stage.candidates.len() >= 100 => self.add("others", &format!("{others}{listed} rules")),
            others => self.add("others", &format!("{others}{listed} rules, of other hosts or paths")),
        }
    }

    fn routed(&mut self, told: &header_router::Explanation, changes: &str) {
        match (told.outcome, &told.target, told.status) {
            ("routed", Some(target), _) => self.add("target", &format!("{target}   {changes}")),
            ("default", Some(target), _) => self.add("default", &format!("{target}   {changes}")),
            ("default", None, _) => {
                self.add("default", &format!("no rule; the route table of the host decides   {changes}"))
            }
            ("redirected", _, Some(status)) => {
                self.add("redirect", &format!("{status}  {}", told.location.as_deref().unwrap_or_default()));
            }
            ("answered", _, Some(status)) => self.add("answer", &status.to_string()),
            (other, _, status) => self.ended(other, status),
        }
        let wide = told.split.iter().map(|share| share.target.chars().count()).max().unwrap_or(0);
        for (number, share) in told.split.iter().enumerate() {
            let by = told.chosen_by.as_deref().unwrap_or_default();
            let by = match by {
                _ if !share.chosen => String::new(),
                "drawn" => "this request, drawn".to_owned(),
                by => format!("this request, by {by}"),
            };
            let percent = format!("{}.{:02} %", share.share / 100, share.share % 100);
            self.add(if number == 0 { "split" } else { "" }, &format!("{:<wide$}  {percent:>8}  {by}", share.target));
        }
        if let Some(mirror) = &told.mirror {
            self.add("mirror", mirror);
        }
        told.request_headers.iter().for_each(|edit| self.add("request", edit));
        told.response_headers.iter().for_each(|edit| self.add("response", edit));
        told.tags.iter().for_each(|tag| self.add("log", tag));
    }

    fn asked(&mut self, told: &ai_normalize::Explanation, changes: &str) {
        match (told.outcome, &told.target, told.status) {
            ("routed", Some(target), _) => {
                let model = told.rule.as_deref().unwrap_or_default();
                let provider = told.provider.as_deref().unwrap_or_default();
                self.add("model", &format!("{model} of {provider}"));
                self.add("target", &format!("{target}   {changes}"));
            }
            ("answered", _, Some(status)) => {
                self.add("answer", &format!("{status}  {}", told.answer.as_deref().unwrap_or_default()));
            }
            ("needs_body", ..) => self.ended("needs_body", None),
            (outcome, ..) => self.add(outcome, "no path of an AI API"),
        }
        told.lost.iter().for_each(|lost| self.add("lost", lost));
    }

    fn counted(&mut self, told: &rate_limit::Explanation) {
        for wanted in &told.policies {
            let shadow = if wanted.enforced == 0 { "  (shadow)" } else { "" };
            let later = if wanted.is_settled { "  (settled later)" } else { "" };
            let key = &wanted.key;
            if let Some(service) = &wanted.service {
                self.add("asks", &format!("for {} at {service}  key {key}{shadow}{later}", wanted.cost));
            }
            for WantedLimit { limit, takes } in &wanted.limits {
                self.add("takes", &format!("{takes} of {limit}  key {key}{shadow}{later}"));
            }
        }
        match told.status {
            Some(status) => self.add("answer", &format!("{status}  a part of the key is missing")),
            None if told.policies.is_empty() => self.add("unchanged", "no policy takes it"),
            None => {}
        }
    }

    /// Requests that do not go on, in words.
    fn ended(&mut self, outcome: &str, status: Option<u16>) {
        let status = status.map_or(String::new(), |status| format!("{status}  "));
        let why = match outcome {
            "rejected" => "no rule takes it",
            "refused" => "path or host cannot be rewritten: the request holds what must not stand there",
            "too_large" => "the body is longer than max_body_bytes",
            "needs_body" => "the decision is up to the body; give one with -d, or -d '' for none",
            other => other,
        };
        self.add(if status.is_empty() { "open" } else { "answer" }, &format!("{status}{why}"));
    }
}

/// Two things that change or stay.
fn change(one: &str, from: &str, to: &str, other: &str, other_from: &str, other_to: &str) -> String {
    let arrow = |name: &str, from: &str, to: &str| {
        if from == to { format!("{name} {to}") } else { format!("{name} {from} -> {to}") }
    };
    format!("{}   {}", arrow(one, from, to), arrow(other, other_from, other_to))
}
