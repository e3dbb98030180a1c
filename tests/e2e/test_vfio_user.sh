#!/bin/bash
# A stock Linux guest whose network card is airlock-vfio-user: QEMU holds no virtio code for it. It takes its tour, unbinds
# and binds its driver a hundred times, reboots, and outlives the process behind its card. The QEMU is that of
# vfio_user_root.sh, or of $AIRLOCK_VFIO_ROOT.
set -u

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"
root=${AIRLOCK_VFIO_ROOT:-$AIRLOCK_BUILD/vfio-user-root}

if [ "${1:-}" != inside ]; then
	alone_or_skip "$here"
	[ -x "$root/usr/bin/qemu-system-x86_64" ] || reason=$("$here/vfio_user_root.sh" "$root") || skip_all "$reason"
	exec "$here/alone" "$0" inside
fi
# shellcheck source=tests/e2e/host.sh
. "$here/host.sh"

transport_uid=65431 # of nobody else; the broker's devices have ids of their own
socket=$run/vm/vfio.sock

start_transport() {
	mkdir -p "$run/vm" && chown "$transport_uid" "$run/vm" || return
	exec 7<"$AIRLOCK_POLICY_DIR/transport.bpf" || return
	setpriv --reuid=$transport_uid --regid=$transport_uid --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs \
		"$AIRLOCK_BIN/airlock-vfio-user" --vfio-user-socket="$socket" --vhost-user-socket="$run/net.sock" \
		--filter-fd=transport:7 2>"$run/transport.log" &
	transport=$!
	exec 7<&-
	for _ in $(seq 50); do
		[ ! -S "$socket" ] || return 0
		sleep 0.1
	done
	cat "$run/transport.log" >&2
	return 1
}

# What the host does when the guest asks: the first time it has it reboot, the second time it kills the device.
prepare_look() {
	cat >"$run/look" <<-LOOK
		#!/bin/sh
		if [ ! -e $run/rebooted ]; then
			touch $run/rebooted
			echo reboot
			exit
		fi
		echo kill
		# the answer must still pass through it
		pid=\$(sed -n 's/^[ {]*"pid": *\([0-9]*\).*/\1/p;T;q' $run/report.json)
		{ sleep 1 && kill -KILL "\$pid"; } >/dev/null 2>&1 &
	LOOK
	chmod +x "$run/look"
}

in_root() {
	unshare --mount sh -ec '
		root=$1
		shift
		mount --rbind "$root" "$root"
		for d in /proc /dev /sys /run; do mkdir -p "$root$d" && mount --rbind "$d" "$root$d"; done
		mkdir -p "$root/guest" && mount --rbind "$AIRLOCK_BUILD/guest" "$root/guest"
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' sh "$root" "$@"
}

guest() {
	make_initrd "$here/vfio_user_tour.sh" || return
	in_root timeout -k 5 150 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 256M \
		-object memory-backend-memfd,id=m,size=256M,share=on -machine q35,memory-backend=m,usb=off,sata=off,smbus=off \
		-nodefaults -no-user-config -display none -kernel /guest/kernel -initrd "$run/initrd" \
		-append "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check random.trust_cpu=on mitigations=off net.ifnames=0" \
		-serial "file:$run/console" -serial "file:$run/guest" \
		-device "{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\",\"path\":\"$socket\"}}" \
		>"$run/qemu.log" 2>&1 </dev/null && grep -q '^guest-status 0' "$run/guest" && return
	tail -n 20 "$run/console" "$run/guest" "$run/qemu.log" "$run/transport.log" "$run/broker.log"
	return 1
}

# QEMU writes both boots to one file: the first boot's lines, then the second's
field() { awk -v key="$1" -v nth="$2" '$1 == key && ++n == nth { print $2; exit }' "$run/guest"; }
page() { sed -n '/^page-begins/,/^page-ends/{/^page-/d;p;/^page-ends/q}' "$run/guest" | head -n 3; }
flowed() { awk -v mode="$1" -v ways="$2" '$1 == mode { n += gsub(/=[1-9]/, "") } END { exit n != ways }' "$run/guest"; }
sealed() {
	local task
	for task in /proc/"$transport"/task/*; do
		grep -qx 'Seccomp:[[:space:]]*2' "$task/status" && grep -qx 'NoNewPrivs:[[:space:]]*1' "$task/status" &&
			! grep -E '^Cap(Eff|Prm|Inh|Bnd|Amb):.*[1-9a-f]' "$task/status" || return
	done
	[ "$(ls /proc/"$transport"/task | wc -l)" = 2 ]
}
ends() { kill -TERM "$1" && wait "$1"; }

start_web
prepare_look
check "the broker serves" start_broker --socket-mode=0666
check "the transport serves" start_transport
check "both of its threads are confined" sealed
large=$(sha256sum <"$www/large" | cut -d ' ' -f 1)
check "a guest boots, tours, rebinds, reboots and sees its back-end die" guest
for boot in 1 2; do
	check "boot $boot: a large file arrives intact" same "$(field fetched $boot)" "$large"
	check "boot $boot: what it posts arrives intact" same "$(field posted $boot)" "$(field text $boot)"
	check "boot $boot: interrupts are vectors" same "$(field vectors $boot)" yes
	check "boot $boot: a hundred times unbound and bound" same "$(field rebound $boot)" 100
done
check "it reads the page" same "$(page)" "$(cat "$www/index.html")"
# the figures of a card whose kicks cross QEMU and the transport; make bench has those of one whose kicks do not
sed -n 's/^\(up\|down\|both\) up=/# Mbit\/s, \1: up=/p' "$run/guest"
check "TCP flows up" flowed up 2
check "TCP flows down" flowed down 2
check "TCP flows both ways at once" flowed both 4
check "the driver sees DEVICE_NEEDS_RESET" same "$(field status-after 1)" 0x0000004f
check "a driver reset brings it back on a fresh back-end" same "$(field revived 1)" "$(sha256sum <"$www/index.html" | cut -d ' ' -f 1)"
check "the guest's kernel has nothing to complain of" same "$(field kernel 1)" quiet
check "the transport ends in order" ends "$transport"
check "the broker ends in order" ends "$broker"
finish
