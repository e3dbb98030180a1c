/*
 * The page: a matrix of system calls and roles, what was refused, and each policy rule by rule.
 * Runs in airlock-policy's only thread. Whatever is not a constant of this file goes through
 * html_text(); there is no script in the page and nothing is fetched, so that it can be mailed,
 * archived and printed.
 */
#include "seccomp/report.h"
#include "lib/html.h"

#include <stdlib.h>
#include <string.h>

static const char style[] =
	":root{--ink:#1b1f24;--soft:#5b6470;--line:#d8dde3;--pale:#f5f7f9;--ok:#1a7f4b;--arg:#1f5fae;"
	"--warn:#9a6200;--bad:#b3261e}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0 auto;padding:2rem;max-width:78rem;color:var(--ink);background:#fff;"
	"font:15px/1.45 system-ui,sans-serif}\n"
	"h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}\n"
	"p{margin:.3rem 0;color:var(--soft)}.reason b{font-weight:600;font-size:.85em}code{font:.88em ui-monospace,monospace;color:var(--ink)}\n"
	".cards{display:flex;flex-wrap:wrap;gap:.8rem;margin:1.2rem 0}\n"
	".card{flex:1 1 14rem;border:1px solid var(--line);border-radius:6px;padding:.7rem .9rem}\n"
	".card b{font-size:1.05rem}.card dl{display:grid;grid-template-columns:1fr auto;margin:.4rem 0 0}\n"
	".card dt{color:var(--soft);white-space:nowrap}.card dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}\n"
	"table{border-collapse:collapse;width:100%}\n"
	"th,td{text-align:left;vertical-align:top;padding:.32rem .6rem;border-bottom:1px solid var(--line)}\n"
	"thead th{border-bottom:2px solid var(--ink);background:#fff;position:sticky;top:0}\n"
	"tbody tr:nth-child(even){background:var(--pale)}\n"
	".cell,.name{white-space:nowrap}.when{width:45%}td.reason{min-width:22rem}td:not(.name) code{overflow-wrap:anywhere}\n"
	"td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
	".reason{color:var(--soft)}\n"
	".mark{white-space:nowrap}.mark i{font-style:normal;display:inline-block;width:1.1em}\n"
	".allowed{color:var(--ok)}.filtered{color:var(--arg)}.answered,.unused{color:var(--warn)}\n"
	".refused{color:var(--bad)}.none{color:#aab2bb}\n"
	".count{color:var(--soft);font-variant-numeric:tabular-nums}\n"
	".banner{border-left:4px solid var(--bad);padding:.4rem .8rem;background:#fdf1f0;color:var(--bad)}\n"
	"@page{size:A4 landscape;margin:12mm}\n"
	"@media print{body{padding:0;max-width:none;font-size:10px;-webkit-print-color-adjust:exact;"
	"print-color-adjust:exact}thead{display:table-header-group}thead th{position:static}"
	"tr,.card{break-inside:avoid}h2{break-after:avoid}}\n";

/* What a policy does with a call, in one mark: never by colour alone. */
enum mark {
	MARK_NONE,
	MARK_ALLOWED,
	MARK_FILTERED,
	MARK_ANSWERED,
	MARK_REFUSED
};

static const struct {
	const char *style, *sign, *words;
} marks[] = {
	[MARK_NONE] = { "none", "\xc2\xb7", "no" },
	[MARK_ALLOWED] = { "allowed", "\xe2\x97\x8f", "allowed" },
	[MARK_FILTERED] = { "filtered", "\xe2\x97\x90", "by argument" },
	[MARK_ANSWERED] = { "answered", "\xe2\x97\x8b", "answered" },
	[MARK_REFUSED] = { "refused", "\xe2\x9c\x95", "refused" },
};

static bool lets_pass(const json_t *use)
{
	const char *action = report_string(use, "action");

	return !strcmp(action, "allow") || !strcmp(action, "log");
}

static enum mark mark_of(const json_t *rule)
{
	const json_t *uses = json_object_get(rule, "conditions");
	bool passes = false, filtered = false, answered = false;

