#!/bin/sh
# names.gen.sh OUT: writes the tables of policy/names.c, from this host's headers (constants), libseccomp (system calls,
# for every architecture) and the two .tbl files beside this script (what those cannot know). CC is the compiler.
set -eu
here=$(dirname "$0")
out=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
CC=${CC:-cc}
export LC_ALL=C

# minijail's header list first: its policies must compile here. The rest is what a virtual machine monitor's devices use.
headers="errno.h fcntl.h linux/fd.h linux/fs.h linux/loop.h linux/mman.h linux/net.h linux/prctl.h linux/random.h
	linux/sched.h linux/serial.h linux/sockios.h linux/termios.h signal.h stddef.h sys/mman.h sys/resource.h
	sys/socket.h sys/stat.h sys/types.h
	linux/futex.h linux/if_tun.h linux/kvm.h linux/landlock.h linux/memfd.h linux/membarrier.h linux/seccomp.h
	linux/userfaultfd.h linux/vfio.h linux/vhost.h netinet/in.h netinet/tcp.h sys/epoll.h sys/eventfd.h sys/ioctl.h
	sys/timerfd.h sys/uio.h sys/wait.h time.h unistd.h"
for h in $headers; do
	echo "#include <$h>"
done > "$tmp/headers.h"

# ---- constants: every all-capitals object macro that turns out to be an integer constant ------------------------------

$CC -D_GNU_SOURCE -E -dM "$tmp/headers.h" |
	sed -nE 's/^#define ([A-Z][A-Z0-9_]*)[ \t]+[-(A-Za-z0-9_].*/\1/p' |
	grep -Ev '^(NULL|SIG_.*|SIGRTMIN|SIGRTMAX|BLKTRACESETUP2?|FS_IOC_FIEMAP|MAP_FAILED)$' | sort -u > "$tmp/names"
{
	cat "$tmp/headers.h"
	while read -r name; do
		echo "_Static_assert(($name) | 1, \"\"); static const unsigned long airlock_$name = (unsigned long)($name);"
	done < "$tmp/names"
} > "$tmp/probe.c"
# Preprocessed, so that whatever a macro expands to stands on its own line; then lines that do not compile are taken out,
# with them those whose macro is a text: its address is constant, and another each time.
$CC -D_GNU_SOURCE -E -P -w "$tmp/probe.c" > "$tmp/probe.i"
until $CC -w -fsyntax-only "$tmp/probe.i" 2> "$tmp/errors"; do
	sed -nE 's/^[^:]*probe\.i:([0-9]+):.*error.*/\1d/p' "$tmp/errors" | sort -u > "$tmp/drop"
	[ -s "$tmp/drop" ] || { cat "$tmp/errors" >&2; exit 1; }
	sed -i -f "$tmp/drop" "$tmp/probe.i"
done
{
	cat "$tmp/probe.i"
	echo 'int printf(const char *, ...);'
	echo 'int main(void) {'
	sed -nE 's/.*static const unsigned long airlock_([A-Z0-9_]+) =.*/printf("%s 0x%lx%c", "\1", airlock_\1, 10);/p' "$tmp/probe.i"
	echo 'return 0; }'
} > "$tmp/print.i"
$CC -w -O0 -o "$tmp/print" "$tmp/print.i"
"$tmp/print" | awk '{ print $1, $2, $2, $2 }' > "$tmp/host"
# A row of constants.tbl stands in for the host's value: it says what each architecture has.
awk '/^[A-Z]/ { print $1, $2, $3, $4 }' "$here/constants.tbl" > "$tmp/given"
awk 'NR == FNR { given[$1] = 1; print; next } !($1 in given)' "$tmp/given" "$tmp/host" | sort -k1,1 -u > "$tmp/constants"

# ---- system calls ----------------------------------------------------------------------------------------------------

