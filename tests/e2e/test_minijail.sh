#!/bin/bash
# airlock-minijail: a real guest on a device that minijail0 jails. While the guest waits, the host looks at the device from
# outside. What must be refused is refused everywhere; the rest needs minijail0, in PATH or named by AIRLOCK_MINIJAIL0.
set -u

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"

if [ "${1:-}" != inside ]; then
	alone_or_skip "$here"
	exec "$here/alone" "$0" inside
fi
# shellcheck source=tests/e2e/host.sh
. "$here/host.sh"

wrapper=$AIRLOCK_BIN/airlock-minijail
minijail=${AIRLOCK_MINIJAIL0:-$(command -v minijail0)}
socket=--socket-path=$run/net.sock

# says CODE WORDS COMMAND...: its exit status, and one line on stderr with the words
says() {
	local want=$1 words=$2 got
	shift 2
	"$@" 2>"$run/said" </dev/null
	got=$?
	cat "$run/said"
	same "$got" "$want" && same "$(wc -l <"$run/said")" 1 && grep -q -- "$words" "$run/said"
}
untouched() { ! grep guest0 /proc/net/dev && [ ! -e "$run/net.sock" ]; }

for option in --control="$run/c" --sandbox-report=- --allow-degraded=landlock --print-capabilities; do
	check "${option%%=*} needs a supervisor" says 2 "${option%%=*}: needs a supervisor" "$wrapper" "$socket" --tap=guest0 "$option"
done
check "no socket: a usage error" says 2 "--socket-path" "$wrapper" -- --tap=guest0
check "no such option" says 2 "--nonsense" "$wrapper" "$socket" --nonsense
check "minijail0 is missing: what to install" says 1 "install" env AIRLOCK_MINIJAIL0=/nonexistent "$wrapper" "$socket" --tap=guest0
check "nothing was changed" untouched
check "--help" "$wrapper" --help
check "--version" "$wrapper" -- --version

if ! [ -x "$minijail" ]; then
	skip "a guest under minijail0" "minijail0 is not installed"
	finish
	exit
fi
export AIRLOCK_MINIJAIL0=$minijail

# start LOG WORD...: returns once somebody can connect. Its process is $jailer, and minijail0's later.
start() {
	local word='' log=$1
	shift
	mkfifo "$run/ready" && exec 8<>"$run/ready" && rm "$run/ready"
	"$wrapper" "$@" --ready-fd=8 2>"$log" 8>&8 &
	jailer=$!
	read -r -t 10 -u 8 word
	exec 8>&-
	same "$word" READY=1 || { cat "$log" && return 1; }
}

# Run by the web server when the guest asks: what /proc says of the device of minijail0, $1, now.
cat >"$run/look.sh" <<'END'
cd "$1" || exit
child() { read -r pid _ <"/proc/$1/task/$1/children"; echo "$pid"; } # a line without an end
init=$(child "$2")
device=$(child "$init")
proc=/proc/$device
set -e
cat $proc/status >status
cat $proc/task/*/status >threads
cat $proc/mountinfo >mounts
tr '\0' '\n' <$proc/environ | grep -v '^PWD=' >environ || true # a shell in place of minijail0 sets it
cat $proc/limits >limits
for fd in $proc/fd/*; do [ "${fd##*/}" -le 2 ] || readlink $fd; done | sed 's/:.*//' | sort | uniq -c | tr -s ' ' >fds
ls -A $proc/root/ >root
for ns in user mnt pid net ipc uts cgroup; do
	[ "$(readlink $proc/ns/$ns)" = "$(readlink /proc/self/ns/$ns)" ] || echo $ns
done >namespaces
! touch $proc/root/new 2>/dev/null || echo new >>root
grep -E '^(NSpid|Seccomp|CapEff|Uid)' /proc/$init/status >init
touch looked
END
look() {
	printf '#!/bin/sh\nexec /bin/sh %s/look.sh %s %s\n' "$run" "$run" "$1" >"$run/look" && chmod +x "$run/look"
}

