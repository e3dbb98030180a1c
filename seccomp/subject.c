/* Operands of airlock-policy: files of anybody's, in an unprivileged program. */
#include "seccomp/subject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "seccomp/program.h"

/* True: PATH holds a NUL byte. What cannot be read is left to the parser's message. */
static bool is_filter(const char *path)
{
	char buffer[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd < 0 ? -1 : read(fd, buffer, sizeof(buffer));

	if (fd >= 0)
		close(fd);
	return n > 0 && memchr(buffer, '\0', (size_t)n);
}

int subject_read_filter(struct policy_command *command, const char *path, struct subject *out)
{
	const char *reason;
	size_t at;
	int err;

	*out = (struct subject){ .path = path };
	err = program_read(path, &out->insns, &out->len);
	if (err == -EINVAL)
		return verb_usage(command, "'%s' is no filter: its size is no multiple of 8 bytes",
				  path);
	if (err == -E2BIG)
		return verb_usage(command, "'%s' is no filter: it has more than %d instructions",
				  path, BPF_MAXINSNS);
	if (err)
		return verb_usage(command, "cannot read '%s': %s", path, strerror(-err));
	if (program_check(out->insns, out->len, &at, &reason) < 0) {
		subject_free(out);
		return verb_usage(command,
				  "'%s' is no filter that the kernel takes: instruction %zu: %s",
				  path, at, reason);
	}
	return VERB_OK;
}

int subject_read(struct policy_command *command, const char *path, struct subject *out)
{
	*out = (struct subject){ .path = path };
	if (is_filter(path))
		return subject_read_filter(command, path, out);
	return verb_parse(command, path, &out->policy);
}

void subject_free(struct subject *subject)
{
	policy_free(subject->policy);
	free(subject->insns);
	*subject = (struct subject){ .path = NULL };
}

int subject_explore(struct policy_command *command, const struct subject *subject,
		    struct space *space, struct decisions *out)
{
	int err = subject->policy ? explore_policy(space, subject->policy, out)
				  : explore_filter(space, subject->insns, subject->len, out);

	if (!err)
		return VERB_OK;
	return verb_fail(command, "'%s' is too complex: nothing is known about it", subject->path);
}
