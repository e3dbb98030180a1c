#!/bin/sh
# What the guest does on its vfio-user device: the tour of tour.sh; then its driver leaves and comes back, many times; then
# what the host says when it is asked (cgi-bin/look): reboot, or see the back-end die and come back.
set -e
host=10.9.0.1
driver=/sys/bus/virtio/drivers/virtio_net
device=/sys/bus/virtio/devices/virtio0

address() {
	ip link set eth0 up
	ip addr add 10.9.0.2/24 dev eth0
	ping -q -c 1 -W 5 $host >/dev/null
}
rebind() {
	echo virtio0 >$driver/unbind
	echo virtio0 >$driver/bind
}
needs_reset() {
	for _ in $(seq 50); do
		[ $(($(cat $device/status) & 0x40)) = 0 ] || return 0
		sleep 0.1
	done
	return 1
}

address
echo page-begins
wget -q -O - http://$host/
echo page-ends
wget -q -O /tmp/large http://$host/large
echo "fetched $(sha256sum </tmp/large)"
base64 /tmp/large >/tmp/text
echo "text $(sha256sum </tmp/text)"
echo "posted $(wget -q -O - --post-file /tmp/text http://$host/cgi-bin/post)"
for mode in up down both; do flow $mode $host 5001 2; done
grep -q 'MSI.*virtio0-input' /proc/interrupts && echo "vectors yes"

n=0
while [ $n -lt 100 ]; do
	rebind
	n=$((n + 1))
done
address
echo "rebound $n"

word=$(wget -q -O - http://$host/cgi-bin/look)
[ "$word" != reboot ] || reboot -f
echo "status-before $(cat $device/status)"
needs_reset && echo "status-after $(cat $device/status)"
rebind
address
echo "revived $(wget -q -O - http://$host/ | sha256sum)"
dmesg | grep -E 'WARNING|BUG|Oops' || echo "kernel quiet"
