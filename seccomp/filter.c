/* Policy file in, proven bytes out: the pipeline of this room in one call, for the broker's
 * build, its unprivileged child and airlock-policy. The file is trusted to say what the
 * administrator wants, the compiler not at all: what leaves here has been proven to decide as the
 * text does, with every property that the text promises. */
#include "seccomp/filter.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sha256.h"
#include "policy/names.h"
#include "seccomp/compile.h"
#include "seccomp/program.h"
#include "seccomp/verify.h"

__attribute__((format(printf, 2, 3))) static void say(FILE *to, const char *format, ...)
{
	va_list args;

	if (!to)
		return;
	va_start(args, format);
	vfprintf(to, format, args);
	va_end(args);
}

/* TEXT is NULL where the file is to be read. */
static int parse(const char *path, const char *text, size_t size,
		 const struct filter_options *options, struct policy **out)
{
	const struct policy_parse_options parse_options = {
		.arch = policy_arch_native(),
		.dialect = options->dialect,
		.default_given = options->default_given,
		.default_action = options->default_action,
		.errors = options->errors,
	};

	if (text)
		return policy_parse_text(path, text, size, &parse_options, out);
	return policy_parse(path, &parse_options, out);
}

/* What the text promises, of the filter. */
static int prove_properties(const struct policy *policy, const char *path,
			    const struct sock_filter *insns, size_t len, FILE *errors)
{
	struct space *space = space_new(SPACE_LIMIT);
	struct decisions filter;
	struct seccomp_data witness;
	uint32_t decision;
	int err = space ? explore_filter(space, insns, len, &filter) : -ENOMEM;

	for (const struct policy_property *p = policy->properties; p && !err; p = p->next) {
		err = verify_property(&filter, explore_arch(policy->arch), p, &witness, &decision);
		if (err > 0)
			say(errors,
			    "%s:%u:%u: '%s' does not hold: %s(0x%llx, 0x%llx, 0x%llx, 0x%llx, 0x%llx, 0x%llx)\n",
			    p->place.file, p->place.line, p->place.column, p->text, p->name,
			    witness.args[0], witness.args[1], witness.args[2], witness.args[3],
			    witness.args[4], witness.args[5]);
	}
	if (err < 0)
		say(errors, "%s: the filter is too complex for its properties to be proven\n",
		    path);
	space_free(space);
	return err > 0 ? -EINVAL : err;
}

int filter_prove(const struct policy *policy, const char *path, const struct sock_filter *insns,
		 size_t len, FILE *errors)
{
	struct verify_difference difference;
	int err = verify_filter(policy, insns, len, &difference);

	if (err) {
		say(errors, "%s: %s\n", path,
		    err > 0 ? "the compiled filter does not decide as the text does"
			    : "the filter is too complex to be proven");
		return err > 0 ? -EINVAL : err;
	}
	return policy->properties ? prove_properties(policy, path, insns, len, errors) : 0;
}

int filter_compile(const struct policy *policy, const char *path, FILE *errors, struct filter *out)
{
	size_t len, at;
	const char *reason;
	int err = compile_policy(policy, &out->insns, &len);

	if (err == -E2BIG && len)
		say(errors, "%s: %zu instructions, %zu more than the kernel takes\n", path, len,
		    len - BPF_MAXINSNS);
	else if (err == -E2BIG)
		say(errors, "%s: far more than the %d instructions that the kernel takes\n", path,
		    BPF_MAXINSNS);
	else if (err)
		say(errors, "%s: cannot be compiled: %s\n", path, strerror(-err));
	if (err)
		return err;
	out->len = (unsigned short)len;
	err = program_check(out->insns, len, &at, &reason);
	if (err)
		say(errors, "%s: instruction %zu of the compiled filter %s\n", path, at, reason);
	else
		err = filter_prove(policy, path, out->insns, len, errors);
	if (err)
		filter_free(out);
	return err;
}

static int build(const char *path, const char *text, size_t size,
		 const struct filter_options *options, struct filter *out)
{
	struct policy *policy;
	int err;

	*out = (struct filter){ .insns = NULL };
	err = parse(path, text, size, options, &policy);
	if (err)
		return err;
	err = filter_compile(policy, path, options->errors, out);
	policy_free(policy);
	return err;
}

int filter_build(const char *path, const struct filter_options *options, struct filter *out)
{
	return build(path, NULL, 0, options, out);
}

int filter_build_text(const char *name, const char *text, size_t size,
		      const struct filter_options *options, struct filter *out)
{
	return build(name, text, size, options, out);
}

void filter_free(struct filter *filter)
{
	free(filter->insns);
	*filter = (struct filter){ .insns = NULL };
}

static bool lets_run(const struct policy_rule *rule, struct policy_action otherwise)
{
	for (const struct policy_filter *f = rule->filters; f; f = f->next) {
		if (f->action.verdict >= POLICY_NOTIFY)
			return true;
		if (!f->clauses)
			return false;
	}
	return otherwise.verdict >= POLICY_NOTIFY;
}

static int list(const char *path, const char *text, size_t size,
		const struct filter_options *options, const char **names, size_t max)
{
	struct policy *policy;
	int err = parse(path, text, size, options, &policy), count = 0;

	if (err)
		return err;
	for (const struct policy_rule *r = policy->rules; r && (size_t)count < max; r = r->next)
		if (lets_run(r, policy->default_action))
			names[count++] = policy_syscall_name(policy->arch, r->number);
	policy_free(policy);
	return count;
}

int filter_syscalls(const char *path, const struct filter_options *options, const char **names,
		    size_t max)
{
	return list(path, NULL, 0, options, names, max);
}

int filter_syscalls_text(const char *name, const char *text, size_t size,
			 const struct filter_options *options, const char **names, size_t max)
{
	return list(name, text, size, options, names, max);
}

void filter_sha256(const struct sock_filter *insns, unsigned short len, char hex[65])
{
	sha256_hex(insns, len * sizeof(*insns), hex);
}
