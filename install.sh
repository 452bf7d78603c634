#!/bin/sh
# Installs Mien on Raspberry Pi OS or Debian (bookworm or trixie), or updates what this script installed before.
# Run it again at any time: it does what is missing. `install.sh --help` tells the options.
set -eu
umask 022

HERE=$(cd "$(dirname "$0")" && pwd)
CONFIG=$HERE/firmware_config
ROOT=
YES=
DRY=
FIREWALL=yes
ONLY=
STEP=0
STEPS=9

help() {
    cat <<'HELP'
usage: sudo ./install.sh [--yes] [--dry-run] [--no-firewall] [--root DIR]
       sudo ./install.sh --uninstall [--purge] [--yes]

  --yes          ask nothing
  --dry-run      say what would be done, and do nothing
  --no-firewall  leave the network's doors as they are
  --root DIR     install into the system under DIR, such as the mounted card of a Raspberry Pi
  --uninstall    take Mien away; its configuration and all that was recorded stay
  --purge        with --uninstall: these too, and the packages that were installed for Mien. For good.

With a folder `wheelhouse` beside it (`make release` makes such a bundle) no network is needed but for Debian's
packages that are missing.
HELP
}

say() { printf '%s\n' "$*"; }
step() { STEP=$((STEP + 1)); printf '[%d/%d] %s\n' "$STEP" "$STEPS" "$*"; }
warn() { printf '  ! %s\n' "$*" >&2; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
run() { if [ "$DRY" ]; then say "  would run: $*"; else "$@"; fi; }
inside() { if [ "$ROOT" ]; then run chroot "$ROOT" "$@"; else run "$@"; fi; }
have() { command -v "$1" >/dev/null 2>&1; }
alive() { [ -z "$ROOT" ] && [ -d /run/systemd/system ]; }

while [ $# -gt 0 ]; do
    case $1 in
    --yes) YES=1 ;;
    --dry-run) DRY=1 ;;
    --no-firewall) FIREWALL= ;;
    --root) shift; ROOT=${1:?--root needs a folder} ;;
    --uninstall) ONLY=uninstall ;;
    --purge) PURGE=1 ;;
    # What `mien update` asks of a new release; see docs/decisions/updates.md.
    --stage | --lay) ONLY=${1#--} ;;
    --help | -h) help; exit 0 ;;
    *) help >&2; die "there is no option $1" ;;
    esac
    shift
done
ROOT=${ROOT%/}
PURGE=${PURGE-}
[ -z "$PURGE" ] || [ "$ONLY" = uninstall ] || die "--purge goes with --uninstall"
[ -z "$ROOT" ] || [ -f "$ROOT/etc/os-release" ] || die "there is no system under $ROOT: no $ROOT/etc/os-release"

OPT=$ROOT/opt/mien
ETC=$ROOT/etc/mien
STATE=$ROOT/var/lib/mien
MANIFEST=$OPT/manifest     # sha256 and path of each file laid outside of these three
ADDED=$ETC/packages        # Debian packages that came for Mien, with what they need; --purge takes them away
BEFORE=$ETC/.packages      # all that were there before, while they come
MACHINE=${MIEN_MACHINE:-$(uname -m)}

# ── what this is ─────────────────────────────────────────────────────────────────────────────────

version() { sed -n 's/^__version__ = "\(.*\)"/\1/p' "$HERE/daemon/mien/__init__.py" 2>/dev/null; }

# A bundle is its version; a checkout has the first letters of what is in it, so that a changed one is another release.
release() {
    if [ -f "$HERE/release" ]; then cat "$HERE/release"; return; fi
    sum=$(cd "$HERE" && find daemon web convert firmware_config docs requirements install.sh pyproject.toml -type f ! -path '*/__pycache__/*' |
        LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-8)
    echo "$(version)+$sum"
}

