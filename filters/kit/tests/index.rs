//! The index and a list that is tried from its beginning find the same rule, for a million pairs of rules and requests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs
)]

mod generate;

use filter_kit::matching::{Request, RequestMatch, World};
use filter_kit::table::{Found, Order, Table};
use generate::{Draw, conditions, crowded, matching, request};

const TABLES: u64 = 1000;
const REQUESTS: u64 = 1000;

/// What became of a request, to compare: the number of the entry.
fn number(table: &Table, found: Found<'_>) -> Option<Option<usize>> {
    match found {
        Found::NeedsBody => None,
        Found::Nothing => Some(None),
        Found::Entry(entry) => {
            let at = table.entries().iter().position(|other| std::ptr::eq(other, entry));
            Some(Some(at.unwrap()))
        }
    }
}

/// Asks one table, and says how many requests a rule took.
fn ask(seed: u64) -> u64 {
    let mut draw = Draw(seed);
    let options = matching(&mut draw);
    let order = draw.of(&[Order::Specificity, Order::Length, Order::File]);
    let count = 1 + draw.below(60);
    let conditions = if draw.once_in(3) { crowded } else { conditions };
    let mut rules = Vec::new();
    for _ in 0..count {
        let alternatives: Vec<_> = (0..=draw.below(2)).map(|_| conditions(&mut draw)).collect();
        let compiled = alternatives.iter().map(|config| RequestMatch::new(config.clone(), &options));
        let compiled = compiled.collect::<Result<Vec<_>, _>>();
        let compiled = compiled.unwrap_or_else(|error| panic!("seed {seed}: {error}: {alternatives:?}"));
        rules.push((draw.of(&[1, 2, 1000, 1000]), compiled));
    }
    let table = Table::new(rules, order, options).unwrap();
    let mut taken = 0;
    for at in 0..REQUESTS {
        let arrived = request(&mut draw);
        let target = table.options().path_form().apply(arrived.head.path());
        let world = World::new(&arrived.env, arrived.body.as_deref());
        let request = Request::new(&arrived.head, &target, table.options(), &world);
        let (found, tried) = (table.find(&request), table.find_by_trying(&request));
        let (found, tried) = (number(&table, found), number(&table, tried));
        taken += u64::from(matches!(tried, Some(Some(_))));
        if found != tried {
            let entry = |number: Option<Option<usize>>| number.flatten().map(|at| &table.entries()[at]);
            panic!(
                "seed {seed}, request {at}: found {found:?}, by trying {tried:?}\n{:?}\noptions {:?}\n{:#?}\n{:#?}",
                arrived.head,
                table.options(),
                entry(found),
                entry(tried),
            );
        }
    }
    taken
}

#[test]
fn the_index_finds_what_trying_every_rule_finds() {
    let first = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    let seeds = |part: u64| (0..TABLES / 2).map(move |at| at * 2 + part);
    let taken: u64 = match first {
        Some(seed) => ask(seed),
        None => std::thread::scope(|scope| {
            let halves = [0, 1].map(|part| scope.spawn(move || seeds(part).map(ask).sum::<u64>()));
            halves.map(|half| half.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).iter().sum()
        }),
    };
    if first.is_none() {
        // neither everything nor nothing, or there is little to see
        let all = TABLES * REQUESTS;
        assert_eq!(all, 1_000_000);
        assert!((all / 4..all * 19 / 20).contains(&taken), "{taken} of {all} requests were taken");
    }
}
