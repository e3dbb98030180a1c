/* Everything that a policy or a filter decides: for each decision the set of calls that get it. The
 * sets of one table have nothing in common and leave nothing out. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>

#include "policy/tree.h"
#include "seccomp/space.h"

/* Different ones: more errnos than any policy has. */
#define DECISIONS_MAX 256

/* A text's decision for calls of an architecture that it is not about: any kill will do. */
#define DECISION_FOREIGN 0xfffffffeu

struct decisions {
	struct space *space; /* not owned */
	struct {
		uint32_t decision; /* SECCOMP_RET_* with what of its data matters, or
				      DECISION_FOREIGN */
		uint32_t set;
	} at[DECISIONS_MAX];
	size_t count;
	bool overflow; /* more than DECISIONS_MAX */
};

/* What the kernel makes of a filter's 32 bits: a decision. */
uint32_t decisions_read(uint32_t returned);

/* Adds calls to a decision. */
void decisions_add(struct decisions *decisions, uint32_t decision, uint32_t set);

/* The same decision for whoever is judged by it. */
bool decisions_equal(uint32_t a, uint32_t b);

/* Every path of a filter, followed for all calls at once. INSNS has passed program_check(). 0, or
 * -E2BIG when the sets grow beyond bounds: then nothing is known. */
int explore_filter(struct space *space, const struct sock_filter *insns, size_t len,
		   struct decisions *out);

/* What the text says, without compiling it. 0 or -E2BIG. */
int explore_policy(struct space *space, const struct policy *policy, struct decisions *out);

/* Calls in which one of the clauses holds (NULL: all), whatever their architecture and number. */
uint32_t explore_clauses(struct space *space, const struct policy_clause *clauses);
uint32_t explore_atom(struct space *space, const struct policy_atom *atom);

/* Calls of that architecture (AUDIT_ARCH_*), of that number. */
uint32_t explore_word(struct space *space, unsigned word, uint32_t value);
uint32_t explore_arch(enum policy_arch arch);

/* An action as a decision; the numbers that belong to x32 on x86_64. */
uint32_t explore_action(struct policy_action action);
uint32_t explore_x32(struct space *space);
