/*
 * The command line of airlock-broker, and of airlock-minijail which takes most of its options, as
 * read and checked. Nothing on the host is looked at but the group database and the descriptors
 * that it names. Strings are argv's own.
 */
#ifndef AIRLOCK_BROKER_CONFIG_H
#define AIRLOCK_BROKER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/tap.h"
#include "lib/log.h"

#define CONFIG_QUEUE_SIZE_MAX 32768
#define CONFIG_AFFINITY_MAX   200 /* characters */

struct config {
	const char *socket_path; /* NULL when fd is given */
	bool vfio_user;		 /* VMMs speak vfio-user there, not vhost-user */
	bool client;
	int fd; /* inherited vhost-user socket (also systemd's), -1 none */
	mode_t socket_mode;
	gid_t socket_group; /* (gid_t)-1: the caller's */
	struct tap_options tap;
	unsigned queue_size;
	uint8_t mac[6];
	unsigned guard;		  /* GUARD_ bits */
	const char *user, *group; /* NULL: an id of its own */
	const char *policy_dir;	  /* NULL: installed or beside the program */
	const char *control;	  /* NULL: none */
	const char *sandbox_report;
	unsigned allowed; /* LAYER_BITs that may be missing */
	bool once;
	bool require_sealed;
	bool no_coalesce;
	unsigned poll_us;
	const char *affinity; /* NULL: any CPU */
	int ready_fd;	      /* -1 none */
	enum log_level log_level;
};

/* Whose command line it is. */
struct config_program {
	const char *name;
	const char *usage; /* how --help begins, whole lines */
	const char *page;  /* its manual page */
	bool supervises;   /* else the options that need a supervisor are refused */
};

enum config_outcome {
	CONFIG_GO_ON,
	CONFIG_ANSWERED, /* --help and the like were printed: exit 0 */
	CONFIG_WRONG	 /* logged: exit 2 */
};

/* Reads argv, draws a random address where none is given, and takes LISTEN_FDS from the environment
 * where no socket is given. */
enum config_outcome config_parse(const struct config_program *program, int argc, char **argv,
				 struct config *config);
/* By which option socket_path was given: without dashes, for messages. */
const char *config_socket_option(const struct config *config);
/* Is this -errno of a path on the command line for the administrator to change, unlike that of a
 * kernel or a host that fails us? */
bool config_mistake(int error);

#endif
