/*
 * strace's text, line by line: who calls, what, with which arguments, and what became of it. Runs
 * in airlock-policy's only thread and trusts nothing in the file, not even that strace wrote it.
 */
#include "seccomp/strace.h"
#include "policy/names.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A call is counted once the next line of its thread tells what became of it. */
struct thread {
	pid_t pid; /* 0: lines without a number, from a process that is alone */
	char role[OBSERVED_ROLE];
	char next_role[OBSERVED_ROLE]; /* should the call under way, an execve or a prctl, succeed
					*/
	bool forks;		       /* the call under way returns a thread's number */
	bool undone; /* its result is its own number: what a filter that kills leaves there */
	bool foreign;
	bool has_call;
	struct observed_call call;
};

struct reader {
	enum policy_arch arch;
	const uint8_t *wanted;
	struct observed *seen;
	struct thread *threads;
	size_t count, room;
	char role[OBSERVED_ROLE]; /* of a thread that nothing is known about: the last program's */
	bool any;
};

static void set_role(char role[OBSERVED_ROLE], const char *text, size_t len)
{
	memset(role, 0, OBSERVED_ROLE);
	memcpy(role, text, len < OBSERVED_ROLE - 1 ? len : OBSERVED_ROLE - 1);
}

static struct thread *thread_of(struct reader *r, pid_t pid)
{
	struct thread *threads;

	for (size_t i = r->count; i-- > 0;)
		if (r->threads[i].pid == pid)
			return &r->threads[i];
	if (r->count == r->room) {
		threads = reallocarray(r->threads, r->room + 64, sizeof(*threads));
		if (!threads)
			return NULL;
		r->threads = threads;
		r->room += 64;
	}
	r->threads[r->count] = (struct thread){ .pid = pid };
	memcpy(r->threads[r->count].role, r->role, OBSERVED_ROLE);
	return &r->threads[r->count++];
}

static int flush(struct reader *r, struct thread *thread)
{
	if (!thread->has_call)
		return 0;
	thread->has_call = false;
	return observed_add(r->seen, &thread->call);
}

/* "1234<comm> ", "[pid 1234<comm>] " or nothing; the name where there is one. Advances *line. */
static pid_t read_pid(const char **line, const char **name, size_t *name_len)
{
	bool bracket = !strncmp(*line, "[pid", 4);
	const char *at = *line + (bracket ? 4 + strspn(*line + 4, " ") : 0);
	char *end;
	long pid = strtol(at, &end, 10);

	*name_len = 0;
	if (end == at || pid <= 0 || pid > INT32_MAX)
		return 0;
	if (*end == '<') {
		*name = end + 1;
		end = strchr(end, '>');
		if (!end)
			return 0;
		*name_len = (size_t)(end++ - *name);
	}
	if (bracket ? *end++ != ']' : *end != ' ')
		return 0; /* a time of day, perhaps */
	*line = end + strspn(end, " ");
	return (pid_t)pid;
}

/* "12:34:56.789 ", "1700000000.123 " or "+0.000123 ", from -t and -r. */
static const char *skip_time(const char *line)
{
	size_t len = strspn(line, "+0123456789:.");

	return len && line[len] == ' ' && strncmp(line, "+++", 3)
		       ? line + len + strspn(line + len, " ")
		       : line;
}

/* The end of an argument that begins at `at`: a comma or bracket that belongs to the call itself,
 * or the end. */
static const char *argument_end(const char *at)
{
	int depth = 0;

	for (; *at; at++) {
		if (*at == '"') {
			for (at++; *at && *at != '"'; at++)
				if (*at == '\\' && at[1])
					at++;
			if (!*at)
				return at;
		} else if (strchr("([{", *at)) {
			depth++;
		} else if (strchr(")]}", *at)) {
			if (depth-- == 0)
				return at;
		} else if (*at == ',' && depth == 0) {
			return at;
		}
	}
	return at;
}

