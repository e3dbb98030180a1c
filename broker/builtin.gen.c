/*
 * builtin.gen DIR: writes what builtin.c includes, from the policies in DIR. Runs in the build;
 * a text that is wrong or unproven ends it.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/verdict.h"
#include "policy/source.h"

static void print_text(const char *text, size_t size)
{
	printf("\t\t.text = \"");
	for (size_t i = 0; i < size; i++)
		if (text[i] == '\n')
			printf("\\n\"\n\t\t\t\"");
		else
			printf(strchr("\"\\?", text[i]) ? "\\%c" : "%c", text[i]);
	printf("\",\n\t\t.size = %zu,\n", size);
}

static void print_filter(const struct filter *filter)
{
	printf("\t\t.filter = { (struct sock_filter[]){\n");
	for (unsigned short i = 0; i < filter->len; i++) {
		const struct sock_filter *in = &filter->insns[i];

		printf("\t\t\t{ 0x%04x, %u, %u, 0x%08x },\n", in->code, in->jt, in->jf, in->k);
	}
	printf("\t\t}, %u },\n", filter->len);
}

static void print_verdict(const struct verdict *verdict)
{
	printf("\t\t.verdict = &(const struct verdict){ %u, 0, %u, {\n", verdict->role,
	       verdict->ncalls);
	for (uint32_t i = 0; i < verdict->ncalls; i++)
		printf("\t\t\t\"%s\",\n", verdict->calls[i]);
	printf("\t\t} },\n");
}

static void print_role(const char *dir, enum role role)
{
	struct verdict verdict = { .role = role };
	struct policy_source source = { 0 };
	struct filter filter;
	char path[4096];
	int ret;

	snprintf(path, sizeof(path), "%s/%s.policy", dir, role_name(role));
	ret = source_read(&source, path);
	if (ret)
		errx(1, "%s: %s", path, strerror(-ret));
	/* The same text may come to mean something else where it includes another. */
	if (!memmem(source.text, source.size, "@include", 8)) {
		if (verdict_of(path, source.text, source.size, &filter, &verdict))
			exit(1); /* it has said why */
		printf("\t[%d] = {\n", role);
		print_text(source.text, source.size);
		print_filter(&filter);
		print_verdict(&verdict);
		printf("\t},\n");
		filter_free(&filter);
	}
	source_close(&source);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: builtin.gen DIR");
	for (enum role role = 0; role < ROLES; role++)
		print_role(argv[1], role);
	return fflush(stdout) || ferror(stdout);
}
