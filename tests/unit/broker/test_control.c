/* control, answer: each verb's document, requests that are none, clients that are slow, silent,
 * many or gone. The monitor's functions are replaced below. */
#include "broker/control.h"
#include "lib/fd.h"
#include "lib/util.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- the replaced monitor ---- */

static struct tally tally = { .rings = 5 };
static const char *report;
static bool paired;
static unsigned restarts, counts;
static void (*counted)(void *arg);
static void *counted_arg;

void monitor_status(const struct monitor *monitor, struct monitor_status *status)
{
	(void)monitor;
	*status = (struct monitor_status){ .paired = paired,
					   .transport = 43,
					   .transport_phase = DEVICE_WAITING,
					   .device = 42,
					   .phase = DEVICE_SERVING,
					   .pairs = 2,
					   .active_pairs = 1,
					   .connections = 7,
					   .restarts = 3,
					   .last_exit = "killed by SIGKILL" };
}

int monitor_count(struct monitor *monitor, void (*done)(void *arg), void *arg)
{
	(void)monitor;
	counts++;
	if (counted)
		return -EBUSY;
	counted = done;
	counted_arg = arg;
	return 0;
}

const struct tally *monitor_tally(const struct monitor *monitor)
{
	(void)monitor;
	return &tally;
}

const char *monitor_report(const struct monitor *monitor)
{
	(void)monitor;
	return report;
}

void monitor_restart(struct monitor *monitor)
{
	(void)monitor;
	restarts++;
}

static void count_done(void)
{
	void (*done)(void *arg) = counted;

	counted = NULL;
	done(counted_arg);
}

/* ---- one control socket ---- */

static struct loop loop;
static struct listener listener;
static struct control *control;
static struct tap tap = { .name = "tap0" };
static char path[64];

static int begin(void **state)
{
	struct control_options options = {
		.loop = &loop, .listener = &listener, .tap = &tap, .socket_path = "/run/s"
	};

	(void)state;
	loop = (struct loop){ 0 };
	counted = NULL;
	counts = restarts = 0;
	snprintf(path, sizeof(path), "/tmp/airlock-control-%d", getpid());
	if (listen_open(&listener, "control", path, 0600, (gid_t)-1))
		return -1;
	control = control_new();
	control_begin(control, &options);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	control_free(control);
	listen_close(&listener);
	return 0;
}

static void turns(unsigned n)
{
	while (n--)
		assert_int_equal(loop_turn(&loop, 1), 0);
}

static int client(const char *words)
{
	int fd = listen_connect(path);

	assert_true(fd >= 0);
	assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL), (ssize_t)strlen(words));
	return fd;
}

