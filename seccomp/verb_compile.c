/* airlock-policy compile: text in, proven bytes out. Nothing is written that was not proven, and
 * never half of it. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/names.h"
#include "seccomp/filter.h"
#include "seccomp/verbs.h"

static int write_all(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		size -= (size_t)n;
	}
	return 0;
}

/* A file is replaced whole: beside it first, then renamed. */
static int replace_file(const char *path, const char *bytes, size_t size)
{
	char *beside = NULL;
	int fd, err;
	mode_t mask = umask(0);

	umask(mask);
	if (asprintf(&beside, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(beside, O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		goto free_name;
	}
	err = write_all(fd, bytes, size);
	if (!err && fchmod(fd, 0666 & ~mask) < 0)
		err = -errno;
	if (close(fd) < 0 && !err)
		err = -errno;
	if (!err && rename(beside, path) < 0)
		err = -errno;
	if (err)
		unlink(beside);
free_name:
	free(beside);
	return err;
}

static int write_output(const char *path, const struct filter *filter)
{
	const char *bytes = (const char *)filter->insns;
	size_t size = filter->len * sizeof(*filter->insns);
	struct stat st;
	int fd, err;

	/* Pipes and devices are not replaced. */
	if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return replace_file(path, bytes, size);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write_all(fd, bytes, size);
	close(fd);
	return err;
}

static void print_json(struct policy_command *command, const char *path,
		       const struct filter *filter)
{
	char hash[65];
	json_t *row;

	filter_sha256(filter->insns, filter->len, hash);
	row = json_pack("{s:s, s:s?, s:s, s:i, s:s, s:b}", "file", path, "output", command->output,
			"arch", policy_arch_name(command->parse.arch), "instructions",
			(int)filter->len, "sha256", hash, "proven", 1);
	verb_print_json(command, row);
}

int verb_compile(struct policy_command *command)
{
	const char *path = command->operands[0];
	struct filter filter = { .insns = NULL };
	struct policy *policy;
	int code, err;

	if (!command->output && !command->json && isatty(STDOUT_FILENO))
		return verb_usage(
			command,
			"a filter is no text: give -o FILE, or send it elsewhere than a terminal");
	code = verb_parse(command, path, &policy);
	if (code)
		return code;
	err = filter_compile(policy, path, stderr, &filter);
	policy_free(policy);
	if (err)
		return err == -E2BIG ? VERB_USAGE : VERB_FAILED;
	if (command->output)
		err = write_output(command->output, &filter);
	else if (!command->json)
		err = write_all(STDOUT_FILENO, (const char *)filter.insns,
				filter.len * sizeof(*filter.insns));
	if (err)
		code = verb_fail(command, "cannot write '%s': %s",
				 command->output ? command->output : "stdout", strerror(-err));
	else if (command->json)
		print_json(command, path, &filter);
	filter_free(&filter);
	return code;
}
