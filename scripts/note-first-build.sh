#!/usr/bin/env bash
# Says so when a build is going to take long: note-first-build.sh PROFILE
set -euo pipefail
profile=$1
dir=$("$(dirname "$0")/target-dir.sh")
if ! compgen -G "$dir/$profile/build/librocksdb-sys-*" >/dev/null; then
    echo "==> The first $profile build compiles RocksDB: 15 to 20 minutes on two cores. Later ones take seconds."
fi