/* The document that a client gets; its socket is closed. */
static json_t *document(int fd)
{
	char text[8192];
	size_t got = 0;
	ssize_t n = 0;
	json_t *doc;

	for (int i = 0; i < 50; i++) {
		turns(1);
		n = recv(fd, text + got, sizeof(text) - 1 - got, MSG_DONTWAIT);
		if (n == 0)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(n, 0); /* hung up on */
	fd_close(&fd);
	text[got] = '\0';
	assert_int_equal(text[got - 1], '\n');
	doc = json_loads(text, 0, NULL);
	assert_non_null(doc);
	return doc;
}

static json_int_t integer(const json_t *doc, const char *key)
{
	assert_true(json_is_integer(json_object_get(doc, key)));
	return json_integer_value(json_object_get(doc, key));
}

static const char *string(const json_t *doc, const char *key)
{
	assert_true(json_is_string(json_object_get(doc, key)));
	return json_string_value(json_object_get(doc, key));
}

static void test_status(void **state)
{
	json_t *doc = document(client("status\n"));

	(void)state;
	assert_int_equal(integer(doc, "pid"), getpid());
	assert_int_equal(integer(doc, "device_pid"), 42);
	assert_string_equal(string(doc, "phase"), "serving");
	assert_string_equal(string(doc, "socket_path"), "/run/s");
	assert_string_equal(string(doc, "tap"), "tap0");
	assert_int_equal(integer(doc, "queue_pairs"), 2);
	assert_int_equal(integer(doc, "active_pairs"), 1);
	assert_int_equal(integer(doc, "connections"), 7);
	assert_int_equal(integer(doc, "restarts"), 3);
	assert_string_equal(string(doc, "last_exit"), "killed by SIGKILL");
	json_decref(doc);
}

static void test_status_of_a_pair(void **state)
{
	json_t *doc = document(client("status\n"));

	(void)state;
	assert_null(json_object_get(doc, "transport_pid"));
	json_decref(doc);
	paired = true;
	doc = document(client("status\n"));
	paired = false;
	assert_int_equal(integer(doc, "device_pid"), 42);
	assert_int_equal(integer(doc, "transport_pid"), 43);
	assert_string_equal(string(doc, "transport_phase"), "waiting");
	assert_true(json_is_null(json_object_get(doc, "transport_last_exit")));
	json_decref(doc);
}

static void test_stats(void **state)
{
	int one = client("stats\n"), two = client("stats\n");
	json_t *doc, *ring;

	(void)state;
	tally.now[3].frames = 12;
	tally.before[3].frames = 30;
	tally.now[0].bytes = UINT64_MAX;
	tally.state[3] = 3;
	turns(4);
	assert_int_equal(counts, 2); /* the second rides along */
	count_done();
	doc = document(one);
	json_decref(document(two));
	assert_int_equal(json_array_size(json_object_get(doc, "rings")), 5);
	ring = json_array_get(json_object_get(doc, "rings"), 3);
	assert_int_equal(integer(ring, "ring"), 3);
	assert_int_equal(integer(ring, "pair"), 1);
	assert_string_equal(string(ring, "direction"), "tx");
	assert_string_equal(string(ring, "state"), "running");
	assert_int_equal(integer(ring, "frames"), 42);
	assert_int_equal(integer(ring, "breaks"), 0);
	assert_true(json_is_null(
		json_object_get(json_array_get(json_object_get(doc, "rings"), 4), "pair")));
	assert_string_equal(string(json_array_get(json_object_get(doc, "rings"), 4), "direction"),
			    "ctrl");
	ring = json_array_get(json_object_get(doc, "rings"), 0);
	assert_true(integer(ring, "bytes") == INT64_MAX);
	json_decref(doc);
}

static void test_sandbox(void **state)
{
	json_t *doc;

	(void)state;
	report = NULL;
	doc = document(client("sandbox\n"));
	assert_non_null(string(doc, "error"));
	json_decref(doc);
	report = "{\"pid\": 9}\n";
	doc = document(client("sandbox\n"));
	assert_int_equal(integer(doc, "pid"), 9);
	json_decref(doc);
}

static void test_restart(void **state)
{
	json_t *doc = document(client("restart\n"));

	(void)state;
	assert_true(json_is_true(json_object_get(doc, "done")));
	assert_int_equal(restarts, 1);
	json_decref(doc);
}

static void test_no_verbs(void **state)
{
	static const char *const lines[] = {
		"\n",	     "stat\n",
		"statuss\n", "status \n",
		"STATUS\n",  "a line that is longer than any request can be, without an end"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		json_t *doc = document(client(lines[i]));

		assert_non_null(string(doc, "error"));
		json_decref(doc);
	}
}

static void test_line_in_pieces(void **state)
{
	int fd = client("sta");

	(void)state;
	turns(3);
	assert_int_equal(send(fd, "tus\nmore", 8, MSG_NOSIGNAL), 8);
	json_decref(document(fd));
}

/* Eight silent clients fill the table; the ninth waits and is served when one has left. */
static void test_many_clients(void **state)
{
	int silent[8], ninth;
	json_t *doc;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		silent[i] = client("s");
	ninth = client("status\n");
	turns(30);
	assert_int_equal(recv(ninth, path, 0, MSG_DONTWAIT | MSG_PEEK), -1);
	fd_close(&silent[0]);
	doc = document(ninth);
	assert_int_equal(integer(doc, "device_pid"), 42);
	json_decref(doc);
	fd_close_all(silent, ARRAY_SIZE(silent));
}

/* Silent for longer than anyone may be: hung up on. */
static void test_deadline(void **state)
{
	int fd = client("s");
	char byte;

	(void)state;
	turns(3);
	assert_non_null(loop.timers);
	loop.timers->due = 0;
	turns(2);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	assert_null(loop.timers);
	fd_close(&fd);
}

static void test_client_leaves_while_counted(void **state)
{
	int fd = client("stats\n");

	(void)state;
	turns(3);
	fd_close(&fd);
	turns(3);
	count_done(); /* nobody is left to be told */
	assert_null(loop.timers);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_status),	   CASE(test_status_of_a_pair),
		CASE(test_stats),	   CASE(test_sandbox),
		CASE(test_restart),	   CASE(test_no_verbs),
		CASE(test_line_in_pieces), CASE(test_many_clients),
		CASE(test_deadline),	   CASE(test_client_leaves_while_counted),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
