#!/bin/sh
# Installs with pip and nothing else: pip.sh PYTHON ARGUMENTS… of `pip install`. Quiet when all is well, but for a line of
# progress on a terminal. What pip prints is shown only when it fails, and then a sentence that says what to do.
set -eu
python=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
log=$folder/log

progress() { # the name of each package as pip comes to it
    count=0
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        [ -t 1 ] || continue
        case $line in
        Collecting*) count=$((count + 1)) && printf '\r\033[K  %d %s' "$count" "$(echo "${line#Collecting }" | cut -d' ' -f1)" ;;
        Installing*) printf '\r\033[K  writing them' ;;
        esac
    done
    [ ! -t 1 ] || printf '\r\033[K'
}

: >"$log"
{ PYTHONUNBUFFERED=1 "$python" -m pip --disable-pip-version-check --no-input install --no-deps --progress-bar off \
    --root-user-action ignore "$@" 2>&1 || echo $? >"$folder/status"; } | progress
[ -e "$folder/status" ] || exit 0

failed() { grep -Eqi "$1" "$log"; }
at=$(sed -n -e 's/^    \([A-Za-z0-9._-]*==[^ ]*\) from .*/\1/p' -e 's/^ERROR: Failed building wheel for \(.*\)$/\1/p' \
    -e 's/^ERROR: Could not find a version that satisfies the requirement \([^ ]*\).*/\1/p' "$log" | head -1)
# The last one that pip came to, where it does not name the one that failed.
[ "$at" ] || at=$(sed -n 's/^Collecting \([^ ]*\).*/\1/p' "$log" | tail -1)
package=${at:-the packages}
if failed 'No space left on device|Disk quota exceeded'; then
    why="the disk is full; it happened at $package. Free some space."
elif failed 'DO NOT MATCH THE HASHES'; then
    why="what the registry sent for $package is not what the lock names: its SHA-256 is another. Do not use it. Something between this machine and the registry changed it, or the lock is wrong."
elif failed 'name resolution|Name or service not known|Network is unreachable|No route to host|Connection (refused|aborted|broken|reset)|NewConnection|timed out|Max retries|ProxyError|SSLError|IncompleteRead'; then
    why="the package registry could not be reached, or it broke off, at $package. Is the network up?"
elif failed 'Permission denied|Read-only file system'; then
    why="a file cannot be written; it happened at $package."
elif failed 'from versions: none'; then
    why="the package registry sent nothing called $package. Is the network up, and is it the right registry?"
elif failed 'No matching distribution'; then
    why="the registry has no $package for this Python and processor."
else
    why="pip could not install $package."
fi
grep -Ev '^(Collecting|  (Using cached|Downloading|Obtaining)|WARNING: Location|Requirement already)' "$log" | tail -25 >&2 || true
printf 'mien: %s Nothing half-installed is used. Then run the same command again.\n' "$why" >&2
exit 1
