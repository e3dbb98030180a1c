/*
 * What an integration test stands on: a network namespace, a broker with its TAP and socket, and
 * what must hold around every test: service goes on, descriptors return, the host is left as it
 * was. Everything here asserts (cmocka) instead of returning errors. One thread, needs root.
 */
#ifndef AIRLOCK_TESTS_RIG_H
#define AIRLOCK_TESTS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/frame.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/machine.h"
#include "tests/support/proc.h"
#include "tests/support/program.h"

#define RIG_TAP	     "airlock0"
#define RIG_START_MS 10000
#define RIG_SERVE_MS 1000 /* from the end of one connection to the service of the next */
/* For what must happen and whose time nobody has promised. A kernel that takes down the namespaces
 * of many tests before lets a process end seconds late. */
#define RIG_WAIT_MS 20000

#define assert_ok(expression) assert_int_equal(0, expression)

struct rig {
	struct program broker;
	struct wire wire; /* every frame of RIG_TAP, once rig_start() returned */
	char dir[32], socket[64], control[64], report[64];
	/* Of the broker, while a spare waits and nobody is served: descriptors, mappings, itself
	 * and its descendants, private bytes. */
	int fds, maps, processes;
	long memory;
	bool lent; /* the TAP was there before the broker, and stays */
};

/* Runs the tests in a network namespace of their own; skips them all, with the reason, where that
 * cannot be. $AIRLOCK_TEST: only those whose names match this pattern (* and ?). */
int rig_run(const char *name, const struct CMUnitTest *tests, size_t n);

/* The directory, and the arguments of a broker with a socket in it, then `options` (ended by NULL).
 */
void rig_prepare(struct rig *rig, struct program_start *start, const char *const *options);
/* As rig_prepare(), for a copy of the broker that finds the program `name`, which lies beside this
 * test, in the place of airlock-device. */
void rig_prepare_double(struct rig *rig, struct program_start *start, const char *name,
			const char *const *options);
/* One argument more; and one less, the first that begins with `option` if there is one. */
void rig_add(struct program_start *start, const char *argument);
void rig_leave_out(struct program_start *start, const char *option);
/* Starts what was prepared and waits until it serves. */
void rig_launch(struct rig *rig, const struct program_start *start);
/* The same for VMMs that speak vfio-user: nothing but the socket's option is another. */
void rig_prepare_pair(struct rig *rig, struct program_start *start, const char *const *options);
/* Both. */
void rig_start_pair(struct rig *rig, const char *const *options);
void rig_start(struct rig *rig, const char *const *options);
/* The kernel takes a TAP that is nobody's away a while after the last process that held it. */
void rig_tap_leave(const struct rig *rig);
/* The broker that still runs, its wire drained, for a test after another; or a new one. */
void rig_ensure(struct rig *rig, const char *const *options);
/* SIGTERM: the broker must end with 0 and leave neither TAP nor sockets. */
void rig_stop(struct rig *rig);
/* After a failed test, or a broker that ended by itself: frees without asking for anything. */
void rig_abandon(struct rig *rig);

/* A connection; then a guest whose traffic flows. Forgets the sandbox report of the one before. */
void rig_connect(struct rig *rig, struct peer *peer);
void rig_open(struct rig *rig, struct guest *guest, const struct guest_options *options);
/* Closes the connection and waits until the broker is ready for the next. */
void rig_close(struct rig *rig, struct guest *guest);
/* The sandbox report of the connection that is served, to be freed; and its process. */
json_t *rig_report(struct rig *rig);
pid_t rig_device(struct rig *rig);
/* The process that the report at a path names, once it lives: asserts that it does. */
pid_t rig_reported(const char *report);

/* n patterned frames of `len` bytes from the guest to the host, checked bit for bit; and back. */
void rig_transmit(struct rig *rig, struct guest *guest, unsigned pair, size_t len, uint32_t first,
		  unsigned n);
void rig_receive(struct rig *rig, struct guest *guest, unsigned pair, size_t len, uint32_t first,
		 unsigned n);
/* A few frames of several sizes, each way. */
void rig_exchange(struct rig *rig, struct guest *guest, unsigned pair);
/* Notes what the broker holds now, while nobody is served, as the baseline. */
void rig_note(struct rig *rig);
/* The broker's descriptors, mappings, processes and memory are back at the baseline, in time. */
void rig_settled(struct rig *rig);
/* A fresh connection passes frames both ways, and then everything is as it was. */
void rig_serves(struct rig *rig);

/* What a program says on stdout until its end, which must be 0; to be freed. */
char *rig_output(const struct program_start *start);
/* airlock-ctl's output for these arguments (ended by NULL) as JSON, to be freed. */
json_t *rig_ctl(struct rig *rig, const char *const *arguments);
/* The broker attaches and detaches pairs after the device asked for it: soon there are so many. */
bool rig_attached(struct rig *rig, int pairs);
/* The programs are a sanitizer's build: slow, and with mappings, memory and threads of its own. */
bool rig_sanitized(void);
/* A time that is promised, in ms: longer where sanitizers slow everything down. */
int rig_patience(int ms);
/* The process ends. */
bool rig_gone(pid_t pid);
void rig_sleep(int ms);

#endif
