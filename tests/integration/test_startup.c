/*
 * A broker whose start goes wrong, at every step: each system call of its set-up fails in turn, in
 * the broker, in the child that compiles policies, in the spawner and in the first device. Either
 * it serves as confined as ever, or it ends with the code of the contract and one reason; and when
 * it has ended the host is as it was.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "tests/support/inject.h"
#include "tests/support/rig.h"

#define CALLS_MAX 16384
#define STEPS_MAX 2048
#define SAME_MAX  1 /* of calls that repeat on one descriptor: the first; $AIRLOCK_STEPS: more */
#define RUNNERS	  2
#ifdef SYS_alarm
#define ALARM SYS_alarm
#else
#define ALARM SYS_setitimer
#endif

/* What a process of the broker's is; by the order of their births, where one policy is not the text
 * that the broker was built with. As usual there is no compiler, and only the broker is looked at.
 */
static const char *const processes[] = { "broker", "compiler", "spawner", "device" };
static const struct start {
	const char *name;
	bool compiles;
	size_t processes;
	int patience; /* s: on a machine that is busy with other things some steps are left out */
} starts[] = {
	{ "with a text of the administrator's", true, ARRAY_SIZE(processes), 120 },
	{ "with the texts of the build", false, 1, 60 },
};
static const struct start *start;

enum end {
	SERVED = 0,
	FAILED = 1, /* the exit codes */
	MISTAKEN = 2,
	WRONG = 3,
	LEFT_OUT = 4,
};

/* What the test's processes share. */
static struct shared {
	size_t ncalls, nsteps;
	/* Of a start in which nothing fails. */
	struct seen {
		unsigned process;
		int nr;
		uint64_t argument;
	} calls[CALLS_MAX];
	char confined[8192]; /* what its processes may do */
	/* Starts in which one call fails. */
	struct step {
		struct inject_call call;
		unsigned process; /* in `calls` */
		enum end end;
		char reason[200]; /* what is wrong, or what the broker said */
	} steps[STEPS_MAX];
} * shared;

static char policy_dir[32], policy_option[64];

static void call_see(void *arg, unsigned process, int nr, uint64_t argument)
{
	(void)arg;
	if (shared->ncalls < CALLS_MAX)
		shared->calls[shared->ncalls++] = (struct seen){ process, nr, argument };
}

/* ---- what the processes of a broker may do, as one text ---- */

static void add_process(char *text, size_t room, pid_t pid, unsigned depth)
{
	static const char *const fields[] = { "Groups",	    "CapInh",  "CapPrm",
					      "CapEff",	    "CapBnd",  "CapAmb",
					      "NoNewPrivs", "Seccomp", "Seccomp_filters" };
	char value[128], children[512] = "", file[64];
	size_t n = strlen(text);

	n += (size_t)snprintf(text + n, room - n, "%u:", depth);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (proc_status(pid, fields[i], value, sizeof(value)))
			strcpy(value, "?");
		n += (size_t)snprintf(text + n, room - n, " %s=%s", fields[i], value);
	}
	for (size_t i = 0; i < PROC_NAMESPACES; i++)
		n += (size_t)snprintf(text + n, room - n, " %s=%d", proc_namespaces[i],
				      proc_same_namespace(pid, getpid(), proc_namespaces[i]));
	snprintf(text + n, room - n, "\n");
	snprintf(file, sizeof(file), "task/%d/children", pid);
	proc_read(pid, file, children, sizeof(children));
	/* A broker has one spawner, beside what was not waited for; of its devices one is enough.
	 */
	for (char *at = children; *at;) {
		pid_t child = (pid_t)strtol(at, &at, 10);

		at += strspn(at, " ");
		if (proc_status(child, "State", value, sizeof(value)) || value[0] == 'Z')
			continue;
		add_process(text, room, child, depth + 1);
		return;
	}
}

/* A spare that was ordered a moment ago is not confined yet. */
static bool as_confined(pid_t broker)
{
	char now[sizeof(shared->confined)];

	for (int64_t end = clock_ms() + RIG_WAIT_MS; clock_ms() < end; rig_sleep(5)) {
		now[0] = '\0';
		add_process(now, sizeof(now), broker, 0);
		if (!strcmp(now, shared->confined))
			return true;
	}
	return false;
}

/* ---- one start ---- */

static int wrong(struct step *s, const char *what)
{
	s->end = WRONG;
	snprintf(s->reason, sizeof(s->reason), "%s", what);
	return -1;
}

static bool any_left(const struct injected *in)
{
	for (unsigned i = 0; i < in->processes; i++)
		if (proc_alive(in->pid[i]))
			return true;
	return false;
}

/* The first error that the broker named, or its last line. */
static void note_reason(struct step *s, const struct injected *in)
{
	char *text = program_text(in->program.log);

	for (char *line = text ? strtok(text, "\n") : NULL; line; line = strtok(NULL, "\n")) {
		snprintf(s->reason, sizeof(s->reason), "%s", line);
		if (strstr(line, "[error]"))
			break;
	}
	free(text);
}

