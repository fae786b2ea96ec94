//! What `explain` says is what the filter does, for generated configurations and requests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs
)]

#[path = "../../kit/tests/generate/mod.rs"]
mod generate;

use filter_kit::explain::{Detail, Found};
use filter_kit::header_edits::{HeaderEditsConfig, HeaderValueConfig};
use filter_kit::matching::PathMatchConfig;
use filter_kit::rewrite::RewriteConfig;
use filter_kit::table::Order;
use filter_kit::{Body, Filter, Flow, Head, Stream};
use generate::{Arrived, Draw, conditions, matching, request};
use header_router::{
    CLUSTER_HEADER, Config, DefaultConfig, DefaultTargetConfig, DirectResponseConfig, Explanation, HeaderRouter,
    MIRROR_HEADER, MirrorConfig, Mode, ROUTE_HEADER, RedirectConfig, RuleConfig, ServiceConfig, StickyConfig,
    TargetConfig,
};

fn rule(draw: &mut Draw, name: String, mode: Mode, service: Option<&str>) -> RuleConfig {
    let matched = conditions(draw);
    let prefixed = matches!(matched.path, Some(PathMatchConfig::Prefix(_) | PathMatchConfig::StringPrefix(_)));
    let mut rule = RuleConfig {
        name,
        priority: draw.of(&[1, 5, 1000]),
        r#match: None,
        matches: Vec::new(),
        targets: Vec::new(),
        fallback: None,
        sticky: None,
        service: None,
        redirect: None,
        direct_response: None,
        rewrite: RewriteConfig::default(),
        keep_prefix: mode == Mode::AppMesh && draw.once_in(3),
        keep_host: mode == Mode::AppMesh && draw.once_in(3),
        request_headers: HeaderEditsConfig::default(),
        response_headers: HeaderEditsConfig::default(),
        mirror: None,
        tags: Default::default(),
    };
    match draw.below(8) {
        0 => {
            rule.redirect = Some(RedirectConfig {
                scheme: draw.once_in(2).then(|| "https".into()),
                host: draw.once_in(2).then(|| "${query.k}.test".into()),
                port: Some(8443),
                path: None,
                prefix: (prefixed && draw.once_in(2)).then(|| "/moved".into()),
                strip_query: draw.once_in(3),
                status: 308,
            });
        }
        1 => {
            rule.direct_response = Some(DirectResponseConfig { status: 410, headers: Vec::new(), body: String::new() })
        }
        2 | 3 if service.is_some() => rule.service = service.map(String::from),
        _ => {
            let target = |number: usize, draw: &mut Draw| TargetConfig {
                cluster: (number != 2).then(|| format!("c{number}")),
                status: (number == 2).then_some(503),
                weight: draw.of(&[1, 2, 0]) + u32::from(number == 0),
                host: draw.once_in(4).then(|| "of.target".into()),
            };
            rule.targets = (0..=draw.below(3)).map(|number| target(number, draw)).collect();
            let by = [
                StickyConfig::Header("x-a".into()),
                StickyConfig::QueryParameter("k".into()),
                StickyConfig::SourceAddress,
            ];
            rule.sticky = draw.once_in(2).then(|| by[draw.below(3)].clone());
        }
    }
    if rule.redirect.is_none() && rule.direct_response.is_none() {
        match draw.below(4) {
            0 if prefixed => rule.rewrite.prefix = Some(draw.some(&["", "/", "/new/"])),
            1 => rule.rewrite.path = Some(draw.some(&["/all", "/${method}/${query.k}"])),
            _ => {}
        }
        rule.rewrite.host = draw.once_in(4).then(|| draw.some(&["new.test", "${header.x-a}.test"]));
        let value = draw.some(&["${path}", "1"]);
        rule.request_headers.set = draw.list(1, |_| HeaderValueConfig { name: "x-set".into(), value: value.clone() });
        rule.mirror = draw.once_in(4).then(|| MirrorConfig { cluster: "m".into(), share: 5000 });
    }
    rule.r#match = Some(matched);
    rule
}

