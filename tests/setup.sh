#!/bin/sh
# What the Makefile needs from the system: `setup.sh venv` a virtual environment, `setup.sh system`
# the broker and the browser that the tests drive, `setup.sh home-assistant` Home Assistant in an environment of its
# own. Says what it installs; does nothing when it is there.
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

# The first version line that knows device discovery and is still installed everywhere; it needs this very Python.
# Without it the tests that ask it are skipped and say so, so nothing here is a failure.
home_assistant() {
    for python in "$PYTHON" python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python; do
        if "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
            say "installing Home Assistant into $VENV with $("$python" --version); about half a gigabyte, some minutes"
            "$python" -m venv --clear "$VENV" &&
                "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
                    'homeassistant==2025.1.4' 'paho-mqtt==1.6.1' &&
                touch "$VENV/.installed" && return 0
            say "Home Assistant could not be installed; its tests will be skipped"
            rm -rf "$VENV"
            return 0
        fi
    done
    say "Home Assistant needs Python 3.13, which is not here; its tests will be skipped"
}

case ${1-} in
venv) venv ;;
system) system ;;
home-assistant) home_assistant ;;
*) echo "usage: setup.sh venv|system|home-assistant" >&2; exit 2 ;;
esac
