/*
 * The layers of confinement that a host may lack, by the names that --allow-degraded takes and the
 * sandbox report gives. A layer that is missing and not named there is an error. No state.
 */
#ifndef AIRLOCK_BROKER_LAYER_H
#define AIRLOCK_BROKER_LAYER_H

#include <stddef.h>

enum layer {
	LAYER_USER,
	LAYER_MOUNT,
	LAYER_PID,
	LAYER_NET,
	LAYER_IPC,
	LAYER_UTS,
	LAYER_CGROUP, /* the first seven are namespaces */
	LAYER_ROOT,
	LAYER_LANDLOCK,
	LAYER_RLIMITS,
	LAYER_SECCOMP,
	LAYERS
};

#define LAYER_NAMESPACES (LAYER_CGROUP + 1)
#define LAYER_BIT(layer) (1u << (layer))
#define LAYER_NAME_MAX	 16 /* with its NUL */

const char *layer_name(enum layer layer);
/* Reads "net,landlock" and adds its layers to *mask. -EINVAL: a word is no layer; it is copied to
 * bad (LAYER_NAME_MAX bytes, cut). */
int layer_parse(const char *list, unsigned *mask, char bad[LAYER_NAME_MAX]);
/* Layers that this build of the programs cannot have: sanitizers need files, memory and calls that
 * these forbid. 0 in a plain build. */
unsigned layer_absent_in_build(void);

#endif
