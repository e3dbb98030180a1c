/*
 * A device's birth: what its process does from fork to its program. Runs in a fresh child of the
 * spawner, which has already put everything in place that can be inherited.
 */
#ifndef AIRLOCK_BROKER_BIRTH_H
#define AIRLOCK_BROKER_BIRTH_H

#include <stdint.h>

#include "broker/jail.h"

/* Tells the broker BORN, then becomes the device; where a step fails, tells FAILED and exits. argv
 * ends with NULL. */
_Noreturn void birth(const struct jail *jail, uint32_t serial, int channel, char *const *argv);

#endif
