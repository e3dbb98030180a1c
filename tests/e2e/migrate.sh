#!/bin/sh
# What the guest does in test_migration.sh: fetches one large file slowly enough to be moved meanwhile, then says so.
set -e
ip link set eth0 up
ip addr add 10.9.0.2/24 dev eth0
ping -q -c 1 -W 5 10.9.0.1 >/dev/null
wget -q -O /dev/null http://10.9.0.1/cgi-bin/here
wget -q -O /tmp/slow http://10.9.0.1/cgi-bin/slow
echo "fetched $(sha256sum </tmp/slow)"
echo "posted $(wget -q -O - --post-data=moved http://10.9.0.1/cgi-bin/post)"
