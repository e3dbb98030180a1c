#!/bin/bash
# airlock-policy from outside: each verb's output, exit codes and files, as a user or a script sees them.
set -u
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

policy=${AIRLOCK_BIN:?}/airlock-policy
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

cat > good.policy <<'END'
# @prove no-open
# @prove only ioctl: arg1 == 0x5401
@default trap
read: 1
write: arg2 == 8 # eight bytes
ioctl: arg1 == 0x5401
END
printf 'reed: 1\nwrite: arg0 = 1\n' > bad.policy
printf '# @prove no-open\nopenat: 1\n' > false.policy
printf 'read: arg0 == 1; return EPERM\n' > contested.policy

# run CODE COMMAND...: output to $out, messages to $err
run() {
	local want=$1 got
	shift
	out=$("$@" 2>err.txt)
	got=$?
	err=$(cat err.txt)
	printf '%s\n%s\n' "$out" "$err"
	same "$got" "$want"
}
says() { case "$1" in *"$2"*) return 0 ;; *) echo "no '$2' in: $1"; return 1 ;; esac; }
checks() { run 0 "$policy" check good.policy && says "$out" "3 calls" && says "$out" "proven; 2 properties hold"; }
refuses() {
	run 2 "$policy" check bad.policy && says "$err" "bad.policy:1:1: unknown system call 'reed'" &&
		says "$err" "bad.policy:2:13: '=' is no comparison"
}
refutes() { run 1 "$policy" check false.policy && says "$err" "'no-open' does not hold: openat(" && says "$err" "gets allow"; }
check "check: a good policy" checks
check "check: every error, with its place" refuses
check "check: a property that does not hold" refutes
check "check: the worst of several files" run 2 "$policy" check good.policy false.policy bad.policy
json_check() {
	run 2 "$policy" check --json good.policy bad.policy && says "$out" '"ok": true' && says "$out" '"holds": true' &&
		says "$out" '"ok": false' && says "$out" '"column": 13'
}
check "check --json" json_check
check "check --prove: holds" run 0 "$policy" check --prove "never close" good.policy
check "check --prove: does not" run 1 "$policy" check --prove "never read" good.policy
check "check --prove: nonsense" run 2 "$policy" check --prove "often read" good.policy

compiles() {
	run 0 "$policy" compile -o good.bpf good.policy && same $(($(stat -c %s good.bpf) % 8)) 0 &&
		run 0 "$policy" verify good.policy good.bpf && says "$out" "proven"
}
keeps() {
	cp good.bpf kept.bpf && run 1 "$policy" compile -o kept.bpf false.policy && cmp good.bpf kept.bpf &&
		same "$(find . -name "*.bpf.*" | wc -l)" 0
}
check "compile, verify" compiles
check "compile: an unproven filter is not written" keeps
check "compile: to a pipe" sh -c "'$policy' compile good.policy | cmp - good.bpf"
check "compile: nowhere to write" run 1 "$policy" compile -o nosuch/x.bpf good.policy
check "compile: another default" sh -c "'$policy' compile --default-action=errno=5 -o d.bpf good.policy &&
	'$policy' eval d.bpf --syscall=close | grep -q 'errno=5 (EIO)'"
hash() {
	run 0 "$policy" compile --json -o h.bpf good.policy &&
		says "$out" "\"sha256\": \"$(sha256sum h.bpf | cut -d' ' -f1)\"" && says "$out" '"proven": true'
}
check "compile --json: the hash of the bytes" hash
check "compile: the contested form needs a dialect" run 2 "$policy" compile -o c.bpf contested.policy
dialects() {
	"$policy" compile --dialect=minijail0 -o m.bpf contested.policy && "$policy" compile --dialect=compiler -o c.bpf contested.policy &&
		run 0 "$policy" eval m.bpf --syscall=read 1 && run 1 "$policy" eval c.bpf --syscall=read 1 &&
		run 1 "$policy" eval m.bpf --syscall=read 2 && says "$out" "errno=1 (EPERM)" && run 1 "$policy" eval c.bpf --syscall=read 2 &&
		says "$out" "kill-thread"
}
check "compile: the dialects are opposites" dialects

