#!/usr/bin/env bash
# Install a .deb, start the desktop from its menu entry under Xvfb, remove it: test_deb.sh FILE.deb
# Needs root, as any installation. What a reader made must still be there afterwards.
set -euo pipefail
package=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
export DEBIAN_FRONTEND=noninteractive
fail() { echo "test_deb: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "needs root"
! dpkg -s mitoscope >/dev/null 2>&1 || fail "mitoscope is installed already; it would be removed"
apt-get -qq update >/dev/null
apt-get -qq install -y xvfb xdotool desktop-file-utils shared-mime-info >/dev/null 2>&1

desktop-file-validate "$here/mitoscope.desktop"
log=$(mktemp)
home=$(mktemp -d)
remove() { dpkg --force-unsafe-io --purge mitoscope >"$log" 2>&1 || true; }
trap 'remove; rm -rf "$home" "$log"' EXIT

# Everything that is needed must come by itself: apt fetches what the package depends on.
apt-get -qq install -y -o DPkg::Options::=--force-unsafe-io "$package" >"$log" 2>&1 ||
  { cat "$log" >&2; fail "not installed"; }
grep -q LICENSE-WEIGHTS "$log" || fail "the licence of the weights was not named"
for file in /usr/bin/mitoscope /usr/share/applications/mitoscope.desktop \
  /usr/share/doc/mitoscope/copyright /usr/share/doc/mitoscope/LICENSE-WEIGHTS.md \
  /usr/share/icons/hicolor/48x48/apps/mitoscope.png /usr/share/mime/image/x-aperio-svs.xml; do
  [ -e "$file" ] || fail "$file is missing"
done
grep -q 'image/x-aperio-svs=.*mitoscope.desktop' /usr/share/applications/mimeinfo.cache ||
  fail "no association with slides"

chown nobody "$home"
# As a reader who has nothing but an account, and started as the menu does it.
as_reader() { env -i HOME="$home" PATH=/usr/bin:/bin LANG=C.UTF-8 setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
as_reader mitoscope --help >/dev/null
command=$(sed -n 's/^Exec=\([^ ]*\).*/\1/p' /usr/share/applications/mitoscope.desktop)
# shellcheck disable=SC2016
as_reader xvfb-run -a -s "-screen 0 1400x900x24" sh -c '
  "$1" & program=$!
  for _ in $(seq 300); do
    xdotool search --onlyvisible --name Mitoscope >/dev/null 2>&1 && seen=yes && break
    kill -0 $program 2>/dev/null || break
    sleep 0.2
  done
  kill $program 2>/dev/null
  wait $program 2>/dev/null
  [ "${seen:-}" = yes ]' sh "$command" || fail "no window came up"
store="$home/.local/share/mitoscope/mitoscope.sqlite"
[ -e "$store" ] || fail "no store in the reader's home folder"

apt-get -qq purge -y mitoscope >"$log" 2>&1 || { cat "$log" >&2; fail "not removed"; }
grep -q '~/.local/share/mitoscope' "$log" || fail "it was not said where the data are"
[ ! -e /opt/mitoscope ] && [ ! -e /usr/bin/mitoscope ] || fail "something was left behind"
[ -e "$store" ] || fail "the reader's store is gone"
echo "installed, run and removed: $(basename "$package")"