# Commit and date, for the page and for `mien --version --json`; a bundle brings them.
origin() {
    if [ -f "$HERE/build.json" ]; then cat "$HERE/build.json"; return; fi
    # Without one of its own, git would tell of the repository around it.
    where=$([ -e "$HERE/.git" ] && TZ=UTC git -c safe.directory='*' -C "$HERE" log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format='"commit": "%H", "date": "%cd"' 2>/dev/null) ||
        where='"commit": null, "date": null'
    printf '{"version": "%s", %s}\n' "$(version)" "$where"
}

# ── preflight: a sentence for each refusal ───────────────────────────────────────────────────────

# Under a read-only system (raspi-config's overlay) all that is written is memory, but the recorded is not.
lasting() {
    case " $(cat "${MIEN_CMDLINE:-/proc/cmdline}") " in
    *" boot=overlay "* | *" overlayroot=tmpfs"*)
        [ "$ROOT" ] || die "the system is read-only now, so nothing of this would outlive the next start. First: sudo raspi-config nonint disable_overlayfs && sudo reboot"
        ;;
    esac
}

# A release holds wheels for one processor and one Python.
fitting() {
    [ -d "$HERE/wheelhouse" ] || return 0
    python=$(python_version)
    [ "$python" != none ] || return 0 # it comes with the packages
    for wheel in "$HERE"/wheelhouse/numpy-*-cp"$(echo "$python" | tr -d .)"-*"$MACHINE".whl; do
        [ ! -f "$wheel" ] || return 0
    done
    die "this release is for another processor or Python than this box has; take the one called mien-…-$MACHINE-py$python.tar"
}

python_version() { inside_quiet python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' || echo none; }

preflight() {
    step "Looking whether Mien can run here"
    lasting
    [ ! -f "$OPT/update.json" ] || die "an update was broken off here. Take it back first: sudo mien update --recover"
    [ "$(id -u)" = 0 ] || [ "$DRY" ] || die "it needs the administrator's rights: sudo ./install.sh"
    case $MACHINE in
    aarch64 | x86_64) ;;
    armv6l | armv7l) die "this is a 32-bit system ($MACHINE). Flash the 64-bit Raspberry Pi OS, then run this again." ;;
    *) die "Mien runs on 64-bit ARM and x86 processors, and this is $MACHINE." ;;
    esac
    # shellcheck source=/dev/null
    . "$ROOT/etc/os-release"
    case ${VERSION_CODENAME-} in
    bookworm | trixie) ;;
    *)
        case "${ID-} ${ID_LIKE-}" in
        *debian* | *ubuntu*) warn "${PRETTY_NAME-this system} was never tried; bookworm and trixie were." ;;
        *) die "this is ${PRETTY_NAME-an unknown system}; Mien needs Raspberry Pi OS or Debian, bookworm or trixie." ;;
        esac
        ;;
    esac
    python=$(python_version)
    case $python in
    3.1[123]) ;;
    none) say "  Python is missing and comes with the packages" ;;
    *) die "Mien needs Python 3.11, 3.12 or 3.13, and python3 here is $python. Use Raspberry Pi OS or Debian, bookworm or trixie." ;;
    esac
    fitting
    free=$(df -Pk "$ROOT/opt" 2>/dev/null | awk 'NR == 2 {print int($4 / 1024)}')
    [ "${free:-9999}" -ge 1500 ] ||
        die "only $free MB are free under $ROOT/opt; the installation needs 1500. Use a larger card, or remove something."
    memory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
    [ "$ROOT" ] || [ "$memory" -ge 700 ] || die "this machine has $memory MB of memory; Mien needs a Raspberry Pi with 1 GB or more."
    if [ -z "$ROOT" ] && have vcgencmd; then
        case $(vcgencmd get_throttled 2>/dev/null) in
        throttled=0x0 | '') ;;
        *) warn "the power supply gave too little voltage since the last start; use the official one, or frames will be lost." ;;
        esac
    fi
    say "  ${PRETTY_NAME-} on $MACHINE, Python $python, $memory MB of memory, $free MB free"
}

inside_quiet() { if [ "$ROOT" ]; then chroot "$ROOT" "$@" 2>/dev/null; else "$@" 2>/dev/null; fi; }

