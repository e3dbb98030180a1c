/* airlock-policy: an unprivileged program for authors and auditors of seccomp policies. This file
 * reads the command line; each verb has a file of its own. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "policy/names.h"
#include "seccomp/verbs.h"

enum option_bit {
	OPTION_JSON = 1 << 0,
	OPTION_DEFAULT = 1 << 1,
	OPTION_DIALECT = 1 << 2,
	OPTION_ARCH = 1 << 3,
	OPTION_DENYLIST = 1 << 4,
	OPTION_PROVE = 1 << 5,
	OPTION_QUIET = 1 << 6,
	OPTION_OUTPUT = 1 << 7,
	OPTION_ASM = 1 << 8,
	OPTION_SYSCALL = 1 << 9,
	OPTION_PID = 1 << 10,
	OPTION_TRACE = 1 << 11,
	OPTION_COMMAND = 1 << 12, /* "-- COMMAND" */
	/* What reading a policy takes. */
	OPTION_TEXT = OPTION_JSON | OPTION_DEFAULT | OPTION_DIALECT | OPTION_ARCH | OPTION_DENYLIST,
};

static const struct {
	const char *name;
	int (*run)(struct policy_command *command);
	int options, least, most;
	const char *synopsis, *purpose;
} verbs[] = {
	{ "check", verb_check, OPTION_TEXT | OPTION_PROVE | OPTION_QUIET, 1, 4096, "FILE...",
	  "read, warn, compile, prove; every error of a file at once" },
	{ "compile", verb_compile, OPTION_TEXT | OPTION_PROVE | OPTION_OUTPUT, 1, 1,
	  "[-o OUT] FILE", "a raw array of struct sock_filter, proven before it is written" },
	{ "show", verb_show, OPTION_TEXT | OPTION_ASM, 1, 1, "[--asm] FILE|BPF",
	  "what is allowed, call by call; or the instructions" },
	{ "eval", verb_eval, OPTION_TEXT | OPTION_SYSCALL | OPTION_QUIET, 1, 7,
	  "FILE|BPF --syscall=NAME|NR [ARG...]", "what happens to one call, and why" },
	{ "verify", verb_verify, OPTION_TEXT | OPTION_PROVE | OPTION_QUIET, 2, 2, "FILE BPF",
	  "prove that a filter decides as the text says, or refute it" },
	{ "diff", verb_diff, OPTION_TEXT | OPTION_QUIET, 2, 2, "A B",
	  "every difference of two, each with a witness" },
	{ "record", verb_record,
	  OPTION_JSON | OPTION_ARCH | OPTION_OUTPUT | OPTION_PID | OPTION_TRACE | OPTION_COMMAND, 0,
	  0, "[-o OUT] (--pid=PID | --trace=FILE | -- COMMAND...)",
	  "trace a program and write the policy that allows just that" },
	{ "audit", verb_audit,
	  OPTION_TEXT | OPTION_QUIET | OPTION_OUTPUT | OPTION_PID | OPTION_TRACE | OPTION_COMMAND,
	  1, 32,
	  "[-o OUT.json] [THREADS[@LEVEL]=]FILE... (--pid=PID | --trace=FILE | -- COMMAND...)",
	  "what was observed against what is allowed" },
	{ "report", verb_report, OPTION_TEXT | OPTION_OUTPUT | OPTION_TRACE, 1, 64,
	  "[-o OUT.html] [--trace=FILE] [THREADS=]FILE|AUDIT.json...", "one page to look at" },
};

static const struct option long_options[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "default-action", required_argument, NULL, OPTION_DEFAULT },
	{ "dialect", required_argument, NULL, OPTION_DIALECT },
	{ "arch", required_argument, NULL, OPTION_ARCH },
	{ "denylist", no_argument, NULL, OPTION_DENYLIST },
	{ "prove", required_argument, NULL, OPTION_PROVE },
	{ "quiet", no_argument, NULL, OPTION_QUIET },
	{ "output", required_argument, NULL, OPTION_OUTPUT },
	{ "asm", no_argument, NULL, OPTION_ASM },
	{ "syscall", required_argument, NULL, OPTION_SYSCALL },
	{ "pid", required_argument, NULL, OPTION_PID },
	{ "trace", required_argument, NULL, OPTION_TRACE },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_help(FILE *to)
{
	fputs("usage: airlock-policy VERB [OPTION...] OPERAND...\n\n", to);
	for (size_t i = 0; i < VERBS; i++)
		fprintf(to, "  %-8s %s\n           %s\n", verbs[i].name, verbs[i].synopsis,
			verbs[i].purpose);
	fputs("\nOptions (a verb refuses those that mean nothing to it):\n"
	      "  --json                     one JSON value on stdout\n"
	      "  --default-action=ACTION    kill-process, kill-thread, trap, errno=N, log: for what no rule decides\n"
	      "  --dialect=minijail0|compiler   what 'EXPR; return E' means\n"
	      "  --arch=x86_64|aarch64|riscv64  this machine's, unless given\n"
	      "  --denylist                 the policy says what is refused\n"
	      "  --prove=PROPERTY           as '# @prove PROPERTY' in the policy; repeatable\n"
	      "  --quiet                    the exit code says it all\n"
	      "  --help, --version\n"
	      "\nExit codes: 0 as it should be; 1 a difference, a denial, a property that does not hold, a failure;\n"
	      "2 usage or syntax. See airlock-policy(1).\n",
	      to);
}

