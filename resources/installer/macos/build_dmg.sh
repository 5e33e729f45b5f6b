#!/usr/bin/env bash
# Sign, notarise and pack Mitoscope.app: build_dmg.sh dist/Mitoscope.app OUT_FOLDER
# UNTESTED HERE: written without a Mac. Needs Xcode's command line tools.
#   MITOSCOPE_IDENTITY  "Developer ID Application: NAME (TEAM)"; without it the bundle is signed ad hoc
#   MITOSCOPE_NOTARY    keychain profile of `xcrun notarytool store-credentials`; without it: not notarised
set -euo pipefail
bundle=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml" | head -1)
identity=${MITOSCOPE_IDENTITY:--}
sign() { codesign --force --timestamp --options runtime --sign "$identity" "$@"; }
if [ "$identity" = - ]; then sign() { codesign --force --sign - "$@"; }; fi

cp "$root/LICENSE" "$root/resources/weights/LICENSE-WEIGHTS.md" "$bundle/Contents/Resources/"
# From the inside out: a signature covers what lies within, so the bundle's own comes last.
find "$bundle/Contents" -type f \( -name '*.dylib' -o -name '*.so' \) -print0 |
  while IFS= read -r -d '' library; do sign "$library"; done
find "$bundle/Contents" -type d -name '*.framework' -print0 |
  while IFS= read -r -d '' framework; do sign "$framework"; done
sign --entitlements "$here/entitlements.plist" "$bundle/Contents/MacOS/mitoscope"
sign --entitlements "$here/entitlements.plist" "$bundle"
codesign --verify --deep --strict "$bundle"
"$bundle/Contents/MacOS/mitoscope" self-test

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cp -R "$bundle" "$stage/"  # -R keeps the frameworks' symbolic links
ln -s /Applications "$stage/Applications"
cp "$root/LICENSE" "$root/resources/weights/LICENSE-WEIGHTS.md" "$stage/"
image="$out/mitoscope-$version-macos-$(uname -m).dmg"
hdiutil create -volname "Mitoscope $version" -srcfolder "$stage" -format ULFO -ov "$image"
if [ "$identity" != - ]; then codesign --sign "$identity" "$image"; fi
if [ -n "${MITOSCOPE_NOTARY:-}" ]; then
  xcrun notarytool submit "$image" --keychain-profile "$MITOSCOPE_NOTARY" --wait
  xcrun stapler staple "$image"
fi
echo "$image"
