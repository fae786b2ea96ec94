//! What conditions say of each other is true of requests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod generate;

use filter_kit::matching::{HostMatch, Repeated, Request, RequestMatch, RequestMatchConfig, World};
use filter_kit::table::{Found, Order, Table};
use generate::{Draw, conditions, crowded, matching, request};

/// The parts of a rule's conditions one by one, so that they hold often.
fn part(draw: &mut Draw) -> RequestMatchConfig {
    let mut whole = if draw.once_in(3) { crowded(draw) } else { conditions(draw) };
    if draw.once_in(2) {
        whole.headers.truncate(1);
        whole.json_body.clear();
    }
    if draw.once_in(2) {
        (whole.path, whole.ignore_path_case) = (None, false);
    }
    whole
}

#[test]
fn what_covers_holds_and_what_excludes_does_not() {
    let (mut covered, mut excluded, mut paths, mut hosts) = (0, 0, 0, 0);
    for seed in 0..300 {
        let mut draw = Draw(seed ^ 0x0c0ffee);
        let mut options = matching(&mut draw);
        let single = draw.once_in(2);
        if single {
            (options.repeated_headers, options.repeated_query_parameters) = (Repeated::First, Repeated::First);
        }
        let rules: Vec<_> = (0..30).map(|_| RequestMatch::new(part(&mut draw), &options).unwrap()).collect();
        let requests: Vec<_> = (0..60).map(|_| request(&mut draw)).collect();
        for arrived in &requests {
            let target = options.path_form().apply(arrived.head.path());
            let world = World::new(&arrived.env, Some(arrived.body.as_deref().unwrap_or_default()));
            let request = Request::new(&arrived.head, &target, &options, &world);
            let beside: Vec<_> = rules
                .iter()
                .map(|rule| RequestMatch { path: None, hosts: Vec::new(), ..rule.clone() }.matches(&request))
                .collect();
            let fits = |host: &HostMatch| host.matches(request.host);
            for (a, one) in rules.iter().enumerate() {
                for (b, other) in rules.iter().enumerate() {
                    let here = || format!("seed {seed}\n{one:#?}\n{other:#?}\n{:?} {:?}", arrived.head, arrived.body);
                    if beside[b] && one.covers_beside_path(other) {
                        assert!(beside[a], "covers: {}", here());
                        covered += usize::from(a != b);
                    }
                    if single && beside[b] && one.excludes_beside_path(other) {
                        assert!(!beside[a], "excludes: {}", here());
                        excluded += 1;
                    }
                    if let (Some(x), Some(y)) = (&one.path, &other.path) {
                        let (x_fits, y_fits) = (x.matches(request.path), y.matches(request.path));
                        assert!(!x.covers(y) || !y_fits || x_fits, "path covers: {}", here());
                        assert!(x.overlaps(y) || !y_fits || !x_fits, "path overlaps: {}", here());
                        paths += usize::from(x.covers(y) && y_fits && a != b);
                    }
                    for (x, y) in one.hosts.iter().flat_map(|x| other.hosts.iter().map(move |y| (x, y))) {
                        assert!(!x.covers(y) || !fits(y) || fits(x), "host covers: {}", here());
                        assert!(x.overlaps(y) || !fits(y) || !fits(x), "host overlaps: {}", here());
                        hosts += usize::from(x.covers(y) && fits(y) && a != b);
                    }
                }
            }
        }
    }
    let counts = [covered, excluded, paths, hosts];
    assert!(counts.iter().all(|count| *count > 1000), "{counts:?}");
}

#[test]
fn a_rule_that_is_said_to_take_nothing_takes_nothing() {
    let (mut said, mut asked) = (0, 0);
    for seed in 0..400 {
        let mut draw = Draw(seed ^ 0xdead);
        let options = matching(&mut draw);
        let order = draw.of(&[Order::Specificity, Order::Length, Order::File]);
        let one =
            |draw: &mut Draw| (0..=draw.below(2)).map(|_| RequestMatch::new(part(draw), &options).unwrap()).collect();
        let rules: Vec<_> = (0..20).map(|_| (draw.of(&[1, 1000]), one(&mut draw))).collect();
        let table = Table::new(rules, order, options).unwrap();
        let remarks = filter_kit::lint::table(&table, &[""; 20]);
        let never = remarks.iter().filter(|remark| remark.why.starts_with("never takes a request:"));
        let never: Vec<_> = never.map(|remark| remark.at.clone()).collect();
        said += never.len();
        for _ in 0..100 {
            let arrived = request(&mut draw);
            let target = table.options().path_form().apply(arrived.head.path());
            let world = World::new(&arrived.env, arrived.body.as_deref());
            let request = Request::new(&arrived.head, &target, table.options(), &world);
            let Found::Entry(entry) = table.find(&request) else { continue };
            let (rule, alternative) = (entry.rule, entry.alternative);
            let wrong = [format!("rules[{rule}]"), format!("rules[{rule}].matches[{alternative}]")];
            assert!(
                !wrong.iter().any(|at| never.contains(at)),
                "seed {seed}: {never:?} {entry:#?}\n{:?}",
                arrived.head
            );
            asked += 1;
        }
    }
    assert!(said > 100 && asked > 10_000, "{said} {asked}");
}