static int host_is_as_it_was(struct step *s, const struct rig *rig, struct injected *in)
{
	int64_t end = clock_ms() + RIG_WAIT_MS;

	while ((any_left(in) || host_has(RIG_TAP)) && clock_ms() < end)
		inject_serve(in, 5);
	if (any_left(in))
		return wrong(s, "leaves a process");
	if (host_has(RIG_TAP))
		return wrong(s, "leaves its TAP");
	if (!access(rig->socket, F_OK))
		return wrong(s, "leaves its socket");
	if (!access(rig->control, F_OK))
		return wrong(s, "leaves its control socket");
	return 0;
}

static int step_judge(struct step *s, struct injected *in)
{
	/* One that could not say READY goes on in silence. */
	enum inject_event event = inject_serve(in, RIG_START_MS);
	int code;

	if (event != INJECT_ENDED) {
		s->end = SERVED;
		if (!as_confined(in->program.pid))
			return wrong(s, "serves, and is not confined as it should be");
		program_signal(&in->program, SIGTERM);
		if (inject_serve(in, RIG_WAIT_MS) != INJECT_ENDED)
			return wrong(s, "does not end on SIGTERM");
	}
	code = program_wait(&in->program, RIG_WAIT_MS);
	note_reason(s, in);
	if (event == INJECT_ENDED || code)
		s->end = code == 1 ? FAILED : code == 2 ? MISTAKEN : WRONG;
	if (s->end == WRONG)
		snprintf(s->reason, sizeof(s->reason), "exit code %d", code);
	else if (s->end != SERVED && !strstr(s->reason, "[error]"))
		return wrong(s, "ends without a reason");
	return 0;
}

/* The report's file stays, empty; nothing else. */
static int directory_is_empty(struct step *s, const struct rig *rig)
{
	unlink(rig->report);
	return rmdir(rig->dir) ? wrong(s, "leaves a file") : 0;
}

static void prepare(struct rig *rig, struct program_start *program)
{
	rig_prepare(rig, program,
		    (const char *[]){ "--address=192.0.2.1/24",
				      start->compiles ? policy_option : NULL, NULL });
}

static void step_try(struct step *s)
{
	struct inject_plan plan = { .call = s->call, .error = ENOMEM };
	struct program_start program;
	struct injected in;
	struct rig rig;

	prepare(&rig, &program);
	if (inject_run(&in, &program, &plan))
		wrong(s, "cannot be started");
	else if (!step_judge(s, &in) && !host_is_as_it_was(s, &rig, &in))
		directory_is_empty(s, &rig);
	if (s->end == SERVED && !in.failed)
		strcpy(s->reason, "never came to this call");
	inject_free(&in);
}

/* ---- all of them ---- */

static pid_t wait_for(pid_t pid)
{
	int status = 1;

	return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

/* Runs it in a world with no process but its own, whose ids nobody else locks: the calls of a start
 * are the same each time. The process that does, to be waited for. */
static pid_t apart(void (*run)(size_t), size_t argument)
{
	pid_t outer, inner;

	fflush(NULL);
	outer = fork();
	if (outer)
		return outer;
	if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) < 0)
		_exit(1);
	inner = fork();
	if (inner)
		_exit(wait_for(inner) != 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
		_exit(1);
	run(argument);
	_exit(0);
}

/* A start in which nothing fails: what is called, and what its processes may do. */
static void observe(size_t unused)
{
	struct inject_plan plan = { .call = { .nr = -1 }, .see = call_see };
	struct step nothing = { .end = SERVED };
	struct program_start program;
	struct injected in;
	struct rig rig;

	(void)unused;
	prepare(&rig, &program);
	if (inject_run(&in, &program, &plan) || inject_serve(&in, RIG_START_MS) != INJECT_READY)
		_exit(1);
	in.plan.see = NULL;
	for (int i = 0; i < 50; i++)
		inject_serve(&in, 5);
	add_process(shared->confined, sizeof(shared->confined), in.program.pid, 0);
	program_signal(&in.program, SIGTERM);
	if (inject_serve(&in, RIG_WAIT_MS) != INJECT_ENDED ||
	    program_wait(&in.program, RIG_WAIT_MS) || host_is_as_it_was(&nothing, &rig, &in) ||
	    directory_is_empty(&nothing, &rig))
		_exit(1);
}

static bool is_called(int nr)
{
	for (size_t i = 0; i < shared->ncalls; i++)
		if (shared->calls[i].nr == nr)
			return true;
	return false;
}

/* How often the process made the call before call i. */
static struct inject_call named(size_t i)
{
	const struct seen *c = &shared->calls[i];
	struct inject_call call = { .nr = c->nr, .process = c->process, .number = 1 };

	for (size_t j = 0; j < i; j++)
		if (shared->calls[j].nr == c->nr && shared->calls[j].process == c->process)
			call.number++;
	return call;
}

/* The C library and its modules take a failure of these for a bug, and abort: no host has it. */
static bool never_fails(int nr)
{
	return nr == SYS_brk || nr == SYS_futex || nr == SYS_rt_sigprocmask;
}

