/* audit: which calls are whose; the verb from a trace to its exit code and its JSON; a command,
 * where root may trace one. */
#include "seccomp/audit.h"
#include "lib/util.h"
#include "policy/names.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <cmocka.h>

static char directory[] = "/tmp/airlock-audit-XXXXXX";
static char control[64], worker[64], trace[64], result[64];

static void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "we");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(control, sizeof(control), "%s/control.policy", directory);
	snprintf(worker, sizeof(worker), "%s/worker.policy", directory);
	snprintf(trace, sizeof(trace), "%s/trace", directory);
	snprintf(result, sizeof(result), "%s/result", directory);
	write_file(control, "# Reads a message.\nrecvmsg: 1\nread: arg2 == 8\n");
	write_file(worker,
		   "# A frame.\nreadv: 1\n# A kick.\nread: arg2 == 8\n# Never.\nwritev: 1\n");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(control);
	unlink(worker);
	unlink(trace);
	unlink(result);
	rmdir(directory);
	return 0;
}

static struct policy_command command_for(char **operands, int count)
{
	return (struct policy_command){ .verb = "audit",
					.parse = { .arch = POLICY_X86_64, .errors = stderr },
					.trace = trace,
					.operands = operands,
					.operands_count = count };
}

/* Runs the verb with standard output into a file; the text is to be freed. */
static char *run(struct policy_command *command, int expected)
{
	int saved = dup(STDOUT_FILENO),
	    out = open(result, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char *text = calloc(1, 65536);
	ssize_t n;

	assert_true(saved >= 0 && out >= 0 && text);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	assert_int_equal(verb_audit(command), expected);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	n = pread(out, text, 65535, 0);
	assert_true(n >= 0);
	close(out);
	return text;
}

static struct observed_call call(const char *role, pid_t tid, const char *name, uint8_t filters)
{
	struct observed_call one = { .nr = policy_syscall_number(POLICY_X86_64, name),
				     .filters = filters,
				     .tid = tid,
				     .count = 1 };

	strncpy(one.role, role, OBSERVED_ROLE - 1);
	return one;
}

/* Each row: the operand, and which of the calls below it judges. */
static void test_scope(void **state)
{
	static const struct {
		const char *operand;
		const char *judged; /* of the calls, in order */
	} rows[] = {
		{ "", "001011" },	   { "main=", "001000" },	  { "worker*=", "000011" },
		{ "worker-0=", "000010" }, { "main,helper=", "001000" },  { "*@1=", "011111" },
		{ "@2=", "001001" },	   { "worker*@1=", "000111" },	  { "nobody=", "000000" },
		{ "!main=", "000011" },	   { "worker*,!*-0=", "000001" },
	};
	const struct observed_call calls[] = {
		call("main", 1, "read", 0), /* before any filter */
		call("main", 1, "read", 1), /* under the first of two */
		call("main", 1, "read", 2),
		call("worker-1", 3, "read", 1), /* this thread gets another */
		call("worker-0", 2, "read", 1),
		call("worker-1", 3, "read", 2),
	};

	(void)state;
	if (prctl(PR_GET_SECCOMP)) {
		print_message("# skipped: this test is under a filter itself\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct audit audit = {};
		struct policy_command command = command_for(NULL, 0);
		uint8_t wanted[TRACE_NUMBERS] = {};
		char operand[128];

		print_message("# %s\n", rows[i].operand);
		snprintf(operand, sizeof(operand), "%s%s", rows[i].operand, worker);
		assert_int_equal(audit_add(&audit, &command, operand), VERB_OK);
		assert_int_equal(audit_wanted(&audit, wanted), 0);
		for (size_t c = 0; c < ARRAY_SIZE(calls); c++)
			assert_int_equal(observed_add(&audit.seen, &calls[c]), 0);
		assert_int_equal(audit_judge(&audit), 0);
		for (size_t c = 0; c < ARRAY_SIZE(calls); c++)
			assert_int_equal(audit_is_judged(&audit, c), rows[i].judged[c] == '1');
		audit_close(&audit);
	}
}

/* Where nobody is under a filter, all calls are judged. */
static void test_scope_without_filters(void **state)
{
	const struct observed_call one = call("main", 1, "read", 0);
	struct policy_command command = command_for(NULL, 0);
	struct audit audit = {};

	(void)state;
	assert_int_equal(audit_add(&audit, &command, worker), VERB_OK);
	assert_int_equal(observed_add(&audit.seen, &one), 0);
	assert_int_equal(audit_judge(&audit), 0);
	assert_true(audit_is_judged(&audit, 0));
	audit_close(&audit);
}

static void test_refuses_bad_operands(void **state)
{
	static const char *const operands[] = { "a@=x", "a@0=x", "a@256=x", "a@1x=x", "@=x" };
	struct policy_command command = command_for(NULL, 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(operands); i++) {
		struct audit audit = {};

		assert_int_equal(audit_add(&audit, &command, operands[i]), VERB_USAGE);
		audit_close(&audit);
	}
}

static void test_all_is_well(void **state)
{
	char *operands[] = { worker };
	struct policy_command command = command_for(operands, 1);
	char *text;

	(void)state;
	write_file(
		trace,
		"2<w> readv(3, 0x7f, 1) = 9\n2<w> read(4, 0x7f, 8) = 8\n2<w> writev(3, 0x7f, 1) = 9\n");
	text = run(&command, VERB_OK);
	assert_null(strstr(text, "never used"));
	assert_null(strstr(text, "refused"));
	assert_non_null(strstr(text, "3 of 3 rules used by 3 calls of 1 threads"));
	free(text);
}

static void test_reads_out_what_is_wrong(void **state)
{
	char *operands[] = { control, worker };
	struct policy_command command = command_for(operands, 2);
	char *text;

	(void)state;
	write_file(trace,
		   "1<the-control> recvmsg(3, 0x7f, 0) = 9\n1<the-control> read(4, 0x7f, 8) = 8\n"
		   "2<worker-0> readv(3, 0x7f, 1) = 9\n2<worker-0> read(4, 0x7f, 16) = 8\n"
		   "2<worker-0> getpid() = 39\n2<worker-0> +++ killed by SIGSYS +++\n"
		   "3<other> getuid() = 0\n");
	text = run(&command, VERB_DIFFERS);
	assert_non_null(strstr(text, "worker.policy:4: never used: read: arg2 == 8\n"));
	assert_non_null(strstr(text, "worker.policy:6: never used: writev\n"));
	assert_non_null(strstr(
		text,
		"worker.policy: would be refused: read(0x4, 0x7f, 0x10) by worker-0 [2], 1 time: "
		"outside the conditions of "));
	assert_non_null(strstr(text, "worker.policy:4; missing: read: arg2 == 0x10\n"));
	assert_non_null(strstr(
		text, "refused by the kernel: getpid() by worker-0 [2], 1 time: no rule for it; "
		      "missing: getpid: 1\n"));
	assert_non_null(strstr(text, "control.policy: 2 of 2 rules used by 2 calls of 1 threads"));
	assert_non_null(strstr(text, "not judged: 1 calls"));
	free(text);
}

static void test_json(void **state)
{
	char *operands[] = { worker };
	struct policy_command command = command_for(operands, 1);
	json_t *json, *policy, *finding;
	char *text;

	(void)state;
	write_file(trace, "2<w\\\"<&> readv(3, 0x7f, 1) = 9\n2<w> getpid() = 1\n");
	command.json = true;
	text = run(&command, VERB_DIFFERS);
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "schema")),
			    "airlock-policy/audit/1");
	policy = json_array_get(json_object_get(json, "policies"), 0);
	assert_int_equal(json_array_size(json_object_get(policy, "rules")), 3);
	assert_int_equal(json_array_size(json_object_get(policy, "findings")), 1);
	finding = json_array_get(json_object_get(policy, "findings"), 0);
	assert_string_equal(json_string_value(json_object_get(finding, "missing")), "getpid: 1");
	assert_string_equal(json_string_value(json_object_get(finding, "verdict")), "no-rule");
	json_decref(json);
	free(text);
}

