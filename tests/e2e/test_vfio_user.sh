#!/bin/bash
# A stock Linux guest whose network card is the broker's pair: QEMU holds no virtio code for it. It takes its tour, unbinds
# and binds its driver a hundred times, reboots, and outlives the device behind its card. Then its transport is killed, and
# another guest gets another. The QEMU is that of vfio_user_root.sh, or of $AIRLOCK_VFIO_ROOT.
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

# shellcheck disable=SC2034 # for host.sh
protocol=vfio-user

# pid_of device|transport: as the broker tells it now
pid_of() { ctl status | awk -v who="$1" '$1 == who { print $2 }'; }

# look KILLED [ELSE]: what the host does when the guest asks: once it says ELSE, if that is given; then it kills a process of
# the pair, when its answer has passed through it.
look() {
	rm -f "$run/asked"
	[ -n "${2:-}" ] || touch "$run/asked"
	cat >"$run/look" <<-LOOK
		#!/bin/sh
		[ -e $run/asked ] || { touch $run/asked; echo ${2:-}; exit; }
		echo kill
		pid=\$($AIRLOCK_BIN/airlock-ctl --control=$run/control.sock status | awk '\$1 == "$1" { print \$2 }')
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

# guest SCRIPT: boots a guest that runs it, in the foreground.
guest() {
	make_initrd "$here/$1" || return
	in_root timeout -k 5 150 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 256M \
		-object memory-backend-memfd,id=m,size=256M,share=on -machine q35,memory-backend=m,usb=off,sata=off,smbus=off \
		-nodefaults -no-user-config -display none -pidfile "$run/qemu.pid" -kernel /guest/kernel -initrd "$run/initrd" \
		-append "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check random.trust_cpu=on mitigations=off net.ifnames=0" \
		-serial "file:$run/console" -serial "file:$run/guest" \
		-device "{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\",\"path\":\"$run/net.sock\"}}" \
		>"$run/qemu.log" 2>&1 </dev/null && grep -q '^guest-status 0' "$run/guest" && return
	tail -n 20 "$run/console" "$run/guest" "$run/qemu.log" "$run/broker.log"
	return 1
}

# A guest whose transport dies: without a card, but alive. It cannot be asked to end, since its driver waits for the card.
bereaved() {
	local visit gone=1
	: >"$run/guest"
	guest vfio_user_visit.sh >/dev/null &
	visit=$!
	for _ in $(seq 600); do
		grep -qx 'card gone' "$run/guest" && gone=0 && break
		sleep 0.1
	done
	kill "$(cat "$run/qemu.pid")"
	wait "$visit"
	return $gone
}

# QEMU writes both boots to one file: the first boot's lines, then the second's
field() { awk -v key="$1" -v nth="$2" '$1 == key && ++n == nth { print $2; exit }' "$run/guest"; }
page() { sed -n '/^page-begins/,/^page-ends/{/^page-/d;p;/^page-ends/q}' "$run/guest" | head -n 3; }
flowed() { awk -v mode="$1" -v ways="$2" '$1 == mode { n += gsub(/=[1-9]/, "") } END { exit n != ways }' "$run/guest"; }
sealed() {
	local who task
	for who in device transport; do
		for task in /proc/"$(pid_of $who)"/task/*; do
			grep -qx 'Seccomp:[[:space:]]*2' "$task/status" && grep -qx 'NoNewPrivs:[[:space:]]*1' "$task/status" &&
				! grep -E '^Cap(Eff|Prm|Inh|Bnd|Amb):.*[1-9a-f]' "$task/status" || return
		done
	done
}
ends() { kill -TERM "$1" && wait "$1"; }

start_web
look device reboot
check "the broker serves" start_broker
check "both of the pair are confined" sealed
large=$(sha256sum <"$www/large" | cut -d ' ' -f 1)
check "a guest boots, tours, rebinds, reboots and sees its back-end die" guest vfio_user_tour.sh
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
page=$(sha256sum <"$www/index.html" | cut -d ' ' -f 1)
look transport
check "a guest outlives its transport" bereaved
check "it had its page before" same "$(field visited 1)" "$page"
rm "$run/look"
check "the next guest has another transport" guest vfio_user_visit.sh
check "and its page" same "$(field visited 1)" "$page"
check "two were killed, and counted" same "$(ctl status | awk '$1 == "restarts" { print $2 }')" 2
check "the broker ends in order" ends "$broker"
finish
