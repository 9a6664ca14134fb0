# make demo    three regions on this machine, a real log, a page to look at
# make test    everything that continuous integration runs
# make sim     the simulator over SEEDS=20 seeds, beginning FROM=0; SIM='--json' and more
# make sim-mutants  takes out one safeguard at a time and shows that the simulator notices
# make chaos   nine real nodes under every fault for ten minutes; CHAOS='--seconds 60' and more
# make audit   known vulnerabilities of the dependencies (needs the network)
# make help    this

SHELL := /bin/bash

.PHONY: help demo test sim sim-mutants chaos fmt lint rust-tests web-tests deny audit deps deps-web deps-chaos release
.NOTPARALLEL:

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# The node in its release build.
release: deps
	@scripts/note-first-build.sh release
	cargo build --locked --release --package folkmoot-node --bin folkmoot

demo: release
	"$$(scripts/target-dir.sh)/release/folkmoot" demo $(DEMO)

SEEDS ?= 20
FROM ?= 0

sim: deps
	@scripts/note-first-build.sh debug
	cargo run --locked --quiet --package folkmoot-tests --bin folkmoot-sim -- --seeds "$(SEEDS)" --from "$(FROM)" $(SIM)

# In a folder of its own: a product with mutants in it is never what is built
# elsewhere. The flag of .cargo/config.toml is repeated, for this replaces it.
sim-mutants: deps
	@scripts/note-first-build.sh debug
	CARGO_TARGET_DIR="$$(scripts/target-dir.sh)/mutants" \
	RUSTFLAGS="--cfg tokio_unstable --cfg folkmoot_mutants" \
	cargo run --locked --quiet --package folkmoot-tests --bin folkmoot-sim -- --mutants $(MUTANTS)

# In namespaces of its own: as root, or where users may make them.
chaos: deps deps-chaos
	@scripts/note-first-build.sh debug
	cargo build --locked --quiet --package folkmoot-tests --bins
	"$$(scripts/target-dir.sh)/debug/folkmoot-chaos" $(CHAOS)

# What may be missing is found out first, not after the long builds.
test: deps deps-web deps-chaos fmt lint deny rust-tests web-tests

deps:
	@scripts/ensure-deps.sh build

deps-web:
	@scripts/ensure-deps.sh web

deps-chaos:
	@scripts/ensure-deps.sh chaos

fmt:
	cargo fmt --all --check
	@scripts/check-shell.sh

lint: deps
	@scripts/note-first-build.sh debug
	cargo run --locked --quiet --package xtask -- tidy
	cargo clippy --locked --workspace --all-targets -- -D warnings

# Bans, licenses and sources need nothing but the lock file.
deny:
	@scripts/ensure-deny.sh
	"$$(scripts/target-dir.sh)/tools/bin/cargo-deny" check bans licenses sources

# Advisories come from a database on a git host, which not every machine may
# reach: a target of its own.
audit:
	@scripts/ensure-deny.sh
	"$$(scripts/target-dir.sh)/tools/bin/cargo-deny" check advisories

rust-tests: deps deps-chaos
	@scripts/rust-tests.sh

web-tests: deps-web
	@scripts/web-tests.sh