/* One of the terms that "|" joins: a number or a constant's name. */
static int read_term(enum policy_arch arch, const char *text, size_t len, uint64_t *value)
{
	char term[64], *end;

	if (!len || len >= sizeof(term))
		return -EINVAL;
	memcpy(term, text, len);
	term[len] = '\0';
	if (!strcmp(term, "NULL")) {
		*value = 0;
		return 0;
	}
	if (!isdigit((unsigned char)term[0]) && term[0] != '-')
		return policy_constant(arch, term, value);
	*value = strtoull(term, &end, 0);
	return *end ? -EINVAL : 0;
}

/* "PROT_READ|PROT_WRITE", "3</dev/null>" (from -y), a number with a comment. -EINVAL for anything
 * else. */
static int read_value(enum policy_arch arch, const char *text, size_t len, uint64_t *out)
{
	uint64_t term;
	size_t n;

	len = strcspn(text, " <,)") < len ? strcspn(text, " <,)") : len;
	*out = 0;
	for (;;) {
		n = memchr(text, '|', len) ? strcspn(text, "|") : len;
		if (read_term(arch, text, n, &term))
			return -EINVAL;
		*out |= term;
		if (n == len)
			return 0;
		text += n + 1;
		len -= n + 1;
	}
}

/* Reads the arguments into call->first; returns where they end: at ")" or at the end of an
 * unfinished line. */
static const char *read_arguments(struct reader *r, const char *at, struct observed_call *call)
{
	for (int i = 0; *at && *at != ')'; i++) {
		const char *end = argument_end(at);

		if (i < 6 && strncmp(at, "<unfinished", 11) &&
		    read_value(r->arch, at, (size_t)(end - at), &call->first[i]) == 0)
			call->first_known |= (uint8_t)(1 << i);
		/* past a comma, or a bracket that closes nothing */
		at = *end && *end != ')' ? end + 1 + strspn(end + 1, " ") : end;
	}
	return at;
}

/* What will have changed if this call succeeds: the thread's role, or that there is another thread.
 */
static void foresee(struct thread *thread, const char *name, const char *args)
{
	bool exec = !strncmp(name, "execve(", 7);
	const char *end;

	thread->forks = !strncmp(name, "clone", 5) || !strncmp(name, "fork(", 5) ||
			!strncmp(name, "vfork(", 6);
	thread->next_role[0] = '\0';
	if (!exec && strncmp(args, "PR_SET_NAME, ", 13))
		return;
	args += exec ? 0 : 13;
	end = *args == '"' ? strchr(args + 1, '"') : NULL;
	if (!end)
		return;
	args++;
	for (const char *slash = args; exec && slash < end; slash++)
		if (*slash == '/')
			args = slash + 1;
	set_role(thread->next_role, args, (size_t)(end - args));
}

/* Behind the last " = " of a line, or NULL. */
static const char *last_result(const char *line)
{
	const char *found = NULL;

	for (const char *at = strstr(line, " = "); at; at = strstr(at + 1, " = "))
		found = at + 3;
	return found;
}

/* What stands behind the arguments: "= 0", "= -1 EPERM (...)", "= ?". 0 or -ENOMEM. */
static int read_result(struct reader *r, struct thread *thread, const char *at)
{
	char role[OBSERVED_ROLE];
	struct thread *child;
	long long result;
	char *end;

	at = last_result(at);
	result = at ? strtoll(at, &end, 0) : 0;
	if (!at || end == at)
		return 0;
	thread->undone = result == thread->call.nr;
	if (thread->next_role[0] && result == 0) {
		memcpy(thread->role, thread->next_role, OBSERVED_ROLE);
		memcpy(r->role, thread->role, OBSERVED_ROLE);
	}
	if (!thread->forks || result <= 0 || result > INT32_MAX)
		return 0;
	memcpy(role, thread->role, OBSERVED_ROLE); /* `thread` moves when there is one more */
	child = thread_of(r, (pid_t)result);
	if (!child)
		return -ENOMEM;
	memcpy(child->role, role, OBSERVED_ROLE);
	return 0;
}

/* The call's number from "name(", or -1. */
static int read_number(enum policy_arch arch, const char *name, size_t len)
{
	char text[64];

	if (len >= sizeof(text))
		return -1;
	memcpy(text, name, len);
	text[len] = '\0';
	if (!strncmp(text, "syscall_0x", 10))
		return (int)strtol(text + 8, NULL, 16);
	return policy_syscall_number(arch, text);
}

