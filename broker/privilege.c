/*
 * What the broker keeps. It stays uid 0: as the owner of its devices' user namespace it may signal
 * them without a capability. But uid 0 alone still opens root's files, so its filter has no open
 * and Landlock leaves it the removal of its sockets. Runs once, in the broker's only thread.
 *
 *   kept                     why                                          where it is said
 *   no capability            -                                            capabilities[] below
 *   CAP_DAC_OVERRIDE         to remove a socket from a directory of       capabilities[] below
 *                            another owner, where that is the case
 *   CAP_KILL                 only where there is no user namespace:       capabilities[] below
 *                            a device is then another user's process
 *   make and remove sockets  its own, in their directories                directories() below
 *   system calls             each with its reason                         policy/broker.policy
 *   open descriptors         TAP queues, sockets, channels, the report    whoever opened them
 *   uid 0, gid 0             owner of the namespace; no group beside      -
 */
#include "broker/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/caps.h"
#include "lib/landlock.h"
#include "lib/log.h"
#include "lib/util.h"
#include "seccomp/install.h"

static bool owns_no_namespace(const struct privilege_options *options)
{
	return options->degraded & LAYER_BIT(LAYER_USER);
}

/* True when a socket could not be removed without the capability; asked while none is effective. */
static bool directory_is_anothers(const struct privilege_options *options)
{
	for (size_t i = 0; i < options->ndirs; i++)
		if (faccessat(options->socket_dirs[i], ".", W_OK | X_OK, AT_EACCESS) < 0 &&
		    errno == EACCES)
			return true;
	return false;
}

static const struct {
	int cap;
	bool (*needed)(const struct privilege_options *options);
} capabilities[] = {
	{ CAP_DAC_OVERRIDE, directory_is_anothers },
	{ CAP_KILL, owns_no_namespace },
};

static int drop_capabilities(const struct privilege_options *options, uint64_t *kept)
{
	int ret = setgroups(0, NULL) < 0 ? -errno : 0;

	if (!ret)
		ret = caps_unbound();
	if (!ret)
		ret = caps_effective(0);
	*kept = 0;
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (capabilities[i].needed(options))
			*kept |= CAP_BIT(capabilities[i].cap);
	return ret ? ret : caps_limit(*kept);
}

static int close_files(const struct privilege_options *options)
{
	struct landlock_rule rules[PRIVILEGE_DIRS_MAX];

	for (size_t i = 0; i < options->ndirs; i++)
		rules[i] = (struct landlock_rule){ options->socket_dirs[i],
						   LANDLOCK_ACCESS_FS_MAKE_SOCK |
							   LANDLOCK_ACCESS_FS_REMOVE_FILE };
	/* Not scoped: it signals its devices, which live outside. */
	return landlock_close(rules, options->ndirs, false);
}

/* A layer that cannot be had: 0 when the administrator gave leave. */
static int go_without(enum layer layer, int ret, const struct privilege_options *options,
		      struct privilege_state *state)
{
	if (options->allowed & LAYER_BIT(layer)) {
		state->degraded |= LAYER_BIT(layer);
		return 0;
	}
	err("the broker's own %s: %s; --allow-degraded=%s goes on without", layer_name(layer),
	    strerror(-ret), layer_name(layer));
	return ret;
}

int privilege_drop(const struct privilege_options *options, struct privilege_state *state)
{
	const unsigned absent = layer_absent_in_build();
	int ret;

	*state = (struct privilege_state){ 0 };
	ret = drop_capabilities(options, &state->capabilities);
	if (!ret && (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 ||
		     prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) < 0))
		ret = -errno;
	if (ret) {
		err("cannot give up privileges: %s", strerror(-ret));
		return ret;
	}
	ret = absent & LAYER_BIT(LAYER_LANDLOCK) ? -EOPNOTSUPP : close_files(options);
	if (ret > 0)
		state->landlock_abi = (unsigned)ret;
	else
		ret = go_without(LAYER_LANDLOCK, ret, options, state);
	if (ret < 0)
		return ret;
	ret = absent & LAYER_BIT(LAYER_SECCOMP) ? -EOPNOTSUPP : install_filter(options->filter_fd);
	return ret ? go_without(LAYER_SECCOMP, ret, options, state) : 0;
}
