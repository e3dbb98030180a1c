/*
 * The program that devices run, or transports, and its command line: both fixed before the spawner
 * is made, so that an order needs no parameters.
 */
#ifndef AIRLOCK_BROKER_PROGRAM_H
#define AIRLOCK_BROKER_PROGRAM_H

#include "broker/config.h"

#define PROGRAM_WORDS	 12
#define PROGRAM_WORD_MAX 224

struct program {
	int fd;				     /* owned; O_PATH */
	const char *argv[PROGRAM_WORDS + 1]; /* NULL at the end; points into words */
	char words[PROGRAM_WORDS][PROGRAM_WORD_MAX];
};

/* Finds `name` beside this program, or in libexec/airlock beside its directory. 0 or -errno
 * (logged). */
int program_open(struct program *program, const char *name);
/* What every device is told. mtu: as the TAP has it. */
void program_arguments(struct program *program, const struct config *config, unsigned mtu);
/* What every transport is told: the rest it hears from its back-end. */
void program_transport(struct program *program, const struct config *config);
void program_close(struct program *program);

#endif
