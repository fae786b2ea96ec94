# One line a target; the work is done by `cargo xtask` (docs/build.md).
GATEWAY ?= embedded
EXAMPLE ?= products

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
build: ## build the .wasm files into dist/
	@cargo xtask wasm
run: ## start an example: GATEWAY=embedded|envoy EXAMPLE=products
	@cargo xtask run --gateway $(GATEWAY) --example $(EXAMPLE)
test: ## run every check: format, lints, tests, Envoy
	@cargo xtask test
e2e: ## run only the tests in Envoy, and have it check the bootstraps
	@cargo xtask test e2e validate
lint: ## check format and lints, native and wasm
	@cargo xtask test fmt clippy clippy-wasm
fmt: ## format the code
	@cargo fmt --all
size: ## list the sizes of the .wasm files
	@cargo xtask size
bench: ## measure what the filters cost in Envoy
	@cargo xtask bench
clean: ## remove everything built and downloaded
	@cargo clean && rm -rf dist .sluice

.PHONY: help build run test e2e lint fmt size bench clean