static void test_watches_a_command(void **state)
{
	char *operands[] = { worker }, *run_this[] = { (char[]){ "/bin/true" }, NULL };
	struct policy_command command = command_for(operands, 1);
	char *text;

	(void)state;
	if (geteuid() != 0) {
		print_message("# skipped: eBPF needs root\n");
		skip();
	}
	command.trace = NULL;
	command.command = run_this;
	command.parse.arch = policy_arch_native();
	text = run(&command, VERB_DIFFERS);
	assert_non_null(strstr(text, "would be refused: execve("));
	assert_non_null(strstr(text, " by true ["));
	free(text);
}

static void test_exactly_one_source(void **state)
{
	char *operands[] = { worker }, *run_this[] = { (char[]){ "/bin/true" }, NULL };
	struct policy_command command = command_for(operands, 1);

	(void)state;
	command.command = run_this;
	free(run(&command, VERB_USAGE));
	command.command = NULL;
	command.trace = NULL;
	free(run(&command, VERB_USAGE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_scope_without_filters),
		cmocka_unit_test(test_refuses_bad_operands),
		cmocka_unit_test(test_all_is_well),
		cmocka_unit_test(test_reads_out_what_is_wrong),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_watches_a_command),
		cmocka_unit_test(test_exactly_one_source),
	};

	return cmocka_run_group_tests_name("audit", tests, setup, teardown);
}
