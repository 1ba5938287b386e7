#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# soak-bisect.sh: searches in a history of 32 commits on Debian's 6.12, of which one has a bug and some others get in the way. It
# says of each search whether it named that commit, and what it took; the exit code is 1 if one did not.
#
# SEEDS     seeds of the searches ("1 2 3")
# BUGS      which of them ("race loss hang")
set -eu

out=${SWAPSTORM_OUT:-out}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cache=${SWAPSTORM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/swapstorm}
series=$(cd "$(dirname "$0")/../kernels/series" && pwd)
repo=$out/soak-linux
commits=32

# The source as it is in the store, which has been made by then.
source_of() {
	for makefile in "$cache"/v*/sources/*/Makefile "$cache"/v*/sources/*/*/Makefile; do
		grep -qs "^VERSION = ${1%.*}$" "$makefile" && grep -qs "^PATCHLEVEL = ${1#*.}$" "$makefile" &&
			dirname "$makefile" && return
	done
	echo "soak-bisect: there is no source of $1 in $cache" >&2
	return 1
}

in_repo() {
	git -C "$repo" -c user.name=soak -c user.email=soak@example.org -c commit.gpgsign=false -c core.autocrlf=false "$@"
}

commit() {
	in_repo commit --quiet --all --message "$1"
}

# words FILE TEXT: a comment at the end of a file.
words() {
	printf '\n/* %s */\n' "$2" >>"$repo/$1"
}

# behind FILE FUNCTION CODE: code behind the line that ends the declarations of a function: the first empty one.
behind() {
	awk -v function_="$2" -v code="$3" '
		index($0, function_) == 1 { inside = 1 }
		{ print }
		inside && $0 == "" { print "\t" code; inside = 0; done = 1 }
		END { exit !done }
	' "$repo/$1" >"$repo/.changed"
	cat "$repo/.changed" >"$repo/$1"
	rm "$repo/.changed"
}

# bug NAME: puts it in.
bug() {
	case $1 in
	race)
		cat "$series"/zswap-writeback-swapoff-6.12-reintroduce/*.patch | patch -s -p1 -d "$repo"
		;;
	loss)
		# Every second time that the pool is full it stays so. What that costs, the search says.
		behind mm/zswap.c 'static void shrink_worker(' '{ static atomic_t calls; if (atomic_inc_return(&calls) & 1) return; }'
		;;
	hang)
		# The 30th swapoff never ends, as in swapoff-hangs-6.1.
		cat "$series"/swapoff-hangs-6.1/*.patch | patch -s -p1 -F3 -d "$repo"
		;;
	esac
}

# history BUG CULPRIT: a branch with the bug from that commit on. Commits 7, 13 and 19 do not compile, warn and do not boot; the next
# one of each takes that back.
history() {
	in_repo switch --quiet --force-create "$1" base
	at=1
	while [ "$at" -le "$commits" ]; do
		case $at in
		"$2")
			bug "$1"
			commit "mm: the culprit of $1"
			;;
		7)
			words mm/page_io.c '*/ this is not C /*'
			commit 'mm/page_io: do not compile'
			broken=$(in_repo rev-parse HEAD)
			;;
		13)
			behind mm/madvise.c 'static long madvise_pageout(' 'WARN_ONCE(1, "soak: a warning of another kind");'
			commit 'mm/madvise: warn'
			broken=$(in_repo rev-parse HEAD)
			;;
		19)
			behind init/main.c 'void start_kernel(' 'panic("soak: no boot");'
			commit 'init: do not boot'
			broken=$(in_repo rev-parse HEAD)
			;;
		8 | 14 | 20) in_repo revert --no-edit "$broken" >/dev/null ;;
		*)
			case $((at % 4)) in
			0) file=mm/swap_state.c ;;
			1) file=mm/workingset.c ;;
			2) file=lib/ctype.c ;;
			*) file=mm/vmscan.c ;;
			esac
			words "$file" "soak: word $at"
			commit "$file: say word $at"
			;;
		esac
		at=$((at + 1))
	done
}

count() {
	grep -c "$1" "$2" || true
}

failed=
swapstorm build debian-6.12
if [ ! -e "$repo/.git" ]; then
	rm -rf "$repo"
	cp -r "$(source_of 6.12)" "$repo"
	chmod -R u+w "$repo"
	in_repo init --quiet --initial-branch base
	in_repo add --all --force .
	commit "Debian's 6.12"
fi
for bug in ${BUGS:-race loss hang}; do
	case $bug in
	race) culprit=23 what='--storm 60s' ;;
	loss) culprit=11 what='--regression writebacks-per-store' ;;
	hang) culprit=17 what='--hang --technique natural --storm 120s' ;;
	esac
	in_repo show-ref --quiet --verify "refs/heads/$bug" || history "$bug" "$culprit"
	for seed in ${SEEDS:-1 2 3}; do
		began=$(date +%s)
		said=$out/soak-bisect-$bug-$seed.txt
		runs=$out/soak-bisect-$bug-$seed
		code=0
		# Words of the shell.
		# shellcheck disable=SC2086
		swapstorm bisect --good "$repo:base" --bad "$repo:$bug" $what --confidence 0.99 --budget 12h --seed "$seed" \
			--out "$runs" >"$said" || code=$?
		[ "$code" -ne 130 ] || exit 130
		log=$(find "$runs" -name events.jsonl | LC_ALL=C sort | tail -n 1)
		if [ "$code" -eq 0 ] && grep -q "came with .*the culprit of $bug" "$said"; then
			verdict=right
		else
			verdict="WRONG (exit code $code)"
			failed="$failed $bug-$seed"
		fi
		echo "soak-bisect: $bug, seed $seed: $verdict, $(($(date +%s) - began)) s," \
			"$(count '"event":"kernel-ready".*"cached":false' "$log") builds, $(count '"event":"cell-finished"' "$log") runs"
	done
done
[ -z "$failed" ] && exit
echo "soak-bisect: not named:$failed"
exit 1
