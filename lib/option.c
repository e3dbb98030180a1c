/*
 * Values of options. Runs first in each program, in its only thread; trusts its launcher, but
 * checks what a slip could make of it.
 */
#include "lib/option.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/util.h"

unsigned long option_number(const char *option, const char *text, unsigned long min,
			    unsigned long max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || n < min || n > max)
		die(2, "--%s=%s: give a number from %lu to %lu", option, text, min, max);
	return n;
}

int option_descriptor(const char *option, const char *text)
{
	int fd = (int)option_number(option, text, 3, INT_MAX);

	if (fcntl(fd, F_GETFD) < 0)
		die(2,
		    "--%s=%s: no such descriptor is open: pass it on from whoever starts this program",
		    option, text);
	return fd;
}

void option_mac(const char *option, const char *text, uint8_t mac[6])
{
	unsigned int b[6];
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		   &end) != 6 ||
	    text[end] || (b[0] & 1))
		die(2, "--%s=%s: give a unicast address such as 02:00:5e:00:53:01", option, text);
	for (size_t i = 0; i < ARRAY_SIZE(b); i++)
		mac[i] = (uint8_t)b[i];
}

bool option_switch(const char *option, const char *text)
{
	bool on = !strcmp(text, "on");

	if (!on && strcmp(text, "off"))
		die(2, "--%s=%s: give on or off", option, text);
	return on;
}

void option_degraded(const char *text, bool *without_seccomp, bool *without_landlock)
{
	static const char *const layers[] = { "seccomp", "landlock", "user",   "mount",
					      "pid",	 "net",	     "ipc",    "uts",
					      "cgroup",	 "root",     "rlimits" };
	bool *const flags[] = { without_seccomp, without_landlock };

	for (const char *at = text; *at;) {
		size_t len = strcspn(at, ","), i = 0;

		while (i < ARRAY_SIZE(layers) &&
		       (strlen(layers[i]) != len || strncmp(at, layers[i], len)))
			i++;
		if (i == ARRAY_SIZE(layers))
			die(2, "--allow-degraded=%s: no layer is called %.*s", text, (int)len, at);
		if (i < ARRAY_SIZE(flags))
			*flags[i] = true;
		at += len + (at[len] == ',');
	}
}
