//! Every target over its seeds, and over copies that are cut short or changed.

use ai_fuzz::TARGETS;

#[test]
fn targets_take_their_seeds_and_damaged_copies() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        for seed in &seeds {
            (target.run)(seed);
            // where there are many seeds, some places of each
            for at in (0..seed.len()).step_by(1 + seeds.len() / 8) {
                (target.run)(&seed[..at]);
                let mut changed = seed.clone();
                changed[at] ^= 1 << (at % 8);
                (target.run)(&changed);
            }
        }
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TARGETS.len());
}
