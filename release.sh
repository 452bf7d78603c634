#!/bin/sh
# Makes a release: everything install.sh needs but Debian's own packages, with a signed list of checksums.
#   release.sh KEY [ARCH] [PYTHON]   KEY: ssh private key; ARCH: x86_64 or aarch64; PYTHON: 3.11 (bookworm) or 3.13 (trixie)
# Writes dist/mien-VERSION-ARCH-pyPYTHON.tar
set -eu
cd "$(dirname "$0")"
key=${1:?usage: release.sh KEY [ARCH] [PYTHON]}
arch=${2:-$(uname -m)}
python=${3:-3.11}
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' daemon/mien/__init__.py)
# pip takes the conditions on Python's version from the one that runs it.
pip="${PIP:-python$python -m pip} --disable-pip-version-check --quiet"
name=mien-$version-$arch-py$python
work=build/$name
rm -rf "$work"
mkdir -p "$work/wheelhouse" dist

echo "release: the program"
$pip wheel --no-deps --wheel-dir "$work/wheelhouse" .
echo "release: the packages it needs, for $arch and Python $python"
# shellcheck disable=SC2086 # a list of words
$pip download --dest "$work/wheelhouse" --only-binary :all: --python-version "$python" --implementation cp \
    --platform "manylinux_2_28_$arch" --platform "manylinux_2_17_$arch" --platform "manylinux2014_$arch" --platform "manylinux_2_27_$arch" \
    --platform "manylinux_2_34_$arch" --platform "manylinux_2_36_$arch" --find-links "$work/wheelhouse" 'mien[web]'
echo "release: the face model"
STATE_DIRECTORY=build/state ${MIEN:-python3 -m mien} models fetch >/dev/null
mkdir -p "$work/models"
cp -R build/state/models/blazeface "$work/models/"
cp -R install.sh firmware_config docs LICENSE NOTICE README.md "$work/"
echo "$version" >"$work/release"
find "$work" -name __pycache__ -prune -exec rm -rf {} +

echo "release: checksums and signature"
(cd "$work" && find . -type f ! -name 'SHA256SUMS*' | sed 's|^\./||' | LC_ALL=C sort | xargs -d '\n' sha256sum >SHA256SUMS)
ssh-keygen -q -Y sign -f "$key" -n mien-release "$work/SHA256SUMS"
tar -C build --owner=0 --group=0 --sort=name -cf "dist/$name.tar" "$name"
echo "release: dist/$name.tar, $(du -h "dist/$name.tar" | cut -f1)"
