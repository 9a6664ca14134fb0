#!/usr/bin/env bash
# Shell scripts parse, and pass shellcheck where it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts=(.ci/run scripts/*.sh)
for script in "${scripts[@]}"; do
    bash -n "$script"
done
if command -v shellcheck >/dev/null; then
    shellcheck "${scripts[@]}"
else
    echo "shellcheck is not installed: the scripts were only parsed"
fi
