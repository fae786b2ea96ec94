//! The admin port's views of the stats: Envoy's text, JSON and Prometheus formats.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use regex_lite::Regex;

use super::bootstrap::StatsTags;
use super::stats::Kind;
use crate::Metric;

/// Envoy's default histogram buckets (upper bounds).
const BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// In front of the name of every stat that a guest defines.
const GUEST: &str = "wasmcustom.";

/// The stats of one moment: the gateway's and the guests'.
pub(crate) struct Report {
    gateway: Vec<(String, Kind, u64)>,
    guests: Vec<(String, Metric)>,
}

/// Which stats are wanted.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Only names in which this is found.
    pub(crate) filter: Option<Regex>,
    /// Only stats that were ever changed.
    pub(crate) used_only: bool,
}

impl Selection {
    fn takes(&self, name: &str, value: u64) -> bool {
        (!self.used_only || value != 0) && self.filter.as_ref().is_none_or(|filter| filter.is_match(name))
    }
}

impl Report {
    pub(crate) fn new(gateway: Vec<(String, Kind, u64)>, guests: Vec<(String, Metric)>) -> Self {
        Self { gateway, guests }
    }

    fn values(&self, selection: &Selection) -> BTreeMap<String, u64> {
        let gateway = self.gateway.iter().map(|(name, _, value)| (name.clone(), *value));
        let guests = self.guests.iter().filter_map(|(name, metric)| match metric {
            Metric::Counter(value) | Metric::Gauge(value) => Some((format!("{GUEST}{name}"), *value)),
            Metric::Histogram { .. } => None,
        });
        gateway.chain(guests).filter(|(name, value)| selection.takes(name, *value)).collect()
    }

    fn histograms<'a>(&'a self, selection: &'a Selection) -> impl Iterator<Item = (&'a str, &'a [u64], u64, u64)> {
        self.guests.iter().filter_map(|(name, metric)| match metric {
            Metric::Histogram { values, count, sum } if selection.takes(&format!("{GUEST}{name}"), *count) => {
                Some((name.as_str(), values.as_slice(), *count, *sum))
            }
            _ => None,
        })
    }

    /// `/stats`: one `name: value` a line; histograms behind them.
    pub(crate) fn text(&self, selection: &Selection) -> String {
        let mut out = String::new();
        for (name, value) in self.values(selection) {
            let _ = writeln!(out, "{name}: {value}");
        }
        for (name, values, count, _) in self.histograms(selection) {
            let _ = write!(out, "{GUEST}{name}: ");
            if count == 0 {
                out.push_str("No recorded values\n");
                continue;
            }
            let mut sorted = values.to_vec();
            sorted.sort_unstable();
            let quantiles = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0]
                .map(|percent| format!("P{percent}({0},{0})", quantile(&sorted, percent)));
            let _ = writeln!(out, "{}", quantiles.join(" "));
        }
        out
    }

    /// `/stats?format=json`: counters and gauges.
    pub(crate) fn json(&self, selection: &Selection) -> String {
        let stats: Vec<_> = self
            .values(selection)
            .into_iter()
            .map(|(name, value)| serde_json::json!({"name": name, "value": value}))
            .collect();
        serde_json::json!({ "stats": stats }).to_string()
    }

    /// `/stats/prometheus`.
    pub(crate) fn prometheus(&self, tags: &StatsTags, selection: &Selection) -> String {
        let mut families: BTreeMap<String, (&'static str, Vec<String>)> = BTreeMap::new();
        let mut sample = |family: String, kind, lines: Vec<String>| {
            families.entry(family).or_insert_with(|| (kind, Vec::new())).1.extend(lines);
        };
        for (name, kind, value) in &self.gateway {
            if !selection.takes(name, *value) {
                continue;
            }
            let (rest, mut labels) = tags.extract(name);
            let (rest, more) = builtin_tags(&rest);
            labels.extend(more);
            let family = format!("envoy_{}", sanitised(&rest));
            let line = format!("{family}{} {value}", braces(&labels));
            sample(family, if *kind == Kind::Counter { "counter" } else { "gauge" }, vec![line]);
        }
        for (name, metric) in &self.guests {
            let (Metric::Counter(value) | Metric::Gauge(value)) = metric else { continue };
            if !selection.takes(&format!("{GUEST}{name}"), *value) {
                continue;
            }
            let (family, labels) = guest_family(tags, name);
            let kind = if matches!(metric, Metric::Counter(_)) { "counter" } else { "gauge" };
            let line = format!("{family}{} {value}", braces(&labels));
            sample(family, kind, vec![line]);
        }
        for (name, values, count, sum) in self.histograms(selection) {
            let (family, labels) = guest_family(tags, name);
            let lines = histogram_lines(&family, &labels, values, count, sum);
            sample(family, "histogram", lines);
        }
        let mut out = String::new();
        for (family, (kind, lines)) in families {
            let _ = writeln!(out, "# TYPE {family} {kind}");
            for line in lines {
                let _ = writeln!(out, "{line}");
            }
        }
        out
    }
}

