//! Every target over its seeds, and over copies that are cut short or changed.

#[test]
fn targets_take_their_seeds_and_damaged_copies() {
    fuzz_engine::damage(convert_fuzz::TARGETS);
}
