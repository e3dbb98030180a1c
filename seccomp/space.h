/* Sets of calls: of all values that struct seccomp_data can take, 512 bits, exactly. Equal sets
 * have equal numbers, so that comparing two is comparing integers. Reduced ordered binary decision
 * diagrams: architecture, number, then each argument from its highest bit on. */
#pragma once

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>

#define SPACE_WORDS 16
#define SPACE_EMPTY 0u
#define SPACE_ALL   1u

struct space;

/* LIMIT bounds the nodes, 16 bytes each with their share of the tables. Past it every result is
 * SPACE_EMPTY and space_exhausted() stays true: nothing that was computed is to be believed. NULL
 * without memory. */
#define SPACE_LIMIT (1u << 22)
struct space *space_new(uint32_t limit);
void space_free(struct space *space);
bool space_exhausted(const struct space *space);

/* Calls in which BIT (0 is the lowest) of the 32-bit WORD of struct seccomp_data is set. */
uint32_t space_bit(struct space *space, unsigned word, unsigned bit);

uint32_t space_and(struct space *space, uint32_t a, uint32_t b);
uint32_t space_or(struct space *space, uint32_t a, uint32_t b);
uint32_t space_xor(struct space *space, uint32_t a, uint32_t b);
uint32_t space_minus(struct space *space, uint32_t a, uint32_t b);

/* Whether one call is of a set. */
bool space_has(const struct space *space, uint32_t set, const struct seccomp_data *data);

/* The call of a set that is smallest in the order above; the set must not be empty. */
struct seccomp_data space_pick(const struct space *space, uint32_t set);

/* From number FROM on, the longest run of numbers whose calls (with that architecture) the set
 * treats alike: *TO is its last. What is left of the set for them is returned. */
uint32_t space_run(const struct space *space, uint32_t set, uint32_t arch, uint32_t from,
		   uint32_t *to);