ask() {
    [ -z "$YES" ] && [ -z "$DRY" ] || return 0
    [ -t 0 ] || die "nobody is there to ask: run it with --yes"
    printf '%s [y/N] ' "$1"
    read -r answer
    case $answer in [yYjJ]*) ;; *) die "nothing was changed" ;; esac
}

# ── packages ─────────────────────────────────────────────────────────────────────────────────────

PACKAGES="python3-venv python3-systemd mosquitto nginx openssl avahi-daemon qrencode fonts-dejavu-core openssh-client"

packages() {
    step "Debian's packages"
    wanted=$PACKAGES
    [ -z "$FIREWALL" ] || wanted="$wanted nftables"
    missing=
    for package in $wanted; do installed "$package" || missing="$missing $package"; done
    extra=libedgetpu1-std  # where its repository is configured
    # On Raspberry Pi OS: its camera, and the pins of the privacy light.
    ! available python3-picamera2 || extra="$extra python3-picamera2 python3-gpiozero python3-lgpio"
    for package in $extra; do
        installed "$package" || ! available "$package" || { wanted="$wanted $package"; missing="$missing $package"; }
    done
    if [ -z "$missing" ]; then
        say "  all are there"
        [ "$DRY" ] || note_packages
        return
    fi
    say "  installing:$missing"
    [ "$DRY" ] || { mkdir -p "$ETC"; [ -f "$BEFORE" ] || all_packages >"$BEFORE"; }
    # A plug pulled while packages were installed leaves this to do.
    [ -z "$(inside_quiet dpkg --audit)" ] || inside env DEBIAN_FRONTEND=noninteractive dpkg --configure -a >/dev/null || true
    # shellcheck disable=SC2086 # a list of words
    if ! apt update || ! apt install --yes --no-install-recommends $missing; then
        die "apt could not install these packages (see above). Is the network up? Does another program install now? Then run this again."
    fi
    [ "$DRY" ] || note_packages
}

# What came since, now or in a run that was broken off. What a person asked for meanwhile is theirs.
note_packages() {
    [ -f "$BEFORE" ] || return 0
    { cat "$ADDED" 2>/dev/null || true
        for package in $wanted; do echo "$package"; done | LC_ALL=C sort | LC_ALL=C comm -23 - "$BEFORE"
        inside_quiet apt-mark showauto | LC_ALL=C sort | LC_ALL=C comm -23 - "$BEFORE"; } | LC_ALL=C sort -u >"$ADDED.new"
    mv "$ADDED.new" "$ADDED"
    rm "$BEFORE"
}

# shellcheck disable=SC2016 # dpkg's own placeholder
installed() { [ "$(inside_quiet dpkg-query -W -f '${db:Status-Status}' "$1")" = installed ]; }
# shellcheck disable=SC2016 # dpkg's own placeholder
all_packages() { inside_quiet dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | LC_ALL=C sort; }
available() { inside_quiet apt-cache -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= show "$1" >/dev/null; }
apt() { inside env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o APT::Keep-Downloaded-Packages=false -o Dpkg::Options::=--force-confold "$@" >/dev/null; }

# ── the program ──────────────────────────────────────────────────────────────────────────────────

