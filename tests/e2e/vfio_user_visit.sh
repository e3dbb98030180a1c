#!/bin/sh
# A short visit: the page, then what the host says when it is asked (cgi-bin/look). When that was the end of the guest's
# card, the guest goes on without.
set -e
host=10.9.0.1

ip link set eth0 up
ip addr add 10.9.0.2/24 dev eth0
ping -q -c 1 -W 5 $host >/dev/null
echo "visited $(wget -q -O - http://$host/ | sha256sum)"
word=$(wget -q -O - http://$host/cgi-bin/look)
[ "$word" = kill ] || exit 0
sleep 2
ping -q -c 1 -W 2 $host >/dev/null || echo "card gone"
