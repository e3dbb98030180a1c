#!/bin/bash
# Every test that these documents name between backquotes, in a last column that is for tests, is there: a test
# function, a fuzz target, a file of tests, or a table of rows in one.
set -u

status=0
documents=(docs/threat-model.md docs/peers.md)
names=$(awk '/ (shown by|read from outside in) \|$/ { tests = 1 } /^$/ { tests = 0 } tests' "${documents[@]}" |
	sed -n 's/^|.*|\([^|]*\)|$/\1/p' | grep -o '`[^`]*`' | tr -d '`' | sort -u)
[ -n "$names" ] || { echo "${documents[*]}: no test is named" && exit 1; }
while read -r name; do
	case $name in
	*/*) [ -e "$name" ] ;;
	*" in "*) find tests -name "${name##* in }" -exec grep -lF -- "${name% in *}" {} + | grep -q . ;;
	*.c) grep -rqF "$name" Makefile tests || find . -name "$name" | grep -q . ;;
	*) grep -rqE "(^static void $name\(|/$name\.(c|sh)$)" --include='*.c' tests || find tests -name "$name.*" | grep -q . ;;
	esac || {
		echo "${documents[*]}: there is no test $name"
		status=1
	}
done <<<"$names"
exit "$status"
