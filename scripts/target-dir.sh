#!/usr/bin/env bash
# Prints the folder that cargo builds into, as an absolute path.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${CARGO_TARGET_DIR:-target}
case "$dir" in
    /*) echo "$dir" ;;
    *) echo "$PWD/$dir" ;;
esac