/// The rules see the whole name, with `wasmcustom.` in front; the family is shown without it.
fn guest_family(tags: &StatsTags, name: &str) -> (String, Vec<(String, String)>) {
    let (rest, labels) = tags.extract(&format!("{GUEST}{name}"));
    (sanitised(rest.strip_prefix(GUEST).unwrap_or(&rest)), labels)
}

fn histogram_lines(family: &str, labels: &[(String, String)], values: &[u64], count: u64, sum: u64) -> Vec<String> {
    let bucket = |bound: &str, number: u64| {
        let mut labels = labels.to_vec();
        labels.push(("le".to_owned(), bound.to_owned()));
        format!("{family}_bucket{} {number}", braces(&labels))
    };
    let kept = values.len() as u64;
    let mut lines: Vec<String> = BUCKETS
        .iter()
        .map(|bound| {
            let below = values.iter().filter(|value| (**value as f64) <= *bound).count() as u64;
            // Of a very long histogram only the latest values are kept; the shares stand for all.
            let scaled = if kept == 0 { 0 } else { u128::from(below) * u128::from(count) / u128::from(kept) };
            bucket(&bound.to_string(), u64::try_from(scaled).unwrap_or(u64::MAX))
        })
        .collect();
    lines.push(bucket("+Inf", count));
    lines.push(format!("{family}_sum{} {sum}", braces(labels)));
    lines.push(format!("{family}_count{} {count}", braces(labels)));
    lines
}

fn quantile(sorted: &[u64], percent: f64) -> u64 {
    let last = sorted.len().saturating_sub(1);
    // Nearest rank; lengths are far below 2^52.
    let rank = (percent / 100.0 * last as f64).round() as usize;
    sorted.get(rank.min(last)).copied().unwrap_or(0)
}

/// The labels that Envoy takes out of its own names.
fn builtin_tags(name: &str) -> (String, Vec<(String, String)>) {
    let mut labels = Vec::new();
    let mut rest = name.to_owned();
    for (start, tag) in [
        ("http.", "envoy_http_conn_manager_prefix"),
        ("cluster.", "envoy_cluster_name"),
        ("listener.", "envoy_listener_address"),
        ("wasm.", ""),
    ] {
        let Some(tail) = name.strip_prefix(start) else { continue };
        // Names and addresses may hold dots; the stat behind them does not.
        let Some((value, stat)) = tail.rsplit_once('.') else { continue };
        if !tag.is_empty() {
            labels.push((tag.to_owned(), value.to_owned()));
            rest = format!("{start}{stat}");
        }
        break;
    }
    if let Some((base, code)) = rest.rsplit_once("_rq_") {
        let class = code.strip_suffix("xx").filter(|class| class.len() == 1);
        if let Some(class) = class {
            labels.insert(0, ("envoy_response_code_class".to_owned(), class.to_owned()));
            rest = format!("{base}_rq_xx");
        } else if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()) {
            labels.insert(0, ("envoy_response_code".to_owned(), code.to_owned()));
            rest = format!("{base}_rq");
        }
    }
    (rest, labels)
}