	for (size_t i = 0; i < json_array_size(uses); i++) {
		const json_t *use = json_array_get(uses, i);

		passes |= lets_pass(use);
		filtered |= *report_string(use, "when") != '\0';
		answered |= !lets_pass(use);
	}
	if (!passes)
		return answered ? MARK_ANSWERED : MARK_NONE;
	return filtered || answered ? MARK_FILTERED : MARK_ALLOWED;
}

static const json_t *find_rule(const json_t *column, const char *syscall)
{
	const json_t *rules = json_object_get(column, "rules");

	for (size_t i = 0; i < json_array_size(rules); i++)
		if (!strcmp(report_string(json_array_get(rules, i), "syscall"), syscall))
			return json_array_get(rules, i);
	return NULL;
}

static const char *finding_name(const json_t *finding)
{
	return report_string(json_object_get(finding, "call"), "name");
}

static json_int_t refused_times(const json_t *column, const char *syscall)
{
	const json_t *findings = json_object_get(column, "findings");
	json_int_t times = 0;

	for (size_t i = 0; i < json_array_size(findings); i++) {
		const json_t *finding = json_array_get(findings, i);

		if ((!syscall || !strcmp(finding_name(finding), syscall)) &&
		    strcmp(report_string(finding, "verdict"), "unknown") != 0)
			times += report_count(finding, "count");
	}
	return times;
}

static void write_mark(FILE *out, enum mark mark)
{
	fprintf(out, "<span class=\"mark %s\"><i>%s</i>%s</span>", marks[mark].style,
		marks[mark].sign, marks[mark].words);
}

static void write_count(FILE *out, json_int_t count)
{
	fputs(" <span class=\"count\">", out);
	html_number(out, (uint64_t)count);
	fputs("</span>", out);
}

static bool was_observed(const json_t *column)
{
	return json_is_true(json_object_get(column, "observed"));
}

static void write_cell(FILE *out, const json_t *column, const char *syscall)
{
	const json_t *rule = find_rule(column, syscall);
	json_int_t refused = refused_times(column, syscall);

	fputs("<td class=\"cell\">", out);
	write_mark(out, rule ? mark_of(rule) : MARK_NONE);
	if (rule && report_count(rule, "count"))
		write_count(out, report_count(rule, "count"));
	else if (rule && was_observed(column))
		fputs("<br><span class=\"unused\">never used</span>", out);
	if (refused) {
		fputs("<br>", out);
		write_mark(out, MARK_REFUSED);
		write_count(out, refused);
	}
	fputs("</td>", out);
}

/* The reasons that the columns give, each once. */
static void write_reasons(const struct report *report, FILE *out, const char *syscall)
{
	const char *last = "";
	char name[64];
	json_t *column;
	size_t i;

	fputs("<td class=\"reason\">", out);
	json_array_foreach (report->columns, i, column) {
		const char *reason = report_string(find_rule(column, syscall), "reason");

		if (!*reason || !strcmp(reason, last))
			continue;
		fputs(*last ? "<br>" : "", out);
		if (json_array_size(report->columns) > 1) {
			fputs("<b>", out);
			html_text(out, report_name(column, name, sizeof(name)));
			fputs("</b> ", out);
		}
		html_text(out, reason);
		last = reason;
	}
	fputs("</td>", out);
}

