#!/usr/bin/env bash
# Write SHA256SUMS for the installers of a folder: checksums.sh FOLDER
# Readers check with `sha256sum --check SHA256SUMS` (Linux), `shasum -a 256 -c` (macOS) or
# `certutil -hashfile FILE SHA256` (Windows).
set -euo pipefail
cd "$1"
find . -maxdepth 1 -type f \( -name '*.deb' -o -name '*.tar.zst' -o -name '*.exe' -o -name '*.bin' \
  -o -name '*.dmg' -o -name '*.cdx.json' \) -printf '%P\n' | LC_ALL=C sort |
  xargs -d '\n' sha256sum >SHA256SUMS
cat SHA256SUMS
