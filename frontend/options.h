/*
 * The command line of airlock-vfio-user. Read before anything is confined, from whoever launched it
 * (the broker, or an administrator by hand).
 */
#ifndef AIRLOCK_FRONTEND_OPTIONS_H
#define AIRLOCK_FRONTEND_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "frontend/airlock-frontend.h"

struct options {
	const char *client_path, *backend_path; /* NULL: the descriptor */
	int client, backend;			/* listening or connected; -1 none */
	int channel, filter;			/* -1: none */
	unsigned int pairs, queue_size, deadline_ms;
	enum airlock_control control;
	uint8_t mac[6];
	bool has_mac;
	uint16_t mtu;				/* 0: not given */
	bool without_seccomp, without_landlock; /* named in --allow-degraded */
	bool once;
};

/* Exits with 2 and one line that names the option at fault; with 0 for --help and --version. */
void options_parse(struct options *o, int argc, char **argv);

#endif
