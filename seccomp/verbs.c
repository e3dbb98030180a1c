/* What the verbs of airlock-policy share: messages, and reading a policy with the command's
 * options. */
#include "seccomp/verbs.h"

#include <errno.h>
#include <stdarg.h>

#include "policy/names.h"

__attribute__((format(printf, 2, 0))) static void say(const struct policy_command *command,
						      const char *format, va_list args)
{
	fprintf(stderr, "airlock-policy %s: ", command->verb);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

int verb_usage(const struct policy_command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(command, format, args);
	va_end(args);
	return VERB_USAGE;
}

int verb_fail(const struct policy_command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(command, format, args);
	va_end(args);
	return VERB_FAILED;
}

void verb_print_json(const struct policy_command *command, json_t *object)
{
	json_t *all = json_pack("{s:s++}", "schema", "airlock-policy/", command->verb, "/1");

	json_object_update(all, object);
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
	json_decref(object);
}

int verb_parse(struct policy_command *command, const char *path, struct policy **out)
{
	int err = policy_parse(path, &command->parse, out);

	for (size_t i = 0; !err && i < command->proves; i++)
		err = policy_prove(*out, command->prove[i], command->parse.errors);
	if (!err)
		return VERB_OK;
	policy_free(*out);
	*out = NULL;
	/* The parser has said what is wrong with the text, or that it cannot be read. */
	return VERB_USAGE;
}
