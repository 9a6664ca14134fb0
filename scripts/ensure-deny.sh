#!/usr/bin/env bash
# Installs cargo-deny beside the build, once. Compiling it takes some minutes.
set -euo pipefail
version=0.20.2
tools="$("$(dirname "$0")/target-dir.sh")/tools"
if "$tools/bin/cargo-deny" --version 2>/dev/null | grep -qF " $version"; then
    exit 0
fi
echo "==> Installing cargo-deny $version into $tools: some minutes on two cores"
# From elsewhere, so that this repository's own compiler flags do not apply.
cd /
CARGO_TARGET_DIR="$tools/build" cargo install --quiet --locked --force --root "$tools" --version "$version" cargo-deny
rm -rf "$tools/build"
