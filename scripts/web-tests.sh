#!/usr/bin/env bash
# The TypeScript client and the demo's page: types, tests, and whether what is
# built and committed is what the sources make.
set -euo pipefail
cd "$(dirname "$0")/.."
(cd client-sdk/web && npm ci --no-audit --no-fund && npm test && npm run check:fresh)
# The page uses the client's tools. Screenshots are kept as artifacts.
(cd web && SCREENSHOTS="${SCREENSHOTS:-$PWD/../artifacts}" npm test && npm run check:fresh)
