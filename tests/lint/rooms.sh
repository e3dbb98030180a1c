#!/bin/bash
# The rule of rooms: a room includes lib/ and itself; the exceptions are all one-way and stand in may_include(). Words in
# guest memory are touched by device/guest.h alone. Prints what breaks a rule; a header that has outgrown a page is only
# mentioned.
set -u

status=0
complain() {
	echo "$1"
	status=1
}

# room PATH: the directory that the rule speaks of; a unit test, fuzzer or bench stands in the room that it looks at
room() {
	case $1 in
	tests/support/* | tests/unit/support/* | tests/integration/* | tests/bench/* | tests/e2e/*) echo tests/support ;;
	tests/unit/*/* | tests/fuzz/*/*) echo "$1" | cut -d / -f 3 ;;
	*) echo "${1%%/*}" ;;
	esac
}

# may_include FILE HEADER
may_include() {
	local from to
	from=$(room "$1") to=$(room "$2")
	case $1 in tests/integration/*_device.c) # a double of the device is made of its parts
		[ "$to" != device ] && [ "$to" != seccomp ] || from=device ;;
	esac
	[ "$from" != "$to" ] || return 0
	case $from:$2 in
	lib:*) return 1 ;;
	*:lib/* | *:tests/unit/lib/*) ;;
	broker:seccomp/* | broker:policy/* | seccomp:policy/*) ;;
	device:seccomp/install.h | frontend:seccomp/install.h) ;;
	*) return 1 ;;
	esac
}

while read -r file; do
	while IFS=: read -r line header; do
		may_include "$file" "$header" || complain "$file:$line: $(room "$file") may not include $header"
	done < <(sed -n 's/^[[:space:]]*#[[:space:]]*include "\([^"]*\)".*/\1/;T;=;p' "$file" | paste -d : - -)
done < <(find . -path ./build -prune -o -name '*.[ch]' -printf '%P\n')

# A ring's words are named only to hand their address to an accessor; payload is copied only by accessors.
words='(^|[^&a-z_.>-])([a-z_]+(->|\.))*(avail|used|desc)(->|\[)'
copies='\b(memcpy|memmove|memset)\(.*(iov_base|->host\b)'
for rule in "$words" "$copies"; do
	found=$(grep -nE "$rule" device/*.c) && complain "guest memory touched without an accessor of device/guest.h:
$found"
done

for header in */*.h; do
	lines=$(grep -cvE '^[[:space:]]*(\*|/\*|$)' "$header")
	[ "$lines" -le 60 ] || echo "note: $header holds $lines lines of code: one contract or several?"
done

exit "$status"
