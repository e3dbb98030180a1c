/*
 * A device that does what a test tells it, confined like the real one: orders come over the
 * front-end's socket in place of vhost-user messages and are carried out by the control thread or
 * by a worker; the broker finds airlock-device itself otherwise. What it does before there is a
 * front-end, it reads off the first bytes of its --mac. Shared by the double and its tests.
 */
#ifndef AIRLOCK_TESTS_PUPPET_H
#define AIRLOCK_TESTS_PUPPET_H

#include <stdint.h>

#define PUPPET_MEMORY 256 /* bytes that an order brings and an answer takes back */

enum puppet_verb {
	PUPPET_CALL,	 /* call `nr` with `args`, `times` times */
	PUPPET_X32,	 /* the same by the x32 numbers */
	PUPPET_I386,	 /* by interrupt 0x80, with i386's numbers */
	PUPPET_VSYSCALL, /* time(2) by the kernel's page at a fixed address */
	PUPPET_SPIN,	 /* never return */
	PUPPET_TRAP,	 /* an illegal instruction */
	PUPPET_RUN,	 /* jump into the order's memory */
	PUPPET_WRITE,	 /* write a byte at args[0]; 0: to the program's own text */
	PUPPET_FILL,	 /* args[1] bytes at args[0] with args[2] */
	PUPPET_PASS	 /* sendmsg() of descriptor args[1] over socket args[0] */
};

struct puppet_order {
	uint32_t verb;
	uint32_t worker; /* 1: a worker does it */
	uint32_t times;
	uint32_t pointers; /* bit n: args[n] is an offset into `memory` */
	uint32_t came;	   /* bit n: args[n] is the descriptor that came with the order */
	uint32_t told;	   /* 1: `memory` begins with its number */
	uint32_t code;	   /* bit n: args[n] is a page of the program's own code */
	uint32_t inner;	   /* n + 1: memory[n] is the address of the second half of `memory` */
	int64_t nr;
	int64_t args[6];
	uint8_t memory[PUPPET_MEMORY];
};

struct puppet_answer {
	int64_t result; /* of the last call; -errno */
	uint8_t memory[PUPPET_MEMORY];
};

/*
 * --mac=aa:00:DD:TT:TT:TT: a device does DD before it serves, until TT:TT:TT tenths of a second of
 * CLOCK_MONOTONIC (24 bits of it) have come; from then on, and with any other --mac, it behaves.
 */
#define PUPPET_MAC 0xaa

enum puppet_start {
	START_WELL,
	/* instead of READY */
	START_SILENT,
	START_EMPTY, /* a packet without a byte */
	START_SHORT,
	START_LONG,
	START_HUGE,
	START_VERSION,
	START_TYPE,
	START_ORDER, /* what only a broker may say */
	START_PONG,
	START_QUEUE,
	START_STATS,
	START_STOPPED,
	START_CLOSE, /* its channel, and lives on */
	START_EXIT,
	START_FAIL,
	START_CRASH,
	START_DENIED, /* a call that its filter forbids */
	START_FLOOD,  /* events without end, and never READY */
	START_PASS,   /* READY with a descriptor, which takes a device without filters */
	/* after READY, while it is a spare */
	START_THEN_READY,
	START_THEN_PONG,
	START_THEN_QUEUE,
	START_THEN_STOPPED,
	START_THEN_CLOSE,
	START_THEN_EXIT,
	START_THEN_CRASH,
	START_THEN_FLOOD,
	STARTS
};

#endif
