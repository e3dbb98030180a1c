#!/bin/sh
# kernel.sh KERNEL: fetches Debian's cloud kernel, which is not installed but unpacked: the image as KERNEL, and beside it
# modules/ with what a virtio network device needs.
set -e

kernel=$1
dir=$(dirname "$kernel")
modules='virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# linux-image-cloud-amd64 depends on the package that holds the image of today
package() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1; }
fetch() { apt-get -q -o APT::Sandbox::User=root download "$(package)" >log 2>&1; }
{ [ -n "$(package)" ] && fetch; } || { apt-get -q update >log 2>&1 && fetch; } || {
	cat log >&2
	echo "airlock: could not fetch Debian's cloud kernel (linux-image-cloud-amd64)" >&2
	exit 1
}
dpkg -x ./*.deb .

cd - >/dev/null
mkdir -p "$dir/modules"
for m in $modules; do
	find "$work/lib/modules" -name "$m.ko" -exec cp {} "$dir/modules/" \;
	[ -s "$dir/modules/$m.ko" ] || { echo "airlock: the cloud kernel has no module $m" >&2; exit 1; }
done
# in the order in which the guest loads them
echo "$modules" | tr ' ' '\n' >"$dir/modules/order"
cp "$work"/boot/vmlinuz-* "$kernel.new"
mv "$kernel.new" "$kernel"
