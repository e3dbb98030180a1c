/*
 * Collects the columns of a report. Runs in airlock-policy's only thread; audits may come from a
 * file that anybody wrote, so that every member is looked at as what it should be and is empty
 * where it is not.
 */
#include "seccomp/report.h"

#include <errno.h>
#include <string.h>

const char *report_string(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

json_int_t report_count(const json_t *object, const char *key)
{
	json_int_t count = json_integer_value(json_object_get(object, key));

	return count > 0 ? count : 0;
}

const char *report_name(const json_t *column, char *name, size_t size)
{
	const char *file = report_string(column, "file");
	const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	size_t length = strlen(base);

	if (length > 7 && !strcmp(base + length - 7, ".policy"))
		length -= 7;
	snprintf(name, size, "%.*s", (int)length, base);
	return name;
}

int report_open(struct report *report)
{
	*report = (struct report){ .columns = json_array(), .complete = true };
	return report->columns ? 0 : -ENOMEM;
}

static json_t *find_column(const struct report *report, const json_t *like)
{
	char wanted[64], name[64];
	json_t *column;
	size_t i;

	report_name(like, wanted, sizeof(wanted));
	json_array_foreach (report->columns, i, column) {
		if (!strcmp(report_name(column, name, sizeof(name)), wanted))
			return column;
	}
	return NULL;
}

/* Whether two rules are the same but for their counts. */
static bool same_rule(const json_t *a, const json_t *b)
{
	const json_t *x = json_object_get(a, "conditions"), *y = json_object_get(b, "conditions");

	if (strcmp(report_string(a, "syscall"), report_string(b, "syscall")) != 0 ||
	    json_array_size(x) != json_array_size(y))
		return false;
	for (size_t i = 0; i < json_array_size(x); i++) {
		const json_t *one = json_array_get(x, i), *other = json_array_get(y, i);

		if (strcmp(report_string(one, "when"), report_string(other, "when")) != 0 ||
		    strcmp(report_string(one, "action"), report_string(other, "action")) != 0)
			return false;
	}
	return true;
}

static void add_count(json_t *to, const json_t *from, const char *key)
{
	json_object_set_new(to, key, json_integer(report_count(to, key) + report_count(from, key)));
}

static int add_rules(json_t *to, const json_t *from)
{
	size_t rules = json_array_size(to);

	if (json_array_size(from) != rules)
		return -EEXIST;
	for (size_t i = 0; i < rules; i++)
		if (!same_rule(json_array_get(to, i), json_array_get(from, i)))
			return -EEXIST;
	for (size_t i = 0; i < rules; i++) {
		json_t *rule = json_array_get(to, i), *more = json_array_get(from, i);
		json_t *uses = json_object_get(rule, "conditions"),
		       *extra = json_object_get(more, "conditions");

		add_count(rule, more, "count");
		for (size_t n = 0; n < json_array_size(uses); n++)
			add_count(json_array_get(uses, n), json_array_get(extra, n), "count");
	}
	return 0;
}

static int add_column(struct report *report, json_t *part, bool observed)
{
	json_t *column = find_column(report, part);
	int ret;

	if (!json_is_array(json_object_get(part, "rules")) || !*report_string(part, "file"))
		return -EINVAL;
	if (!column) {
		column = json_deep_copy(part);
		json_object_set_new(column, "observed", json_boolean(observed));
		return json_array_append_new(report->columns, column) ? -ENOMEM : 0;
	}
	ret = add_rules(json_object_get(column, "rules"), json_object_get(part, "rules"));
	if (ret)
		return ret;
	if (observed)
		json_object_set_new(column, "observed", json_true());
	add_count(column, part, "calls");
	add_count(column, part, "threads");
	json_array_extend(json_object_get(column, "findings"), json_object_get(part, "findings"));
	return 0;
}

int report_add(struct report *report, json_t *audit, bool observed)
{
	json_t *parts = json_object_get(audit, "policies"), *part;
	size_t i;
	int ret = 0;

	if (strcmp(report_string(audit, "schema"), "airlock-policy/audit/1") != 0 ||
	    !json_is_array(parts))
		return -EINVAL;
	json_array_foreach (parts, i, part) {
		ret = ret ? ret : add_column(report, part, observed);
	}
	report->observed |= observed;
	report->complete &= json_is_true(json_object_get(audit, "complete"));
	return ret;
}

void report_close(struct report *report)
{
	json_decref(report->columns);
	*report = (struct report){};
}
