"""Runs README's two commands in a Debian that has git, make and Python and nothing else.

    bare.py [--quick] SUITE…

A clone of this repository's last commit is made in a fresh root file system of each suite, such as
trixie or bookworm. `make run` must bring up the page there, and `make test` must pass; with
`--quick` the quick tests alone. It needs root and debootstrap. What it keeps, in the cache folder
of `box`, is the untouched root file system and what pip and apt fetched: pip checks that by its
hash and apt by its signature. Tests that need nested containers are left to `make test` outside.
"""

import argparse
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import box

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = "ca-certificates,git,make,python3"
PAGE_S = 900  # until the page must answer, with everything fetched

# Entered with a root file system of its own; its processes end with the script.
_ENTER = """
mount -t overlay overlay -o lowerdir={lower},upperdir={work}/upper,workdir={work}/work {work}/root
cd {work}/root
mount -t proc proc proc
mount --rbind /dev dev
mount --bind {work}/tmp tmp
mkdir -p var/cache/apt/archives root/.cache/pip srv/mien
mount --bind {cache}/pip root/.cache/pip
mount --bind {cache}/apt-{suite} var/cache/apt/archives
mount --bind -o ro {repository} srv/mien
exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    {settings} sh /start
"""
# As the README says. git wants to be told that another user's folder is meant.
_START = """
set -eu
git config --global --add safe.directory '*'
git clone -q /srv/mien /root/mien && cd /root/mien
python3 -c 'import os; os.setpgid(0, 0); os.execvp("make", ["make", "run"])' >/tmp/run.log 2>&1 &
run=$!
address=
for second in $(seq {page_s}); do
    address=$(sed -n 's|.*\\(http://localhost:[0-9]*/\\).*|\\1|p' /tmp/run.log | head -1)
    if [ "$address" ] && python3 -c "
import sys, urllib.request
page = urllib.request.urlopen(sys.argv[1], timeout=5).read().decode()
sys.exit('<html' not in page)" "$address" 2>/dev/null; then break; fi
    kill -0 $run 2>/dev/null || {{ cat /tmp/run.log; echo "bare: make run ended"; exit 1; }}
    sleep 1
done
cat /tmp/run.log
test "$second" -lt {page_s} || {{ echo "bare: no page after {page_s} s"; exit 1; }}
echo "bare: make run: the page answers at $address after $second s"
# Ctrl-C in a terminal goes to all of them.
kill -INT -$run
wait $run || true
{tests}
"""


def check(suite: str, quick: bool) -> int:
    """Run both commands in one suite and return the exit status."""
    lower = box.rootfs(suite, PACKAGES, "-bare")
    begin = time.monotonic()
    for name in ("pip", f"apt-{suite}/partial"):
        (box.CACHE / name).mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"bare-{suite}-", dir=box.CACHE))
    try:
        for name in ("upper", "work", "root", "tmp"):
            (work / name).mkdir()
        (work / "tmp").chmod(0o1777)
        settings = _settle(work / "upper", suite)
        tests = "make quick" if quick else "make test"
        _put(work / "upper" / "start", _START.format(page_s=PAGE_S, tests=tests))
        script = _ENTER.format(
            lower=lower, work=work, cache=box.CACHE, suite=suite, repository=ROOT, settings=settings
        )
        command = ["unshare", "-m", "-p", "-f", "--kill-child", "--propagation", "private"]
        status = subprocess.run([*command, "sh", "-ec", script]).returncode
    finally:
        shutil.rmtree(work, ignore_errors=True)
    words = "passed" if status == 0 else f"FAILED with {status}"
    print(f"bare: {suite}: {words} in {time.monotonic() - begin:.0f} s", flush=True)
    return status


def _settle(upper: Path, suite: str) -> str:
    """Write how this machine reaches the registries; the environment variables that say it, too."""
    _put(upper / "etc/apt/sources.list.d/debian.sources", box.apt_sources(suite))
    _put(upper / "etc/apt/sources.list", "")
    # What apt fetched is kept for the next time.
    keep = 'APT::Keep-Downloaded-Packages "true";\n'
    keep += f"Binary::apt::{keep}"
    _put(upper / "etc/apt/apt.conf.d/90bare", box.apt_settings() + keep)
    with suppress(OSError):
        _put(upper / "etc/resolv.conf", Path("/etc/resolv.conf").read_text())
    pip = "[global]\n"
    if trusted := os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile:
        _put(upper / "etc/ssl/certs/outside.crt", Path(trusted).read_text())
        pip += "cert = /etc/ssl/certs/outside.crt\n"
    _put(upper / "etc/pip.conf", pip)
    names = [name for name in os.environ if re.fullmatch(r"(?i)(https?|no)_proxy", name)]
    return " ".join(f"{name}='{os.environ[name]}'" for name in names)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def main() -> int:
    """Check the suites that the command line names and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the quick tests alone")
    parser.add_argument("suites", nargs="+", metavar="SUITE")
    args = parser.parse_args()
    if why := box.why_not(tools=("debootstrap", "unshare", "mount")):
        print(f"bare: NOT CHECKED in a bare machine: {why}")
        return 1
    return max(check(suite, args.quick) for suite in args.suites)


if __name__ == "__main__":
    sys.exit(main())
