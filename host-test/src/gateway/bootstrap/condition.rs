//! Conditions on headers, as data.

use regex_lite::{Regex, RegexBuilder};

use super::InvalidBootstrap;
use super::reader::At;

/// Largest compiled regular expression.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// Condition on a header.
#[derive(Clone, Debug)]
pub struct HeaderCondition {
    /// Lower-case name.
    pub name: String,
    /// The test on its value.
    pub test: HeaderTest,
    /// Whether the outcome is turned round.
    pub invert: bool,
    /// Whether an absent header counts as an empty one.
    pub missing_as_empty: bool,
}

/// Test on a header.
#[derive(Clone, Debug)]
pub enum HeaderTest {
    /// The header is there (`true`) or not (`false`).
    Present(bool),
    /// The value is a decimal integer in `start..end`.
    Range(i64, i64),
    /// Test on the text.
    Text(TextTest, bool),
}

/// Test on a text; the flag beside it in [`HeaderTest::Text`] ignores ASCII case.
#[derive(Clone, Debug)]
pub enum TextTest {
    /// Equal.
    Exact(String),
    /// Starts with.
    Prefix(String),
    /// Ends with.
    Suffix(String),
    /// Contains.
    Contains(String),
    /// Matches as a whole.
    Regex(Regex),
}

/// Condition on a parameter of the query.
#[derive(Clone, Debug)]
pub struct QueryCondition {
    /// Its name.
    pub name: String,
    /// The test on its first value, which is not decoded.
    pub test: QueryTest,
}

/// Test on a parameter of the query.
#[derive(Clone, Debug)]
pub enum QueryTest {
    /// The parameter is there (`true`) or not (`false`).
    Present(bool),
    /// Test on the text; the flag ignores ASCII case.
    Text(TextTest, bool),
}

impl QueryCondition {
    pub(super) fn read(at: At) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let name = fields.need("name")?.name()?;
        let test = match (fields.take("string_match"), fields.take("present_match")) {
            (Some(_), Some(present)) => {
                return Err(present.fault("stands beside `string_match`; only one of them may be set"));
            }
            (Some(text), None) => {
                let (test, ignore_case) = read_text_test(text)?;
                QueryTest::Text(test, ignore_case)
            }
            (None, Some(present)) => QueryTest::Present(present.flag()?),
            (None, None) => QueryTest::Present(true),
        };
        fields.finish()?;
        Ok(Self { name, test })
    }
}

impl HeaderCondition {
    pub(super) fn read(at: At) -> Result<Self, InvalidBootstrap> {
        let mut fields = at.fields()?;
        let name = fields.need("name")?.name()?.to_ascii_lowercase();
        let invert = fields.flag("invert_match", false)?;
        let missing_as_empty = fields.flag("treat_missing_header_as_empty", false)?;
        let mut test = HeaderTest::Present(true);
        let mut seen = None;
        for kind in ["present_match", "range_match", "string_match"] {
            let Some(value) = fields.take(kind) else { continue };
            if let Some(other) = seen.replace(kind) {
                return Err(value.fault(format!("stands beside `{other}`; only one of them may be set")));
            }
            test = match kind {
                "present_match" => HeaderTest::Present(value.flag()?),
                "range_match" => {
                    let mut range = value.fields()?;
                    let start = range.take("start").map_or(Ok(0), |start| start.signed())?;
                    let end = range.take("end").map_or(Ok(0), |end| end.signed())?;
                    if end <= start {
                        return Err(range.fault("`end` must be greater than `start`"));
                    }
                    range.finish()?;
                    HeaderTest::Range(start, end)
                }
                _ => {
                    let (test, ignore_case) = read_text_test(value)?;
                    HeaderTest::Text(test, ignore_case)
                }
            };
        }
        fields.finish()?;
        Ok(Self { name, test, invert, missing_as_empty })
    }
}

fn read_text_test(at: At) -> Result<(TextTest, bool), InvalidBootstrap> {
    let mut fields = at.fields()?;
    let ignore_case = fields.flag("ignore_case", false)?;
    let (kind, value) = fields.one_of(&["exact", "prefix", "suffix", "contains", "safe_regex"])?;
    let fold = |text: String| if ignore_case { text.to_ascii_lowercase() } else { text };
    let test = match kind {
        "exact" => TextTest::Exact(fold(value.text()?)),
        "prefix" => TextTest::Prefix(fold(value.name()?)),
        "suffix" => TextTest::Suffix(fold(value.name()?)),
        "contains" => TextTest::Contains(fold(value.name()?)),
        _ if ignore_case => return Err(value.fault("ignore_case has no effect on a regular expression; write (?i)")),
        _ => TextTest::Regex(read_regex(value)?),
    };
    fields.finish()?;
    Ok((test, ignore_case))
}

/// `safe_regex: {regex: ...}`; the whole text must match.
pub(super) fn read_regex(at: At) -> Result<Regex, InvalidBootstrap> {
    read_pattern(at, true)
}

/// A regular expression: for the whole text, or to be searched in it.
pub(super) fn read_pattern(at: At, whole: bool) -> Result<Regex, InvalidBootstrap> {
    let mut fields = at.fields()?;
    if let Some(engine) = fields.take("google_re2") {
        engine.fields()?.finish()?;
    }
    let text = fields.need("regex")?;
    fields.finish()?;
    let pattern = text.name()?;
    // First alone, so that an unbalanced group cannot close the one around it.
    let alone = RegexBuilder::new(&pattern).size_limit(MAX_REGEX_BYTES).build();
    alone
        .and_then(|alone| match whole {
            true => RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(MAX_REGEX_BYTES).build(),
            false => Ok(alone),
        })
        .map_err(|error| text.fault(format!("not a regular expression that this gateway knows: {error}")))
}
