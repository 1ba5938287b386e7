#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Has the program write what a package of it holds beside it: manual pages, completions, schemas.
#
#   package.sh PROGRAM FOLDER
set -eu
program=$1
folder=$2

rm -rf "$folder"
mkdir -p "$folder/completions" "$folder/schemas"
"$program" --quiet man "$folder/man"
"$program" completions bash >"$folder/completions/swapstorm.bash"
"$program" completions zsh >"$folder/completions/_swapstorm"
"$program" completions fish >"$folder/completions/swapstorm.fish"
for format in $("$program" schema | cut -d' ' -f1); do
	"$program" schema "$format" >"$folder/schemas/$format.schema.json"
done
