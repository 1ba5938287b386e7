#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes baselines.jsonl: three storms on each of twenty kernels in which nothing but addresses differ.
# Wants `swapstorm` on the PATH; takes a quarter of an hour on two cores.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
patch=$(ls "$here"/../../../kernels/series/writeback-same-6.1/*.patch)
work=$(mktemp -d)
cd "$work"
series=
for n in $(seq -w 20); do
	sed "s/\.skip 208/.skip $((${n#0} * 48))/" "$patch" > "padded-$n.patch"
	series="$series${series:+, }./padded-$n.patch"
done
cat > padded.yaml << END
about: kernels in which nothing but addresses differ
kernels: [debian-6.1]
series: [$series]
profiles: [writeback-steady]
storm: 10s
runs: 3
END
swapstorm run ./padded.yaml --seed 1 --out out
rm -f "$here/baselines.jsonl"
swapstorm baseline record out/run-* --file "$here/baselines.jsonl"
rm -r "$work"