pairs=2
tour() { run_guest "$here/tour.sh" 90 $pairs >"$run/result" || { cat "$run/result" "$run/minijail.log" && return 1; }; }
field() { awk -v key="$1" '$1 == key { print $2; exit }' "$run/result"; }
status() { awk -v key="$1:" '$1 == key { $1 = ""; print substr($0, 2) }' "$run/${2:-status}"; }
# no uid and no gid of root's, and the four of each the same
unprivileged() { same "$(status Uid | tr '\t ' '\n' | grep -cE '^6[1-5][0-9]{3}$')" 4 && same "$(status Gid)" "$(status Uid)"; }
no_groups() { grep '^Groups:' "$run/status" && [ -z "$(status Groups | tr -d ' ')" ]; }
no_capability() { same "$(grep -c '^Cap[A-Z][a-z]*:[[:space:]]0*$' "$run/status")" 5; }
filtered() { same "$(status Seccomp threads | sort | uniq -c | tr -s ' ')" " $((pairs + 1)) 2" && same "$(status Seccomp_filters threads | sort -u)" 2; }
seven() { same "$(tr '\n' ' ' <"$run/namespaces")" "user mnt pid net ipc uts cgroup "; }
bare_root() { same "$(tr '\n' ' ' <"$run/root")" "airlock-device proc "; }
read_only() { cat "$run/mounts" && same "$(awk '$6 ~ /^ro,/' "$run/mounts" | wc -l)" 4 && same "$(wc -l <"$run/mounts")" 4; }
# the connection and its back channel, the TAP queues, eventfds, and the guest's memory
known_fds() { cat "$run/fds" && ! grep -vE ' ([12] socket|2 /dev/net/tun|[0-9]+ anon_inode|1 /memfd)$' "$run/fds" && grep -q tun "$run/fds"; }
limited() { for what in "file size" "core file size" processes; do grep -qE "^Max $what  +0  +0 " "$run/limits" || { echo "$what" && return 1; }; done; }
# minijail0's init: the first process, with as little
humble_init() { grep -q '^NSpid:.*[[:space:]]1$' "$run/init" && grep -q '^CapEff:[[:space:]]0*$' "$run/init" && grep -q '^Seccomp:[[:space:]]2$' "$run/init"; }
ended() { wait "$1"; same "$?" "${2:-0}" || { cat "$run"/*.log && return 1; }; }

start_web
large=$(sha256sum <"$www/large" | cut -d ' ' -f 1)
check "it waits for a connection" start "$run/minijail.log" "$socket" --tap=guest0 --address="$host/24" --address="$host6/64" \
	--mac="$mac" --queue-pairs=$pairs
guest_jailer=$jailer
look "$guest_jailer"
check "a guest boots and takes its tour" tour
check "a large file arrives intact over IPv4" same "$(field fetched)" "$large"
check "a large file arrives intact over IPv6" same "$(field fetched6)" "$large"
check "what it posts arrives intact" same "$(field posted)" "$(field text)"
check "the host has looked at the device" test -e "$run/looked"
check "an id of its own" unprivileged
check "no groups" no_groups
check "five empty capability sets" no_capability
check "no_new_privs" same "$(status NoNewPrivs)" 1
check "two filters on every thread" filtered
check "seven namespaces of its own" seven
check "a root of its program and /proc" bare_root
check "every mount is read-only" read_only
check "no other descriptors than it needs" known_fds
check "no file, no core, no process" limited
check "an empty environment" eval '[ -e "$run/environ" ] && [ ! -s "$run/environ" ]'
check "its init has as little" humble_init
check "the end of the guest is its orderly end" ended "$guest_jailer"
check "TAP and socket are gone" untouched

# Two devices on one connection: neither ever says a word.
waits_and_ends() { start "$run/a.log" "$socket" --tap=guest0 && kill -TERM "$jailer" && ended "$jailer"; }
pair() {
	start "$run/a.log" "$socket" --tap=guest0 && first=$jailer && start "$run/b.log" "$socket" --client --tap=guest1 && second=$jailer || return
	for _ in $(seq 50); do
		[ "$(pgrep -c airlock-control)" = 2 ] && return
		sleep 0.1
	done
	cat "$run"/[ab].log && return 1
}
check "SIGTERM while it waits is an orderly end" waits_and_ends
check "TAP and socket are gone" untouched
check "--client connects" pair
check "SIGTERM ends the device in order" eval 'kill -TERM "$first" && ended "$first"'
check "which its peer sees" ended "$second"
passed_on() {
	start "$run/a.log" --nonsense -- "$socket" --tap=guest0 && first=$jailer &&
		start "$run/b.log" "$socket" --client --tap=guest1 && ended "$first" 1 && ended "$jailer" && grep -q nonsense "$run/a.log"
}
check "options before -- are minijail0's" passed_on
finish