static int set_dialect(struct policy_command *command, const char *text)
{
	if (!strcmp(text, "minijail0"))
		command->parse.dialect = POLICY_DIALECT_MINIJAIL;
	else if (!strcmp(text, "compiler"))
		command->parse.dialect = POLICY_DIALECT_COMPILER;
	else
		return verb_usage(command, "--dialect: '%s' is neither minijail0 nor compiler",
				  text);
	return VERB_OK;
}

static int set_default(struct policy_command *command, const char *text)
{
	if (policy_action_parse(text, &command->parse.default_action) < 0)
		return verb_usage(
			command,
			"--default-action: '%s' is none of kill-process, kill-thread, trap, errno=N, log",
			text);
	command->parse.default_given = true;
	return VERB_OK;
}

static int set_pid(struct policy_command *command, const char *text)
{
	char *end;
	long pid;

	errno = 0;
	pid = strtol(text, &end, 10);
	if (errno || *end || pid <= 0 || pid > 1 << 22)
		return verb_usage(command, "--pid: '%s' is no process", text);
	command->pid = (pid_t)pid;
	return VERB_OK;
}

static int set_option(struct policy_command *command, int option, const char *value)
{
	switch (option) {
	case OPTION_JSON:
		command->json = true;
		return VERB_OK;
	case OPTION_DEFAULT:
		return set_default(command, value);
	case OPTION_DIALECT:
		return set_dialect(command, value);
	case OPTION_ARCH:
		if (policy_arch_parse(value, &command->parse.arch) < 0)
			return verb_usage(
				command, "--arch: '%s' is none of x86_64, aarch64, riscv64", value);
		return VERB_OK;
	case OPTION_DENYLIST:
		command->parse.denylist = true;
		return VERB_OK;
	case OPTION_PROVE:
		command->prove[command->proves++] = value;
		return VERB_OK;
	case OPTION_QUIET:
		command->quiet = true;
		return VERB_OK;
	case OPTION_OUTPUT:
		command->output = value;
		return VERB_OK;
	case OPTION_ASM:
		command->assembly = true;
		return VERB_OK;
	case OPTION_SYSCALL:
		command->syscall = value;
		return VERB_OK;
	case OPTION_PID:
		return set_pid(command, value);
	case OPTION_TRACE:
		command->trace = value;
		return VERB_OK;
	default:
		return VERB_USAGE;
	}
}

static const char *option_name(int option)
{
	for (const struct option *o = long_options; o->name; o++)
		if (o->val == option)
			return o->name;
	return "?";
}

/* -1: the verb is to be run. */
static int parse_options(struct policy_command *command, int allowed, int argc, char **argv)
{
	for (;;) {
		int code, option = getopt_long(argc, argv, "o:hV", long_options, NULL);

		if (option == -1)
			break;
		if (option == 'h' || option == 'V') {
			if (option == 'h')
				print_help(stdout);
			else
				puts("airlock-policy " AIRLOCK_VERSION);
			return VERB_OK;
		}
		option = option == 'o' ? OPTION_OUTPUT : option;
		if (option == '?')
			return VERB_USAGE; /* getopt has said why */
		if (!(option & allowed))
			return verb_usage(command, "--%s means nothing here", option_name(option));
		code = set_option(command, option, optarg);
		if (code)
			return code;
	}
	if (command->parse.denylist && command->parse.dialect == POLICY_DIALECT_MINIJAIL)
		return verb_usage(command, "minijail0 knows no denylists");
	command->operands = argv + optind;
	command->operands_count = argc - optind;
	return -1;
}

static int run(size_t verb, int argc, char **argv)
{
	struct policy_command command = {
		.verb = verbs[verb].name,
		.parse = { .arch = policy_arch_native(), .errors = stderr },
	};
	int words = 1, code;

	/* What follows "--" is a command's, and no option of ours. */
	while (words < argc && strcmp(argv[words], "--") != 0)
		words++;
	if (words < argc && verbs[verb].options & OPTION_COMMAND) {
		command.command = argv + words + 1;
		argc = words;
	}
	command.prove = calloc((size_t)argc + 1, sizeof(const char *));
	if (!command.prove)
		return verb_fail(&command, "no memory");
	code = parse_options(&command, verbs[verb].options, argc, argv);
	if (code < 0 && (command.operands_count < verbs[verb].least ||
			 command.operands_count > verbs[verb].most))
		code = verb_usage(&command, "usage: airlock-policy %s %s", verbs[verb].name,
				  verbs[verb].synopsis);
	if (code < 0 && command.command && !command.command[0])
		code = verb_usage(&command, "a command should follow '--'");
	if (code < 0)
		code = verbs[verb].run(&command);
	free(command.prove);
	/* What was printed must have arrived. */
	if (fflush(stdout) != 0 || ferror(stdout))
		return code ? code
			    : verb_fail(&command, "cannot write to stdout: %s", strerror(errno));
	return code;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "--help") || !strcmp(verb, "-h")) {
		print_help(stdout);
		return 0;
	}
	if (!strcmp(verb, "--version")) {
		puts("airlock-policy " AIRLOCK_VERSION);
		return 0;
	}
	for (size_t i = 0; i < VERBS; i++)
		if (!strcmp(verb, verbs[i].name))
			return run(i, argc - 1, argv + 1);
	if (*verb)
		fprintf(stderr, "airlock-policy: unknown verb '%s': see --help\n", verb);
	else
		print_help(stderr);
	return VERB_USAGE;
}
