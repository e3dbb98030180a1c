/*
 * A device's birth: what its process does from fork to its program. Runs in a fresh child of the
 * spawner, which has already put everything in place that can be inherited.
 */
#ifndef AIRLOCK_BROKER_BIRTH_H
#define AIRLOCK_BROKER_BIRTH_H

#include <stdint.h>

#include "broker/ids.h"

/* Tells the broker BORN, then becomes the device; where a step fails, tells FAILED and exits. argv
 * ends with NULL. */
_Noreturn void birth(uint32_t serial, int channel, const struct ids *ids, char *const *argv);

#endif
