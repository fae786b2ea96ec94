//! What every bundled bootstrap has to have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use host_test::gateway::bootstrap::{self, WhenFailed};
use std::path::Path;

#[test]
fn bundled_bootstraps_are_served_by_the_embedded_gateway_and_survive_a_trap() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("envoy-configs");
    let mut plugins = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let bootstrap = bootstrap::read(&file).unwrap_or_else(|error| panic!("{error}"));
        for plugin in bootstrap.listeners.iter().flat_map(|listener| &listener.http.filters) {
            assert!(
                matches!(plugin.when_failed, WhenFailed::FailReload(_)),
                "{}: plugin {} does not set failure_policy: FAIL_RELOAD; one trap would take a worker out for good",
                file.display(),
                plugin.name
            );
            plugins += 1;
        }
    }
    assert!(plugins > 0, "no plugin found");
}
