#!/bin/sh
# Makes a virtual environment that holds what a lock names, and Mien itself (editable), so that it is there, complete and
# up to date: environment.sh FOLDER LOCK [PYTHON], with LOCK one of the files beside this one, without `.txt`.
# Does nothing when it is. What pip prints is shown only when something failed, after a sentence that says what.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(dirname "$HERE")
FOLDER=${1:?usage: environment.sh FOLDER LOCK [PYTHON]}
LOCK=$HERE/${2:?usage: environment.sh FOLDER LOCK [PYTHON]}.txt
PYTHON=${3:-python3}
STAMP=$FOLDER/.installed
OLD=$FOLDER.old
say() { printf 'mien: %s\n' "$*"; }
die() { printf 'mien: %s\n' "$*" >&2; exit 1; }

# ── which Python ─────────────────────────────────────────────────────────────────────────────────

supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

choose_python() {
    command -v "$PYTHON" >/dev/null || die "there is no $PYTHON here. Install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=python3.13 …"
    supported "$PYTHON" && return
    was=$("$PYTHON" --version 2>&1) || was=unusable
    # Somebody who named one means that one.
    [ "$PYTHON" != python3 ] || for other in python3.13 python3.12 python3.11; do
        if supported "$other"; then
            say "python3 is $was, which Mien does not support; using $other"
            PYTHON=$other
            return
        fi
    done
    die "Mien needs Python 3.11, 3.12 or 3.13, and $PYTHON is $was. Install one of them, then name it: make PYTHON=python3.13 …"
}

# ── is it there already ──────────────────────────────────────────────────────────────────────────

# What the environment depends on: where it is, its Python, its lock, how Mien is installed.
wanted() {
    cd "$ROOT"
    { "$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.executable), sys.version)'
      printf '%s\n' "$ROOT" "$FOLDER" "$2"
      cat "$LOCK" pyproject.toml; } | sha256sum | cut -d' ' -f1
}

reason() {
    [ -e "$FOLDER" ] || return 0
    if [ ! -e "$STAMP" ]; then echo "was not finished"
    elif ! "$FOLDER/bin/python" -c '' 2>/dev/null; then echo "does not work any more"
    elif [ "$(sed -n 2p "$STAMP")" != "$("$PYTHON" --version 2>&1)" ]; then echo "has $(sed -n 2p "$STAMP")"
    else echo "is of an older lock, or of another place"
    fi
}

# ── making it ────────────────────────────────────────────────────────────────────────────────────

install() { # ARGUMENTS of pip install; a sentence for what goes wrong
    log=$FOLDER/install.log
    "$FOLDER/bin/python" -m pip --disable-pip-version-check --no-input install --quiet --no-deps "$@" >"$log" 2>&1 && return
    status=$?
    cat "$log" >&2
    # shellcheck disable=SC2016 # sed's own $
    package=$(sed -n -e 's/^ERROR: Could not find a version that satisfies the requirement \([^ ]*\).*/\1/p' \
        -e 's/^    *\([A-Za-z0-9._-]*==[^ ]*\) from .*/\1/p' -e 's/^ *Failed to build \(.*\)$/\1/p' \
        -e 's/^ERROR: Failed building wheel for \(.*\)$/\1/p' \
        -e "s|.*[/(]\([A-Za-z0-9._]*-[0-9][^/ ]*\)\.\(whl\|tar\.gz\).*|\1|p" "$log" | head -1)
    package=${package:+, at $package}
    if grep -qi 'No space left on device' "$log"; then why="the disk is full$package. Free some space"
    elif grep -q 'DO NOT MATCH THE HASHES' "$log"; then
        why="a package is not the one that the lock names$package: its SHA-256 is another. Do not use it. Is something between this machine and the registry?"
    elif grep -Eqi 'Temporary failure in name resolution|Network is unreachable|Connection (refused|aborted|broken)|NewConnectionError|NameResolutionError|timed out|ReadTimeout|Max retries|ProxyError' "$log"; then
        why="the package registry could not be reached, or broke off$package. Is the network up?"
    elif grep -q 'Permission denied\|Read-only file system' "$log"; then why="something cannot be written here$package"
    else why="pip could not install it$package; see above"
    fi
    say "$why Nothing half-installed is used; then run the same command again." | sed 's/\([^.?]\) Nothing half/\1. Nothing half/' >&2
    return $status
}

back() { # what was there before, if anything
    rm -rf "$FOLDER"
    [ ! -d "$OLD" ] || mv "$OLD" "$FOLDER"
}

make_it() {
    parent=$(dirname "$FOLDER")
    mkdir -p "$parent" 2>/dev/null && [ -w "$parent" ] ||
        die "$(cd "$parent" 2>/dev/null && pwd || echo "$parent") cannot be written. Name a folder of yours: make VENV=\$HOME/mien-environment …"
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || sh "$ROOT/tests/system.sh" python3-venv
    rm -rf "$OLD"
    [ ! -e "$FOLDER" ] || mv "$FOLDER" "$OLD"
    trap 'back; exit 130' INT TERM
    "$PYTHON" -m venv "$FOLDER" || { back; die "the virtual environment $FOLDER could not be made; see above"; }
    { install --require-hashes --requirement "$LOCK" && { [ "$2" = home-assistant ] || install --no-build-isolation --editable "$ROOT"; }; } ||
        { back; exit 1; }
    printf '%s\n%s\n' "$(wanted "$@")" "$("$PYTHON" --version 2>&1)" >"$STAMP"
    trap - INT TERM
    rm -rf "$OLD" "$FOLDER/install.log"
}

choose_python
if [ "$(sed -n 1p "$STAMP" 2>/dev/null)" = "$(wanted "$@")" ] && "$FOLDER/bin/python" -c '' 2>/dev/null; then exit 0; fi
why=$(reason)
[ -z "$why" ] || say "$FOLDER $why: making it again"
case $2 in
run) what="the box and its demo, with the face model about 170 MB the first time" ;;
dev) what="the box, its demo and the development tools, about 300 MB the first time" ;;
workshop) what="TensorFlow and Keras, about half a gigabyte the first time" ;;
home-assistant) what="Home Assistant for the tests that ask it, about half a gigabyte the first time" ;;
*) what=$2 ;;
esac
say "installing into $FOLDER with $("$PYTHON" --version 2>&1): $what"
make_it "$@"
