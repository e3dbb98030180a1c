/* Running a filter on one call, as the kernel would. */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>

struct evaluate_trace {
	unsigned executed; /* instructions */
	unsigned short at; /* the return that decided */
	unsigned short
		branch; /* the last comparison before it; the return itself when there was none */
};

/* The 32 bits that the filter returns for DATA. INSNS has passed program_check(). TRACE may be
 * NULL. */
uint32_t evaluate(const struct sock_filter *insns, unsigned short len,
		  const struct seccomp_data *data, struct evaluate_trace *trace);
