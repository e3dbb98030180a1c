/*
 * Confinement from inside: a device in an attacker's hands (puppet.h) tries everything that it
 * could use, an attempt a process where it dies of it, and the end of each is a row of
 * docs/confinement.md, which must say what a fresh run says.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/channel.h"
#include "lib/util.h"
#include "tests/integration/escapes.h"
#include "tests/support/puppeteer.h"

#define DOC	   "docs/confinement.md"
#define CALLS	   512	/* the kernel has fewer than 480 */
#define LAST_NAMED 450	/* by the headers of Debian 12 */
#define ELSEWHERE  " †" /* ends a row whose last cell another kernel may fill otherwise */
#define AS	   "--mac=52:54:00:12:34:56", "--user=61300", "--group=61301"
#define FRAME_LEN  60
#define HEADER_LEN 12

static struct rig rig;
static struct puppeteer puppet;
static int held_socket, held_tap; /* numbers of the device's descriptors */
static int root = -1, program = -1, shell = -1;
static FILE *doc;
static char *text; /* of doc */
static size_t text_len;

static void look_at_the_device(void);

static int start(void **state)
{
	(void)state;
	puppets_start(&puppet, &rig, (const char *[]){ AS, NULL });
	look_at_the_device();
	return 0;
}

static int end(void **state)
{
	(void)state;
	peer_close(&puppet.peer);
	rig_abandon(&rig);
	return 0;
}

/* ---- one attempt ---- */

/* The descriptors have the same numbers in every device: looked up once, in a live one. */
static void look_at_the_device(void)
{
	const int64_t nothing[6] = { 0 };
	char target[128];
	pid_t pid;

	puppet_calls(&puppet, SYS_close, (const int64_t[6]){ -1 });
	pid = rig_device(&rig);
	assert_int_equal(-EFAULT, puppet_calls(&puppet, SYS_fstat, nothing));
	for (int fd = 4; fd < 32; fd++) {
		if (proc_fd_target(pid, fd, target, sizeof(target)))
			continue;
		if (!strncmp(target, "socket:", 7))
			held_socket = fd;
		if (!strcmp(target, "/dev/net/tun"))
			held_tap = fd;
	}
	assert_true(held_socket > 0 && held_tap > 0);
	assert_true(root >= 0 && shell >= 0 && program >= 0);
	puppet_drop(&puppet);
}

/* Argument n becomes what `arg` stands for; returns the descriptor that has to go along, or -1. */
static int argument_set(struct puppet_order *order, int n, int64_t arg)
{
	order->args[n] = arg == CHANNEL	 ? 3
			 : arg == SOCKET ? held_socket
			 : arg == TAP	 ? held_tap
			 : IS_AT(arg)	 ? arg - AT(0)
					 : arg;
	order->pointers |= (uint32_t)IS_AT(arg) << n;
	order->code |= (uint32_t)(arg == CODE) << n;
	if (arg == PROGRAM) {
		order->told = 1;
		return program;
	}
	if (arg != ROOT && arg != SHELL)
		return -1;
	order->came |= 1u << n;
	return arg == ROOT ? root : shell;
}

/* The end in words, without what the row says already. */
static const char *end_words(const struct puppet_order *order)
{
	static char words[200];
	char name[64];
	int nr = -1;

	/* One whose channel has ended is killed where it does not go first. */
	if (!strcmp(puppet.end, "killed by SIGKILL"))
		return "exited";
	if (sscanf(puppet.end, "killed by SIGSYS: %63s (call %d)", name, &nr) != 2)
		return puppet.end;
	if (order->verb == PUPPET_CALL || order->verb == PUPPET_PASS)
		assert_int_equal(order->nr, nr);
	snprintf(words, sizeof(words), "killed: %s", name);
	return words;
}

/* Does the broker bear what the device has done? */
static bool survives(void)
{
	const struct puppet_order nothing = { .nr = SYS_close, .args = { -1 } };
	struct puppet_answer answer;

	rig_sleep(10);
	return puppet_obeys(&puppet, &nothing, -1, &answer);
}

static const char *attempt_once(const struct escape *e, int64_t *result)
{
	struct puppet_order order = {
		.verb = e->verb, .nr = e->nr, .worker = e->worker, .inner = e->inner
	};
	struct puppet_answer answer;
	int along = -1;

	*result = -ENOSYS;
	memcpy(order.memory, e->memory, sizeof(e->memory));
	*(uint16_t *)(void *)&order.memory[PUPPET_MEMORY / 2] = BPF_RET | BPF_K;
	for (int i = 0; i < 6; i++)
		along = max_of(along, argument_set(&order, i, e->args[i]));
	if (!puppet_obeys(&puppet, &order, along, &answer))
		return end_words(&order);
	*result = answer.result;
	if (answer.result < 0)
		return strerrorname_np((int)-answer.result);
	return survives() ? "succeeds" : end_words(&order);
}