stage() {
    step "The program, release $RELEASE"
    target=$OPT/releases/$RELEASE
    if [ -f "$target/.complete" ]; then say "  is there"; return; fi
    [ -z "$DRY" ] || { say "  would make $target"; return; }
    rm -rf "$target"
    mkdir -p "$target/share/mien"
    cp -R "$CONFIG" "$HERE/docs" "$HERE/install.sh" "$HERE/LICENSE" "$HERE/NOTICE" "$target/share/mien/"
    echo "$RELEASE" >"$target/share/mien/release"
    origin >"$target/share/mien/build.json"
    [ ! -f "$HERE/sbom.cdx.json" ] || cp "$HERE/sbom.cdx.json" "$target/share/mien/"
    where=${target#"$ROOT"}
    # Debian's own picamera2 and systemd modules are seen from inside.
    inside python3 -m venv --system-site-packages "$where" || die "the virtual environment could not be made"
    source=$HERE
    if [ "$ROOT" ]; then
        source=/tmp/mien-source
        rm -rf "$ROOT$source"
        cp -R "$HERE" "$ROOT$source"
    fi
    # Not in /tmp, which is memory: it would not hold all of it on a small Raspberry Pi.
    mkdir "$target/tmp"
    if [ -d "$HERE/wheelhouse" ]; then
        set -- "$source/wheelhouse/$(basename "$HERE"/wheelhouse/mien-*.whl)"
    else
        say "  fetching what it needs from Python's registry: a few minutes on a Raspberry Pi"
        pip --target "$where/tmp/build" --require-hashes --requirement "$source/requirements/build.txt"
        set -- --no-build-isolation "$source"
    fi
    # What Debian has of the same version is installed all the same: apt may change that one later.
    pip --ignore-installed --require-hashes --requirement "$source/requirements/box.txt"
    pip "$@"
    rm -rf "$target/tmp"
    [ -z "$ROOT" ] || rm -rf "$ROOT$source"
    # The .pyc files are made now: the services may not write here.
    inside "$where/bin/python" -m compileall -q "$where/lib" >/dev/null || true
    inside "$where/bin/python" -m mien --version >/dev/null || die "the program does not start (see above); tell the maintainers"
    sync
    touch "$target/.complete"
    sync
}

# Exactly what the lock names, by its hash; a sentence for what fails.
pip() {
    [ ! -d "$HERE/wheelhouse" ] || set -- --no-index --find-links "$source/wheelhouse" "$@"
    inside env TMPDIR="$where/tmp" PYTHONPATH="$where/tmp/build" sh "$source/requirements/pip.sh" "$where/bin/python" --no-cache-dir "$@" ||
        die "the program's packages could not be installed (see above). Then run this again."
}

models() {
    step "The face model"
    dir=$STATE/models
    if [ -d "$HERE/models/blazeface" ]; then
        run mkdir -p "$dir"
        run cp -R "$HERE/models/blazeface" "$dir/"
    else
        inside env STATE_DIRECTORY=/var/lib/mien "/opt/mien/releases/$RELEASE/bin/python" -m mien models fetch ||
            warn "the face model could not be fetched; later: sudo mien models fetch"
    fi
    inside chown -R mien:mien /var/lib/mien
}

# ── files of the system ──────────────────────────────────────────────────────────────────────────

# Where each file of firmware_config goes.
FILES='systemd/mien.service /usr/local/lib/systemd/system/mien.service
systemd/mien-web.service /usr/local/lib/systemd/system/mien-web.service
systemd/mien-web.socket /usr/local/lib/systemd/system/mien-web.socket
systemd/mien-certificates.service /usr/local/lib/systemd/system/mien-certificates.service
systemd/mien-certificates.timer /usr/local/lib/systemd/system/mien-certificates.timer
systemd/mien-backup.service /usr/local/lib/systemd/system/mien-backup.service
systemd/mien-backup.timer /usr/local/lib/systemd/system/mien-backup.timer
systemd/mien-health.service /usr/local/lib/systemd/system/mien-health.service
systemd/mien-health.timer /usr/local/lib/systemd/system/mien-health.timer
systemd/mien-tidy.service /usr/local/lib/systemd/system/mien-tidy.service
systemd/mien-tidy.timer /usr/local/lib/systemd/system/mien-tidy.timer
systemd/mien-recover.service /usr/local/lib/systemd/system/mien-recover.service
systemd/mien-firewall.service /usr/local/lib/systemd/system/mien-firewall.service
systemd/tmp.mount /usr/local/lib/systemd/system/tmp.mount
sysusers/mien.conf /usr/local/lib/sysusers.d/mien.conf
nginx/mien.conf /etc/nginx/conf.d/mien.conf
mosquitto/mien.conf /etc/mosquitto/conf.d/mien.conf
mosquitto/mien.acl /etc/mosquitto/mien.acl
nftables/firewall.nft /etc/mien/firewall.nft
avahi/mien.service /etc/avahi/services/mien.service
journald/mien.conf /etc/systemd/journald.conf.d/mien.conf
watchdog/mien.conf /etc/systemd/system.conf.d/mien.conf
udev/60-mien.rules /etc/udev/rules.d/60-mien.rules
mien /usr/local/bin/mien'

lay() {
    step "Files of the system"
    new=$MANIFEST.new
    # Who did without the firewall does without it in the next release too.
    [ ! -f "$MANIFEST" ] || grep -q ' /etc/mien/firewall.nft' "$MANIFEST" || FIREWALL=
    [ "$DRY" ] || { mkdir -p "$OPT"; : >"$new"; }
    printf '%s\n' "$FILES" | while read -r from to; do
        case $to in
        */firewall.nft | */mien-firewall.service) [ "$FIREWALL" ] || continue ;;
        */tmp.mount) temporary_by_us || continue ;;
        esac
        place "$CONFIG/$from" "$to"
    done
    [ "$DRY" ] || mv "$new" "$MANIFEST"
    boot
    default_site
}

