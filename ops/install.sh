#!/usr/bin/env bash
# Install what the stack needs: system packages, then the Python environment in .venv. Repeating it costs nothing.
# The machine's own services are left as they are; packages that this installs start nothing, now or at the next boot.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

MARK="put here by ops/install.sh of CommDesk Pay while it installs packages"
POLICY=/usr/sbin/policy-rc.d
CLUSTERS=/etc/postgresql-common/createcluster.d/zz-commdesk.conf

say() { printf '  %5d s  %s\n' "$SECONDS" "$*" >&2; }
stop() { printf '\n%s\n' "$*" >&2; exit 1; }

# ── System packages ──────────────────────────────────────────────────────────────────────────────────────────────

# The distribution's own first: it is built with the compiler's profile, one from a version manager mostly is not, and
# took 1.4 times the processor time for the same work (docs/log/performance.md).
find_python() {
    local name
    for name in /usr/bin/python3{.13,.12,.11,} python3{.13,.12,.11,}; do
        if command -v "$name" >/dev/null &&
            "$name" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

missing_packages() {
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || echo postgresql
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || echo rabbitmq-server
    command -v redis-server >/dev/null || echo redis-server
    command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || echo pgbouncer
    [ -x .venv/bin/python ] || find_python >/dev/null || echo python3-venv
}

install_as_root() {
    local missing=("$@")
    if ! command -v apt-get >/dev/null; then
        stop "Missing: ${missing[*]}. This machine has no apt-get: install PostgreSQL 14 or newer, PgBouncer, RabbitMQ 3.10 or" \
            "newer, Redis and Python 3.11 with venv, then run this again"
    fi
    if [ "$(id -u)" = 0 ]; then
        "$BASH" ops/install.sh --packages "${missing[@]}"
    elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo "$BASH" ops/install.sh --packages "${missing[@]}"
    else
        stop "Missing: ${missing[*]}, and neither root nor sudo to install them. Ask an administrator for" \
            "apt-get install ${missing[*]}"
    fi
}

# Undo what install_packages put in place; also what a run that was killed left behind.
restore_machine() {
    if [ -f $POLICY ] && grep -qF "$MARK" $POLICY; then rm -f $POLICY; fi
    if [ -e $POLICY.commdesk-saved ] || [ -L $POLICY.commdesk-saved ]; then mv -f $POLICY.commdesk-saved $POLICY; fi
    rm -f $CLUSTERS
}

install_packages() {
    exec 9>/run/lock/commdesk-install
    flock 9
    restore_machine
    trap restore_machine EXIT
    trap 'exit 130' INT TERM HUP
    # invoke-rc.d and deb-systemd-invoke ask this script before they start anything: 101 = no. It does not stop what runs.
    if [ -e $POLICY ] || [ -L $POLICY ]; then mv $POLICY $POLICY.commdesk-saved; fi
    printf '#!/bin/sh\n# %s\nexit 101\n' "$MARK" >$POLICY
    chmod 755 $POLICY
    # No "main" cluster: ours lies in the stack's folder.
    mkdir -p "$(dirname $CLUSTERS)"
    printf '# %s\ncreate_main_cluster = false\n' "$MARK" >$CLUSTERS

    local erlang_was_here=yes log
    dpkg -s erlang-base >/dev/null 2>&1 || erlang_was_here=no
    log=$(mktemp)
    apt_install "$@" >"$log" 2>&1 || { apt-get update -q && apt_install "$@"; } >>"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        stop "apt-get could not install: $* (all of it: $log)"
    }
    rm -f "$log"
    # Freshly installed services are enabled for the next boot: these are programs for the stack, not services.
    if command -v systemctl >/dev/null; then
        local unit units=("$@")
        case " $* " in *" rabbitmq-server "*) [ $erlang_was_here = yes ] || units+=(epmd.socket epmd) ;; esac
        for unit in "${units[@]}"; do systemctl disable "$unit" >/dev/null 2>&1 || true; done
    fi
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# ── The Python environment ───────────────────────────────────────────────────────────────────────────────────────

manifests() {
    find protos libs services sandbox ops loadtests -maxdepth 2 -name pyproject.toml 2>/dev/null | sort
}

# Installed by --checks alone: 700 MB that the local stack runs without.
CHECKS=requirements-checks.lock
# What the contract tests of Node SDKs need.
NODE=tests/contract/node

# Where the environment stands, and what it is made of.
fingerprint() {
    pwd -P
    manifests
    # shellcheck disable=SC2046
    cat requirements.lock requirements-dev.lock $(manifests) | sha256sum
}

