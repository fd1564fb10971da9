# What people type; each first sees to it that there is a Postgres.

TEST_CLUSTER = target/test-cluster
STOP_TEST_CLUSTER = cargo run -q -p kvali-pglocal --example stop -- $(TEST_CLUSTER)

.PHONY: demo test bench lint postgres

demo: postgres
	cargo run --release -q -p kvali -- demo --serve

# The whole-system tests share one pinned cluster, which nothing but this trap stops: also after a failure or Ctrl-C.
test: postgres
	@trap '$(STOP_TEST_CLUSTER)' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; cargo test --workspace

bench: postgres
	cargo bench -p kvali-benches

lint: postgres
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

postgres:
	@sh scripts/need-postgres
