#!/bin/bash
# Nothing of the demo is left when it is interrupted: no process, and so no namespace, TAP, socket or file.
set -u

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"
alone_or_skip "$here"

# child PID: its first child
child() { cut -d ' ' -f 1 "/proc/$1/task/$1/children"; }
net_of() { readlink "/proc/$1/ns/net"; }
inhabited() {
	local ns
	for ns in /proc/[0-9]*/ns/net; do [ "$(readlink "$ns" 2>/dev/null)" != "$1" ] || return 0; done
	return 1
}
host_state() { ls /sys/class/net; cat /proc/self/mounts; ls -A "$TMPDIR"; }

# ended_by SIGNAL: the demo, while its guest boots; its namespace is empty soon after, and the host as it was before
ended_by() {
	local demo namespace before
	before=$(host_state)
	env --default-signal=INT "$here/demo.sh" &
	demo=$!
	sleep 3
	namespace=$(net_of "$(child "$(child "$demo")")")
	[ "$namespace" != "$(net_of self)" ] && inhabited "$namespace" || { echo "no demo to interrupt" && return 1; }
	kill -s "$1" "$demo"
	wait "$demo"
	for _ in $(seq 50); do
		inhabited "$namespace" || break
		sleep 0.1
	done
	! inhabited "$namespace" && same "$(host_state)" "$before"
}

TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
for signal in INT TERM KILL; do check "SIG$signal leaves nothing behind" ended_by "$signal"; done
finish
