//! Asks an Envoy to load a module. The version says nothing: there are builds of the same version without V8.

use std::path::Path;
use std::process::Command;

use crate::process;

/// A network filter from the smallest module that Envoy accepts: a memory, an allocator and the ABI's marker, 74 bytes.
const BOOTSTRAP: &str = r#"
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: probe
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            vm_config:
              runtime: envoy.wasm.runtime.v8
              code:
                local:
                  inline_bytes: AGFzbQEAAAABCQJgAABgAX8BfwMDAgABBQMBAAEHLQMGbWVtb3J5AgAXcHJveHlfYWJpX3ZlcnNpb25fMF8yXzEAAAZtYWxsb2MAAQoKAgIACwUAQYAICw==
      - name: end
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config
"#;

/// Whether this Envoy runs `.wasm` files on V8 (about 50 ms), or why not.
pub fn runs_wasm(envoy: &Path) -> Result<(), String> {
    let mut command = Command::new(envoy);
    command.args(["--mode", "validate", "-l", "critical", "--config-yaml", BOOTSTRAP]);
    // A program that is no Envoy may report success, too.
    match process::answer(&mut command) {
        Some(text) if text.ends_with("OK") => Ok(()),
        _ => Err("it cannot run a .wasm file on V8 (envoy.wasm.runtime.v8)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_no_envoy_does_not_pass() {
        assert!(runs_wasm(Path::new("/bin/false")).is_err());
        assert!(runs_wasm(Path::new("/bin/true")).is_err());
        assert!(runs_wasm(Path::new("/no/such/program")).is_err());
    }
}
