/* The ways through a filter for one call: under which conditions on its arguments it comes to which
 * decision. */
#pragma once

#include <linux/filter.h>
#include <stdint.h>

#define PATHS_MAX 256 /* shown of one call */

/* CONDITION is "" where there is none; "..." stands for what is beyond PATHS_MAX. */
typedef void paths_found(void *context, uint32_t decision, const char *condition);

/* INSNS has passed program_check(). ARCH is AUDIT_ARCH_*. */
void paths_of_call(const struct sock_filter *insns, unsigned short len, uint32_t arch, uint32_t nr,
		   paths_found *found, void *context);
