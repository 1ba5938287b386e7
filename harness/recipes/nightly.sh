#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# One night: runs a plan, renders what it showed, and tidies up. The exit code is the run's.
#
#   nightly.sh [PLAN]      PLAN: `nightly` if it is left out, or a file
#
# SWAPSTORM_OUT (out), SWAPSTORM_CACHE and SWAPSTORM_DATA are swapstorm's own. Beside them:
# KEEP_DAYS       so long folders of runs are kept (365)
# CACHE_AGE       what was not used for so long leaves the cache (30d)
# CACHE_SIZE      and then what was used least recently, down to this (60G)
set -u

plan=${1:-nightly}
out=${SWAPSTORM_OUT:-out}

# Names of runs have their time in them: the last one is the newest.
newest() {
	find "$out" -mindepth 1 -maxdepth 1 -type d -name 'run-*' 2>/dev/null | LC_ALL=C sort | tail -n 1
}

before=$(newest)
# In the background, since a shell that waits for a program hears of no signal before that has ended.
attend() {
	"$@" &
	child=$!
	trap 'kill -TERM "$child" 2>/dev/null' INT TERM
	wait "$child"
	code=$?
	while kill -0 "$child" 2>/dev/null; do
		wait "$child"
		code=$?
	done
	trap - INT TERM
}

attend swapstorm run "$plan"
run=$(newest)
# What this machine failed gets a second chance.
if [ "$code" -eq 3 ] && [ "$run" != "$before" ]; then
	attend swapstorm run --resume "$run"
fi
# A plan that was refused has no run.
if [ "$run" != "$before" ]; then
	for file in junit.xml report.html; do
		case $file in
		junit.xml) format=junit ;;
		*) format=html ;;
		esac
		# The exit code of a report is that of the run: what counts is whether there is one.
		swapstorm report "$run" --format "$format" >"$run/$file.new"
		if [ -s "$run/$file.new" ]; then
			mv "$run/$file.new" "$run/$file"
		else
			rm -f "$run/$file.new"
		fi
	done
	# A night that was interrupted is no night.
	[ "$code" -eq 130 ] || swapstorm --quiet history record "$run"
	# What is new, what is known, what vanished: cron mails it, systemd keeps it.
	swapstorm history
fi

swapstorm --quiet cache gc --older-than "${CACHE_AGE:-30d}" --max-size "${CACHE_SIZE:-60G}" >&2
find "$out" -mindepth 1 -maxdepth 1 -type d -name 'run-*' -mtime +"${KEEP_DAYS:-365}" -exec rm -rf {} +
exit "$code"
