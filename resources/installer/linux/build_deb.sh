#!/usr/bin/env bash
# Make the .deb of a frozen folder: build_deb.sh FROZEN_FOLDER OUT_FOLDER
# Prints the file's name. Needs dpkg-deb, and no root: files belong to root in the package.
set -euo pipefail
frozen=$(realpath "$1")
out=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
resources=$(realpath "$here/../..")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$resources/../pyproject.toml" | head -1)
architecture=$(dpkg --print-architecture)
# What this machine's Python and system libraries were built against is the oldest that will do.
libc=$(ldd --version | sed -n '1s/.* //p')

# Beside the result: hard links instead of a second copy of some gigabytes.
stage=$(mktemp -d "$out/deb.XXXXXX")
# Only folders: the files are the frozen folder's own, by hard links.
trap 'find "$stage" -type d -exec chmod u+w {} +; rm -rf "$stage"' EXIT
chmod 755 "$stage"
place() { install -D -m "$1" "$2" "$stage/$3"; }
mkdir -p "$stage/opt" "$stage/usr/bin" "$stage/DEBIAN"
link=--link
[ "$(stat -c %d "$frozen")" = "$(stat -c %d "$stage")" ] || link=--  # another file system: copies
cp -a $link "$frozen" "$stage/opt/mitoscope"
ln -s ../../opt/mitoscope/mitoscope "$stage/usr/bin/mitoscope"
place 644 "$here/mitoscope.desktop" usr/share/applications/mitoscope.desktop
place 644 "$here/mitoscope-mime.xml" usr/share/mime/packages/mitoscope.xml
place 644 "$resources/icons/mitoscope.svg" usr/share/icons/hicolor/scalable/apps/mitoscope.svg
for size in 16 32 48 64 128 256; do
  place 644 "$resources/icons/mitoscope-$size.png" \
    "usr/share/icons/hicolor/${size}x${size}/apps/mitoscope.png"
done
place 644 "$here/copyright" usr/share/doc/mitoscope/copyright
place 644 "$resources/../LICENSE" usr/share/doc/mitoscope/LICENSE
place 644 "$resources/weights/LICENSE-WEIGHTS.md" usr/share/doc/mitoscope/LICENSE-WEIGHTS.md
place 755 "$here/postinst" DEBIAN/postinst
place 755 "$here/postrm" DEBIAN/postrm
cat >"$stage/DEBIAN/control" <<CONTROL
Package: mitoscope
Version: $version
Architecture: $architecture
Maintainer: The Mitoscope authors <mitoscope@localhost>
Installed-Size: $(du -sk --apparent-size "$stage" | cut -f1)
Section: science
Priority: optional
Depends: libc6 (>= $libc), libegl1, libgl1, libfontconfig1, libfreetype6, libdbus-1-3, libx11-6, libx11-xcb1, libxcb1, libxcb-cursor0, libxcb-icccm4, libxcb-image0, libxcb-keysyms1, libxcb-randr0, libxcb-render0, libxcb-render-util0, libxcb-shape0, libxcb-shm0, libxcb-sync1, libxcb-xfixes0, libxcb-xkb1, libxkbcommon0, libxkbcommon-x11-0
Recommends: shared-mime-info, desktop-file-utils, hicolor-icon-theme, fonts-dejavu-core
Description: count mitoses on whole-slide images
 Mitoscope proposes mitoses on a whole-slide image, lets a pathologist confirm or reject each one,
 and reports the count in the area that a protocol asks for. It runs offline.
 .
 For research use only. Not for use in diagnostic procedures. The weights have a licence of their
 own, for research only.
CONTROL
package="$out/mitoscope_${version}_${architecture}.deb"
# Files may be read-only in the frozen folder; zstd, since xz would take an hour for the CUDA build.
dpkg-deb --root-owner-group -Zzstd -z"${MITOSCOPE_ZSTD:-6}" --build "$stage" "$package" >/dev/null
echo "$package"