# Where neither the system nor a person has said what /tmp is.
temporary_by_us() {
    [ ! -f "$ROOT/usr/lib/systemd/system/tmp.mount" ] && [ ! -f "$ROOT/etc/systemd/system/tmp.mount" ] &&
        ! grep -Eqs '^[^#]+[[:space:]]/tmp[[:space:]]' "$ROOT/etc/fstab"
}

# Put a file in its place, unless somebody changed ours there: then ours lies beside it.
place() {
    from=$1 to=$2 dest=$ROOT$2
    sum=$(sha256sum <"$from" | cut -d' ' -f1)
    mode=644
    case $to in */bin/*) mode=755 ;; esac
    if [ -f "$dest" ]; then
        there=$(sha256sum <"$dest" | cut -d' ' -f1)
        if [ "$there" != "$sum" ] && ! grep -qs "^$there $to\$" "$MANIFEST"; then
            warn "$to was changed by hand and stays; what this release would have there is $to.mien-new"
            [ "$DRY" ] || { install -m "$mode" "$from" "$dest.mien-new"; echo "$sum $to.mien-new" >>"$new"; echo "edited $to" >>"$new"; }
            return
        fi
        [ "$there" != "$sum" ] || { [ "$DRY" ] || echo "$sum $to" >>"$new"; return; }
    fi
    run install -D -m "$mode" "$from" "$dest"
    [ "$DRY" ] || echo "$sum $to" >>"$new"
}

boot() {
    file=$ROOT/boot/firmware/config.txt
    [ -f "$file" ] || return 0
    [ -z "$DRY" ] || { say "  would write our lines into /boot/firmware/config.txt"; return 0; }
    { sed '/^# mien begin/,/^# mien end/d' "$file"; echo "# mien begin (by install.sh; changes between the marks are lost)"; echo "[all]"
        cat "$CONFIG/boot/config.txt"; echo "# mien end"; } >"$file.mien"
    if cmp -s "$file" "$file.mien"; then rm "$file.mien"; else mv "$file.mien" "$file"; say "  /boot/firmware/config.txt: counts at the next start"; fi
}

# Debian's welcome page listens where ours does.
default_site() {
    site=$ROOT/etc/nginx/sites-enabled/default
    [ -L "$site" ] || return 0
    run rm "$site"
    [ "$DRY" ] || touch "$OPT/nginx-default"
}

# ── what is this box's own ───────────────────────────────────────────────────────────────────────

own() {
    step "User, keys, passwords and certificate of this box"
    inside systemd-sysusers /usr/local/lib/sysusers.d/mien.conf
    [ -z "$DRY" ] || { say "  would make what is missing under /etc/mien and /var/lib/mien"; return; }
    mkdir -p "$ETC" "$STATE"
    chmod 755 "$ETC"
    chmod 750 "$STATE"
    if [ ! -s "$ETC/store-key" ]; then
        # A key of a box that ran without this script is taken over.
        if [ -s "$STATE/store.key" ]; then mv "$STATE/store.key" "$ETC/store-key"; else secret 32 >"$ETC/store-key"; fi
    fi
    chmod 400 "$ETC/store-key"
    for user in mien home; do
        file=$ETC/mqtt-$user
        [ -s "$file" ] && [ -s "$ROOT/etc/mosquitto/mien.passwd" ] && grep -qs "^$user:" "$ROOT/etc/mosquitto/mien.passwd" && continue
        secret 18 >"$file"
        [ -f "$ROOT/etc/mosquitto/mien.passwd" ] || install -m 600 /dev/null "$ROOT/etc/mosquitto/mien.passwd"
        inside mosquitto_passwd -b /etc/mosquitto/mien.passwd "$user" "$(cat "$file")"
    done
    chmod 640 "$ROOT/etc/mosquitto/mien.passwd"
    inside chown root:mosquitto /etc/mosquitto/mien.passwd
    chmod 600 "$ETC/mqtt-home"
    chmod 640 "$ETC/mqtt-mien"
    inside chown root:mien /etc/mien/mqtt-mien
    # Whose releases this box takes. Yours to add to.
    [ -f "$ETC/allowed_signers" ] || install -m 644 "$CONFIG/allowed_signers" "$ETC/allowed_signers"
    if [ ! -f "$ETC/mien.toml" ]; then
        install -m 644 "$CONFIG/mien.toml" "$ETC/mien.toml"
    else
        new_keys
    fi
    inside chown -R mien:mien /var/lib/mien
    inside env ${ROOT:+"CARD=$(cat "$ROOT/etc/hostname" 2>/dev/null || echo mien)"} \
        "/opt/mien/releases/$RELEASE/share/mien/firmware_config/certificates.sh"
}

secret() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; echo; }

# Keys that the release before did not know, for the reader of mien.toml.
new_keys() {
    former=$(readlink "$OPT/current" 2>/dev/null || true)
    [ -n "$former" ] && [ -f "$OPT/$former/share/mien/docs/configuration.md" ] || return 0
    for file in "$OPT/$former" "$OPT/releases/$RELEASE"; do
        awk '/^## \[/ {s = $2} /^\| `/ {split($0, a, "`"); print s, a[2]}' "$file/share/mien/docs/configuration.md" | sort >"$OPT/keys.$(basename "$file")"
    done
    added=$(comm -13 "$OPT/keys.$(basename "$former")" "$OPT/keys.$RELEASE")
    rm -f "$OPT"/keys.*
    [ -z "$added" ] || say "  new keys that mien.toml may have (docs/configuration.md): $(echo "$added" | tr '\n' ',' | sed 's/,$//; s/,/, /g')"
}

# ── switching over ───────────────────────────────────────────────────────────────────────────────

lead() { ln -sfn "releases/$RELEASE" "$OPT/.$1" && mv -T "$OPT/.$1" "$OPT/$1"; }

flip() {
    step "Release $RELEASE becomes the one that runs"
    [ -z "$DRY" ] || { say "  would lead /opt/mien/current to releases/$RELEASE"; return; }
    lead updater # what takes a broken-off update back
    inside "/opt/mien/releases/$RELEASE/bin/python" -m mien check /etc/mien/mien.toml ||
        die "/etc/mien/mien.toml cannot be used (see above), so nothing was switched; mend it and run this again"
    now=$(readlink "$OPT/current" 2>/dev/null || true)
    if [ "$now" = "releases/$RELEASE" ]; then say "  it is"; return; fi
    [ -z "$now" ] || { ln -sfn "$now" "$OPT/.previous" && mv -T "$OPT/.previous" "$OPT/previous"; }
    lead current
    sync
}

OURS="mien-recover.service mien-certificates.timer mien-certificates.service mien-backup.timer mien-health.timer mien-tidy.timer mien-web.socket mien.service mien-web.service"

start() {
    step "Starting"
    units="$OURS mosquitto.service nginx.service avahi-daemon.service"
    [ -z "$FIREWALL" ] || units="mien-firewall.service $units"
    ! temporary_by_us || units="tmp.mount $units"
    # shellcheck disable=SC2086 # a list of words
    run systemctl --root "${ROOT:-/}" enable --quiet $units
    if ! alive; then
        say "  they start with the system"
        return
    fi
    run systemctl daemon-reload
    run udevadm control --reload 2>/dev/null || true
    run systemctl restart systemd-journald || true
    [ -z "$FIREWALL" ] || run systemctl restart mien-firewall || warn "the firewall does not start here; see: systemctl status mien-firewall"
    run systemctl restart mosquitto || warn "the broker does not start; see: journalctl -u mosquitto"
    run systemctl restart nginx || warn "nginx does not start; does another program use port 80 or 443? See: journalctl -u nginx"
    run systemctl restart avahi-daemon || warn "the box has no name in the network (avahi); its address works"
    run systemctl start mien-certificates.timer mien-backup.timer mien-health.timer mien-tidy.timer mien-web.socket
    run systemctl restart mien mien-web || die "Mien does not start; see: journalctl -u mien -u mien-web -n 50"
}

# This release and the one before stay.
prune() {
    [ -z "$DRY" ] || return 0
    for folder in "$OPT"/releases/*; do
        case releases/${folder##*/} in
        "$(readlink "$OPT/current")" | "$(readlink "$OPT/previous")") ;;
        *) rm -rf "$folder" ;;
        esac
    done
}

