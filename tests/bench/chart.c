/*
 * Drawing of charts. Runs in bench_page; trusts its caller's numbers to be finite.
 */
#include "tests/bench/chart.h"

#include <math.h>
#include <string.h>

#include "lib/html.h"
#include "lib/util.h"

#define WIDTH  900
#define LEFT   230 /* where bars begin */
#define RIGHT  640 /* where the longest ends */
#define ROW    20
#define HEIGHT 260 /* of a chart of lines */
#define MARGIN 50

/* Told apart in print too: by label, never by colour alone. */
static const char *const colours[] = { "#5b6470", "#1f5fae", "#b3621e",
				       "#1a7f4b", "#7a3fa0", "#b3261e" };

/* A name has the same colour all over the page. */
static const char *colour(const char *name)
{
	static char names[ARRAY_SIZE(colours)][32];

	for (size_t i = 0; i < ARRAY_SIZE(colours); i++) {
		if (!names[i][0])
			snprintf(names[i], sizeof(names[i]), "%s", name);
		if (!strcmp(names[i], name))
			return colours[i];
	}
	return "#000";
}

static void text(FILE *page, double x, double y, const char *anchor, const char *words)
{
	fprintf(page, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\">", x, y, anchor);
	html_text(page, words);
	fputs("</text>\n", page);
}

static void begin(FILE *page, const char *title, size_t height)
{
	fputs("<figure><figcaption>", page);
	html_text(page, title);
	fprintf(page, "</figcaption>\n<svg viewBox=\"0 0 %d %zu\" role=\"img\">\n", WIDTH, height);
}

void chart_bars(FILE *page, const char *title, const struct bar *bars, size_t n, double reference,
		int decimals)
{
	double most = reference, y = 6;
	char value[32];

	for (size_t i = 0; i < n; i++)
		most = bars[i].value > most ? bars[i].value : most;
	begin(page, title, (n + 1) * (ROW + 6));
	for (size_t i = 0; i < n; i++, y += ROW) {
		double len = (RIGHT - LEFT) * bars[i].value / most;

		if (!i || strcmp(bars[i].label, bars[i - 1].label)) {
			y += i ? 6 : 0;
			text(page, LEFT - 8, y + 13, "end", bars[i].label);
		}
		fprintf(page,
			"<rect x=\"%d\" y=\"%.0f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n",
			LEFT, y, len, ROW - 3, colour(bars[i].series));
		snprintf(value, sizeof(value), "%.*f", decimals, bars[i].value);
		text(page, LEFT + len + 6, y + 13, "start", value);
		text(page, WIDTH - 4, y + 13, "end", bars[i].series);
	}
	if (reference > 0)
		fprintf(page, "<path class=\"limit\" d=\"M%.1f 0V%.0f\"/>\n",
			LEFT + (RIGHT - LEFT) * reference / most, y);
	fputs("</svg></figure>\n", page);
}

static double place(double value, double least, double most, double from, double to)
{
	double span = log(most / least);

	return span > 0 ? from + (to - from) * log(value / least) / span : from;
}

void chart_lines(FILE *page, const char *title, const double *x, size_t n, const struct line *lines,
		 size_t count)
{
	double least = INFINITY, most = 0;
	char label[32];

	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < n; k++) {
			least = fmin(least, lines[i].y[k]);
			most = fmax(most, lines[i].y[k]);
		}
	}
	least = fmax(least / 2, 1e-3);
	most *= 2;
	begin(page, title, HEIGHT);
	for (size_t k = 0; k < n; k++) {
		snprintf(label, sizeof(label), "%.0f", x[k]);
		text(page, place(x[k], x[0], x[n - 1], MARGIN, RIGHT), HEIGHT - 8, "middle", label);
	}
	for (size_t i = 0; i < count; i++) {
		double at = 0;

		fprintf(page, "<path class=\"line\" stroke=\"%s\" d=\"", colour(lines[i].name));
		for (size_t k = 0; k < n; k++) {
			at = place(fmax(lines[i].y[k], least), least, most, HEIGHT - 30, 10);
			fprintf(page, "%c%.1f %.1f", k ? 'L' : 'M',
				place(x[k], x[0], x[n - 1], MARGIN, RIGHT), at);
		}
		fputs("\"/>\n", page);
		for (size_t k = 0; k < n; k++) {
			snprintf(label, sizeof(label), "%.3g", lines[i].y[k]);
			text(page, place(x[k], x[0], x[n - 1], MARGIN, RIGHT),
			     place(fmax(lines[i].y[k], least), least, most, HEIGHT - 30, 10) - 5,
			     "middle", label);
		}
		text(page, RIGHT + 40, at + 4, "start", lines[i].name);
	}
	fputs("</svg></figure>\n", page);
}
