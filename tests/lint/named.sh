#!/bin/bash
# Every test that docs/threat-model.md names between backquotes, in a last column that is for tests, is there: a test
# function, a fuzz target, a file of tests, or a table of rows in one.
set -u

status=0
names=$(awk '/ (shown by|read from outside in) \|$/ { tests = 1 } /^$/ { tests = 0 } tests' docs/threat-model.md |
	sed -n 's/^|.*|\([^|]*\)|$/\1/p' | grep -o '`[^`]*`' | tr -d '`' | sort -u)
[ -n "$names" ] || { echo "docs/threat-model.md names no tests" && exit 1; }
while read -r name; do
	case $name in
	*/*) [ -e "$name" ] ;;
	*" in "*) grep -qF "${name%% in *}" "tests/integration/${name##* in }" ;;
	*.c) grep -rqF "$name" Makefile tests || find . -name "$name" | grep -q . ;;
	*) grep -rqE "(^static void $name\(|/$name\.(c|sh)$)" --include='*.c' tests || find tests -name "$name.*" | grep -q . ;;
	esac || {
		echo "docs/threat-model.md: there is no test $name"
		status=1
	}
done <<<"$names"
exit "$status"
