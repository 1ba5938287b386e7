#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# soak.sh: the long forms of what `make test` shows shortly. It goes on when one of them fails, says which ones did, and
# exits with 1 then. Runs and reports are in SWAPSTORM_OUT (out).
#
# TIMES     so often what must hold each time is done (20)
# TTR_RUNS  guests of each technique whose time to the bug is measured (30)
set -u

out=${SWAPSTORM_OUT:-out}
export SWAPSTORM_OUT="$out"
times=${TIMES:-20}
failed=

# part NAME COMMAND...
part() {
	name=$1
	shift
	echo "soak: $name: swapstorm $*"
	swapstorm "$@" && return
	code=$?
	echo "soak: $name: exit code $code"
	# Whoever is told to stop stops with all that is left.
	[ "$code" -ne 130 ] || exit 130
	failed="$failed $name"
}

newest() {
	find "$out" -mindepth 1 -maxdepth 1 -type d -name 'run-*' 2>/dev/null | LC_ALL=C sort | tail -n 1
}

mkdir -p "$out"

# A kernel as it is breaks none of the invariants, and shows no bug in a minute of storm, stretched or not.
part mixed run soak
part architectures run architectures

# Both sides of the hotplug bug, from other seeds each time.
seed=1
while [ "$seed" -le "$times" ]; do
	part "hotplug-$seed" repro --profile hotplug --seed "$seed"
	seed=$((seed + 1))
done

# A stretched use-after-free on the virtual clock, byte for byte. That run shows the bug, so its exit code is 1.
cat >"$out/soak-replay.yaml" <<EOF
about: a run to be had again
kernels: [debian-6.1]
profiles: [zswap-writeback-swapoff-virtual]
techniques: [stretch]
storm: 60s
EOF
before=$(newest)
swapstorm run "$(cd "$out" && pwd)/soak-replay.yaml" --seed 1
run=$(newest)
if [ "$run" = "$before" ]; then
	failed="$failed replay"
else
	again=1
	while [ "$again" -le "$times" ]; do
		part "replay-$again" replay "$run"
		again=$((again + 1))
	done
fi

part ttr bench ttr --runs "${TTR_RUNS:-30}" --bound 120s --ablation --seed 1 --svg "$out/soak-ttr.svg"

[ -z "$failed" ] && exit
echo "soak: failed:$failed"
exit 1