/* Has a device do it and says how that ended; on a host so busy that it was taken for dead, once
 * more. */
static const char *attempt(const struct escape *e, int64_t *result)
{
	for (int i = 0;; i++) {
		const char *how = attempt_once(e, result);

		if (i == 5 || e->verb == PUPPET_SPIN || !strstr(how, "did not answer"))
			return how;
	}
}

/* ---- every call of the table ---- */

static char names[CALLS][48]; /* of calls, as the broker names them */

/* uretprobe and uprobe of x86-64: newer kernels let them past any filter, and refuse them to
 * whoever does not come from a trampoline of the kernel's. */
static bool is_unfiltered(long nr)
{
	return nr == 335 || nr == 336;
}

/* True when a thread that makes this call dies of it. A held descriptor, memory that begins with
 * "/", a length: what most calls take for something. */
static bool dies_of(enum puppet_verb verb, long nr, bool worker)
{
	const struct escape e = { .verb = verb,
				  .nr = nr,
				  .args = { CHANNEL, AT(0), 64 },
				  .memory = "/",
				  .worker = worker };
	int64_t result;
	const char *how = attempt(&e, &result);

	if (verb == PUPPET_CALL && is_unfiltered(nr)) {
		puppet_drop(&puppet);
		return !strncmp(how, "killed", 6) || !strcmp(how, "ENXIO");
	}
	if (strncmp(how, "killed: ", 8) != 0) {
		print_error("call %ld (%d), worker %d: %s\n", nr, verb, worker, how);
		return false;
	}
	if (verb == PUPPET_CALL)
		snprintf(names[nr], sizeof(names[nr]), "%s", how + 8);
	return true;
}

static bool is_allowed(long nr, bool worker)
{
	for (size_t i = 0; i < ARRAY_SIZE(allowed_calls); i++)
		if (allowed_calls[i].nr == nr)
			return worker ? allowed_calls[i].worker : allowed_calls[i].control;
	return false;
}

static size_t purpose_of(const char *name)
{
	char word[64];
	size_t i = 0;

	snprintf(word, sizeof(word), " %.60s ", name);
	while (i < ARRAY_SIZE(purposes) && !strstr(purposes[i].calls, word))
		i++;
	return i;
}

static void names_write(size_t purpose)
{
	const char *sign = "";

	for (int nr = 0; nr <= LAST_NAMED; nr++) {
		if (!*names[nr] || *names[nr] == '?' || is_allowed(nr, false) ||
		    is_unfiltered(nr) || purpose_of(names[nr]) != purpose)
			continue;
		fprintf(doc, "%s%s", sign, names[nr]);
		sign = ", ";
	}
}

static void every_call_of_the_table(void **state)
{
	(void)state;
	for (int nr = 0; nr < CALLS; nr++)
		for (int worker = 0; worker < 2; worker++)
			if (!is_allowed(nr, worker))
				assert_true(dies_of(PUPPET_CALL, nr, worker));
	fputs("\n| for | calls | end |\n| --- | --- | --- |\n", doc);
	for (size_t p = 0; p < ARRAY_SIZE(purposes); p++) {
		fprintf(doc, "| %s | ", purposes[p].purpose);
		names_write(p);
		fputs(" | killed |\n", doc);
	}
	fputs("| all others that have a name | ", doc);
	names_write(ARRAY_SIZE(purposes));
	fprintf(doc, " | killed |\n| | every other number below %d | killed |\n", CALLS);
	fputs("| probes: newer kernels let these past any filter, and refuse them outside of their own "
	      "trampolines | 335 (uretprobe), 336 (uprobe) | killed, or ENXIO |\n",
	      doc);
}