tell() {
    step "Done"
    [ -z "$DRY" ] || return 0
    name=$(cat "$ROOT/etc/hostname" 2>/dev/null || hostname)
    say ""
    say "  The page:        https://$name.local/"
    [ "$ROOT" ] || for address in $(hostname -I 2>/dev/null); do case $address in *:*) ;; *) say "                   https://$address/" ;; esac; done
    if alive && have qrencode; then
        first=$(hostname -I 2>/dev/null | awk '{print $1}')
        qrencode -t UTF8 -m 2 "https://${first:-$name.local}/" || true
    fi
    code=$(wait_for_code)
    [ -z "$code" ] || say "  The code for the first visit: $code"
    if [ -f "$ETC/tls/ca.crt" ]; then
        say "  A tablet warns at first, because it does not know this box. Its authority has the fingerprint"
        say "  $(openssl x509 -in "$ETC/tls/ca.crt" -noout -fingerprint -sha256 | cut -d= -f2)"
        say "  and https://$name.local/trust shows how to trust it."
    fi
    say "  Home Assistant:  broker $name.local, port 8883 with TLS, user home, password in /etc/mien/mqtt-home"
    say "  Is all well?     sudo mien doctor"
}

wait_for_code() {
    alive || return 0
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ -s "$STATE/first-run-code" ] && { cat "$STATE/first-run-code"; return; }
        sleep 1
    done
}

