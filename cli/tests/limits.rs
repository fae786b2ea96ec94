//! `sluice explain` of limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::process::Command;

const CONFIG: &str = r#"
service: {cluster: rls, domain: shop}
policies:
- name: minute
  key: [{header: x-api-key}]
  cost: {header: {name: x-cost}}
  settle: {header: x-cost}
  limits: [{units: 20, per_ms: 60000}, {name: open, concurrent: 5}]
- name: tenants
  key: [{header: x-tenant}]
  global: {descriptor: [tenant], mode: lease}
- name: tried
  enforced: 0
  limits: [{units: 1, window: {day: {}}}]
"#;

#[test]
fn an_explanation_says_what_is_taken_and_who_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("limits.yaml");
    std::fs::write(&file, CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.arg("explain").arg("-c").arg(&file).args(["GET", "http://shop.test/a"]);
    command.args(["-H", "x-api-key: secret-key", "-H", "x-tenant: secret-tenant", "-H", "x-cost: 3"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for expected in [
        "3 of minute-1: 20 per 60 s, burst 20  key ",
        "1 of open: 5 in flight  key ",
        "(settled later)",
        "for 1 at rls, domain shop, descriptor (tenant): leases of 20; on error open  key ",
        "1 of tried: 1 a day, UTC+0 min  key ",
        "(shadow)",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    assert!(!text.contains("secret"), "{text}");
}
