# TAP for test scripts, sourced. A failed check shows its command's output as comments; finish prints the plan.
# shellcheck shell=bash

tap_count=0
tap_failed=0
tap_output=

# check NAME COMMAND...: passes when the command does. Runs in this shell: it may set variables.
check() {
	local name=$1
	shift
	tap_count=$((tap_count + 1))
	[ -n "$tap_output" ] || tap_output=$(mktemp)
	if "$@" >"$tap_output" 2>&1; then
		echo "ok $tap_count - $name"
	else
		tap_failed=$((tap_failed + 1))
		echo "not ok $tap_count - $name"
		sed 's/^/# /' "$tap_output"
	fi
}

# skip NAME REASON
skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

# skip_all REASON: ends the script
skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

# alone_or_skip E2E-DIRECTORY: what the end-to-end tests need of the machine
alone_or_skip() {
	[ "$(id -u)" = 0 ] || skip_all "namespaces and TAPs need root"
	[ -e /dev/net/tun ] || skip_all "there is no /dev/net/tun"
	"$1/alone" true || skip_all "this machine allows no namespaces"
}

finish() {
	echo "1..$tap_count"
	rm -f "$tap_output"
	[ "$tap_failed" = 0 ]
}

same() { [ -n "$1" ] && [ "$1" = "$2" ] || { echo "'$1' is not '$2'" && return 1; }; }
