#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# setup.sh [ARCH...]: installs what host/tools.tsv lists for guests of these architectures (x86_64 if none
# is named) and this machine lacks. Says what it does; does nothing when all is there, and never removes a
# package. Only Debian and its descendants are changed; elsewhere the package names are printed.
set -eu
table=$(dirname "$0")/tools.tsv
guests=${*:-x86_64}
case $(uname -m) in aarch64) machine=arm64 ;; *) machine=$(uname -m) ;; esac

for guest in $guests; do
	if ! cut -f 2 "$table" | grep -qx "$guest"; then
		echo "setup: there is no architecture $guest" >&2
		exit 2
	fi
done

# True if a row of this scope is needed here.
wanted() {
	[ "$1" = all ] && return 0
	for guest in $guests; do
		[ "$1" = "$guest" ] && return 0
		[ "$1" = "$guest cross" ] && [ "$guest" != "$machine" ] && return 0
	done
	return 1
}

# Prints one column (3 Debian, 4 Fedora, 5 Arch) of the rows that are not met here.
missing() {
	grep -v '^#' "$table" | while IFS='	' read -r name scope _ debian fedora arch; do
		wanted "$scope" || continue
		case $name in
		/*) [ -e "$name" ] && continue ;;
		*) command -v "$name" >/dev/null 2>&1 && continue ;;
		esac
		case $1 in debian) echo "$debian" ;; fedora) echo "$fedora" ;; arch) echo "$arch" ;; esac
	done | grep -vx -e - | sort -u | tr '\n' ' '
}

packages=$(missing debian)
lists_are_there() {
	apt-cache show linux-source-6.1 >/dev/null 2>&1
}

if [ -z "$packages" ] && { ! command -v apt-cache >/dev/null 2>&1 || lists_are_there; }; then
	exit 0
fi

if ! command -v apt-get >/dev/null 2>&1 || ! [ -e /etc/debian_version ]; then
	echo "setup: this machine lacks some packages, and it is not a Debian: please install"
	echo "  Fedora: dnf install $(missing fedora)"
	echo "  Arch:   pacman -S $(missing arch)"
	echo "setup: the Debian kernel sources also need apt and dpkg, which both distributions package"
	exit 3
fi

as_root=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "setup: not root and no sudo; run as root: apt-get update && apt-get install $packages" >&2
		exit 3
	fi
	as_root=sudo
fi

# The suites that the installed versions of packages came from.
suites_of() {
	LC_ALL=C apt-cache policy "$@" | awk '
		/^ \*\*\* / { installed = 1; next }
		/^     [^ ]/ || /^[^ ]/ { installed = 0 }
		installed && $3 ~ /\// { sub("/.*", "", $3); print $3; installed = 0 }
	' | sort -u
}

echo "setup: reading the package lists (apt-get update)"
$as_root apt-get -q update
# The word splitting is wanted from here on: these are lists of packages.
# shellcheck disable=SC2086
if [ -n "$packages" ]; then
	# What apt would do; where it cannot tell, it says why below.
	removed=$(LC_ALL=C apt-get -s install --no-install-recommends $packages 2>/dev/null |
		awk '$1 == "Remv" { print $2 }' | sort -u | tr '\n' ' ') || removed=
	if [ -n "$removed" ]; then
		{
			echo "setup: to install ${packages% }, apt would have to remove ${removed% }: nothing was changed"
			for suite in $(suites_of $removed); do
				echo "  hint: some of that came from $suite; take the others from there, too:"
				echo "    apt-get install --no-remove --no-install-recommends -t $suite ${packages% }"
			done
			echo "  hint: or remove by hand what you can do without: apt-get remove ${removed% }"
		} >&2
		exit 3
	fi
	echo "setup: installing $packages"
	$as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q install -y --no-remove --no-install-recommends $packages
fi
