/* ctl_show, ctl_metrics: OpenMetrics text that a parser of the specification takes, and tables that
 * hold what the documents say, whole or with pieces missing. */
#include "broker/ctl_metrics.h"
#include "broker/ctl_show.h"
#include "lib/stats.h"
#include "lib/util.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define RING(ring, pair, direction, frames)                                                       \
	"{\"ring\":" #ring ",\"pair\":" #pair ",\"direction\":\"" direction                       \
	"\",\"state\":\"running\",\"frames\":" #frames ",\"bytes\":6400,\"kicks\":1,\"calls\":2," \
	"\"batches\":3,\"held\":4,\"dropped_invalid\":5,\"dropped_no_room\":6,\"dropped_tap\":7," \
	"\"dropped_disabled\":8,\"breaks\":9}"

static const char stats_text[] = "{\"tap\":\"ta\\\\p\\\"\\n0\",\"queue_pairs\":1,\"rings\":[" RING(
	0, 0, "rx", 100) "," RING(1, 0, "tx", 12345678901) "," RING(2, null, "ctrl", 2) "]}";
static const char status_text[] = "{\"pid\":7,\"device_pid\":null,\"phase\":\"serving\","
				  "\"connections\":3,\"restarts\":2,\"active_pairs\":1}";

static json_t *parsed(const char *text)
{
	json_t *doc = json_loads(text, 0, NULL);

	assert_non_null(doc);
	return doc;
}

static bool matches(const char *line, const char *expression)
{
	regex_t re;
	bool found;

	assert_int_equal(regcomp(&re, expression, REG_EXTENDED | REG_NOSUB), 0);
	found = !regexec(&re, line, 0, NULL, 0);
	regfree(&re);
	return found;
}

#define NAME  "[a-z_]+"
#define LABEL "[a-z]+=\"([^\"\\\\]|\\\\[\\\\\"n])*\""

/* A family's metadata comes before its samples, its samples together, and # EOF last. */
static void assert_open_metrics(char *text)
{
	char family[64] = "", next[64];
	size_t families = 0;
	char *line = strtok(text, "\n");

	for (; line && strcmp(line, "# EOF"); line = strtok(NULL, "\n")) {
		if (sscanf(line, "# TYPE %63s", next) == 1) {
			assert_true(matches(line, "^# TYPE " NAME " (counter|gauge)$"));
			memcpy(family, next, sizeof(family));
			families++;
		} else if (line[0] == '#') {
			assert_true(matches(line, "^# (HELP|UNIT) " NAME " [^\n]+$"));
			assert_int_equal(strncmp(line + 7, family, strlen(family)), 0);
		} else {
			assert_true(matches(line, "^" NAME "\\{" LABEL "(," LABEL ")*\\} [0-9]+$"));
			assert_int_equal(strncmp(line, family, strlen(family)), 0);
		}
	}
	assert_non_null(line);
	assert_null(strtok(NULL, "\n"));
	assert_int_equal(families, sizeof(struct ring_stats) / sizeof(uint64_t) + 4);
}

static void test_metrics(void **state)
{
	json_t *stats = parsed(stats_text), *status = parsed(status_text);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	metrics_write(out, stats, status);
	fclose(out);
	assert_non_null(strstr(text, "airlock_ring_frames_total{tap=\"ta\\\\p\\\"\\n0\",pair=\"0\","
				     "direction=\"tx\"} 12345678901\n"));
	assert_non_null(strstr(text, "airlock_ring_frames_total{tap=\"ta\\\\p\\\"\\n0\","
				     "direction=\"ctrl\"} 2\n"));
	assert_non_null(strstr(text, "# TYPE airlock_ring_bytes counter\n"));
	assert_non_null(strstr(text, "# UNIT airlock_ring_bytes bytes\n"));
	assert_non_null(strstr(text, "airlock_restarts_total{tap=\"ta\\\\p\\\"\\n0\"} 2\n"));
	assert_non_null(strstr(text, "airlock_serving{tap=\"ta\\\\p\\\"\\n0\"} 1\n"));
	assert_open_metrics(text);
	free(text);
	json_decref(stats);
	json_decref(status);
}

static void test_status(void **state)
{
	json_t *status = parsed(status_text);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	show_status(out, status);
	fclose(out);
	assert_true(matches(text, "broker +7\n"));
	assert_true(matches(text, "device +-\n"));
	assert_true(matches(text, "phase +serving\n"));
	free(text);
	json_decref(status);
}

static void test_stats(void **state)
{
	json_t *before = parsed("{\"rings\":[" RING(0, 0, "rx", 40) "," RING(
		1, 0, "tx", 0) "," RING(2, null, "ctrl", 2) "]}");
	json_t *stats = parsed(stats_text);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	show_stats(out, stats, before, 2);
	fclose(out);
	assert_true(matches(text, "pair +0 rx +0 tx +ctrl\n"));
	assert_true(matches(text, "frames +100 +12345678901 +2\n"));
	assert_true(matches(text, "frames/s +30 +6172839450 +0\n"));
	assert_true(matches(text, "breaks +9 +9 +9\n"));
	free(text);
	json_decref(stats);
	json_decref(before);
}

/* Whatever is missing from a document, something is shown for it. */
static void test_sandbox(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"threads\":[{}],\"fds\":[{}],\"broker\":[],\"capabilities\":7}",
		"{\"pid\":5,\"uid\":61184,\"no_new_privs\":true,"
		"\"capabilities\":{\"effective\":[],\"bounding\":[\"cap_chown\"]},"
		"\"namespaces\":{\"user\":true,\"net\":false},\"rlimits\":{\"core\":0},"
		"\"fds\":[{\"fd\":3,\"kind\":\"tap\"}],"
		"\"threads\":[{\"tid\":5,\"role\":\"control\",\"policy\":null},"
		"{\"tid\":6,\"role\":\"worker\",\"policy\":\"worker.policy\","
		"\"syscalls\":[\"readv\",\"writev\"],\"filter_sha256\":\"abc\"}],"
		"\"broker\":{\"pid\":4,\"capabilities\":{\"effective\":[]}},"
		"\"degraded\":[\"landlock\"]}",
	};
	char *text = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		json_t *report = parsed(texts[i]);
		size_t size;
		FILE *out = open_memstream(&text, &size);

		show_sandbox(out, report);
		fclose(out);
		json_decref(report);
		assert_true(matches(text, "device +[-0-9]"));
		if (i + 1 < ARRAY_SIZE(texts))
			free(text);
	}
	assert_true(matches(text, "capabilities bounding +cap_chown\n"));
	assert_true(matches(text, "own namespaces +user, NO net\n"));
	assert_true(matches(text, "descriptors +3 tap\n"));
	assert_true(matches(text, "control +5: -, 0 calls"));
	assert_true(matches(text, "a worker may +readv, writev\n"));
	assert_true(matches(text, "missing layers +landlock\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_sandbox),
	};

	return cmocka_run_group_tests_name("ctl", tests, NULL, NULL);
}
