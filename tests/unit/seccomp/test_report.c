/* report: nothing gets into the page but as text; columns add up; hostile JSON is empty cells,
 * never a fault. */
#include "seccomp/report.h"
#include "lib/util.h"
#include "lib/html.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FFFD "\xef\xbf\xbd"

static char *escaped(const char *text)
{
	char *bytes = NULL;
	size_t size;
	FILE *out = open_memstream(&bytes, &size);

	html_text(out, text);
	fclose(out);
	return bytes;
}

static void test_escapes(void **state)
{
	static const struct {
		const char *text, *html;
	} rows[] = {
		{ NULL, "" },
		{ "", "" },
		{ "read: arg0 == 1", "read: arg0 == 1" },
		{ "<script>", "&lt;script&gt;" },
		{ "\" onload='x'", "&quot; onload=&#39;x&#39;" },
		{ "&lt;", "&amp;lt;" },
		{ "a\tb\nc", "a\tb\nc" },
		{ "\x01\x1b[31m\r", FFFD FFFD "[31m" FFFD },
		{ "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
		  "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\xff<", FFFD "&lt;" },
		{ "\xc3", FFFD },
		{ "\xc3<b>", FFFD "&lt;b&gt;" },
		{ "\xc0\xbc", FFFD FFFD },		     /* overlong '<' */
		{ "\xe0\x80\xbc", FFFD FFFD FFFD },	     /* likewise */
		{ "\xed\xa0\x80", FFFD FFFD FFFD },	     /* a surrogate */
		{ "\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD }, /* beyond Unicode */
		{ "\xe2\x82", FFFD FFFD },
		{ "\xf0\x9f\x98<", FFFD FFFD FFFD "&lt;" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *html = escaped(rows[i].text);

		assert_string_equal(html, rows[i].html);
		free(html);
	}
}

static void test_numbers(void **state)
{
	static const struct {
		uint64_t number;
		const char *text;
	} rows[] = { { 0, "0" }, { 999, "999" }, { 1000, "1,000" }, { 1234567, "1,234,567" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[32] = {};
		FILE *out = fmemopen(text, sizeof(text), "w");

		html_number(out, rows[i].number);
		fclose(out);
		assert_string_equal(text, rows[i].text);
	}
}

#define AUDIT(policies) \
	"{'schema': 'airlock-policy/audit/1', 'complete': true, 'policies': [" policies "]}"
#define POLICY(file, when, count, findings)                                                       \
	"{'file': '" file "', 'default': 'kill-thread', 'calls': " count                          \
	", 'threads': 1, 'rules': ["                                                              \
	"{'syscall': 'read', 'nr': 0, 'line': 3, 'reason': 'A <kick>.', 'count': " count ","      \
	"'conditions': [{'line': 3, 'when': " when ", 'action': 'allow', 'count': " count "}]}]," \
	"'findings': [" findings "]}"
#define FINDING                                                                                      \
	"{'verdict': 'no-rule', 'kernel': 'sigsys', 'call': {'name': 'getpid'}, 'text': 'getpid()'," \
	"'why': 'no rule for it', 'missing': 'getpid: 1', 'role': '<img src=x>', 'tid': 1,"          \
	"'threads': 1, 'count': 7}"

/* JSON with single quotes, for legibility. */
static json_t *audit(const char *text)
{
	char *copy = strdup(text);
	json_error_t error;
	json_t *json;

	for (char *at = copy; *at; at++)
		*at = *at == '\'' ? '"' : *at;
	json = json_loads(copy, 0, &error);
	if (!json)
		print_message("# %s: %s\n", error.text, copy);
	assert_non_null(json);
	free(copy);
	return json;
}

static int add(struct report *report, const char *text)
{
	json_t *json = audit(text);
	int ret = report_add(report, json, true);

	json_decref(json);
	return ret;
}

static char *page(const struct report *report)
{
	char *bytes = NULL;
	size_t size;
	FILE *out = open_memstream(&bytes, &size);

	report_html(report, out);
	fclose(out);
	return bytes;
}

static void test_shows_what_is_known(void **state)
{
	struct report report;
	char *html;

	(void)state;
	assert_int_equal(report_open(&report), 0);
	assert_int_equal(
		add(&report, AUDIT(POLICY("a/worker.policy", "'arg2 == 8'", "12345", FINDING))), 0);
	assert_int_equal(add(&report, AUDIT(POLICY("control.policy", "null", "0", ""))), 0);
	html = page(&report);
	assert_non_null(
		strstr(html, "<th scope=\"col\">worker</th><th scope=\"col\">control</th>"));
	assert_non_null(strstr(html, "by argument</span> <span class=\"count\">12,345</span>"));
	assert_non_null(strstr(html, "allowed</span><br><span class=\"unused\">never used</span>"));
	assert_non_null(strstr(html, "refused</span> <span class=\"count\">7</span>"));
	assert_non_null(strstr(html, "A &lt;kick&gt;."));
	assert_non_null(strstr(html, "arg2 == 8"));
	assert_non_null(strstr(html, "getpid: 1"));
	/* Nothing of the input is markup, and the page asks for nothing. */
	assert_null(strstr(html, "<img"));
	assert_null(strstr(html, "<kick>"));
	assert_null(strstr(html, "<script"));
	assert_null(strstr(html, "http://"));
	assert_null(strstr(html, "https://"));
	assert_null(strstr(html, "src=\""));
	assert_null(strstr(html, "url("));
	free(html);
	report_close(&report);
}

static void test_adds_runs_up(void **state)
{
	const json_t *column;
	struct report report;

	(void)state;
	assert_int_equal(report_open(&report), 0);
	assert_int_equal(add(&report, AUDIT(POLICY("a/worker.policy", "'arg2 == 8'", "5", ""))), 0);
	assert_int_equal(
		add(&report, AUDIT(POLICY("b/worker.policy", "'arg2 == 8'", "6", FINDING))), 0);
	assert_int_equal(json_array_size(report.columns), 1);
	column = json_array_get(report.columns, 0);
	assert_int_equal(report_count(column, "calls"), 11);
	assert_int_equal(report_count(json_array_get(json_object_get(column, "rules"), 0), "count"),
			 11);
	assert_int_equal(json_array_size(json_object_get(column, "findings")), 1);
	/* Another text of the same policy. */
	assert_int_equal(add(&report, AUDIT(POLICY("worker.policy", "'arg2 == 9'", "1", ""))),
			 -EEXIST);
	assert_int_equal(report_count(column, "calls"), 11);
	report_close(&report);
}

static void test_refuses_other_json(void **state)
{
	static const char *const texts[] = {
		"[]",
		"{}",
		"{'schema': 'airlock-policy/audit/2', 'policies': []}",
		"{'schema': 3, 'policies': []}",
		"{'schema': 'airlock-policy/audit/1', 'policies': 7}",
		AUDIT("7"),
		AUDIT("{'file': 'x'}"),
		AUDIT("{'file': '', 'rules': []}"),
		AUDIT("{'file': 'x', 'rules': {}}"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct report report;

		print_message("# %s\n", texts[i]);
		assert_int_equal(report_open(&report), 0);
		assert_int_equal(add(&report, texts[i]), -EINVAL);
		report_close(&report);
	}
}

/* Members of the wrong type, everywhere that one is looked at. */
static void test_survives_wrong_types(void **state)
{
	static const char *const parts[] = {
		"{'file': 'x', 'rules': [1, null, [], {}], 'findings': 3, 'properties': {}}",
		"{'file': 'x', 'rules': [{'syscall': 1, 'conditions': 2, 'count': 'x', 'reason': []}]}",
		"{'file': 'x', 'rules': [{'syscall': 'a', 'conditions': [1, {'when': 3, 'action': 4}]}]}",
		"{'file': 'x', 'rules': [], 'findings': [1, {}, {'call': 3}, {'call': {'name': []}}]}",
		"{'file': '<b>', 'rules': [], 'for': '<i>', 'properties': ['<u>', 3], 'default': '<s>'}",
		"{'file': 'x', 'rules': [], 'calls': -5, 'threads': 1e99}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct report report;
		char text[512], *html;

		snprintf(text, sizeof(text), AUDIT("%s"), parts[i]);
		assert_int_equal(report_open(&report), 0);
		assert_int_equal(add(&report, text), 0);
		assert_int_equal(add(&report, text), 0); /* and added up */
		html = page(&report);
		assert_non_null(strstr(html, "</html>"));
		assert_null(strstr(html, "<i>&"));
		assert_null(strstr(html, "<u>"));
		assert_null(strstr(html, "<s>"));
		free(html);
		report_close(&report);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_shows_what_is_known),
		cmocka_unit_test(test_adds_runs_up),
		cmocka_unit_test(test_refuses_other_json),
		cmocka_unit_test(test_survives_wrong_types),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