install_environment() {
    local python arguments=() manifest
    if [ -f .venv/.installed ] && [ "$(head -n 1 .venv/.installed)" != "$(pwd -P)" ]; then
        rm -rf .venv # the checkout was moved or copied: its scripts point to where it was
    fi
    if ! [ -x .venv/bin/python ]; then
        python=$(find_python) || stop "Python 3.11 or newer is needed (Debian 12, Ubuntu 24.04 and later have it)"
        "$python" -m venv .venv
        say "made .venv with $("$python" --version)"
    fi
    if ! [ -x .venv/bin/uv ]; then
        .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps \
            -r <(awk '/^uv==/ {found = 1} found {print} found && !/\\$/ {exit}' requirements-dev.lock)
        say "uv is there"
    fi
    as_pip_is_told install -q --require-hashes --no-deps -r requirements.lock -r requirements-dev.lock
    say "libraries of requirements.lock and requirements-dev.lock are there"
    while read -r manifest; do arguments+=(-e "./$(dirname "$manifest")"); done < <(manifests)
    # All together, without an index: nobody else's package may answer for one of our names.
    .venv/bin/uv pip install -q --python .venv/bin/python --offline --no-deps --no-build-isolation "${arguments[@]}"
    say "the checkout's own packages are there"
    fingerprint >.venv/.installed
}

# uv (seconds instead of a minute) with the index and certificates that pip is configured for; pip where that is not enough.
as_pip_is_told() {
    local index cert
    index=${PIP_INDEX_URL:-$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}
    cert=${PIP_CERT:-$(.venv/bin/python -m pip config get global.cert 2>/dev/null || true)}
    UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index} SSL_CERT_FILE=${SSL_CERT_FILE:-$cert} \
        .venv/bin/uv pip "$@" --python .venv/bin/python ||
        .venv/bin/python -m pip "$@" --disable-pip-version-check
}

# ── ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

if [ "${1:-}" = --packages ]; then
    shift
    install_packages "$@"
    exit
fi

# A wrong clock in front of one process, for `make faults`; without it those scenarios say that they were not run.
if [ "${1:-}" = --clocks ]; then
    compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || (install_as_root libfaketime) 2>/dev/null ||
        say "libfaketime cannot be installed here: nobody's clock will be wrong"
    exit
fi

# What checks and runs the alerts: promtool and amtool for `make test`, both servers for `make monitoring-check`.
if [ "${1:-}" = --monitoring ]; then
    missing=()
    command -v promtool >/dev/null || missing+=(prometheus)
    command -v amtool >/dev/null || missing+=(prometheus-alertmanager)
    if [ ${#missing[@]} -gt 0 ]; then
        install_as_root "${missing[@]}"
        say "installed ${missing[*]}"
    fi
    exit
fi

# What checks chart, image, compose file and pipelines: `make install`, and with it `make lint` and `make test`.
if [ "${1:-}" = --checks ]; then
    exec 8<requirements.lock
    flock 8
    if ! cmp -s $CHECKS .venv/.checks; then
        as_pip_is_told install -q --require-hashes --no-deps -r $CHECKS
        say "libraries of $CHECKS are there"
        cp $CHECKS .venv/.checks
    fi
    if ! cmp -s $NODE/package-lock.json .venv/node/.installed; then
        mkdir -p .venv/node
        cp $NODE/package.json $NODE/package-lock.json $NODE/.npmrc .venv/node/
        (cd .venv/node && PATH="$PWD/../bin:$PATH" npm ci --silent)
        say "libraries of $NODE are there"
        cp $NODE/package-lock.json .venv/node/.installed
    fi
    exit
fi

# What makes and restores backups: `make test`, `make restore-drill`, a stack with BACKUP=on.
if [ "${1:-}" = --backup ]; then
    if ! command -v pgbackrest >/dev/null; then
        install_as_root pgbackrest
        say "installed pgbackrest"
    fi
    exit
fi

# What commands in the documents are written with: `make test` runs them.
if [ "${1:-}" = --documents ]; then
    missing=()
    for package in curl jq openssl; do command -v "$package" >/dev/null || missing+=("$package"); done
    if [ ${#missing[@]} -gt 0 ]; then
        install_as_root "${missing[@]}"
        say "installed ${missing[*]}"
    fi
    exit
fi

# What builds and runs containers, and what makes a base for them without a registry: `make image-check`.
if [ "${1:-}" = --containers ]; then
    missing=()
    for package in buildah podman runc netavark aardvark-dns catatonit iptables mmdebstrap; do
        dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        install_as_root "${missing[@]}"
        say "installed ${missing[*]}"
    fi
    exit
fi

mapfile -t missing < <(missing_packages)
if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    install_as_root "${missing[@]}"
    say "installed ${missing[*]}"
fi
exec 8<requirements.lock
flock 8 # one at a time in this checkout
if [ "$(cat .venv/.installed 2>/dev/null || true)" != "$(fingerprint)" ]; then
    install_environment
fi