static int name_order(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static size_t add_names(const json_t *column, const char **names, size_t n)
{
	const json_t *rules = json_object_get(column, "rules"),
		     *findings = json_object_get(column, "findings");

	for (size_t i = 0; i < json_array_size(rules); i++)
		names[n++] = report_string(json_array_get(rules, i), "syscall");
	for (size_t i = 0; i < json_array_size(findings); i++)
		names[n++] = finding_name(json_array_get(findings, i));
	return n;
}

/* Every call that a policy has a rule for or that was refused, in order, each once. To be freed. */
static const char **list_calls(const struct report *report, size_t *count)
{
	size_t room = 1, n = 0, kept = 0, i;
	const char **names;
	json_t *column;

	json_array_foreach (report->columns, i, column) {
		room += json_array_size(json_object_get(column, "rules")) +
			json_array_size(json_object_get(column, "findings"));
	}
	names = calloc(room, sizeof(*names));
	*count = 0;
	if (!names)
		return NULL;
	json_array_foreach (report->columns, i, column) {
		n = add_names(column, names, n);
	}
	qsort(names, n, sizeof(*names), name_order);
	for (size_t from = 0; from < n; from++)
		if (*names[from] && (!kept || strcmp(names[kept - 1], names[from]) != 0))
			names[kept++] = names[from];
	*count = kept;
	return names;
}

static void write_role_heads(const struct report *report, FILE *out)
{
	char name[64];
	json_t *column;
	size_t i;

	json_array_foreach (report->columns, i, column) {
		fputs("<th scope=\"col\">", out);
		html_text(out, report_name(column, name, sizeof(name)));
		fputs("</th>", out);
	}
}

static void write_matrix(const struct report *report, FILE *out)
{
	size_t count, i;
	const char **names = list_calls(report, &count);
	json_t *column;

	fputs("<h2>System calls by role</h2>\n<p>", out);
	for (enum mark mark = MARK_NONE; mark <= MARK_REFUSED; mark++) {
		write_mark(out, mark);
		fputs(" &nbsp; ", out);
	}
	fputs(report->observed ? "Numbers count calls that were observed.</p>\n"
			       : "No audit was given: nothing is known of their use.</p>\n",
	      out);
	fputs("<table><thead><tr><th scope=\"col\">Call</th>", out);
	write_role_heads(report, out);
	fputs("<th scope=\"col\">Why</th></tr></thead><tbody>\n", out);
	for (size_t n = 0; n < count; n++) {
		fputs("<tr><th scope=\"row\"><code>", out);
		html_text(out, names[n]);
		fputs("</code></th>", out);
		json_array_foreach (report->columns, i, column) {
			write_cell(out, column, names[n]);
		}
		write_reasons(report, out, names[n]);
		fputs("</tr>\n", out);
	}
	fputs("</tbody></table>\n", out);
	free(names);
}

static void write_figure(FILE *out, const char *words, json_int_t number)
{
	fprintf(out, "<dt>%s</dt><dd>", words);
	html_number(out, (uint64_t)number);
	fputs("</dd>", out);
}

static void write_card(FILE *out, const json_t *column)
{
	const json_t *rules = json_object_get(column, "rules");
	json_int_t filtered = 0, unused = 0;
	char name[64];

	for (size_t i = 0; i < json_array_size(rules); i++) {
		const json_t *rule = json_array_get(rules, i);

		filtered += mark_of(rule) == MARK_FILTERED;
		unused += report_count(rule, "count") == 0;
	}
	fputs("<section class=\"card\"><b>", out);
	html_text(out, report_name(column, name, sizeof(name)));
	fputs("</b><dl><dt>else</dt><dd>", out);
	html_text(out, json_is_true(json_object_get(column, "default_given"))
			       ? report_string(column, "default")
			       : "as compiled");
	fputs("</dd>", out);
	write_figure(out, "rules", (json_int_t)json_array_size(rules));
	write_figure(out, "by argument", filtered);
	if (was_observed(column)) {
		write_figure(out, "never used", unused);
		write_figure(out, "calls seen", report_count(column, "calls"));
		write_figure(out, "threads seen", report_count(column, "threads"));
		write_figure(out, "refused", refused_times(column, NULL));
	}
	fputs("</dl></section>\n", out);
}

static void write_finding(FILE *out, const char *role, const json_t *finding)
{
	const char *kernel = report_string(finding, "kernel");

	fputs("<tr><td>", out);
	html_text(out, role);
	fputs("</td><td><code>", out);
	html_text(out, report_string(finding, "text"));
	fputs("</code></td><td>", out);
	html_text(out, report_string(finding, "role"));
	fputs("</td><td class=\"n\">", out);
	html_number(out, (uint64_t)report_count(finding, "count"));
	fprintf(out, "</td><td><span class=\"refused\">%s</span>: ",
		*kernel							? "refused by the kernel"
		: !strcmp(report_string(finding, "verdict"), "unknown") ? "may be refused"
									: "would be refused");
	html_text(out, report_string(finding, "why"));
	fputs("</td><td><code>", out);
	html_text(out, report_string(finding, "missing"));
	fputs("</code></td></tr>\n", out);
}

static void write_findings(const struct report *report, FILE *out)
{
	size_t i, n, total = 0;
	json_t *column, *finding;
	char name[64];

	json_array_foreach (report->columns, i, column) {
		total += json_array_size(json_object_get(column, "findings"));
	}
	if (!report->observed)
		return;
	fputs("<h2>Refused calls</h2>\n", out);
	if (!total) {
		fputs("<p>None.</p>\n", out);
		return;
	}
	fputs("<table><thead><tr><th>Policy</th><th>Call</th><th>Thread</th><th>Times</th><th>Fate</th>"
	      "<th>Missing</th></tr></thead><tbody>\n",
	      out);
	json_array_foreach (report->columns, i, column) {
		report_name(column, name, sizeof(name));
		json_array_foreach (json_object_get(column, "findings"), n, finding) {
			write_finding(out, name, finding);
		}
	}
	fputs("</tbody></table>\n", out);
}

static void write_condition(FILE *out, const json_t *use, bool observed)
{
	const char *when = report_string(use, "when"), *action = report_string(use, "action");

	fputs("<code>", out);
	html_text(out, *when ? when : "whatever the arguments");
	fputs("</code>", out);
	if (strcmp(action, "allow") != 0) {
		fputs(" <span class=\"answered\">", out);
		html_text(out, action);
		fputs("</span>", out);
	}
	if (observed && !report_count(use, "count"))
		fputs(" <span class=\"unused\">never used</span>", out);
	else if (observed)
		write_count(out, report_count(use, "count"));
	fputs("<br>", out);
}

static void write_rule(FILE *out, const json_t *rule, bool observed)
{
	const json_t *uses = json_object_get(rule, "conditions");

	fputs("<tr><td class=\"n\">", out);
	html_number(out, (uint64_t)report_count(rule, "line"));
	fputs("</td><td class=\"name\"><code>", out);
	html_text(out, report_string(rule, "syscall"));
	fputs("</code></td><td class=\"when\">", out);
	for (size_t i = 0; i < json_array_size(uses); i++)
		write_condition(out, json_array_get(uses, i), observed);
	fputs("</td><td class=\"reason\">", out);
	html_text(out, report_string(rule, "reason"));
	fputs("</td></tr>\n", out);
}

static void write_policy(FILE *out, const json_t *column)
{
	const json_t *rules = json_object_get(column, "rules"),
		     *properties = json_object_get(column, "properties");
	char name[64];

	fputs("<h2>", out);
	html_text(out, report_name(column, name, sizeof(name)));
	fputs("</h2>\n<p><code>", out);
	html_text(out, report_string(column, "file"));
	fputs("</code>", out);
	if (*report_string(column, "for")) {
		fputs(", for threads named <code>", out);
		html_text(out, report_string(column, "for"));
		fputs("</code>", out);
	}
	for (size_t i = 0; i < json_array_size(properties); i++) {
		fputs(i ? ", <code>"
			: ". To be proven by <code>airlock-policy check</code>: <code>",
		      out);
		html_text(out, json_string_value(json_array_get(properties, i)));
		fputs("</code>", out);
	}
	fputs(".</p>\n<table><thead><tr><th>Line</th><th>Call</th><th>Allowed when</th><th>Why</th></tr></thead>"
	      "<tbody>\n",
	      out);
	for (size_t i = 0; i < json_array_size(rules); i++)
		write_rule(out, json_array_get(rules, i), was_observed(column));
	fputs("</tbody></table>\n", out);
}

void report_html(const struct report *report, FILE *out)
{
	json_t *column;
	size_t i;

	fprintf(out,
		"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
		"<meta name=\"viewport\" content=\"width=device-width\">"
		"<title>Seccomp policies</title>\n<style>\n%s</style></head><body>\n"
		"<h1>Seccomp policies</h1>\n<p>What each role may ask of the kernel%s. "
		"Written by airlock-policy " AIRLOCK_VERSION ".</p>\n",
		style, report->observed ? ", and what it was seen to ask" : "");
	if (!report->complete)
		fputs("<p class=\"banner\">Incomplete: some calls were made that were not counted.</p>\n",
		      out);
	fputs("<div class=\"cards\">\n", out);
	json_array_foreach (report->columns, i, column) {
		write_card(out, column);
	}
	fputs("</div>\n", out);
	write_matrix(report, out);
	write_findings(report, out);
	json_array_foreach (report->columns, i, column) {
		write_policy(out, column);
	}
	fputs("</body></html>\n", out);
}