fn config(draw: &mut Draw) -> Config {
    let mode = if draw.once_in(4) { Mode::AppMesh } else { Mode::Plain };
    let order = [None, Some(Order::File), Some(Order::Length), Some(Order::Specificity)];
    let mut rules: Vec<_> =
        (0..1 + draw.below(12)).map(|at| rule(draw, format!("r{at}"), mode, Some("inner"))).collect();
    rules.retain(|rule| rule.keep_prefix || rule.r#match.is_some());
    let inner = (0..draw.below(4)).map(|at| rule(draw, format!("s{at}"), mode, None)).collect();
    Config {
        mode,
        order: draw.of(&order),
        matching: matching(draw),
        rules,
        services: vec![ServiceConfig {
            name: "inner".into(),
            host: "inner.test".into(),
            rules: inner,
            no_rule_status: 404,
        }],
        default: match draw.below(3) {
            0 => DefaultConfig::Continue,
            1 => DefaultConfig::Target(DefaultTargetConfig { cluster: "last".into() }),
            _ => DefaultConfig::Status(404),
        },
        max_body_bytes: draw.of(&[8, 1024]),
        log_fields: draw.once_in(3),
        debug: None,
    }
}

/// Runs the filter; the head as it goes on, or the reply.
fn run(router: &HeaderRouter, arrived: &Arrived) -> (Head, Flow) {
    let (mut head, mut stream) = (arrived.head.clone(), router.stream());
    let mut flow = stream.on_request_head(&mut head, &arrived.env);
    if let (Flow::Hold { limit }, Some(body)) = (&flow, &arrived.body) {
        flow = if body.len() > *limit {
            Flow::Reply(filter_kit::Reply::too_large())
        } else {
            stream.on_held_request(&mut head, &mut Body::new(body.clone()), &arrived.env)
        };
    }
    (head, flow)
}

fn text(head: &Head, name: &str) -> Option<String> {
    head.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
}

/// Compares an explanation with what the filter does.
fn compare(told: &Explanation, router: &HeaderRouter, arrived: &Arrived) {
    let (head, flow) = run(router, arrived);
    match &flow {
        Flow::Reply(reply) => {
            assert_eq!(told.status, Some(reply.status));
            let location = reply.headers.iter().find(|(name, _)| name == "location");
            assert_eq!(told.location, location.map(|(_, value)| String::from_utf8_lossy(value).into_owned()));
            let outcome = match reply.details {
                "sluice_router_redirect" => "redirected",
                "sluice_router_direct_response" | "sluice_router_no_backend" => "answered",
                "sluice_router_no_rule" => "rejected",
                "sluice_router_invalid_path" => "refused",
                _ => "too_large",
            };
            assert_eq!((told.outcome, &told.target), (outcome, &None));
        }
        Flow::Hold { .. } => assert_eq!(told.outcome, "needs_body"),
        _ => {
            let outcome = if head.get(ROUTE_HEADER).is_some() { "routed" } else { "default" };
            assert_eq!(told.outcome, outcome);
            assert_eq!(told.rule, text(&head, ROUTE_HEADER));
            assert_eq!(told.target, text(&head, CLUSTER_HEADER));
            assert_eq!(told.mirror, text(&head, MIRROR_HEADER));
            assert_eq!(told.path.as_deref(), Some(&*String::from_utf8_lossy(head.path())));
            assert_eq!(told.host.as_deref(), Some(&*String::from_utf8_lossy(head.authority())));
        }
    }
    if !told.split.is_empty() && told.chosen_by.is_some() {
        let chosen: Vec<_> = told.split.iter().filter(|share| share.chosen).collect();
        assert_eq!(chosen.len(), 1);
        let target = told.target.clone().unwrap_or_else(|| format!("status-{}", told.status.unwrap()));
        assert_eq!(chosen[0].target, target);
    }
}

/// Compares what each rule is said to say with what it does when it is alone.
fn compare_candidates(told: &Explanation, config: &Config, arrived: &Arrived) {
    let matched = |stage: usize| {
        let candidates = told.stages.get(stage)?.candidates.iter();
        let mut matched = candidates.filter(|candidate| candidate.found == Found::Matched);
        let one = matched.next();
        assert!(matched.next().is_none(), "two rules took it");
        one
    };
    assert_eq!(matched(told.stages.len() - 1).or(matched(0)).map(|candidate| &candidate.rule), told.rule.as_ref());
    assert!(matched(0).is_some() || told.stages.len() == 1);
    let config_limit = config.max_body_bytes;
    for candidate in &told.stages[0].candidates {
        let rule = config.rules.iter().find(|rule| rule.name == candidate.rule).unwrap().clone();
        let action = DirectResponseConfig { status: 299, headers: Vec::new(), body: String::new() };
        let alone = RuleConfig {
            targets: Vec::new(),
            sticky: None,
            service: None,
            redirect: None,
            direct_response: Some(action),
            rewrite: RewriteConfig::default(),
            request_headers: HeaderEditsConfig::default(),
            mirror: None,
            keep_prefix: false,
            keep_host: false,
            ..rule
        };
        let config =
            Config { rules: vec![alone], default: DefaultConfig::Continue, max_body_bytes: 1024, ..config.clone() };
        let router = HeaderRouter::new(config).unwrap();
        let alone = router.explain(&arrived.head, arrived.body.as_deref(), &arrived.env, Detail::Outcome);
        let expected: &[&str] = match candidate.found {
            Found::Failed => &["default", "refused"],
            Found::Matched => &["answered", "refused"],
            Found::Behind => &["answered", "needs_body", "default", "refused"],
        };
        // without the body, rules behind may depend on it; with it, they would have matched
        let unseen = arrived.body.as_ref().is_none_or(|body| body.len() > config_limit);
        assert!(expected.contains(&alone.outcome), "{candidate:?}: {}", alone.outcome);
        assert!(unseen || candidate.found != Found::Behind || alone.outcome != "default", "{candidate:?}");
    }
}

#[test]
fn an_explanation_says_what_the_filter_does() {
    let only = std::env::var("SEED").ok().map(|seed| seed.parse::<u64>().expect("SEED is a number"));
    let (mut explained, mut outcomes) = (0, std::collections::BTreeMap::new());
    for seed in only.map_or(0..1000, |seed| seed..seed + 1) {
        let mut draw = Draw(seed ^ 0x5eed);
        let config = config(&mut draw);
        // a few combinations are mistakes
        let Ok(router) = HeaderRouter::new(config.clone()) else { continue };
        for at in 0..20 {
            let mut arrived = request(&mut draw);
            if draw.once_in(10) {
                let forged = arrived.head.iter().map(|(n, v)| (n.to_vec(), v.to_vec()));
                let forged: Vec<_> = forged.chain([(CLUSTER_HEADER.into(), b"x".to_vec())]).collect();
                arrived.head = Head::from_fields(forged);
            }
            let detail = draw.of(&[Detail::Outcome, Detail::Candidates, Detail::All]);
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let told = router.explain(&arrived.head, arrived.body.as_deref(), &arrived.env, detail);
                compare(&told, &router, &arrived);
                assert_eq!(told.stages.is_empty(), detail == Detail::Outcome);
                if detail != Detail::Outcome && !config.matching.most_specific_host_only {
                    compare_candidates(&told, &config, &arrived);
                }
                told.outcome
            }));
            match checked {
                Ok(outcome) => *outcomes.entry(outcome).or_insert(0) += 1,
                Err(_) => panic!("SEED={seed}, request {at}: {:?} {:?}\n{config:#?}", arrived.head, arrived.body),
            }
            explained += 1;
        }
    }
    if only.is_none() {
        assert!(explained > 10_000, "only {explained}");
        for outcome in ["routed", "redirected", "answered", "rejected", "default", "refused", "too_large", "needs_body"]
        {
            assert!(outcomes.get(outcome).is_some_and(|count| *count > 20), "{outcome}: {outcomes:?}");
        }
    }
}