/* The same kernel by other doors. */
static void other_entries(void **state)
{
	const struct escape vsyscall = { .verb = PUPPET_VSYSCALL };
	const long odd[] = { -1, 0x7fffffff, 0x10000, 0x20000000 };
	int64_t result;

	(void)state;
	for (int nr = 0; nr < CALLS; nr++) {
		assert_true(dies_of(PUPPET_X32, nr, nr & 1));
		assert_true(dies_of(PUPPET_I386, nr, nr & 1));
	}
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		const struct escape e = { .verb = PUPPET_CALL, .nr = odd[i] };

		assert_true(!strncmp(attempt(&e, &result), "killed", 6));
	}
	fprintf(doc,
		"\n| by | calls | end |\n| --- | --- | --- |\n"
		"| x32's numbers | 0 to %d | killed |\n| i386's door (interrupt 0x80) | 0 to %d | killed |\n"
		"| numbers that no table has | -1, 0x7fffffff, 0x10000, 0x20000000 | killed |\n",
		CALLS - 1, CALLS - 1);
	fprintf(doc, "| the page at a fixed address (vsyscall) | time | %s" ELSEWHERE " |\n",
		attempt(&vsyscall, &result));
	puppet_drop(&puppet);
}

/* ---- what is allowed, used for what it should not be ---- */

static void allowed_calls_misused(void **state)
{
	(void)state;
	fputs("\n| attempt | end |\n| --- | --- |\n", doc);
	for (size_t i = 0; i < ARRAY_SIZE(with_allowed_calls); i++) {
		const struct escape *e = &with_allowed_calls[i];
		int64_t result;
		const char *how = attempt(e, &result);

		fprintf(doc, "| %s | %s%s%s |\n", e->words, how, e->why ? "; " : "",
			e->why ? e->why : "");
		if (!e->why && strncmp(how, "killed", 6) != 0)
			fail_msg("%s: %s", e->words, how);
		puppet_drop(&puppet);
	}
}

/* A device that serves now, and one that served before it with its queue full. */
static void frames_of_the_vm_before(void **state)
{
	const struct escape reading = { .nr = SYS_readv,
					.args = { TAP, AT(0), 1 },
					.memory = "\0\0\0\0\0\0\0\0\x40",
					.inner = 1,
					.worker = true };
	static uint8_t frame[FRAME_LEN];
	const char *how;
	int64_t result;

	(void)state;
	for (int round = 0; round < 3; round++) {
		puppet_calls(&puppet, SYS_close, (const int64_t[6]){ -1 });
		rig_sleep(20);
		for (uint32_t n = 0; n < 100; n++) {
			frame_pattern(frame, sizeof(frame), n);
			wire_send(&rig.wire, NULL, frame, sizeof(frame));
		}
		attempt(&reading, &result);
		assert_int_equal(FRAME_LEN, result - HEADER_LEN + 8); /* cut: 64 bytes of room */
		puppet_drop(&puppet);
		how = attempt(&reading, &result);
		assert_string_equal("EAGAIN", how);
		puppet_drop(&puppet);
	}
	fprintf(doc, "| read a frame that was sent to the VM before | %s; there is none |\n", how);
}

/* A frame to the guest of the next connection arrives whole, with a header as it should be. */
static bool next_one_receives(void)
{
	static uint8_t frame[FRAME_LEN];
	const struct escape reading = { .nr = SYS_readv,
					.args = { TAP, AT(0), 1 },
					.memory = "\0\0\0\0\0\0\0\0\x80",
					.inner = 1,
					.worker = true };
	int64_t result = 0;

	puppet_calls(&puppet, SYS_close, (const int64_t[6]){ -1 });
	for (uint32_t i = 0; i < 50 && result <= 0; i++) {
		frame_pattern(frame, sizeof(frame), i);
		wire_send(&rig.wire, NULL, frame, sizeof(frame));
		rig_sleep(2);
		attempt(&reading, &result);
	}
	puppet_drop(&puppet);
	return result == FRAME_LEN + HEADER_LEN;
}

/* Where a device maps the page that says which ring a frame takes. */
static int64_t steering_page(pid_t pid)
{
	static char maps[1 << 14];
	unsigned long from = 0;
	char *line;

	assert_true(proc_read(pid, "maps", maps, sizeof(maps)) > 0);
	line = strstr(maps, "bpf-map");
	while (line && line > maps && line[-1] != '\n')
		line--;
	if (line)
		sscanf(line, "%lx", &from);
	return (int64_t)from;
}

