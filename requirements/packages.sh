#!/bin/sh
# Installs packages of Debian or Ubuntu: packages.sh PACKAGE… Where that cannot be, it says what an administrator must do.
set -eu

say() { printf 'mien: %s\n' "$*"; }

command -v apt-get >/dev/null || {
    say "this system has no apt. Install by hand: $*" >&2
    exit 1
}
if [ "$(id -u)" = 0 ]; then sudo=
elif sudo -n true 2>/dev/null; then sudo="sudo -n"
else
    say "this needs an administrator, once: sudo apt-get install --no-install-recommends $*" >&2
    exit 1
fi
say "installing with apt: $*"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { $sudo apt-get -q -o DPkg::Lock::Timeout=300 update &&
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@"; } >"$log" 2>&1; then
    tail -20 "$log" >&2
    say "apt could not install them; see above. Is the network up? Then run the same command again." >&2
    exit 1
fi
