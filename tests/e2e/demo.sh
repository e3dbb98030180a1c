#!/bin/bash
# `make demo`: boots a Linux guest whose only network device is served by a jailed process, in namespaces of its own, and
# shows what went over it, what the sandbox is made of and what was counted. Leaves nothing behind.
set -u

here=$(dirname "$(readlink -f "$0")")
if [ "${1:-}" != inside ]; then
	[ "$(id -u)" = 0 ] || { echo "make demo makes namespaces and a TAP: run it as root (sudo make demo)" >&2; exit 1; }
	exec "$here/alone" "$0" inside
fi

# shellcheck source=tests/e2e/host.sh
. "$here/host.sh"

section() { printf '\n%s\n' "$1"; }
indent() { sed 's/^/    /'; }
# gbit MODE up|down: what the guest measured, in Gbit/s
gbit() { awk -v mode="$1" -v way="$2=" '$1 == mode { for (i = 2; i <= NF; i++) if (index($i, way) == 1) printf "%.2f", substr($i, length(way) + 1) / 1000 }' "$run/result"; }

echo "Airlock: booting a Linux guest on a network device that a jailed process serves ..."
start_broker || exit 1
start_web
cat >"$run/look" <<-LOOK
	#!/bin/sh
	for verb in sandbox stats; do
		"$AIRLOCK_BIN/airlock-ctl" --control="$run/control.sock" \$verb >"$run/\$verb"
	done
LOOK
chmod +x "$run/look"

run_guest "$here/tour.sh" 60 1 >"$run/result" || { cat "$run/result" "$run/broker.log" >&2; exit 1; }

section "The guest fetched a page from the host, over HTTP:"
sed -n '/^page-begins/,/^page-ends/{/^page-/d;p}' "$run/result" | indent
section "and sent one back up:"
echo "$(wc -c <"$run/posted") bytes, $([ "$(awk '$1 == "text" { print $2 }' "$run/result")" = "$(sha256sum <"$run/posted" | cut -d ' ' -f 1)" ] && echo intact || echo DAMAGED)" | indent
section "TCP throughput (the guest's CPU is emulated):"
{
	echo "guest to host        $(gbit up up) Gbit/s"
	echo "host to guest        $(gbit down down) Gbit/s"
	echo "both ways at once    $(gbit both up) up, $(gbit both down) down"
} | indent
section "The sandbox, as the kernel reports it (airlock-ctl sandbox):"
indent <"$run/sandbox"
section "What each queue counted (airlock-ctl stats):"
indent <"$run/stats"

kill "$broker" && wait "$broker" || { echo "the broker did not end in order:" >&2; cat "$run/broker.log" >&2; exit 1; }
