#!/bin/sh
# Sets up .venv from the hashed lock files. `sh tools/setup.sh run|dev`.
# `dev` also sees to the system packages that the tests start: real daemons,
# a real database, a real browser.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-run}
python=${PYTHON:-python3}

say() { printf '· %s\n' "$*"; }

need_packages() {
    # Installs Debian packages when root, else says which are missing and stops.
    missing=$*
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing system packages: $missing"
        apt-get update -qq
        # shellcheck disable=SC2086 # a list of words on purpose
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        echo "these system packages are missing: $missing" >&2
        echo "install them with: sudo apt-get install $missing" >&2
        exit 1
    fi
}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Python 3.11 or newer is needed; set PYTHON to it" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    need_packages python3-venv
fi
if [ "$kind" = dev ]; then
    missing=
    [ -x /usr/lib/litecoin/litecoind ] || missing="$missing litecoind"
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
    command -v chromium >/dev/null || missing="$missing chromium"
    command -v npm >/dev/null || missing="$missing nodejs npm"
    need_packages $missing
fi

if [ "$kind" = dev ]; then
    # Real EVM nodes and forge: programs for the tests, nothing that the product runs.
    want=$(sha256sum < contracts/package-lock.json)
    if [ "$(cat contracts/node_modules/.stamp 2>/dev/null)" != "$want" ]; then
        say "installing the EVM nodes that the tests start"
        npm ci --prefix contracts --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
        printf '%s\n' "$want" > contracts/node_modules/.stamp
    fi
fi

lock=requirements.lock
[ "$kind" = dev ] && lock=requirements-dev.lock
stamp=.venv/.stamp-$kind
want=$(cat "$lock" pyproject.toml src/millpond/mining/work/*.c src/millpond/chains/evm/*.c 2>/dev/null | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
    exit 0
fi
# A machine that was set up for the tests can also run the product.
if [ "$kind" = run ] && [ -f .venv/.stamp-dev ]; then
    want_dev=$(cat requirements-dev.lock pyproject.toml src/millpond/mining/work/*.c src/millpond/chains/evm/*.c 2>/dev/null | sha256sum)
    [ "$(cat .venv/.stamp-dev)" = "$want_dev" ] && exit 0
fi

[ -x .venv/bin/python ] || { say "making .venv"; "$python" -m venv .venv; }
say "installing $(grep -c '==' "$lock") pinned packages"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
say "building millpond"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
printf '%s\n' "$want" > "$stamp"