fn sanitised(name: &str) -> String {
    let mut out: String =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '_' }).collect();
    if out.starts_with(|first: char| first.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

/// `{name="value",...}`; Envoy writes `{}` when there are no labels.
fn braces(labels: &[(String, String)]) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{}=\"{value}\"", sanitised(name))
        })
        .collect();
    format!("{{{}}}", labels.join(","))
}

#[cfg(test)]
mod tests {
    use super::super::bootstrap::TagRule;
    use super::*;

    fn report() -> Report {
        Report::new(
            vec![
                ("cluster.up.upstream_rq_200".into(), Kind::Counter, 3),
                ("cluster.up.upstream_rq_total".into(), Kind::Counter, 4),
                ("http.ingress.downstream_rq_2xx".into(), Kind::Counter, 3),
                ("listener.127.0.0.1_80.downstream_cx_active".into(), Kind::Gauge, 1),
                ("server.live".into(), Kind::Gauge, 0),
            ],
            vec![
                ("f.rule.a.hits".into(), Metric::Counter(2)),
                ("f.rule.b.hits".into(), Metric::Counter(5)),
                ("wait".into(), Metric::Histogram { values: vec![1, 7, 7000], count: 3, sum: 7008 }),
            ],
        )
    }

    #[test]
    fn prometheus_text_is_envoys() {
        let tags = StatsTags {
            rules: vec![TagRule::Found {
                name: "rule".into(),
                pattern: Regex::new(r"^wasmcustom\.f(\.rule\.(.+?))\.").unwrap(),
            }],
        };
        let text = report().prometheus(&tags, &Selection::default());
        for line in [
            "# TYPE envoy_cluster_upstream_rq counter\nenvoy_cluster_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"up\"} 3\n",
            "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"up\"} 4\n",
            "envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\",envoy_http_conn_manager_prefix=\"ingress\"} 3\n",
            "# TYPE envoy_listener_downstream_cx_active gauge\nenvoy_listener_downstream_cx_active{envoy_listener_address=\"127.0.0.1_80\"} 1\n",
            "envoy_server_live{} 0\n",
            "# TYPE f_hits counter\nf_hits{rule=\"a\"} 2\nf_hits{rule=\"b\"} 5\n",
            "# TYPE wait histogram\nwait_bucket{le=\"0.5\"} 0\nwait_bucket{le=\"1\"} 1\nwait_bucket{le=\"5\"} 1\nwait_bucket{le=\"10\"} 2\n",
            "wait_bucket{le=\"10000\"} 3\n",
            "wait_bucket{le=\"+Inf\"} 3\nwait_sum{} 7008\nwait_count{} 3\n",
        ] {
            assert!(text.contains(line), "{line}\nis missing in\n{text}");
        }
    }

    #[test]
    fn text_and_json_list_what_is_selected() {
        let used = Selection { filter: Some(Regex::new("live|hits|wait").unwrap()), used_only: true };
        assert_eq!(
            report().text(&used),
            "wasmcustom.f.rule.a.hits: 2\nwasmcustom.f.rule.b.hits: 5\nwasmcustom.wait: P0(1,1) P25(7,7) P50(7,7) P75(7000,7000) P90(7000,7000) P95(7000,7000) P99(7000,7000) P99.5(7000,7000) P99.9(7000,7000) P100(7000,7000)\n"
        );
        let one = Selection { filter: Some(Regex::new("^server").unwrap()), used_only: false };
        assert_eq!(report().json(&one), r#"{"stats":[{"name":"server.live","value":0}]}"#);
    }
}
