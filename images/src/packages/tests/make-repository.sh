#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes `repository/` and `key.asc`, which the tests read: a Debian archive of two packages, signed by a key
# that is thrown away. To be run by hand, with gnupg installed, when the tests need other packages.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'GNUPGHOME="$work/gnupg" gpgconf --kill gpg-agent; rm -rf "$work"' EXIT
export SOURCE_DATE_EPOCH=1704067200
then=20240101T000000!
rm -rf repository
pool=pool/main binary=dists/bookworm/main/binary-amd64
mkdir -p "repository/$pool" "repository/$binary"

package() { # NAME DEPENDS; the files lie below $work/NAME
    mkdir -p "$work/$1/DEBIAN"
    printf '%s\n' "Package: $1" "Version: 1:2.0-1" "Architecture: amd64" "Maintainer: Nobody <nobody@example.org>" \
        ${2:+"Depends: $2"} "Description: for tests" >"$work/$1/DEBIAN/control"
    find "$work/$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$work/$1" "repository/$pool/$1_2.0-1_amd64.deb"
    deb=$pool/$1_2.0-1_amd64.deb
    {
        cat "$work/$1/DEBIAN/control"
        printf '%s\n' "Filename: $deb" "Size: $(stat -c %s "repository/$deb")" \
            "SHA256: $(sha256sum "repository/$deb" | cut -d' ' -f1)" ""
    } >>"repository/$binary/Packages"
}

mkdir -p "$work/greeting/bin" "$work/greeting/usr/share/doc" "$work/greeting-data/usr/lib/greeting"
echo 'cat /usr/lib/greeting/text' >"$work/greeting/bin/greet"
chmod 4755 "$work/greeting/bin/greet"
ln -s greet "$work/greeting/bin/hello"
echo 'nobody reads this' >"$work/greeting/usr/share/doc/greeting"
echo 'good morning' >"$work/greeting-data/usr/lib/greeting/text"
package greeting greeting-data
package greeting-data ''

list=main/binary-amd64/Packages
printf '%s\n' "Origin: swapstorm tests" "Suite: bookworm" "Codename: bookworm" "Date: Mon, 01 Jan 2024 00:00:00 UTC" \
    "Architectures: amd64" "Components: main" "SHA256:" \
    " $(sha256sum "repository/dists/bookworm/$list" | cut -d' ' -f1) $(stat -c %s "repository/dists/bookworm/$list") $list" \
    >"$work/Release"
export GNUPGHOME="$work/gnupg"
mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --faked-system-time $then --passphrase '' --quick-generate-key 'swapstorm tests' ed25519 sign never
gpg --batch --quiet --faked-system-time $then --clearsign --output repository/dists/bookworm/InRelease "$work/Release"
gpg --batch --quiet --armor --export >key.asc