/* Whatever is in that page, also in the broker's part of it, a frame goes to a queue or is lost. */
static void steering_page_full_of_rubbish(void **state)
{
	const struct channel_msg steer = { .version = CHANNEL_VERSION,
					   .type = CHANNEL_STEER,
					   .steer = { .on = 1 } };
	struct puppet_order fill = { .verb = PUPPET_FILL, .args = { 0, 4096, 0xff } };
	struct puppet_order say = { .nr = SYS_sendto, .args = { 3, 0, 16 }, .pointers = 2 };
	static uint8_t frame[FRAME_LEN];
	struct puppet_answer answer;

	(void)state;
	puppet_calls(&puppet, SYS_close, (const int64_t[6]){ -1 });
	fill.args[0] = steering_page(rig_device(&rig));
	if (!fill.args[0])
		print_message("# this host does not steer: there is no such page\n");
	memcpy(say.memory, &steer, sizeof(steer));
	for (int byte = 0; fill.args[0] && byte < 256; byte += 15) {
		fill.args[2] = byte;
		assert_true(puppet_obeys(&puppet, &fill, -1, &answer));
		assert_true(puppet_obeys(&puppet, &say, -1, &answer));
		rig_sleep(5);
		for (uint32_t n = 0; n < 20; n++) {
			frame_pattern(frame, sizeof(frame), n);
			wire_send(&rig.wire, NULL, frame, sizeof(frame));
		}
	}
	puppet_drop(&puppet);
	assert_string_equal("exited", puppet.end);
	rig_settled(&rig);
	assert_true(next_one_receives());
	fputs("| rubbish in the page that steers frames, and that page in force | succeeds; it chooses "
	      "among its own queues |\n",
	      doc);
}

/* ---- without the filters ---- */

/* This program again, as what starts the broker where there is no seccomp(2). */
static int run_without_seccomp(char **argv)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { ARRAY_SIZE(insns), insns };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return 1;
	execv(argv[0], argv);
	return 127;
}

static int start_unfiltered(void **state)
{
	static char self[256];
	struct program_start s;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	(void)state;
	assert_true(n > 0);
	puppet = (struct puppeteer){ .rig = &rig, .peer = { .sock = -1 } };
	rig_prepare_double(&rig, &s, "puppet_device",
			   (const char *[]){ "--allow-degraded=seccomp", AS, NULL });
	memmove(&s.args[2], &s.args[0], sizeof(s.args[0]) * (PROGRAM_ARGS_MAX - 2));
	s.args[0] = self;
	s.args[1] = "--without-seccomp";
	rig_launch(&rig, &s);
	return 0;
}

static void other_calls_with_and_without(void **state)
{
	static char ends[ARRAY_SIZE(with_other_calls)][80];
	int64_t result;

	for (size_t i = 0; i < ARRAY_SIZE(with_other_calls); i++) {
		snprintf(ends[i], sizeof(ends[i]), "%s", attempt(&with_other_calls[i], &result));
		if (strncmp(ends[i], "killed: ", 8) != 0)
			fail_msg("%s: %s", with_other_calls[i].words, ends[i]);
	}
	end(state);
	start_unfiltered(state);
	look_at_the_device();
	fputs("\n| attempt | end | without a filter |\n| --- | --- | --- |\n", doc);
	for (size_t i = 0; i < ARRAY_SIZE(with_other_calls); i++) {
		fprintf(doc, "| %s | %s | %s" ELSEWHERE " |\n", with_other_calls[i].words, ends[i],
			attempt(&with_other_calls[i], &result));
		puppet_drop(&puppet);
	}
}

/* What tells one TAP from another, of the kernel's own words. */
static void tap_look(char words[1024])
{
	FILE *f = popen("ip -d -o link show dev " RIG_TAP
			" | sed -e 's/ state [A-Z]*//' -e 's/NO-CARRIER,//'",
			"re");
	size_t n;

	assert_non_null(f);
	n = fread(words, 1, 1023, f);
	words[n] = '\0';
	assert_ok(pclose(f));
	assert_true(n > 0);
}

/* What the next connection finds of it. */
static const char *left_behind(const char *before)
{
	char after[1024];

	rig_settled(&rig);
	tap_look(after);
	if (!next_one_receives())
		return "receives nothing";
	if (!strcmp(before, after))
		return "as before";
	print_error("before: %safter:  %s", before, after);
	return "stays";
}

static void tap_with_and_without(void **state)
{
	static char ends[ARRAY_SIZE(with_a_tap)][80];
	char before[1024];
	int64_t result;

	for (size_t i = 0; i < ARRAY_SIZE(with_a_tap); i++) {
		snprintf(ends[i], sizeof(ends[i]), "%s", attempt(&with_a_tap[i], &result));
		if (strncmp(ends[i], "killed: ", 8) != 0)
			fail_msg("%s: %s", with_a_tap[i].words, ends[i]);
	}
	end(state);
	start_unfiltered(state);
	look_at_the_device();
	assert_true(next_one_receives());
	fputs("\n| attempt | end | for the next connection | without a filter |\n"
	      "| --- | --- | --- | --- |\n",
	      doc);
	for (size_t i = 0; i < ARRAY_SIZE(with_a_tap); i++) {
		const char *how;

		tap_look(before);
		how = attempt(&with_a_tap[i], &result);
		puppet_drop(&puppet);
		fprintf(doc, "| %s | %s | %s | %s" ELSEWHERE " |\n", with_a_tap[i].words, ends[i],
			left_behind(before), how);
	}
}

