/*
 * What tests of a broker and its guest begin and end with, for programs of which each test has one
 * broker. Everything here belongs to the program that includes it.
 */
#ifndef AIRLOCK_TESTS_SERVED_H
#define AIRLOCK_TESTS_SERVED_H

#include "tests/support/rig.h"

static struct rig rig;
static struct guest guest;

/* No broker yet: the test says how it is started. */
static inline int blank(void **state)
{
	(void)state;
	guest_blank(&guest);
	return 0;
}

/* A broker with no option of its own. */
static inline int start(void **state)
{
	rig_start(&rig, (const char *[]){ NULL });
	return blank(state);
}

static inline int end(void **state)
{
	(void)state;
	guest_close(&guest);
	rig_abandon(&rig);
	return 0;
}

#endif
