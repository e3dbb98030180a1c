#!/bin/bash
# `make install` into an empty directory: everything is where its users look for it, the device needs nothing at run time,
# and the installed broker finds what belongs to it.
set -u

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"
cd "$here/../.." || exit
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
make=${MAKE:-make}

installs() { "$make" -s --no-print-directory install BUILD="$AIRLOCK_BUILD" DESTDIR="$root" PREFIX=/usr; }
present() { for f in "$@"; do [ -s "$root/usr/$f" ] || { echo "missing: $f" && return 1; }; done; }
# a static PIE: it asks for no interpreter and no library, and goes to another address each time
static_pie() {
	local headers
	headers=$(readelf -hld "$root/usr/libexec/airlock/airlock-device") || return
	echo "$headers" | grep -E 'INTERP|NEEDED' && return 1
	echo "$headers" | grep -q 'Type: *DYN'
}
hardened() { ! readelf -ldW "$1" | grep -E 'TEXTREL|GNU_STACK.*RWE' && readelf -dW "$1" | grep -q 'BIND_NOW\|FLAGS.*NOW' && readelf -lW "$1" | grep -q GNU_RELRO; }
no_placeholders() { ! grep -rnI '@[A-Z]*@' "$root"; }
# the file is an array of struct sock_filter, of which no filter holds more than 4096
is_filter() { local size; size=$(stat -c %s "$1") && [ "$size" -gt 0 ] && [ $((size % 8)) = 0 ] && [ "$size" -le 32768 ]; }
filters() { for f in "$root"/usr/share/airlock/policy/*.policy; do is_filter "${f%.policy}.bpf" || { echo "$f" && return 1; }; done; }
serves() { AIRLOCK_BIN=$root/usr/bin "$here/alone" bash -c '. "$0" && start_broker && kill "$broker" && wait "$broker"' "$here/host.sh"; }

check "make install" installs
check "programs" present bin/airlock-{broker,ctl,minijail,policy} libexec/airlock/airlock-device
check "policies" present share/airlock/policy/{control,worker,broker,spawner,launch}.policy
check "compiled filters beside them" filters
check "manual pages" present share/man/man8/airlock-{broker,device,minijail}.8 share/man/man1/airlock-{ctl,policy}.1
check "systemd units" present lib/systemd/system/airlock@.{service,socket}
check "QEMU's descriptor" present share/qemu/vhost-user/50-airlock-net.json
check "no placeholder is left" no_placeholders
check "airlock-device is a static PIE" static_pie
for program in "$root"/usr/bin/* "$root"/usr/libexec/airlock/*; do
	check "${program##*/} is linked with relro, now and no executable stack" hardened "$program"
done
if [ "$(id -u)" = 0 ] && "$here/alone" true 2>/dev/null; then
	check "the installed broker serves" serves
else
	skip "the installed broker serves" "needs root and namespaces"
fi
finish
