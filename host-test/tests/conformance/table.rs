//! The table of cases: what is done, and what comes out.

use std::path::PathBuf;

/// One exchange through two probes, `a` and then `b`.
#[derive(Clone, Debug, Default)]
pub struct Case {
    pub name: String,
    pub line: usize,
    /// `plain`, `stop` (allow_on_headers_stop_iteration) or `small` (both, with a buffer limit of 1024 bytes).
    pub listener: String,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    pub trailers: Vec<(String, String)>,
    pub status: u16,
    pub answer_headers: Vec<(String, String)>,
    pub answer: Vec<u8>,
    pub answer_trailers: Vec<(String, String)>,
    /// A VM dies in it: nobody tells when it is over.
    pub traps: bool,
    /// How many answers of gRPC callouts come, some of them when the streams are over.
    pub answers: usize,
    /// The client leaves before it is answered.
    pub leaves: bool,
    /// Our host reports it as misuse and does not do what Envoy does.
    pub refused_here: bool,
    pub expected: Vec<String>,
    /// The lines that describe the case, for writing the table anew.
    pub source: Vec<String>,
}

impl Case {
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/table.txt"))
}

pub fn read() -> Vec<Case> {
    parse(&std::fs::read_to_string(path()).unwrap())
}

fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut comments = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if line.starts_with('#') {
            comments.push(line.to_owned());
            continue;
        }
        if word == "case" {
            let mut source = std::mem::take(&mut comments);
            source.push(line.to_owned());
            let listener = "plain".to_owned();
            let (method, path) = ("GET".to_owned(), "/p?q=1".to_owned());
            cases.push(Case {
                name: rest.to_owned(),
                line: at + 1,
                listener,
                method,
                path,
                status: 200,
                source,
                ..Case::default()
            });
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let case = cases.last_mut().unwrap();
        if let Some(expected) = line.strip_prefix("  ") {
            case.expected.push(expected.to_owned());
            continue;
        }
        case.source.push(line.to_owned());
        let pair = || rest.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
        match word {
            "listener" => case.listener = rest.to_owned(),
            "method" => case.method = rest.to_owned(),
            "path" => case.path = rest.to_owned(),
            "header" => case.headers.push(pair()),
            "a" | "b" => case.headers.push((format!("x-probe-{word}"), rest.to_owned())),
            "body" => case.body = Some(repeated(rest)),
            "trailer" => case.trailers.push(pair()),
            "status" => case.status = rest.parse().unwrap(),
            "answer-header" => case.answer_headers.push(pair()),
            "answer" => case.answer = repeated(rest),
            "answer-trailer" => case.answer_trailers.push(pair()),
            "refused-here" => case.refused_here = true,
            "traps" => case.traps = true,
            "answers" => case.answers = rest.parse().unwrap(),
            "leaves" => case.leaves = true,
            _ => panic!("table.txt:{}: unknown word {word}", at + 1),
        }
    }
    cases
}

/// `*10x` is ten times `x`.
fn repeated(text: &str) -> Vec<u8> {
    let Some(rest) = text.strip_prefix('*') else { return text.as_bytes().to_vec() };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[digits..].repeat(rest[..digits].parse().unwrap()).into_bytes()
}

pub fn write(table: &[Case], seen: &[Vec<String>]) {
    let mut text = String::new();
    for (case, seen) in table.iter().zip(seen) {
        if !text.is_empty() {
            text.push('\n');
        }
        for line in &case.source {
            text.push_str(&format!("{line}\n"));
        }
        for line in seen {
            text.push_str(&format!("  {line}\n"));
        }
    }
    std::fs::write(path(), text).unwrap();
}

/// A body as one reads it: long runs of one byte are shortened.
pub fn shown(body: &[u8]) -> String {
    let mut out = String::new();
    for run in body.chunk_by(|a, b| a == b) {
        if run.len() > 20 {
            out.push_str(&format!("<{}x{}>", run.len(), run[..1].escape_ascii()));
        } else {
            out.push_str(&run.escape_ascii().to_string());
        }
    }
    format!("{out:?}")
}

/// What of the headers the table shows: the case's own and the framing.
pub fn shown_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let keep = |name: &str| {
        name.starts_with("x-p") && !name.starts_with("x-probe")
            || name == "content-length"
            || name == "content-type"
            || name.starts_with("grpc-")
    };
    let plain = |value: &str| value.replace('\r', "\\r").replace('\n', "\\n").replace('\0', "\\0");
    headers.filter(|(name, _)| keep(name)).map(|(name, value)| format!(" {name}={}", plain(value))).collect()
}

/// Lines of both sides, a simple alignment by the longest common subsequence.
pub fn diff(old: &[String], new: &[String]) -> String {
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] =
                if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(format!("    {}", old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("  - {}", old[i]));
            i += 1;
        } else {
            lines.push(format!("  + {}", new[j]));
            j += 1;
        }
    }
    lines.join("\n")
}
