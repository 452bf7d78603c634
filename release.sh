#!/bin/sh
# Makes a release: everything install.sh needs but Debian's own packages, with a signed list of checksums.
#   release.sh KEY [ARCH] [PYTHON]   KEY: ssh private key; ARCH: x86_64 or aarch64; PYTHON: 3.11 (bookworm) or 3.13 (trixie)
# Writes dist/mien-VERSION-ARCH-pyPYTHON.tar. One commit gives one archive, byte for byte, but for another key's signature.
set -eu
cd "$(dirname "$0")"
key=${1:?usage: release.sh KEY [ARCH] [PYTHON]}
arch=${2:-$(uname -m)}
version_of_python=${3:-3.11}
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' daemon/mien/__init__.py)
die() { printf 'release: %s\n' "$*" >&2; exit 1; }

# pip takes the conditions on Python's version from the one that runs it.
python=${PYTHON:-python$version_of_python}
command -v "$python" >/dev/null || die "it needs Python $version_of_python: there is no $python here"
[ "$("$python" -c 'import sys; print(*sys.version_info[:2], sep=".")')" = "$version_of_python" ] || die "$python is not Python $version_of_python"
! grep -q 'FILL IN' SECURITY.md || die "SECURITY.md names nobody to write to yet. Fill in its address, then commit it."

# What git says of this commit; outside of a checkout what whoever calls says.
if [ -e .git ]; then
    [ -z "$(git status --porcelain)" ] || die "this checkout has changes that are in no commit (git status). Commit them, or take them back."
    commit=$(git rev-parse HEAD)
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
else
    commit=${COMMIT:-unknown}
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(date +%s)}
fi
export SOURCE_DATE_EPOCH
date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

name=mien-$version-$arch-py$version_of_python
work=build/$name
tools=build/tools-py$version_of_python
rm -rf "$work"
mkdir -p "$work/wheelhouse" "$work/models" dist
pip() { PYTHONPATH=$tools "$python" -m pip --disable-pip-version-check --quiet "$@"; }

echo "release: the program"
if [ ! -f "$tools/.lock" ] || ! cat requirements/build.txt requirements/sbom.txt | cmp -s - "$tools/.lock"; then
    rm -rf "$tools"
    for lock in build sbom; do
        sh requirements/pip.sh "$python" --target "$tools" --upgrade --require-hashes --requirement "requirements/$lock.txt"
    done
    cat requirements/build.txt requirements/sbom.txt >"$tools/.lock"
fi
pip wheel --no-deps --no-build-isolation --wheel-dir "$work/wheelhouse" .
echo "release: the packages it needs, for $arch and Python $version_of_python"
# The C library of bookworm is 2.36.
platforms=
for glibc in 2_36 2_35 2_34 2_31 2_28 2_27 2_24 2_17; do platforms="$platforms --platform manylinux_${glibc}_$arch"; done
# shellcheck disable=SC2086 # a list of words
pip download --dest "$work/wheelhouse" --no-deps --require-hashes --only-binary :all: --python-version "$version_of_python" \
    --implementation cp $platforms --platform "manylinux2014_$arch" --requirement requirements/box.txt
echo "release: the face model"
STATE_DIRECTORY=build/state ${MIEN:-python3 -m mien} models fetch >/dev/null
cp -R build/state/models/blazeface "$work/models/"
cp -R install.sh firmware_config requirements docs LICENSE NOTICE README.md SECURITY.md CHANGELOG.md "$work/"
find "$work" -name __pycache__ -prune -exec rm -rf {} +
echo "$version" >"$work/release"
printf '{"version": "%s", "commit": "%s", "date": "%s"}\n' "$version" "$commit" "$date" >"$work/build.json"
echo "release: what is in it, as sbom.cdx.json"
PYTHONPATH=$tools "$python" requirements/sbom.py "$work" "$version_of_python" "$arch"

echo "release: checksums and signature"
chmod -R u=rwX,go=rX "$work"
(cd "$work" && find . -type f ! -name 'SHA256SUMS*' | sed 's|^\./||' | LC_ALL=C sort | xargs -d '\n' sha256sum >SHA256SUMS)
ssh-keygen -q -Y sign -f "$key" -n mien-release "$work/SHA256SUMS"
tar -C build --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --format=gnu --sort=name -cf "dist/$name.tar" "$name"
echo "release: dist/$name.tar, $(du -h "dist/$name.tar" | cut -f1)"
