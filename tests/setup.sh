#!/bin/sh
# What the Makefile needs from the system: `setup.sh venv` a virtual environment, `setup.sh system`
# the broker and the browser that the tests drive. Says what it installs; does nothing when it is there.
set -eu

say() { echo "mien: $*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo -n "$@"; else
        say "cannot run as root, and there is no sudo: $*"
        return 1
    fi
}

apt_install() {
    command -v apt-get >/dev/null || {
        say "this is not a Debian-like system; install by hand: $*"
        return 1
    }
    say "installing with apt: $*"
    as_root apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@" >/dev/null
}

venv() {
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        say "Mien needs Python 3.11 or newer, and $PYTHON is $("$PYTHON" --version 2>&1)"
        say "name another one: make PYTHON=python3.11 ..."
        exit 1
    }
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    say "making the virtual environment $VENV with $("$PYTHON" --version)"
    "$PYTHON" -m venv "$VENV"
}

system() {
    wanted=
    # Debian keeps mosquitto in /usr/sbin, which is not on everybody's PATH.
    PATH=$PATH:/usr/sbin command -v mosquitto >/dev/null || wanted="$wanted mosquitto"
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || wanted="$wanted chromium"
    # shellcheck disable=SC2086 # a list of words
    [ -z "$wanted" ] || apt_install $wanted
}

case ${1-} in
venv) venv ;;
system) system ;;
*) echo "usage: setup.sh venv|system" >&2; exit 2 ;;
esac
