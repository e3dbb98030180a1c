/*
 * Values of command-line options that the confined programs share: read before anything is closed
 * off. Each exits with 2 and one line that names the option, where the value will not do.
 */
#ifndef AIRLOCK_LIB_OPTION_H
#define AIRLOCK_LIB_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#define OPTION_POLL_US_MAX 1000000 /* of --poll-us: above what anybody wants */

unsigned long option_number(const char *option, const char *text, unsigned long min,
			    unsigned long max);
/* An open descriptor above the standard ones. */
int option_descriptor(const char *option, const char *text);
void option_mac(const char *option, const char *text, uint8_t mac[6]);
/* on or off. */
bool option_switch(const char *option, const char *text);
/* --allow-degraded: of the layers' names, the two that concern a program itself; the flags are only
 * ever set. */
void option_degraded(const char *text, bool *without_seccomp, bool *without_landlock);

#endif