/* "name(arguments) = result" or "name(arguments <unfinished ...>". */
static int read_call(struct reader *r, struct thread *thread, const char *line, size_t name_len)
{
	const char *args = line + name_len + 1, *end;
	struct observed_call *call = &thread->call;
	uint8_t mask;
	int ret = flush(r, thread);

	*call = (struct observed_call){ .nr = read_number(r->arch, line, name_len),
					.tid = thread->pid,
					.foreign = thread->foreign,
					.count = 1 };
	r->any = true;
	if (call->nr < 0 && !thread->foreign) {
		r->seen->lost_calls++;
		return ret;
	}
	memcpy(call->role, thread->role, OBSERVED_ROLE);
	end = read_arguments(r, args, call);
	mask = call->nr >= 0 && call->nr < TRACE_NUMBERS ? r->wanted[call->nr] : 0;
	call->known = mask & call->first_known;
	for (int i = 0; i < 6; i++)
		call->args[i] = call->known & 1 << i ? call->first[i] : 0;
	thread->has_call = true;
	thread->undone = false;
	foresee(thread, line, args);
	return ret || !*end ? ret : read_result(r, thread, end);
}

/* "--- SIGSYS {... si_code=SYS_SECCOMP ...} ---" and "+++ killed by SIGSYS +++". */
static int read_event(struct reader *r, struct thread *thread, const char *line)
{
	bool trapped = !strncmp(line, "--- SIGSYS", 10) && strstr(line, "SYS_SECCOMP");
	bool killed = !strncmp(line, "+++ killed by SIGSYS", 20);

	if (thread->has_call && (trapped || (killed && thread->undone))) {
		thread->call.outcome = TRACE_SIGNAL;
		return flush(r, thread);
	}
	return 0;
}

/* "[ Process PID=1234 runs in 32 bit mode. ]" */
static int read_mode(struct reader *r, const char *note)
{
	struct thread *thread;
	char *end;
	long pid = strtol(note + 14, &end, 10);

	if (strncmp(end, " runs in ", 9) || pid <= 0 || pid > INT32_MAX)
		return 0;
	thread = thread_of(r, (pid_t)pid);
	if (!thread)
		return -ENOMEM;
	thread->foreign = strncmp(end + 9, "64", 2) != 0;
	return 0;
}

static int read_line(struct reader *r, const char *line)
{
	const char *name = NULL;
	size_t name_len, len;
	struct thread *thread;
	const char *note = strstr(line, "[ Process PID=");
	pid_t pid = read_pid(&line, &name, &name_len);

	if (note && !strchr(line, '('))
		return read_mode(r, note);
	line = skip_time(line);
	len = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");
	if (!(len && line[len] == '(') && strncmp(line, "<...", 4) && strncmp(line, "---", 3) &&
	    strncmp(line, "+++", 3))
		return 0;
	thread = thread_of(r, pid);
	if (!thread)
		return -ENOMEM;
	if (name_len)
		set_role(thread->role, name, name_len);
	switch (*line) {
	case '<':
		line = strstr(line, "resumed>");
		return line && thread->has_call ? read_result(r, thread, line) : 0;
	case '-':
	case '+':
		return read_event(r, thread, line);
	default:
		return read_call(r, thread, line, len);
	}
}

int strace_read(FILE *in, enum policy_arch arch, const uint8_t wanted[TRACE_NUMBERS],
		struct observed *seen)
{
	struct reader r = { .arch = arch, .wanted = wanted, .seen = seen };
	char *line = NULL;
	size_t room = 0;
	int ret = 0;

	while (!ret && getline(&line, &room, in) > 0)
		ret = read_line(&r, line);
	for (size_t i = 0; !ret && i < r.count; i++)
		ret = flush(&r, &r.threads[i]);
	if (!ret && ferror(in))
		ret = -EIO;
	free(line);
	free(r.threads);
	observed_settle(seen);
	return ret || r.any ? ret : -EINVAL;
}
