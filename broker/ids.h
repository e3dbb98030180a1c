/*
 * The two unprivileged ids of one broker: its device's and its spawner's. Unless told otherwise
 * they come from 61184–65519, were nobody's in the user database within the last hour, are no
 * dynamic user's of systemd's, no process runs as these users, and they are locked against other
 * brokers under /run/airlock/ids for as long as this one lives. Needs root.
 */
#ifndef AIRLOCK_BROKER_IDS_H
#define AIRLOCK_BROKER_IDS_H

#include <sys/types.h>

#define IDS_FIRST 61184
#define IDS_LAST  65519
#define IDS_DIR	  "/run/airlock/ids"

struct ids {
	uid_t device_uid;
	gid_t device_gid;
	uid_t spawner_uid;
	gid_t spawner_gid;
	int locks[3]; /* owned: the flock'd files, -1 where none was needed; ids_release() */
};

/* user, group: a name or a number for the device, NULL to choose. A user given alone brings its
 * own group. Writes ids; -EINVAL: no such user or group, or root's (logged, names the option);
 * -EBUSY: no id is free; else -errno (logged). On failure nothing is held. */
int ids_claim(const char *user, const char *group, struct ids *ids);
void ids_release(struct ids *ids);

#endif
