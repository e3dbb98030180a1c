#!/bin/bash
# Airlock's own policies, held against a broker with a real guest: no call is refused or would be, no rule is without a
# use but those that audit.unused names with a reason, and the figure of calls per role. Leaves policies.html in the build.
set -u

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"

if [ "${1:-}" != inside ]; then
	alone_or_skip "$here"
	"$AIRLOCK_BIN/airlock-policy" audit --quiet "$AIRLOCK_POLICY_DIR/broker.policy" -- true 2>&1 | grep -q 'tracing needs\|cannot trace' &&
		skip_all "this kernel cannot trace with eBPF"
	exec "$here/alone" "$0" inside
fi
# shellcheck source=tests/e2e/host.sh
. "$here/host.sh"

# Whose calls a policy judges: a device makes its first calls under the spawner's filter, and keeps it under its own.
policies=(
	"airlock-broker=$AIRLOCK_POLICY_DIR/broker.policy"
	"*,!airlock-broker@1=$AIRLOCK_POLICY_DIR/spawner.policy"
	"airlock-control=$AIRLOCK_POLICY_DIR/control.policy"
	"airlock-worker=$AIRLOCK_POLICY_DIR/worker.policy"
)

# In place of the broker that start_broker starts: the broker under audit.
real=$AIRLOCK_BIN
mkdir "$run/bin"
{
	printf '#!/bin/sh\nexec "%s/airlock-policy" audit -o "%s/audit.json"' "$real" "$run"
	printf ' "%s"' "${policies[@]}"
	# shellcheck disable=SC2016 # for that script
	printf ' -- "%s/airlock-broker" "$@" >"%s/audit"\n' "$real" "$run"
} >"$run/bin/airlock-broker"
chmod +x "$run/bin/airlock-broker"
ln -s "$real/airlock-ctl" "$run/bin/airlock-ctl"
AIRLOCK_BIN=$run/bin

tour() { run_guest "$here/tour.sh" 90 "$1" >"$run/result" || { cat "$run/result" "$run/broker.log" && return 1; }; }
asked() { ctl status && ctl stats && ctl sandbox; }
ends() { kill -TERM "$broker" && { wait "$broker" || true; }; }
# "worker exit_group", "control fcntl: arg1 == F_GET_SEALS"
unused() { sed -n 's|^[^ ]*/\([a-z]*\)\.policy:[0-9]*: never used: |\1 |p' "$run/audit"; }
excused() { sed -n 's/ *#.*//;/./p' "$here/audit.unused"; }
refused() { grep 'refused' "$run/audit"; }
none() { local lines; lines=$("$@") || true; [ -z "$lines" ] || { echo "$lines" && return 1; }; }
unexcused() { unused | grep -vxFf <(excused); }

start_web
check "the broker serves under audit" start_broker --queue-pairs=2
check "a guest with two queue pairs takes its tour" tour 2
check "the broker answers questions" asked
check "another guest, with one, follows" tour 1
check "the broker ends in order" ends
check "every call was counted" grep -q '"complete": true' "$run/audit.json"
check "no call was refused, or would be" none refused
check "every rule is used, or its exception has a reason" none unexcused
check "a report of it" "$real/airlock-policy" report -o "$AIRLOCK_BUILD/policies.html" "$run/audit.json"
excused | grep -vxFf <(unused) | sed 's/^/# excused, yet not unused: /'
sed -n 's|^[^ ]*/\([a-z]*\)\.policy: \([0-9]* of [0-9]* rules used\)|# \1: \2|p' "$run/audit"
finish
