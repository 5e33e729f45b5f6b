#!/usr/bin/env bash
# Make the portable archive of a frozen folder: build_archive.sh FROZEN_FOLDER OUT_FOLDER
# Unpacked anywhere, mitoscope-VERSION/mitoscope starts. Prints the file's name.
set -euo pipefail
frozen=$(realpath "$1")
out=$(realpath "$2")
root=$(cd "$(dirname "$0")/../../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml" | head -1)
name="mitoscope-$version-linux-$(uname -m)"
licences=$(mktemp -d)
trap 'rm -rf "$licences"' EXIT
cp "$root/LICENSE" "$root/resources/weights/LICENSE-WEIGHTS.md" "$licences"
# Everybody may read it, its owner may delete it again, and the owner's name stays here.
tar --create --owner=0 --group=0 --mode=u+w,go+r --sort=name \
  --transform="flags=rSh;s,^\.,$name," \
  --directory="$frozen" . --directory="$licences" ./LICENSE ./LICENSE-WEIGHTS.md |
  zstd --quiet -T0 -"${MITOSCOPE_ZSTD:-6}" --force -o "$out/$name.tar.zst"
echo "$out/$name.tar.zst"
