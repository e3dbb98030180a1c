#!/bin/bash
# vfio_user_root.sh DIR: a Debian of today in DIR, for its QEMU, which has a vfio-user client; that of Debian 12 has none.
# Made by debootstrap from the mirror that this machine uses; what hinders it is told in one line.
set -u

root=$1
suite=${AIRLOCK_SUITE:-sid}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
mirror=$(sed -n 's/^URIs: *\([^ ]*debian\/*\)$/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
mirror=${mirror:-$(sed -n 's/^deb[^h]*\(http[^ ]*\).*/\1/p' /etc/apt/sources.list 2>/dev/null | head -n 1)}

give_up() {
	echo "no QEMU with a vfio-user client: $1 ($(tail -n 1 "$log"))"
	rm -rf "$root.new"
	exit 1
}
[ -n "$mirror" ] || give_up "apt has no mirror"
"$(dirname "$0")/../packages" debootstrap >"$log" 2>&1 || give_up "debootstrap cannot be installed"
rm -rf "$root.new" && mkdir -p "$(dirname "$root")"
debootstrap --variant=minbase "$suite" "$root.new" "$mirror" >"$log" 2>&1 || give_up "debootstrap of $suite fails"
# a mirror may be a frozen copy, past the day that its signature names
echo 'Acquire::Check-Valid-Until "false";' >"$root.new/etc/apt/apt.conf.d/99frozen"
printf '#!/bin/sh\nexit 101\n' >"$root.new/usr/sbin/policy-rc.d" && chmod +x "$root.new/usr/sbin/policy-rc.d"
for step in update "install -y --no-install-recommends qemu-system-x86"; do
	# shellcheck disable=SC2086 # words of a command
	DEBIAN_FRONTEND=noninteractive chroot "$root.new" apt-get -q $step >"$log" 2>&1 || give_up "apt-get $step fails there"
done
mv "$root.new" "$root"
