#!/bin/sh
# The programs that the tests call, each with the package of Debian that holds it: installs those that are missing. Where
# that cannot be it says so and goes on; the tests that need one are then skipped, with its name.
set -eu

# Debian keeps some in /usr/sbin, which is not on everybody's PATH.
PATH=$PATH:/usr/sbin
have() { for name in $(echo "$1" | tr '|' ' '); do command -v "$name" >/dev/null && return; done; return 1; }

missing=
while read -r program package; do
    have "$program" || missing="$missing $package"
done <<'LIST'
mosquitto mosquitto
chromium|chromium-browser chromium
pdftotext poppler-utils
openssl openssl
ssh-keygen openssh-client
git git
cc gcc
shellcheck shellcheck
systemd-analyze systemd
LIST
# A Debian of its own to install the box into takes an administrator anyway.
[ "$(id -u)" != 0 ] || while read -r program package; do
    have "$program" || missing="$missing $package"
done <<'LIST'
debootstrap debootstrap
systemd-nspawn systemd-container
unshare util-linux
ip iproute2
setpriv util-linux
LIST
[ "$(id -u)" != 0 ] || [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring"
# Debian's gcc brings the headers of C's library only as a recommendation.
case $missing in *gcc*) missing="$missing libc6-dev" ;; esac
# shellcheck disable=SC2086 # a list of words
[ -z "$missing" ] || sh "$(dirname "$0")/../requirements/packages.sh" $missing || echo "mien: tests that need these are skipped:$missing"
