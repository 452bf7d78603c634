#!/bin/sh
# Makes a virtual environment with exactly what a lock names: environment.sh FOLDER LOCK [PYTHON]. LOCK is one of the files
# beside this one, without `.txt`; where it holds what builds Mien, Mien is installed too (editable). It does nothing when
# the environment is there and up to date; an older one is made again, and stays as it was when that fails.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(dirname "$HERE")
FOLDER=${1:?usage: environment.sh FOLDER LOCK [PYTHON]}
NAME=${2:?usage: environment.sh FOLDER LOCK [PYTHON]}
NAMED=${3-} # by the user, who then gets this one or a sentence
STAMP=$FOLDER/.installed # three lines: what it was made from, its Python, its lock

say() { printf 'mien: %s\n' "$*"; }
die() { printf 'mien: %s\n' "$*" >&2; exit 1; }

# ── which Python ─────────────────────────────────────────────────────────────────────────────────

oldest=11 newest=13
# Home Assistant's lock is for one Python alone.
[ "$NAME" != home-assistant ] || oldest=13
supported() { "$1" -c "import sys; sys.exit(not (3, $oldest) <= sys.version_info[:2] <= (3, $newest))" 2>/dev/null; }
version() { "$1" --version 2>&1 || echo unusable; }

choose_python() {
    if [ "$NAMED" ]; then
        command -v "$NAMED" >/dev/null || die "there is no $NAMED here. Mien needs Python 3.11, 3.12 or 3.13."
        supported "$NAMED" || die "Mien needs Python 3.11, 3.12 or 3.13, and $NAMED is $(version "$NAMED")."
        PYTHON=$NAMED
        return
    fi
    # The one that the environment has, so that nobody need name it twice.
    base=$(sed -n 's/^executable = //p' "$FOLDER/pyvenv.cfg" 2>/dev/null || true)
    for python in ${base:+"$base"} python3 python3.13 python3.12 python3.11 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[123]*/bin/python3; do
        if supported "$python"; then
            PYTHON=$python
            return
        fi
    done
    if [ "$NAME" = home-assistant ]; then
        say "Home Assistant needs Python 3.13, which is not here; the tests that ask it are skipped"
        exit 3
    fi
    here=$(version python3)
    die "Mien needs Python 3.11, 3.12 or 3.13, and python3 here is $here. Install one of them; then: make PYTHON=python3.13 …"
}

# ── is it there already ──────────────────────────────────────────────────────────────────────────

# What the environment depends on: its Python, its place, its lock, how Mien is installed.
made_from() {
    { "$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.executable), sys.version)'
      printf '%s\n' "$ROOT" "$1"
      cat "$HERE/$1.txt" "$ROOT/pyproject.toml"; } | sha256sum | cut -d' ' -f1
}

line() { sed -n "$1p" "$STAMP" 2>/dev/null || true; }

works() { "$FOLDER/bin/python" -c '' 2>/dev/null; }

why_again() {
    if [ ! -e "$STAMP" ]; then echo "was not finished"
    elif ! works; then echo "does not work any more"
    elif [ "$(line 2)" != "$(version "$PYTHON")" ]; then echo "has $(line 2)"
    elif [ "$(line 3)" != "$NAME" ]; then echo "holds what \`make $(line 3)\` needs, and now more is needed"
    else echo "was made from an older lock, or in another place"
    fi
}

# ── making it ────────────────────────────────────────────────────────────────────────────────────

take_back() {
    rm -rf "$FOLDER"
    [ ! -d "$FOLDER.old" ] || mv "$FOLDER.old" "$FOLDER"
}

make_it() {
    parent=$(dirname "$FOLDER")
    { mkdir -p "$parent" && [ -w "$parent" ]; } 2>/dev/null ||
        die "nothing can be written in $(cd "$parent" 2>/dev/null && pwd || echo "$parent"). Name a folder of yours: make VENV=\$HOME/mien-venv …"
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || sh "$HERE/packages.sh" "python$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv" ||
        die "without it there is no virtual environment"
    [ ! -e "$FOLDER" ] || { rm -rf "$FOLDER.old" && mv "$FOLDER" "$FOLDER.old"; }
    trap 'take_back; exit 130' INT TERM HUP
    if "$PYTHON" -m venv "$FOLDER" &&
        sh "$HERE/pip.sh" "$FOLDER/bin/python" --require-hashes --requirement "$HERE/$NAME.txt" &&
        { ! grep -q '^hatchling==' "$HERE/$NAME.txt" || sh "$HERE/pip.sh" "$FOLDER/bin/python" --no-build-isolation --editable "$ROOT"; }; then
        printf '%s\n' "$(made_from "$NAME")" "$(version "$PYTHON")" "$NAME" >"$STAMP"
    else
        take_back
        exit 1
    fi
    trap - INT TERM HUP
    rm -rf "$FOLDER.old"
}

choose_python
# What develops also runs.
[ "$NAME" != run ] || [ "$(line 3)" != dev ] || NAME=dev
if works && [ "$(line 1)" = "$(made_from "$NAME")" ]; then exit 0; fi
[ ! -e "$FOLDER" ] || say "$FOLDER $(why_again). It is made again."
case $NAME in
run) what="the box and its demo; with the face model some 250 MB the first time" ;;
dev) what="the box, its demo and the development tools; some 400 MB the first time" ;;
workshop) what="TensorFlow and Keras; half a gigabyte the first time" ;;
home-assistant) what="Home Assistant, for the tests that ask it; half a gigabyte the first time" ;;
*) what="the lock \`$NAME\`" ;;
esac
say "installing into $FOLDER with $(version "$PYTHON"): $what"
make_it
