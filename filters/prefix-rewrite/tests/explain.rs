//! What `explain` says is what the filter does, for generated configurations and requests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "../../kit/tests/generate/mod.rs"]
mod generate;

use filter_kit::explain::{Detail, Found};
use filter_kit::matching::PathMatchConfig;
use filter_kit::rewrite::RewriteConfig;
use filter_kit::table::Order;
use filter_kit::{Body, Filter, Flow, Reply, Stream};
use generate::{Draw, conditions, matching, request};
use prefix_rewrite::{Config, PrefixRewrite, RuleConfig};

fn config(draw: &mut Draw) -> Config {
    let rule = |at: usize, draw: &mut Draw| {
        let matched = conditions(draw);
        let prefixed = matches!(matched.path, Some(PathMatchConfig::Prefix(_) | PathMatchConfig::StringPrefix(_)));
        let mut rewrite =
            RewriteConfig { host: draw.once_in(3).then(|| "${header.x-a}.test".into()), ..Default::default() };
        match prefixed {
            true => rewrite.prefix = Some(draw.some(&["", "/", "/new"])),
            false => rewrite.path = Some(draw.some(&["/all", "/${query.k}"])),
        }
        RuleConfig {
            name: format!("r{at}"),
            priority: draw.of(&[1, 1000]),
            r#match: Some(matched),
            matches: Vec::new(),
            rewrite,
        }
    };
    let rules = (0..draw.below(12)).map(|at| rule(at, draw)).collect();
    Config { order: Order::Specificity, matching: matching(draw), rules, max_body_bytes: draw.of(&[8, 1024]) }
}

#[test]
fn an_explanation_says_what_the_filter_does() {
    let mut outcomes = std::collections::BTreeMap::new();
    for seed in 0..1000 {
        let mut draw = Draw(seed);
        let filter = PrefixRewrite::new(config(&mut draw)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        for at in 0..20 {
            let arrived = request(&mut draw);
            let told = filter.explain(&arrived.head, arrived.body.as_deref(), &arrived.env, Detail::Candidates);
            let (mut head, mut stream) = (arrived.head.clone(), filter.stream());
            let mut flow = stream.on_request_head(&mut head, &arrived.env);
            if let (Flow::Hold { limit }, Some(body)) = (&flow, &arrived.body) {
                flow = if body.len() > *limit {
                    Flow::Reply(Reply::too_large())
                } else {
                    stream.on_held_request(&mut head, &mut Body::new(body.clone()), &arrived.env)
                };
            }
            let here = format!("seed {seed}, request {at}: {:?} {told:?}", arrived.head);
            let status = if let Flow::Reply(reply) = &flow { Some(reply.status) } else { None };
            assert_eq!(told.status, status, "{here}");
            assert_eq!(told.outcome == "needs_body", matches!(flow, Flow::Hold { .. }), "{here}");
            if flow == Flow::Continue {
                assert_eq!(told.path.as_deref(), Some(&*String::from_utf8_lossy(head.path())), "{here}");
                assert_eq!(told.host.as_deref(), Some(&*String::from_utf8_lossy(head.authority())), "{here}");
            }
            let matched = told.stages[0].candidates.iter().filter(|candidate| candidate.found == Found::Matched);
            assert_eq!(matched.map(|c| &c.rule).collect::<Vec<_>>(), told.rule.iter().collect::<Vec<_>>(), "{here}");
            *outcomes.entry(told.outcome).or_insert(0) += 1;
        }
    }
    for outcome in ["rewritten", "unchanged", "refused", "too_large", "needs_body"] {
        assert!(outcomes.get(outcome).is_some_and(|count| *count > 20), "{outcome}: {outcomes:?}");
    }
}
