//! Every target over its seeds, and over copies that are cut short or changed.

use ai_fuzz::TARGETS;

#[test]
fn targets_take_their_seeds_and_damaged_copies() {
    for target in TARGETS {
        assert!(!(target.seeds)().is_empty(), "{}", target.name);
    }
    fuzz_engine::damage(TARGETS);
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TARGETS.len());
}
