#!/usr/bin/env bash
# The TypeScript client and the demo's page: types, tests, and whether what is
# built and committed is what the sources make.
set -euo pipefail
cd "$(dirname "$0")/.."
(cd client-sdk/web && npm ci --no-audit --no-fund && npm test && npm run check:fresh)
# A demo's nodes behind the page: the command as the Rust tests have built it.
cargo build --locked --quiet --workspace --bin folkmoot-under-test
FOLKMOOT="$(scripts/target-dir.sh)/debug/folkmoot-under-test"
export FOLKMOOT
# The page uses the client's tools. Screenshots are kept as artifacts.
(cd web && SCREENSHOTS="${SCREENSHOTS:-$PWD/../artifacts}" npm test && npm run check:fresh)
