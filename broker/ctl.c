/*
 * airlock-ctl: asks a running broker, over the socket of its --control, and prints the answer.
 * Unprivileged but for the socket's mode; trusts the broker behind it.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/ctl_metrics.h"
#include "broker/ctl_show.h"
#include "lib/log.h"
#include "lib/util.h"

#define ANSWER_MAX     (1 << 20)
#define ANSWER_SECONDS 10
#define WATCH_SECONDS  1

struct request {
	const char *control, *verb;
	bool json, watch, openmetrics;
};

static const char help[] =
	"Usage: airlock-ctl --control=PATH [--json] VERB\n"
	"Asks the airlock-broker that was started with the same --control.\n\n"
	"  status                 who serves whom\n"
	"  stats [--watch]        counters of every ring, once or every second\n"
	"  stats --openmetrics    the same as OpenMetrics text\n"
	"  sandbox                what confines the device that served last\n"
	"  restart                end the session, serve the next by a fresh process\n\n"
	"  --control=PATH         the broker's status socket\n"
	"  --json                 the broker's document as it is\n"
	"  --help, --version\n\n"
	"See airlock-ctl(1).\n";

/* ---- asking ---- */

static int control_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		die(2, "--control=%s: longer than a socket's path can be", path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		die(1, "cannot make a socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(1, "--control=%s: %s; does a broker run with it?", path, strerror(errno));
	return fd;
}

/* Everything until the broker hangs up, with a NUL behind it; the caller frees it. */
static char *answer_read(int fd, const char *path)
{
	char *text = malloc(ANSWER_MAX + 1);
	size_t got = 0;
	ssize_t n = 1;

	if (!text)
		die(1, "no memory");
	while (n > 0 && got < ANSWER_MAX) {
		n = recv(fd, text + got, ANSWER_MAX - got, 0);
		if (n < 0)
			die(1, "--control=%s: %s", path,
			    errno == EAGAIN ? "no answer in time" : strerror(errno));
		got += (size_t)n;
	}
	text[got] = '\0';
	return text;
}

static json_t *ask(const struct request *request, const char *verb)
{
	int fd = control_connect(request->control);
	char line[32];
	char *text;
	json_error_t error;
	json_t *doc;
	const char *refused;

	snprintf(line, sizeof(line), "%s\n", verb);
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		die(1, "--control=%s: %s", request->control, strerror(errno));
	text = answer_read(fd, request->control);
	close(fd);
	doc = json_loads(text, 0, &error);
	free(text);
	if (!doc)
		die(1, "--control=%s: the broker's answer is cut short", request->control);
	refused = json_string_value(json_object_get(doc, "error"));
	if (refused)
		die(1, "%s: %s", verb, refused);
	return doc;
}

/* ---- the verbs ---- */

static void document_print(const struct request *request, const json_t *doc)
{
	json_dumpf(doc, stdout, request->watch ? JSON_COMPACT : JSON_INDENT(2));
	putchar('\n');
}

static void run_status(const struct request *request)
{
	json_t *doc = ask(request, "status");

	if (request->json)
		document_print(request, doc);
	else
		show_status(stdout, doc);
	json_decref(doc);
}

static void stats_watch(const struct request *request)
{
	json_t *before = NULL;

	for (;;) {
		json_t *doc = ask(request, "stats");

		if (request->json) {
			document_print(request, doc);
		} else {
			fputs(isatty(STDOUT_FILENO) ? "\033[H\033[J" : "", stdout);
			show_stats(stdout, doc, before, WATCH_SECONDS);
			fputs(isatty(STDOUT_FILENO) ? "" : "\n", stdout);
		}
		if (fflush(stdout))
			return; /* nobody looks any more */
		json_decref(before);
		before = doc;
		sleep(WATCH_SECONDS);
	}
}

static void run_stats(const struct request *request)
{
	json_t *doc;

	if (request->watch) {
		stats_watch(request);
		return;
	}
	doc = ask(request, "stats");
	if (request->openmetrics) {
		json_t *status = ask(request, "status");

		metrics_write(stdout, doc, status);
		json_decref(status);
	} else if (request->json) {
		document_print(request, doc);
	} else {
		show_stats(stdout, doc, NULL, 0);
	}
	json_decref(doc);
}

static void run_sandbox(const struct request *request)
{
	json_t *doc = ask(request, "sandbox");

	if (request->json)
		document_print(request, doc);
	else
		show_sandbox(stdout, doc);
	json_decref(doc);
}

static void run_restart(const struct request *request)
{
	json_t *doc = ask(request, "restart");

	if (request->json)
		document_print(request, doc);
	json_decref(doc);
}

static const struct {
	const char *name;
	void (*run)(const struct request *request);
} verbs[] = {
	{ "status", run_status },
	{ "stats", run_stats },
	{ "sandbox", run_sandbox },
	{ "restart", run_restart },
};

/* ---- the command line ---- */

static void option_take(struct request *request, int c, char **argv)
{
	switch (c) {
	case 'c':
		request->control = optarg;
		break;
	case 'j':
		request->json = true;
		break;
	case 'w':
		request->watch = true;
		break;
	case 'o':
		request->openmetrics = true;
		break;
	case 'h':
		fputs(help, stdout);
		exit(0);
	case 'V':
		puts("airlock-ctl " AIRLOCK_VERSION);
		exit(0);
	default:
		die(2, "%s: %s; see --help", argv[optind - 1],
		    c == ':' ? "needs a value" : "is no option of this program");
	}
}

static void request_parse(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {
		{ "control", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "watch", no_argument, NULL, 'w' },
		{ "openmetrics", no_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", options, NULL)) >= 0)
		option_take(request, c, argv);
	if (optind + 1 != argc)
		die(2, "give one verb: status, stats, sandbox or restart; see --help");
	request->verb = argv[optind];
	if (!request->control)
		die(2, "--control: give the path of the broker's status socket");
	if ((request->watch || request->openmetrics) && strcmp(request->verb, "stats"))
		die(2, "--%s: belongs to stats", request->watch ? "watch" : "openmetrics");
	if (request->openmetrics && (request->watch || request->json))
		die(2, "--openmetrics: goes with neither --watch nor --json");
}

int main(int argc, char **argv)
{
	struct request request = { 0 };

	log_init("airlock-ctl", LOG_INFO);
	request_parse(&request, argc, argv);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i].name, request.verb))
			continue;
		verbs[i].run(&request);
		return fflush(stdout) ? 1 : 0;
	}
	die(2, "%s: is no verb; give status, stats, sandbox or restart", request.verb);
}
