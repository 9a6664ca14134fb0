#!/usr/bin/env bash
# All of Rust's tests, with cargo-nextest where it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
if command -v cargo-nextest >/dev/null; then
    cargo nextest run --locked --workspace --no-fail-fast
    # nextest does not run the examples in the documentation.
    cargo test --locked --workspace --doc
else
    cargo test --locked --workspace --no-fail-fast
fi
