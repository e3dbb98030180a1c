#!/bin/bash
# A real Linux guest on the jailed device: every byte arrives, by IPv4 and IPv6, over one queue pair and over two; a guest
# gives way to the next, on a device process of its own; and the broker takes away what it made.
set -u

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"

if [ "${1:-}" != inside ]; then
	alone_or_skip "$here"
	exec "$here/alone" "$0" inside
fi
# shellcheck source=tests/e2e/host.sh
. "$here/host.sh"

field() { awk -v key="$1" '$1 == key { print $2; exit }' "$run/result"; }
page() { sed -n '/^page-begins/,/^page-ends/{/^page-/d;p}' "$run/result"; }
# flowed MODE WAYS: the guest measured more than nothing in these ways
flowed() { awk -v mode="$1" -v ways="$2" '$1 == mode { n = gsub(/=[1-9]/, "") } END { exit n != ways }' "$run/result"; }
gone() { ! grep guest0 /proc/net/dev && [ ! -e "$run/net.sock" ] && [ ! -e "$run/control.sock" ]; }
report_pid() { sed -n 's/^[ {]*"pid": *\([0-9]*\).*/\1/p;T;q' "$run/report.json"; }
other() { echo "$1, then $2" && [ -n "$1" ] && [ -n "$2" ] && [ "$1" != "$2" ]; }
ends() { kill -TERM "$broker" && wait "$broker"; }

tour() { run_guest "$here/tour.sh" 90 "$1" >"$run/result" || { cat "$run/result" "$run/broker.log" && return 1; }; }

# guest PAIRS: one guest on the running broker
guest() {
	local large
	large=$(sha256sum <"$www/large" | cut -d ' ' -f 1)
	check "a guest boots and takes its tour, queue pairs: $1" tour "$1"
	check "it reads the page" same "$(page)" "$(cat "$www/index.html")"
	check "a large file arrives intact over IPv4" same "$(field fetched)" "$large"
	check "a large file arrives intact over IPv6" same "$(field fetched6)" "$large"
	check "what it posts arrives intact" same "$(field posted)" "$(field text)"
	check "its transmit queues: $1" same "$(field queues)" "$1"
	check "TCP flows up" flowed up 1
	check "TCP flows down" flowed down 1
	check "TCP flows both ways at once" flowed both 2
}

start_web
for pairs in 1 2; do
	check "the broker serves, queue pairs: $pairs" start_broker --queue-pairs="$pairs"
	guest "$pairs"
	if [ "$pairs" = 1 ]; then
		first=$(report_pid)
		guest 1
		check "the next guest has a device of its own" other "$first" "$(report_pid)"
	fi
	check "the broker ends in order" ends
	check "TAP and sockets are gone" gone
done
finish
