# shellcheck shell=bash disable=SC2034 # much of this is for the scripts
# What ci/card, ci/demo and ci/test share: colours, failing with a reason, Debian packages, Rust, waiting.
# A script sources it from its own directory, after set -euo pipefail.

# The tree, whatever directory the script was called from.
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The SoftHSM module of Debian, on every architecture.
softhsm=/usr/lib/softhsm/libsofthsm2.so

bold='' dim='' red='' green='' plain=''
if [ -t 1 ]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi

# A newcomer's shell has not always read what rustup wrote to its profile.
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/sbin:/sbin

die() {
    printf '%s%s%s\n' "$red" "$*" "$plain" >&2
    exit 1
}

as_root() {
    if [ "$EUID" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# need_rust: cargo, and not the one of Debian 12.
need_rust() {
    local wanted has
    command -v cargo >/dev/null || die "Rust is missing. Install it with rustup, then run this again."
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$tree/Cargo.toml")
    has=$(cd "$tree" && cargo --version | cut -d ' ' -f 2)
    if [ "$(printf '%s\n' "$wanted" "$has" | sort -V | head -n 1)" != "$wanted" ]; then
        die "cargo $has is too old: $wanted or newer is needed (Debian 12's own is older). Install it with rustup."
    fi
}

# need_packages PACKAGE…: installs the Debian packages that are missing.
need_packages() {
    install_missing '' "$@"
}

# need_services PACKAGE…: the same for packages that bring a server along. We want the program only:
# with SYSTEMD_OFFLINE their maintainer scripts start nothing, and nothing starts at the next boot.
need_services() {
    local package was_missing=()
    for package; do
        is_installed "$package" || was_missing+=("$package")
    done
    install_missing SYSTEMD_OFFLINE=1 "$@"
    if [ -d /run/systemd/system ]; then
        for package in "${was_missing[@]}"; do
            as_root systemctl --quiet disable "$(unit_of "$package")"
        done
    fi
}

# unit_of PACKAGE: the unit that starts its server at boot.
unit_of() {
    case $1 in
    dovecot-imapd) echo dovecot.service ;;
    mariadb-server) echo mariadb.service ;;
    nginx-light) echo nginx.service ;;
    pcscd) echo pcscd.socket ;;
    postgresql-15) echo postgresql.service ;;
    *) echo "$1.service" ;;
    esac
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# install_missing ENVIRONMENT PACKAGE…
install_missing() {
    local environment=(DEBIAN_FRONTEND=noninteractive) remark='' package missing=() log
    if [ -n "$1" ]; then
        environment+=("$1")
        remark=' (the programs only: their services stay off)'
    fi
    shift
    for package; do
        is_installed "$package" || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        die "These Debian packages are missing, and there is no apt-get here: ${missing[*]}"
    [ "$EUID" -eq 0 ] || command -v sudo >/dev/null ||
        die "To install ${missing[*]}, run this as root, or install sudo."
    printf '%sapt-get install %s%s%s\n' "$dim" "${missing[*]}" "$remark" "$plain"
    log=$(mktemp)
    local install=(env "${environment[@]}" apt-get -qy -o DPkg::Lock::Timeout=300
        install --no-install-recommends "${missing[@]}")
    # The lists may be missing or stale: fetched only if it doesn't work without.
    if ! as_root "${install[@]}" >"$log" 2>&1 </dev/null; then
        as_root apt-get -q -o DPkg::Lock::Timeout=300 update >"$log" 2>&1 </dev/null || true
        as_root "${install[@]}" >>"$log" 2>&1 </dev/null || {
            tail -n 20 "$log" >&2
            rm -f "$log"
            die "apt-get could not install ${missing[*]}."
        }
    fi
    rm -f "$log"
}

# Where cargo puts what it builds.
target_directory() {
    (cd "$tree" && cargo metadata --format-version 1 --no-deps) |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# wait_until CONDITION…: false if the command does not come true within twenty seconds.
wait_until() {
    local deadline=$((SECONDS + 20))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        # Between two looks at the condition, not instead of one.
        sleep 0.05
    done
}
