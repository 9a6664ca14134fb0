# make demo    three regions on this machine, a real log, a page to look at
# make test    everything that continuous integration runs
# make sim     the simulator over SEEDS=20 seeds, beginning FROM=0
# make audit   known vulnerabilities of the dependencies (needs the network)
# make help    this

SHELL := /bin/bash

.PHONY: help demo test sim fmt lint rust-tests web-tests deny audit deps deps-web release
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

# What may be missing is found out first, not after the long builds.
test: deps deps-web fmt lint deny rust-tests web-tests

deps:
	@scripts/ensure-deps.sh build

deps-web:
	@scripts/ensure-deps.sh web

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

rust-tests: deps
	@scripts/rust-tests.sh

web-tests: deps-web
	@scripts/web-tests.sh