check "eval: allowed" run 0 "$policy" eval good.policy --syscall=write 1 2 8
denied() { run 1 "$policy" eval good.policy --syscall=write 1 2 9 && says "$out" "write(0x1, 0x2, 0x9" && says "$out" "trap"; }
origin() { run 0 "$policy" eval good.policy --syscall=read && says "$out" "good.policy:4:7"; }
branch() { run 1 "$policy" eval good.bpf --syscall=write 1 2 9 && says "$out" "instruction "; }
check "eval: denied" denied
check "eval: the line that decides" origin
check "eval: the instruction that decides" branch
check "eval: a number" run 0 "$policy" eval good.policy --syscall=0 --arch=x86_64
check "eval: another architecture" run 0 "$policy" eval good.policy --arch=aarch64 --syscall=63
check "eval: a filter on another architecture" run 1 "$policy" eval good.bpf --arch=riscv64 --syscall=read
check "eval: constants" run 0 "$policy" eval good.policy --syscall=ioctl 'O_RDWR|1' TCGETS
check "eval: no such call" run 2 "$policy" eval good.policy --syscall=reed
check "eval: no such value" run 2 "$policy" eval good.policy --syscall=read FOO
json_eval() { run 1 "$policy" eval --json good.policy --syscall=close 7 && says "$out" '"decision": "trap"' && says "$out" '"0x7"'; }
check "eval --json" json_eval

printf 'read: 1\nwrite: arg2 == 9\nioctl: arg1 == 0x5401\n@default trap\n' > other.policy
"$policy" compile -o other.bpf other.policy
differs() { run 1 "$policy" diff good.policy other.bpf && says "$out" "write: good.policy: trap, other.bpf: allow" && says "$out" "write(0x0, 0x0, 0x9"; }
counter() { run 1 "$policy" verify good.policy other.bpf && says "$out" "not what good.policy says" && says "$out" "write("; }
json_diff() { run 1 "$policy" diff --json good.policy other.policy && says "$out" '"first_nr": 1' && says "$out" '"name": "write"'; }
check "diff: none" run 0 "$policy" diff good.policy good.bpf
check "diff: each with a witness" differs
check "diff --json" json_diff
check "verify: a counter-example" counter
head -c 12 good.bpf > cut.bpf
printf '\x20\0\0\0\x40\0\0\0\x06\0\0\0\0\0\0\0' > outside.bpf
bytes() { run 2 "$policy" verify good.policy outside.bpf && says "$err" "loads from outside the call's data"; }
check "verify: no filter" run 2 "$policy" verify good.policy cut.bpf
check "verify: no filter that the kernel takes" bytes

shows() { run 0 "$policy" show good.policy && says "$out" "write  # eight bytes" && says "$out" "if arg2 == 0x8"; }
shows_filter() { run 0 "$policy" show good.bpf && says "$out" "if arg2 == 0x8" && says "$out" "everything else"; }
same_shown() { same "$("$policy" show --asm good.policy)" "$("$policy" show --asm good.bpf)"; }
json_show() { run 0 "$policy" show --json good.policy && says "$out" '"reason": "eight bytes"'; }
check "show: a policy, with reasons" shows
check "show: a filter" shows_filter
check "show --asm" same_shown
check "show --json" json_show

unknown() { run 2 "$policy" check --syscall=read good.policy && says "$err" "--syscall means nothing here"; }
check "an option of another verb is refused" unknown
check "no verb" run 2 "$policy"
check "an unknown verb" run 2 "$policy" frobnicate
check "no operand" run 2 "$policy" check
check "an unknown architecture" run 2 "$policy" check --arch=vax good.policy
check "an unknown action" run 2 "$policy" check --default-action=kill-all good.policy
check "an unreadable file" run 2 "$policy" check nosuch.policy
check "--help" run 0 "$policy" --help
check "--version" run 0 "$policy" --version
check "check --help" run 0 "$policy" check --help

shipped() { run 0 "$policy" check --dialect=minijail0 --default-action=kill-process "$1" && says "$out" "proven"; }
for file in "${AIRLOCK_POLICY_DIR:?}"/*.policy; do
	check "shipped: $(basename "$file") is proven, and minijail0's" shipped "$file"
done

# What ships, given to minijail0 (in PATH, or named by AIRLOCK_MINIJAIL0) as text and compiled. Taken: the program runs, or
# dies of the policy (253), which it was not written for.
minijail=${AIRLOCK_MINIJAIL0:-$(command -v minijail0)}
accepted() {
	"$minijail" --logging=stderr -T static -n "$@" -- "$AIRLOCK_BIN/airlock-device" --version
	case $? in 0 | 253) ;; *) return 1 ;; esac
}
refused() { ! accepted "$@"; }
for file in "$AIRLOCK_POLICY_DIR"/*.policy; do
	name=$(basename "$file")
	if ! [ -x "$minijail" ]; then
		skip "minijail0 takes $name" "minijail0 is not installed"
	else
		check "minijail0 -S takes $name" accepted -S "$file"
		check "minijail0 takes ${name%.policy}.bpf" accepted --seccomp-bpf-binary="${file%.policy}.bpf"
	fi
done
if [ -x "$minijail" ]; then
	check "minijail0 -S refuses what is wrong" refused -S bad.policy
	check "the device starts under launch.policy" "$minijail" -T static -n -S "$AIRLOCK_POLICY_DIR/launch.policy" \
		-- "$AIRLOCK_BIN/airlock-device" --version
fi
finish