static bool worth_trying(size_t i, bool loaded)
{
	const struct seen *c = &shared->calls[i];
	const char *more = getenv("AIRLOCK_STEPS");
	unsigned long same = 0;

	if (!loaded || never_fails(c->nr) || c->process >= start->processes)
		return false;
	for (size_t j = 0; j < i; j++)
		same += shared->calls[j].nr == c->nr && shared->calls[j].process == c->process &&
			shared->calls[j].argument == c->argument;
	return same < (more ? strtoul(more, NULL, 10) : SAME_MAX);
}

/* The program's own calls begin when the loader gives its cache back. */
static void steps_make(void)
{
	bool loaded = false;

	for (size_t i = 0; i < shared->ncalls; i++) {
		if (worth_trying(i, loaded)) {
			assert_true(shared->nsteps < STEPS_MAX);
			shared->steps[shared->nsteps++] =
				(struct step){ .end = LEFT_OUT,
					       .call = named(i),
					       .process = shared->calls[i].process };
		}
		loaded |= shared->calls[i].nr == SYS_munmap;
	}
}

static void run_share(size_t first)
{
	const int64_t end = clock_ms() + start->patience * 1000;

	for (size_t stride = 7 * RUNNERS, begin = first; begin < stride; begin += RUNNERS)
		for (size_t i = begin; i < shared->nsteps && clock_ms() < end; i += stride)
			step_try(&shared->steps[i]);
}

static void steps_run(void)
{
	pid_t runner[RUNNERS];

	for (size_t i = 0; i < RUNNERS; i++)
		runner[i] = apart(run_share, i);
	for (size_t i = 0; i < RUNNERS; i++)
		assert_ok(wait_for(runner[i]));
}

/* Without these there is no jail. A device that cannot have them is another matter: the broker
 * makes the next one. */
static bool must_end(const struct step *s)
{
	static const int confining[] = {
		SYS_setresuid,
		SYS_setresgid,
		SYS_setgroups,
		SYS_capset,
		SYS_pivot_root,
		SYS_mount,
		SYS_umount2,
		SYS_seccomp,
		SYS_landlock_create_ruleset,
		SYS_clone3,
		SYS_landlock_restrict_self,
		SYS_landlock_add_rule,
		SYS_close_range,
	};

	for (size_t i = 0; i < ARRAY_SIZE(confining); i++)
		if (s->call.nr == confining[i])
			return s->process < 3;
	return false;
}

/* One text that is not the one the broker was built with, for the compiler to have something to do.
 */
static void policies_make(void)
{
	char from[256], command[512];

	strcpy(policy_dir, "/tmp/airlock-startup.XXXXXX");
	assert_non_null(mkdtemp(policy_dir));
	snprintf(command, sizeof(command), "cp %.256s/*.policy %s && echo '#' >> %s/worker.policy",
		 program_policies(from, sizeof(from)), policy_dir, policy_dir);
	assert_ok(system(command));
	snprintf(policy_option, sizeof(policy_option), "--policy-dir=%s", policy_dir);
}

static void policies_remove(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", policy_dir);
	assert_ok(system(command));
}

static unsigned steps_judge(void)
{
	unsigned ends[ARRAY_SIZE(processes)][5] = { 0 }, wrongs = 0;

	for (size_t i = 0; i < shared->nsteps; i++) {
		struct step *s = &shared->steps[i];

		if (s->end == SERVED && must_end(s))
			wrong(s, "serves without a layer");
		ends[s->process][s->end]++;
		wrongs += s->end == WRONG;
		if (s->end == WRONG || getenv("AIRLOCK_STEPS"))
			print_error("%s: system call %d, time %u: %d: %s\n", processes[s->process],
				    s->call.nr, s->call.number, s->end, s->reason);
	}
	print_message("# %s: %zu calls, %zu of them failed in turn\n", start->name, shared->ncalls,
		      shared->nsteps);
	for (size_t p = 0; p < start->processes; p++)
		print_message("# %-8s %4u ended with 1, %3u with 2, %3u served all the same, %u "
			      "left out\n",
			      processes[p], ends[p][FAILED], ends[p][MISTAKEN], ends[p][SERVED],
			      ends[p][LEFT_OUT]);
	assert_true(ends[0][FAILED] > 0); /* not all of them were left out */
	return wrongs;
}

static void every_step_of_a_start(void **state)
{
	start = *state;
	policies_make();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_ptr_not_equal(MAP_FAILED, shared);
	assert_ok(wait_for(apart(observe, 0)));
	assert_int_equal(start->compiles, is_called(ALARM)); /* by the compiler alone */
	steps_make();
	steps_run();
	policies_remove();
	assert_int_equal(0, steps_judge());
	munmap(shared, sizeof(*shared));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(every_step_of_a_start, (void *)&starts[0]),
		cmocka_unit_test_prestate(every_step_of_a_start, (void *)&starts[1]),
	};

	if (rig_sanitized()) {
		puts("1..0 # SKIP the sanitizer's own system calls would fail too");
		return 0;
	}
	return rig_run("startup", tests, ARRAY_SIZE(tests));
}
