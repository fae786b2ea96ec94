//! The CORS filter as rules: one that answers preflights, one for origins that are allowed, and the rule itself.

use crate::parts::named;
use crate::parts::{literal, short};
use crate::source::Field;
use filter_kit::header_edits::HeaderValueConfig;
use filter_kit::matching::ValueMatchConfig;
use header_router::{DirectResponseConfig, RuleConfig};

/// Seconds that a preflight's answer counts, unless the filter says otherwise.
const MAX_AGE: i64 = 5;

/// A rule and those that its CORS filter asks for, in their order.
pub fn rules(of: &Field<'_>, rule: RuleConfig) -> Vec<RuleConfig> {
    let filters = of.list("filters");
    let Some(cors) = filters.iter().find_map(|filter| filter.get("cors")) else { return vec![rule] };
    if rule.targets.is_empty() {
        return vec![rule];
    }
    let list = |name: &str| -> Vec<String> { cors.list(name).iter().filter_map(Field::text).collect() };
    let with_credentials = cors.flag_of("allowCredentials").unwrap_or(false);
    let origins = list("allowOrigins");
    let all = origins.iter().any(|origin| origin == "*");
    let pattern = if all || origins.is_empty() {
        ".+".to_owned()
    } else {
        let one = |origin: &String| regex_syntax::escape(origin).replace("\\*", ".+");
        origins.iter().map(one).collect::<Vec<_>>().join("|")
    };
    let header = |name: &str, value: String| HeaderValueConfig { name: name.to_owned(), value };
    let origin = if all && !with_credentials { "*".to_owned() } else { "${header.origin}".to_owned() };
    let mut common = vec![header("access-control-allow-origin", origin)];
    if with_credentials {
        common.push(header("access-control-allow-credentials", "true".to_owned()));
    }
    // `*` with credentials means what the client asks for
    let listed = |name: &str, asked: &str| {
        let values = list(name);
        let any = values.iter().any(|value| value == "*");
        if any && with_credentials { format!("${{header.{asked}}}") } else { literal(&values.join(", ")) }
    };
    let mut answer = common.clone();
    for (name, value) in [
        ("access-control-allow-methods", listed("allowMethods", "access-control-request-method")),
        ("access-control-allow-headers", listed("allowHeaders", "access-control-request-headers")),
        ("access-control-max-age", cors.number_of("maxAge").unwrap_or(MAX_AGE).to_string()),
    ] {
        if !value.is_empty() {
            answer.push(header(name, value));
        }
    }
    let exposed = listed("exposeHeaders", "access-control-request-headers");
    if !exposed.is_empty() {
        common.push(header("access-control-expose-headers", exposed));
    }
    let from_friend = named("origin", Some(ValueMatchConfig::Regex(pattern)));
    let mut preflight = RuleConfig {
        name: short(&format!("{}/preflight", rule.name)),
        targets: Vec::new(),
        rewrite: Default::default(),
        request_headers: Default::default(),
        response_headers: Default::default(),
        mirror: None,
        direct_response: Some(DirectResponseConfig { status: 200, headers: answer, body: String::new() }),
        ..rule.clone()
    };
    for matched in preflight.r#match.iter_mut().chain(&mut preflight.matches) {
        matched.methods = vec!["OPTIONS".to_owned()];
        matched.headers.extend([from_friend.clone(), named("access-control-request-method", None)]);
    }
    let mut friend = RuleConfig { name: short(&format!("{}/origin", rule.name)), ..rule.clone() };
    friend.response_headers.set.extend(common);
    for matched in friend.r#match.iter_mut().chain(&mut friend.matches) {
        matched.headers.push(from_friend.clone());
    }
    vec![preflight, friend, rule]
}
