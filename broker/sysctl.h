/* Settings of one network interface under /proc/sys/net. Privileged, at start only. */
#ifndef AIRLOCK_BROKER_SYSCTL_H
#define AIRLOCK_BROKER_SYSCTL_H

/* Writes value to FAMILY/conf/INTERFACE/KEY; family: "ipv4" or "ipv6". 0, -ENOENT where this kernel
 * has no such setting, or another -errno. */
int sysctl_interface(const char *family, const char *interface, const char *key, const char *value);

#endif
