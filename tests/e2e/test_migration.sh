#!/bin/bash
# A guest moves from one back-end to another on the same machine, in the middle of a transfer: two brokers, each with a TAP
# in one bridge, and two QEMUs, the second waiting for the first's state. Then a device dies under a guest that reconnects.
# shellcheck disable=SC2317 # functions that check runs
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

field() { awk -v key="$1" '$1 == key { print $2; exit }' "$2"; }

# bridged_broker NAME: a broker on $run/NAME.sock, its TAP in the bridge
bridged_broker() {
	local word=
	mkfifo "$run/ready.$1" && exec 8<>"$run/ready.$1"
	"$AIRLOCK_BIN/airlock-broker" --socket-path="$run/$1.sock" --tap="tap$1" --mac="$mac" --ready-fd=8 \
		--sandbox-report="$run/$1.json" >"$run/$1.log" 2>&1 &
	read -r -t 10 -u 8 word
	exec 8>&-
	[ "$word" = READY=1 ] && ip link set "tap$1" master airlock-br
}

two_brokers() {
	ip link add airlock-br type bridge && ip addr add "$host/24" dev airlock-br && ip link set airlock-br up &&
		bridged_broker a && bridged_broker b
}

# qemu NAME BROKER [QEMU-OPTION...]: one in the background; commands go to $run/NAME.in
qemu() {
	local name=$1 broker=$2
	shift 2
	mkfifo "$run/$name.in" "$run/$name.out"
	cat "$run/$name.out" >"$run/$name.said" &
	qemu-system-x86_64 -accel tcg,thread=multi -cpu max,-erms -m 128M \
		-object memory-backend-memfd,id=m,size=128M,share=on -machine q35,memory-backend=m,usb=off,sata=off,smbus=off \
		-nodefaults -no-user-config -display none -no-reboot -kernel "$AIRLOCK_BUILD/guest/kernel" -initrd "$run/initrd" \
		-append "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check random.trust_cpu=on mitigations=off net.ifnames=0" \
		-serial "file:$run/$name.console" -serial "file:$run/$name.guest" \
		-chardev "socket,id=c,path=$run/$broker.sock${reconnect:-}" -netdev vhost-user,id=n,chardev=c \
		-device "virtio-net-pci,netdev=n,mac=$mac,romfile=,vectors=0" \
		-chardev "pipe,id=mon,path=$run/$name" -mon chardev=mon "$@" >"$run/$name.log" 2>&1 </dev/null &
}
tell() { printf '%s\n' "$2" >"$run/$1.in"; }

# within SECONDS COMMAND...
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}
says() { tr -d '\r' <"$run/$1" | grep -q "$2"; }

serve_slowly() {
	head -c 2000000 /dev/urandom >"$www/data"
	# 2 MB within some 10 s
	cat >"$www/cgi-bin/slow" <<-SLOW
		#!/bin/sh
		printf "Content-Type: application/octet-stream\\r\\n\\r\\n"
		for i in \$(seq 0 79); do dd if=$www/data bs=25000 skip=\$i count=1 2>/dev/null; sleep 0.12; done
	SLOW
	printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\ntouch %s/here\n' "$run" >"$www/cgi-bin/here"
	chmod +x "$www"/cgi-bin/*
}
boots() { make_initrd "$here/migrate.sh" && qemu one a && within 60 test -e "$run/here"; }
moves() {
	qemu two b -incoming "unix:$run/move" && within 10 test -S "$run/move" || return 1
	sleep 2 # in the middle of the transfer
	tell one "migrate -d unix:$run/move"
	for _ in $(seq 300); do
		tell one "info migrate"
		says one.said 'Migration status: completed' && return
		says one.said 'Migration status: failed' && break
		sleep 0.2
	done
	tail -n 30 "$run/one.said" "$run/one.log" "$run/two.log" "$run/a.log" "$run/b.log"
	return 1
}
goes_on() { within 90 says two.guest '^guest-status 0' || { tail -n 20 "$run"/two.* "$run/b.log" && return 1; }; }
answered() {
	sed -n '/packets transmitted/p' "$run/ping"
	awk '/packets transmitted/ { exit !($4 > $1 * 0.8) }' "$run/ping"
}

dies_and_comes_back() {
	local device
	rm -f "$run/here"
	reconnect=,reconnect=1 qemu three a
	within 60 test -e "$run/here" || return 1
	sleep 2
	device=$(sed -n 's/^[ {]*"pid": *\([0-9]*\).*/\1/p;T;q' "$run/a.json")
	kill -KILL "$device" && within 60 says three.guest '^guest-status 0' && return
	tail -n 20 "$run"/three.* "$run/a.log"
	return 1
}

start_web
serve_slowly
check "two brokers, their TAPs in one bridge" two_brokers
check "a guest boots on the first" boots
ping -i 0.1 10.9.0.2 >"$run/ping" 2>&1 &
pinger=$!
check "it moves to the second in the middle of a transfer" moves
check "the transfer ends where it is now" goes_on
kill -INT "$pinger"
wait "$pinger"
check "its file arrived intact" same "$(field fetched "$run/two.guest")" "$(sha256sum <"$www/data" | cut -d ' ' -f 1)"
check "the host's pings were answered" answered
tell one quit
check "a device killed under traffic is replaced, and the guest's transfer goes on" dies_and_comes_back
check "that file arrived intact" same "$(field fetched "$run/three.guest")" "$(sha256sum <"$www/data" | cut -d ' ' -f 1)"
finish
