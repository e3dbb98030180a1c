/*
 * Names of the layers of confinement and what a build cannot have of them. Pure; any process of the
 * broker's. Its input is the administrator's.
 */
#include "broker/layer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const names[LAYERS] = {
	[LAYER_USER] = "user",	     [LAYER_MOUNT] = "mount",	  [LAYER_PID] = "pid",
	[LAYER_NET] = "net",	     [LAYER_IPC] = "ipc",	  [LAYER_UTS] = "uts",
	[LAYER_CGROUP] = "cgroup",   [LAYER_ROOT] = "root",	  [LAYER_LANDLOCK] = "landlock",
	[LAYER_RLIMITS] = "rlimits", [LAYER_SECCOMP] = "seccomp",
};

const char *layer_name(enum layer layer)
{
	return (unsigned)layer < LAYERS ? names[layer] : "?";
}

static int layer_find(const char *word, size_t len)
{
	for (int i = 0; i < LAYERS; i++)
		if (strlen(names[i]) == len && !memcmp(names[i], word, len))
			return i;
	return -EINVAL;
}

int layer_parse(const char *list, unsigned *mask, char bad[LAYER_NAME_MAX])
{
	unsigned found = 0;

	for (;;) {
		size_t len = strcspn(list, ",");
		int layer = layer_find(list, len);

		if (layer < 0) {
			snprintf(bad, LAYER_NAME_MAX, "%.*s", (int)len, list);
			return -EINVAL;
		}
		found |= LAYER_BIT(layer);
		if (!list[len])
			break;
		list += len + 1;
	}
	*mask |= found;
	return 0;
}

unsigned layer_absent_in_build(void)
{
#ifdef AIRLOCK_SANITIZE
	/* A dynamic program needs its libraries, a sanitizer /proc, memory and calls of its own. */
	return LAYER_BIT(LAYER_ROOT) | LAYER_BIT(LAYER_LANDLOCK) | LAYER_BIT(LAYER_RLIMITS) |
	       LAYER_BIT(LAYER_SECCOMP);
#else
	return 0;
#endif
}