# ── taking it away ───────────────────────────────────────────────────────────────────────────────

uninstall() {
    [ "$(id -u)" = 0 ] || [ "$DRY" ] || die "it needs the administrator's rights: sudo ./install.sh --uninstall"
    ask "Take Mien away${PURGE:+ with everything it recorded, for good}?"
    STEPS=3
    step "Stopping"
    if alive; then
        run /usr/local/bin/mien mqtt clear 2>/dev/null || true
        # shellcheck disable=SC2086 # a list of words
        run systemctl stop mien-firewall.service $OURS 2>/dev/null || true
    fi
    units="mien-firewall.service $OURS"
    [ ! -f "$ROOT/usr/local/lib/systemd/system/tmp.mount" ] || units="tmp.mount $units"
    # shellcheck disable=SC2086 # a list of words
    run systemctl --root "${ROOT:-/}" disable --quiet $units 2>/dev/null || true
    step "Removing files"
    if [ -f "$MANIFEST" ]; then
        while read -r sum path; do
            [ -f "$ROOT$path" ] || continue
            there=$(sha256sum <"$ROOT$path" | cut -d' ' -f1)
            if [ "$there" = "$sum" ] || [ "$PURGE" ]; then run rm -f "$ROOT$path"; else warn "$path was changed by hand and stays"; fi
        done <"$MANIFEST"
    fi
    if [ -f "$OPT/nginx-default" ] && [ -f "$ROOT/etc/nginx/sites-available/default" ]; then
        run ln -sf /etc/nginx/sites-available/default "$ROOT/etc/nginx/sites-enabled/default"
    fi
    [ ! -f "$ROOT/boot/firmware/config.txt" ] || run sed -i '/^# mien begin/,/^# mien end/d' "$ROOT/boot/firmware/config.txt"
    # A broker whose config stays needs them.
    [ -f "$ROOT/etc/mosquitto/conf.d/mien.conf" ] || run rm -f "$ROOT/etc/mosquitto/certs/mien.crt" "$ROOT/etc/mosquitto/certs/mien.key"
    wanted="$PACKAGES nftables"
    [ "$DRY" ] || note_packages
    added=
    [ ! -f "$ADDED" ] || added=$(while read -r package; do ! installed "$package" || printf ' %s' "$package"; done <"$ADDED")
    run rm -rf "$OPT" "$ROOT/run/mien" "$ROOT/run/mien-web.sock"
    for folder in /usr/local/lib/systemd/system /usr/local/lib/systemd /usr/local/lib/sysusers.d /etc/systemd/journald.conf.d /etc/systemd/system.conf.d; do
        [ ! -d "$ROOT$folder" ] || run rmdir --ignore-fail-on-non-empty "$ROOT$folder"
    done
    if [ "$PURGE" ]; then
        run rm -rf "$ETC" "$STATE" "$ROOT/etc/mosquitto/mien.passwd"
        run rm -rf "$ROOT"/etc/systemd/system/mien*.d "$ROOT"/var/lib/systemd/timers/stamp-mien-*.timer
        inside userdel mien 2>/dev/null || true
        drop_packages
    fi
    if alive; then
        run systemctl daemon-reload
        for unit in mosquitto nginx avahi-daemon systemd-journald; do run systemctl try-restart "$unit" 2>/dev/null || true; done
    fi
    step "Done"
    [ "$PURGE" ] || say "  /etc/mien and /var/lib/mien stay, with all that was recorded; --uninstall --purge takes them too"
}

