/*
 * The sandbox report: what a witness read of a device, as the JSON that interface.md fixes. Beside
 * the kernel's account stand only what the kernel cannot tell: the policies, and which descriptors
 * the broker handed out.
 */
#ifndef AIRLOCK_BROKER_REPORT_H
#define AIRLOCK_BROKER_REPORT_H

#include <stdint.h>

#include "broker/policies.h"
#include "broker/privilege.h"
#include "broker/witness.h"

struct report_facts {
	const struct witness *witness;
	const struct policies *policies;
	const struct privilege_state *privilege;
	const uint64_t *namespaces; /* the broker's own, of spawner_namespaces() */
	unsigned landlock_abi;	    /* of spawner_landlock() */
	unsigned degraded;	    /* LAYER_BITs, of spawner_degraded() and privilege_drop() */
	uint64_t channel_inode;	    /* of the device's end (fstat before it is sent), 0 unknown */
	uint64_t connection_inode;  /* of its vhost-user socket, likewise; of a transport: vfio-user
				     */
	uint64_t backend_inode;	    /* of a transport's vhost-user socket */
	const struct report_facts
		*transport; /* of a device's report: the other of its pair, or NULL */
};

/* FILE is created or emptied, 0644; "-" is standard output. A descriptor, or -errno (logged). */
int report_open(const char *path);
/* The report as text with a final newline; the caller frees it. NULL: out of memory. */
char *report_text(const struct report_facts *facts);
/* Writes text to fd of report_open(): a file is replaced as a whole, anything else continued. 0 or
 * -errno (logged). */
int report_write(int fd, const char *text);

#endif
