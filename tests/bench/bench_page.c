/*
 * Makes one page of what the benchmarks left: $AIRLOCK_BUILD/bench/report.html, complete in itself,
 * without script. Runs after them; shows what is there, so that a part of them makes a page too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "lib/html.h"
#include "lib/util.h"
#include "tests/bench/chart.h"
#include "tests/bench/results.h"

#define BARS_MAX 160

static const char style[] =
	"body{margin:0 auto;padding:2rem;max-width:70rem;color:#1b1f24;font:15px/1.45 "
	"system-ui,sans-serif}\n"
	"h1{font-size:1.6rem;margin:0}h2{font-size:1.2rem;margin:2.5rem 0 .5rem}\n"
	"p{color:#5b6470;max-width:50rem}figure{margin:1rem 0}figcaption{font-weight:600}\n"
	"svg{width:100%;font-size:12px}svg .limit{stroke:#1b1f24;stroke-dasharray:3 3}\n"
	"svg .line{fill:none;stroke-width:2}\n"
	"table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
	"th,td{text-align:right;padding:.25rem .5rem;border-bottom:1px solid #d8dde3}\n"
	"th:first-child,td:first-child,td:nth-child(2){text-align:left}\n"
	"thead th{border-bottom:2px solid #1b1f24}\n";

static const char *words(const json_t *row, const char *name)
{
	return json_string_value(json_object_get(row, name));
}

static double number(const json_t *row, const char *name)
{
	return json_number_value(json_object_get(row, name));
}

/* The rows of one pair, ring size and batch whose tests start so, but for those that all others are
 * set beside. */
static size_t select_bars(const json_t *rows, const char *test, const char *figure,
			  struct bar *bars)
{
	const json_t *row;
	size_t i, n = 0;

	json_array_foreach (rows, i, row) {
		if (strncmp(words(row, "test"), test, strlen(test)) ||
		    !strcmp(words(row, "subject"), "limit") || number(row, "pairs") > 1 ||
		    number(row, "ring") != 256 || number(row, "batch") != 32 || n == BARS_MAX)
			continue;
		bars[n++] = (struct bar){ words(row, "test"), words(row, "subject"),
					  number(row, figure) };
	}
	return n;
}

static void rate_charts(FILE *page, const json_t *rows)
{
	static const struct {
		const char *test, *figure, *title;
	} charts[] = {
		{ "transmit", "rate_to_limit", "Transmit: rate, the bare write loop's is 1" },
		{ "transmit", "cpu_to_limit", "Transmit: processor time a frame, to the same" },
		{ "receive", "rate_to_limit", "Receive: rate, the bare read loop's is 1" },
		{ "receive", "cpu_to_limit", "Receive: processor time a frame, to the same" },
		{ "both", "rate_to_limit", "Both ways at once: rate, the bare loop's is 1" },
	};
	struct bar bars[BARS_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(charts); i++) {
		size_t n = select_bars(rows, charts[i].test, charts[i].figure, bars);

		if (n)
			chart_bars(page, charts[i].title, bars, n, 1, 2);
	}
}

struct column {
	const char *title, *figure;
	int decimals; /* -1: words */
	double unit;
};

static void table(FILE *page, const json_t *rows, const struct column *columns, size_t n)
{
	const json_t *row;
	size_t i;

	fputs("<table><thead><tr>", page);
	for (size_t c = 0; c < n; c++)
		fprintf(page, "<th>%s</th>", columns[c].title);
	fputs("</tr></thead><tbody>\n", page);
	json_array_foreach (rows, i, row) {
		fputs("<tr>", page);
		for (size_t c = 0; c < n; c++) {
			fputs("<td>", page);
			if (columns[c].decimals >= 0) {
				char text[32];

				snprintf(text, sizeof(text), "%.*f", columns[c].decimals,
					 number(row, columns[c].figure) / columns[c].unit);
				html_text(page, text);
			} else {
				html_text(page, words(row, columns[c].figure));
			}
			fputs("</td>", page);
		}
		fputs("</tr>\n", page);
	}
	fputs("</tbody></table>\n", page);
}