# All that came for Mien, unless something else needs a part of it by now: then they stay.
drop_packages() {
    [ -n "$added" ] || return 0
    # shellcheck disable=SC2086 # a list of words
    others=$(inside_quiet env LC_ALL=C apt-get -s purge $added | awk '/^(Purg|Remv) / {print $2}' |
        while read -r package; do case " $added " in *" $package "*) ;; *) printf ' %s' "$package" ;; esac; done)
    if [ -n "$others" ]; then
        warn "these were installed for Mien and stay, for others need some of them:$others"
        say " $added"
        return
    fi
    # shellcheck disable=SC2086 # a list of words
    apt purge --yes $added || warn "these packages stay:$added"
}

# ── in order ─────────────────────────────────────────────────────────────────────────────────────

[ "$ONLY" != uninstall ] || [ -d "$OPT" ] || { [ "$PURGE" ] && [ -d "$ETC" ]; } || die "Mien is not installed: there is no $OPT"
if [ -z "$DRY" ] && [ -z "${MIEN_LOCKED-}" ] && [ "$(id -u)" = 0 ]; then
    mkdir -p "$ROOT/run/lock"
    exec 9>"$ROOT/run/lock/mien-install"
    flock -n 9 || die "another installation or update is running; wait for it"
fi
if [ "$ONLY" = uninstall ]; then uninstall; exit; fi

RELEASE=$(release)
[ -n "$RELEASE" ] || die "this folder is no release of Mien: there is neither daemon/mien nor a file \`release\` beside install.sh"
case $ONLY in
stage) STEPS=2; lasting; fitting; packages; stage; exit ;;
lay) STEPS=1; lay; exit ;;
esac
preflight
ask "Install Mien $RELEASE here?"
packages
stage
lay
own
models
flip
start
prune
tell
