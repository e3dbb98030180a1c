/* Proofs about filters: that one decides as a text says, that two decide alike, that a property
 * holds. Shares no code with the compiler. */
#pragma once

#include "seccomp/decisions.h"

/* Where two tables part: calls FIRST_NR to LAST_NR of one architecture, and the smallest call among
 * them. */
struct verify_difference {
	uint32_t a, b; /* what each decides: see decisions.h */
	uint32_t first_nr, last_nr;
	struct seccomp_data witness;
};

/* Called once a difference, by ascending number where ARCH is the call's architecture, then for all
 * others together. Returning false ends it. */
typedef bool verify_found(void *context, const struct verify_difference *difference);

/* How many differences there are (FOUND may have ended the count), or -E2BIG. 0 is a proof. */
int verify_compare(const struct decisions *a, const struct decisions *b, uint32_t arch,
		   verify_found *found, void *context);

/* A property over everything that DECISIONS says. 0: proven; 1: it does not hold, for WITNESS,
 * where DECISION is made; -E2BIG. */
int verify_property(const struct decisions *decisions, uint32_t arch,
		    const struct policy_property *property, struct seccomp_data *witness,
		    uint32_t *decision);

/* The whole of it for a filter and its text: 0, or 1 and a call on which they part; -E2BIG when it
 * cannot be decided. Lockstep first (lockstep.h), which is quick and decides nearly all; then by
 * exact sets of all calls. */
int verify_filter(const struct policy *policy, const struct sock_filter *insns, size_t len,
		  struct verify_difference *difference);

/* By sets alone. */
int verify_exactly(const struct policy *policy, const struct sock_filter *insns, size_t len,
		   struct verify_difference *difference);
