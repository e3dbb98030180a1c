# The host's side of the end-to-end tests, sourced by a script that `alone` runs: a broker, a web server and the far end
# of TCP streams on one end of a TAP, a guest in QEMU on the other. All state lies in $run, a tmpfs.
# shellcheck shell=bash

run=/run/airlock
www=$run/www
host=10.9.0.1
host6=fd00:9::1
mac=52:54:00:12:34:56
mkdir -p "$run" "$www/cgi-bin"
e2e=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
flow=$AIRLOCK_BUILD/obj/tests/e2e/flow

say() { printf '%s\n' "$*" >&2; }

# start_broker OPTION...: returns once it serves on $run/net.sock, vhost-user or what $protocol says. Its process is
# $broker, its messages are in $run/broker.log.
start_broker() {
	local word='' option=--socket-path
	[ "${protocol:-vhost-user}" != vfio-user ] || option=--vfio-user-socket
	mkfifo "$run/ready.$$" && exec 8<>"$run/ready.$$" && rm "$run/ready.$$"
	"$AIRLOCK_BIN/airlock-broker" "$option=$run/net.sock" --tap=guest0 --address="$host/24" --address="$host6/64" \
		--mac="$mac" --control="$run/control.sock" --sandbox-report="$run/report.json" --ready-fd=8 "$@" \
		>"$run/broker.log" 2>&1 &
	# shellcheck disable=SC2034 # for the script that sources this
	broker=$!
	read -r -t 10 -u 8 word
	exec 8>&-
	[ "$word" = READY=1 ] && return
	say "the broker does not serve:"
	cat "$run/broker.log" >&2
	return 1
}

ctl() { "$AIRLOCK_BIN/airlock-ctl" --control="$run/control.sock" "$@"; }

# start_web: a page, a large file, a way to post and a way for the guest to ask that the host now looks at its device:
# what stands in $run/look is run while the guest waits.
start_web() {
	cat >"$www/index.html" <<-PAGE
		Hello, guest. This page lies on the host's side of the TAP.
		Between us stands a process that holds no capability, sees no file,
		and may make no system call but those that its policy names.
	PAGE
	head -c 3000000 /dev/urandom >"$www/large"
	cat >"$www/cgi-bin/post" <<-CGI
		#!/bin/sh
		printf 'Content-Type: text/plain\r\n\r\n'
		cat >$run/posted
		sha256sum <$run/posted
	CGI
	cat >"$www/cgi-bin/look" <<-CGI
		#!/bin/sh
		printf 'Content-Type: text/plain\r\n\r\n'
		[ ! -x $run/look ] || $run/look
	CGI
	chmod +x "$www"/cgi-bin/*
	busybox httpd -f -p 80 -h "$www" &
	"$flow" serve 5001 2>"$run/flow.log" &
}

# make_initrd SCRIPT: the guest's whole file system, in $run/initrd.
make_initrd() {
	local root=$run/root
	rm -rf "$root" && mkdir -p "$root"/{bin,dev,proc,sys,tmp,modules}
	cp "$AIRLOCK_BUILD"/guest/modules/* "$root/modules/"
	install -m 0755 "$e2e/init" "$root/init" && install -m 0755 "$1" "$root/script"
	cp "$(command -v busybox)" "$flow" "$root/bin/"
	busybox --list | while read -r applet; do [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"; done
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$run/initrd"
	rm -rf "$root"
}

# run_guest SCRIPT SECONDS PAIRS [QEMU-OPTION...]: boots a guest on the broker's socket that runs the script; prints what
# the script printed. vectors=0: QEMU 7.2 crashes on vhost-user with MSI-X under emulation. -erms: the emulator copies a byte
# at a time where the kernel trusts in fast string moves.
run_guest() {
	local script=$1 seconds=$2 pairs=$3 net status
	shift 3
	make_initrd "$script" || return
	net="-chardev socket,id=c,path=$run/net.sock -netdev vhost-user,id=n,chardev=c,queues=$pairs"
	# shellcheck disable=SC2086 # options of their own
	timeout -k 5 "$seconds" qemu-system-x86_64 -accel tcg,thread=multi -cpu max,-erms -smp "$pairs" -m 256M \
		-object memory-backend-memfd,id=m,size=256M,share=on -machine q35,memory-backend=m,usb=off,sata=off,smbus=off \
		-nodefaults -no-user-config -display none -no-reboot -kernel "$AIRLOCK_BUILD/guest/kernel" -initrd "$run/initrd" \
		-append "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check random.trust_cpu=on mitigations=off net.ifnames=0" \
		-serial "file:$run/console" -serial "file:$run/guest" \
		$net -device "virtio-net-pci,netdev=n,mac=$mac,romfile=,vectors=0$([ "$pairs" = 1 ] || echo ,mq=on)" "$@" \
		>"$run/qemu.log" 2>&1 </dev/null
	status=$?
	cat "$run/guest"
	[ "$status" = 0 ] && grep -q '^guest-status 0' "$run/guest" && return
	say "the guest failed (QEMU's exit status is $status):"
	tail -n 20 "$run/console" "$run/qemu.log" >&2
	return 1
}
