#!/bin/sh
# What the guest does in `make demo` and `make check`: takes its addresses, fetches a page and a large file, posts one
# back, moves TCP up, down and both ways at once for so many seconds, and lets the host look at its device.
seconds=2
set -e
host=10.9.0.1
host6=fd00:9::1

ip link set eth0 up
ip addr add 10.9.0.2/24 dev eth0
ip -6 addr add fd00:9::2/64 dev eth0
ping -q -c 1 -W 5 $host >/dev/null

echo page-begins
wget -q -O - http://$host/
echo page-ends

wget -q -O /tmp/large http://$host/large
echo "fetched $(sha256sum </tmp/large)"
# as text: busybox takes a file to post for a string
base64 /tmp/large >/tmp/text
echo "text $(sha256sum </tmp/text)"
echo "posted $(wget -q -O - --post-file /tmp/text http://$host/cgi-bin/post)"
# neighbour discovery must first have found the new address to be unique
for _ in 1 2 3 4 5; do ping -6 -q -c 1 -W 1 $host6 >/dev/null 2>&1 && break; sleep 0.3; done
wget -q -O /tmp/large6 "http://[$host6]/large"
echo "fetched6 $(sha256sum </tmp/large6)"

echo "queues $(ls -d /sys/class/net/eth0/queues/tx-* | wc -l)"
for mode in up down both; do flow $mode $host 5001 $seconds; done
wget -q -O /dev/null http://$host/cgi-bin/look
