#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# soak-killed.sh: four guests at once. Their verdicts are those of guests that run one by one, and a harness that is killed in the
# middle leaves no process, no file outside its run's folder, and a run that can be reported and gone on with.
#
# TIMES     so often it is killed (20)
# LONGEST   seconds after which it is killed at the latest (25)
set -eu

out=${SWAPSTORM_OUT:-out}
mkdir -p "$out"
out=$(cd "$out" && pwd)
times=${TIMES:-20}
longest=${LONGEST:-25}
failed=

cat >"$out/soak-killed.yaml" <<EOF
about: four guests at once
kernels: [debian-6.1]
series: [bug-elsewhere-6.1, zswap-writeback-swapoff-6.1]
profiles: [zswap-writeback-swapoff]
techniques: [natural]
runs: 2
storm: 15s
EOF

# guests JOBS FOLDER: runs the plan. The buggy kernel shows its bug, so the exit code is 1.
guests() {
	code=0
	swapstorm run "$out/soak-killed.yaml" --seed 5 --jobs "$1" --out "$2" >"$2.txt" 2>&1 || code=$?
	[ "$code" -ne 130 ] || exit 130
	[ "$code" -eq 1 ] || failed="$failed guests-$1"
}

# verdicts RUN: each cell and what it came to.
verdicts() {
	swapstorm report "$1"/run-* --format json |
		awk '$1 == "\"id\":" { id = $2 } $1 == "\"verdict\":" { print id, $2 }' | LC_ALL=C sort
}

# left FOLDER: processes that run in it.
left() {
	for link in /proc/[0-9]*/cwd; do
		case $(readlink "$link" 2>/dev/null) in "$1"/*) echo "$link" ;; esac
	done
}

for jobs in 1 4; do
	rm -rf "$out/soak-killed-$jobs"
	guests "$jobs" "$out/soak-killed-$jobs"
done
for run in "$out/soak-killed-1" "$out/soak-killed-4"; do
	verdicts "$run" >"$run.verdicts"
done
[ -s "$out/soak-killed-1.verdicts" ] || failed="$failed verdicts"
if ! cmp "$out/soak-killed-1.verdicts" "$out/soak-killed-4.verdicts"; then
	failed="$failed verdicts"
fi

n=1
while [ "$n" -le "$times" ]; do
	run=$out/soak-killed
	rm -rf "$run" "$run.tmp"
	mkdir "$run.tmp"
	TMPDIR=$run.tmp swapstorm run "$out/soak-killed.yaml" --seed 5 --jobs 4 --out "$run" >"$run.txt" 2>&1 &
	after=$(awk -v seed="$n" -v longest="$longest" 'BEGIN { srand(seed); print int(rand() * longest * 10) / 10 }')
	sleep "$after"
	kill -9 $! 2>/dev/null || true
	wait $! || true
	# QEMU's supervisors are told by the kernel.
	tries=100
	while [ -n "$(left "$run")" ] && [ "$tries" -gt 0 ]; do
		sleep 0.1
		tries=$((tries - 1))
	done
	problem=
	[ -z "$(left "$run")" ] || problem="$problem processes"
	[ -z "$(ls -A "$run.tmp")" ] || problem="$problem files"
	code=0
	swapstorm report "$run"/run-* >"$run.report" 2>&1 || code=$?
	case $code in 0 | 1 | 4) ;; *) problem="$problem report-$code" ;; esac
	echo "soak-killed: $n, after $after s: report's exit code $code${problem:+, LEFT:$problem}"
	[ -z "$problem" ] || failed="$failed $n"
	n=$((n + 1))
done
# The last of them goes on, and ends as the others did.
code=0
swapstorm run --resume "$run"/run-* >"$run.txt" 2>&1 || code=$?
verdicts "$run" >"$run.verdicts"
cmp "$run.verdicts" "$out/soak-killed-1.verdicts" || failed="$failed resumed-$code"

[ -z "$failed" ] && exit
echo "soak-killed: failed:$failed"
exit 1