{
	cat << 'END'
#include <seccomp.h>
#include <stdio.h>
static void one(const char *name)
{
	static const struct { unsigned arch; const char *name; } archs[] = {
		{ SCMP_ARCH_X86_64, "x86_64" }, { SCMP_ARCH_AARCH64, "aarch64" }, { SCMP_ARCH_RISCV64, "riscv64" }
	};
	for (int i = 0; i < 3; i++) {
		int n = seccomp_syscall_resolve_name_arch(archs[i].arch, name);
		if (n >= 0)
			printf("%s %s %d\n", archs[i].name, name, n);
	}
}
int main(void)
{
END
	echo '#include <seccomp.h>' | $CC -E -dM - | sed -nE 's/^#define __SNR_([a-z0-9_]+) .*/one("\1");/p' | sort -u
	echo 'return 0; }'
} > "$tmp/calls.c"
$CC -w -O0 -o "$tmp/calls" "$tmp/calls.c" -lseccomp
{
	"$tmp/calls"
	awk '/^[a-z]/ { if ($2 != "-") print "x86_64", $1, $2
		if ($3 != "-") print "aarch64", $1, $3
		if ($4 != "-") print "riscv64", $1, $4 }' "$here/syscalls.tbl"
	# Whatever this host's own header knows beyond both.
	{ echo '#include <asm/unistd.h>' | $CC -E -dM - | sed -nE 's/^#define __NR_([a-z0-9_]+) .*/\1/p' | sort -u |
		sed -E 's/(.*)/AIRLOCK \1 __NR_\1/'; } > "$tmp/own"
	{ echo '#include <asm/unistd.h>'; sed -E 's/AIRLOCK ([a-z0-9_]+) .*/AIRLOCK "\1" __NR_\1/' "$tmp/own"; } |
		$CC -E -P - | awk -v arch="$(uname -m)" '$1 == "AIRLOCK" { gsub("\"", "", $2)
			n = ""; for (i = 3; i <= NF; i++) n = n $i; gsub("[()]", "", n)
			if (split(n, p, "+") == 2) n = p[1] + p[2]
			if (n ~ /^[0-9]+$/ && $2 !~ /^arch_specific_syscall$|^syscalls$/) print arch, $2, n }'
} | sort -u > "$tmp/syscalls"
# One number a name: two sources that disagree are a mistake in a table.
awk '{ k = $1 " " $2 } k in n && n[k] != $3 { print "names.gen.sh: " k ": " n[k] " or " $3 > "/dev/stderr"; bad = 1 }
	{ n[k] = $3 } END { exit bad }' "$tmp/syscalls"

# ---- the file --------------------------------------------------------------------------------------------------------

# Names as places in one text: pointers would be relocated, and a page that was is each process's own.
{ awk '{ print $1 }' "$tmp/constants"; awk '{ print $2 }' "$tmp/syscalls"; } | sort -u |
	awk '{ print $1, at + 0; at += length($1) + 1 }' > "$tmp/texts"
places='NR == FNR { at[$1] = $2; next }'
{
	echo '/* Written by policy/names.gen.sh. */'
	echo 'static const char texts[] ='
	awk '{ printf "\"%s\\0\"\n", $1 } END { print ";" }' "$tmp/texts"
	echo 'static const struct constant constants[] = {'
	awk "$places"' { mask = 0; for (i = 2; i <= 4; i++) { if ($i == "-") $i = 0; else mask += 2 ^ (i - 2) }
		printf "{ %d, %d, { %sUL, %sUL, %sUL } },\n", at[$1], mask, $2, $3, $4 }' \
		"$tmp/texts" "$tmp/constants"
	echo '};'
	for arch in x86_64 aarch64 riscv64; do
		awk -v a="$arch" '$1 == a { print $2, $3 }' "$tmp/syscalls" > "$tmp/arch"
		echo "static const struct name names_${arch}[] = {"
		sort "$tmp/arch" > "$tmp/sorted"
		awk "$places"' { printf "{ %d, %s },\n", at[$1], $2 }' "$tmp/texts" "$tmp/sorted"
		echo '};'
		echo "static const struct name numbers_${arch}[] = {"
		sort -k2,2n -k1,1 "$tmp/arch" > "$tmp/sorted"
		awk "$places"' { printf "{ %d, %s },\n", at[$1], $2 }' "$tmp/texts" "$tmp/sorted"
		echo '};'
	done
} > "$out.new"
mv "$out.new" "$out"