static void rates(FILE *page)
{
	static const struct column columns[] = {
		{ "test", "test", -1, 1 },
		{ "", "subject", -1, 1 },
		{ "pairs", "pairs", 0, 1 },
		{ "ring", "ring", 0, 1 },
		{ "batch", "batch", 0, 1 },
		{ "kframes/s", "frames_per_second", 0, 1e3 },
		{ "Gbit/s", "bits_per_second", 2, 1e9 },
		{ "CPU ns a frame", "cpu_ns_per_frame", 0, 1 },
		{ "rate to limit", "rate_to_limit", 2, 1 },
		{ "CPU to limit", "cpu_to_limit", 2, 1 },
		{ "front-end idle, %", "front_end_idle", 0, 0.01 },
		{ "offered, k/s", "offered_per_second", 0, 1e3 },
	};
	json_t *rows = results_load("rate");

	if (!rows)
		return;
	fputs("<h2>Throughput</h2>\n<p>The limit is a loop that makes one system call a frame on a "
	      "TAP queue and does nothing else, over as many buffers as the ring has, measured in "
	      "the same rounds. Frames are counted at the far end. Ratios carry over to other "
	      "machines; figures do not.</p>\n",
	      page);
	rate_charts(page, rows);
	table(page, rows, columns, ARRAY_SIZE(columns));
	json_decref(rows);
}

static void latencies(FILE *page)
{
	static const struct column columns[] = {
		{ "test", "test", -1, 1 },
		{ "", "subject", -1, 1 },
		{ "p50, \xc2\xb5s", "p50_us", 1, 1 },
		{ "p99, \xc2\xb5s", "p99_us", 1, 1 },
		{ "p99.9, \xc2\xb5s", "p999_us", 1, 1 },
	};
	json_t *rows = results_load("latency"), *row;
	struct bar bars[BARS_MAX];
	size_t i, n = 0;

	if (!rows)
		return;
	fputs("<h2>Latency</h2>\n<p>One frame of 64 bytes from the host through the guest's rings "
	      "and back; the limit is a loop that echoes on a TAP.</p>\n",
	      page);
	json_array_foreach (rows, i, row)
		if (n < BARS_MAX)
			bars[n++] = (struct bar){ words(row, "test"), words(row, "subject"),
						  number(row, "p50_us") };
	chart_bars(page, "Median round trip, microseconds", bars, n, 0, 1);
	table(page, rows, columns, ARRAY_SIZE(columns));
	json_decref(rows);
}

static void footprints(FILE *page)
{
	static const struct column columns[] = {
		{ "devices", "devices", 0, 1 },
		{ "broker, KiB", "broker_kib", 0, 1 },
		{ "spawner, KiB", "spawner_kib", 0, 1 },
		{ "device, KiB", "device_kib", 0, 1 },
		{ "host, KiB", "host_kib", 0, 1 },
		{ "exec to first answer, ms", "first_answer_ms", 1, 1 },
		{ "connect to first answer, ms", "later_answer_ms", 2, 1 },
		{ "wake-ups/s of all", "wakeups_per_second", 2, 1 },
	};
	double x[8], y[3][8];
	const struct line memory[] = { { "broker, KiB", y[0] }, { "device, KiB", y[1] } };
	const struct line start[] = { { "exec to first answer, ms", y[2] } };
	json_t *rows = results_load("footprint"), *row;
	size_t i, n = 0;

	if (!rows)
		return;
	json_array_foreach (rows, i, row) {
		if (n == ARRAY_SIZE(x))
			break;
		x[n] = number(row, "devices");
		y[0][n] = number(row, "broker_kib");
		y[1][n] = number(row, "device_kib");
		y[2][n++] = number(row, "first_answer_ms");
	}
	fputs("<h2>Many devices on one host</h2>\n", page);
	chart_lines(page, "Private memory of one, by devices on the host", x, n, memory, 2);
	chart_lines(page, "Start-up, by devices on the host", x, n, start, 1);
	table(page, rows, columns, ARRAY_SIZE(columns));
	json_decref(rows);
}

int main(void)
{
	const char *build = getenv("AIRLOCK_BUILD");
	char path[512], when[32];
	struct utsname host;
	time_t now = time(NULL);
	FILE *page;

	snprintf(path, sizeof(path), "%s/bench/report.html", build ? build : "build");
	page = fopen(path, "we");
	if (!page) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	uname(&host);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M", gmtime(&now));
	fprintf(page,
		"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Airlock, "
		"measured</title>\n<style>%s</style>\n<h1>Airlock, measured</h1>\n<p>Airlock %s, "
		"%s UTC, Linux ",
		style, AIRLOCK_VERSION, when);
	html_text(page, host.release);
	fprintf(page, ", %ld processors.</p>\n", sysconf(_SC_NPROCESSORS_ONLN));
	rates(page);
	latencies(page);
	footprints(page);
	fputs("</html>\n", page);
	if (fclose(page)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	printf("report: %s\n", path);
	return 0;
}
