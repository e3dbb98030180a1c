#!/bin/bash
# Every fuzz target builds, and takes what it once found and what it starts from.
set -u

cd "$(dirname "$0")/../.." || exit
# shellcheck source=tests/tap.sh
. tests/tap.sh

fuzzers=$AIRLOCK_BUILD/obj-fuzzer-no-link-address-undefined
check "fuzz targets build" "${MAKE:-make}" -s --no-print-directory -j2 BUILD="$AIRLOCK_BUILD" CC=clang \
	SANITIZE=fuzzer-no-link,address,undefined fuzzers
for target in tests/fuzz/*/fuzz_*.c; do
	name=${target%.c}
	mkdir -p "$name.corpus"
	check "${name#tests/fuzz/}" "$fuzzers/$name" -runs=0 "$name.corpus"
done
finish
