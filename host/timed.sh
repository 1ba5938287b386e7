#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# timed.sh NAME COMMAND...: runs the command and says how long it took, so that a log shows where the
# minutes went.
name=$1
shift
began=$(date +%s)
"$@"
code=$?
echo "timed: $name took $(($(date +%s) - began)) s"
exit $code