/* ---- the page ---- */

/* The next line of a text that ends with a line's end. */
static char *line_next(char **rest)
{
	return strsep(rest, "\n");
}

/* True when the page was written on this kernel: then its marked ends are compared too. */
static bool kernel_is_the_same(const char *page)
{
	struct utsname name;
	char words[64];

	assert_ok(uname(&name));
	snprintf(words, sizeof(words), "Linux %.*s,", (int)strcspn(name.release, "-"),
		 name.release);
	return strstr(page, words);
}

/* Where a row need not be compared any further. */
static size_t row_compared(const char *row, bool all)
{
	size_t len = strlen(row);

	if (all || len < 8 || strcmp(row + len - strlen(ELSEWHERE " |"), ELSEWHERE " |") != 0)
		return len + 1;
	for (len -= 2; len && row[len] != '|';)
		len--;
	return len;
}

static bool rows_agree(const char *a, const char *b, bool all)
{
	size_t len = row_compared(a, all);

	return len == row_compared(b, all) && !strncmp(a, b, len);
}

static char *page_read(void)
{
	static char page[1 << 16];
	FILE *f = fopen(DOC, "re");
	size_t n;

	assert_non_null(f);
	n = fread(page, 1, sizeof(page) - 1, f);
	page[n] = '\0';
	fclose(f);
	return page;
}

/* The page's table at *rest against the one that this run wrote; what should stand there goes to
 * `fresh`. How many rows differ. */
static unsigned table_check(char **rest, char **rows, bool all, FILE *fresh)
{
	unsigned differences = 0;

	while (**rows == '\n')
		++*rows;
	while (**rest == '|' || **rows == '|') {
		char *was = **rest == '|' ? line_next(rest) : NULL;
		char *is = **rows == '|' ? line_next(rows) : NULL;

		if (was && is && rows_agree(was, is, all)) {
			fprintf(fresh, "%s\n", was);
			continue;
		}
		differences++;
		print_message("# %s\n# is now: %s\n", was ? was : "", is ? is : "");
		if (is)
			fprintf(fresh, "%s\n", is);
	}
	return differences;
}

/* Every row of the page must be what this run says; the page as it should be is left in the build
 * directory. */
static void page_says_what_happened(void **state)
{
	char *page = page_read(), *rows, path[256];
	const char *build = getenv("AIRLOCK_BUILD");
	bool all = kernel_is_the_same(page);
	unsigned differences = 0;
	FILE *fresh;

	(void)state;
	fflush(doc);
	rows = text;
	snprintf(path, sizeof(path), "%s/confinement.md", build ? build : "build");
	fresh = fopen(path, "we");
	assert_non_null(fresh);
	while (*page)
		if (*page == '|')
			differences += table_check(&page, &rows, all, fresh);
		else
			fprintf(fresh, "%s\n", line_next(&page));
	fclose(fresh);
	if (differences)
		fail_msg("%s: %u rows differ; if this run is right, take %s", DOC, differences,
			 path);
}

static void open_all(void)
{
	static const struct bpf_insn drop[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
				.insns = (uintptr_t)drop,
				.insn_cnt = ARRAY_SIZE(drop),
				.license = (uintptr_t) "GPL" };

	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	shell = open("/bin/sh", O_RDONLY | O_CLOEXEC);
	program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_call_of_the_table, start, end),
		cmocka_unit_test_setup_teardown(other_entries, start, end),
		cmocka_unit_test_setup_teardown(allowed_calls_misused, start, end),
		cmocka_unit_test_setup_teardown(frames_of_the_vm_before, start, end),
		cmocka_unit_test_setup_teardown(steering_page_full_of_rubbish, start, end),
		cmocka_unit_test_setup_teardown(other_calls_with_and_without, start, end),
		cmocka_unit_test_setup_teardown(tap_with_and_without, start, end),
		cmocka_unit_test(page_says_what_happened),
	};

	if (argc > 2 && !strcmp(argv[1], "--without-seccomp"))
		return run_without_seccomp(argv + 2);
	if (rig_sanitized()) {
		puts("1..0 # SKIP a sanitizer's build is confined less, by design");
		return 0;
	}
	doc = open_memstream(&text, &text_len);
	open_all();
	return rig_run("escape", tests, ARRAY_SIZE(tests));
}
