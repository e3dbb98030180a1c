/*
 * Random policies and calls, from a seed: what the compiler and the proof are tried on. Values are
 * drawn from where comparisons break: the edges of the two halves of 64 bits.
 */
#pragma once

#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "policy/parse.h"

struct random_policy {
	uint64_t seed;
	char text[16384];
	size_t size;
	uint64_t values[256]; /* that the text mentions */
	size_t values_count;
};

static inline uint64_t random_next(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline unsigned random_below(uint64_t *seed, unsigned limit)
{
	return (unsigned)(random_next(seed) % limit);
}

static inline uint64_t random_value(uint64_t *seed)
{
	static const uint64_t edges[] = { 0,
					  1,
					  2,
					  3,
					  5,
					  7,
					  8,
					  0x7fffffff,
					  0x80000000,
					  0xfffffffe,
					  0xffffffff,
					  0x100000000,
					  0x100000001,
					  0x800000000,
					  0x8000000000000000,
					  0xffffffff00000000,
					  0xfffffffffffffffe,
					  0xffffffffffffffff,
					  0x500000005,
					  0xfffffffb };

	switch (random_below(seed, 8)) {
	case 0:
		return random_next(seed);
	case 1:
		return (uint64_t)1 << random_below(seed, 64);
	case 2:
		return random_next(seed) & 0xff;
	default:
		return edges[random_below(seed, sizeof(edges) / sizeof(edges[0]))];
	}
}

static inline void random_append(struct random_policy *p, const char *text)
{
	size_t n = strlen(text);

	if (n < sizeof(p->text) - p->size) {
		memcpy(p->text + p->size, text, n);
		p->size += n;
	}
}

static inline void random_atom(struct random_policy *p)
{
	static const char *const comparisons[] = { "==", "!=", "<", "<=", ">", ">=", "&", "in" };
	uint64_t value = random_value(&p->seed);
	char text[64];

	snprintf(text, sizeof(text), "arg%u %s 0x%llx",
		 random_below(&p->seed, 10) < 7 ? random_below(&p->seed, 2)
						: random_below(&p->seed, 6),
		 comparisons[random_below(&p->seed, 8)], (unsigned long long)value);
	random_append(p, text);
	if (p->values_count < sizeof(p->values) / sizeof(p->values[0]))
		p->values[p->values_count++] = value;
}

static inline void random_clauses(struct random_policy *p)
{
	for (unsigned c = random_below(&p->seed, 4) + 1; c-- > 0;) {
		for (unsigned a = random_below(&p->seed, 3) + 1; a-- > 0;) {
			random_atom(p);
			random_append(p, a ? " && " : "");
		}
		random_append(p, c ? " || " : "");
	}
}

static inline void random_rule(struct random_policy *p, const char *name)
{
	static const char *const actions[] = { "allow", "return EPERM", "return 0", "kill-process",
					       "trap",	"log",		"trace",    "return 4095" };
	unsigned filters = random_below(&p->seed, 4);

	random_append(p, name);
	random_append(p, ": {");
	for (unsigned i = 0; i < filters; i++) {
		random_append(p, i ? ", " : " ");
		random_clauses(p);
		if (random_below(&p->seed, 2)) {
			random_append(p, "; ");
			random_append(p, actions[random_below(&p->seed, 8)]);
		}
	}
	if (!filters || random_below(&p->seed, 2)) {
		random_append(p, filters ? ", " : " ");
		random_append(p, actions[random_below(&p->seed, 8)]);
	}
	random_append(p, " }\n");
}

/* Up to RULES calls, in the dialect of minijail's compiler. */
static inline void random_policy(struct random_policy *p, uint64_t seed, unsigned rules)
{
	static const char *const names[] = { "read",   "write",	 "close", "ioctl",
					     "mmap",   "munmap", "readv", "writev",
					     "ppoll",  "futex",	 "exit",  "exit_group",
					     "openat", "socket", "clone", "sendto" };

	*p = (struct random_policy){ .seed = seed * 2654435761u + 1 };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && rules; i++) {
		if (random_below(&p->seed, 16) >= rules + 2)
			continue;
		random_rule(p, names[i]);
		rules--;
	}
}

/* A call near what the policy distinguishes. */
static inline void random_call(struct random_policy *p, struct seccomp_data *data, uint32_t arch,
			       uint32_t nr)
{
	*data = (struct seccomp_data){ .nr = (int)nr, .arch = arch };
	for (int i = 0; i < 6; i++) {
		uint64_t value =
			p->values_count && random_below(&p->seed, 4)
				? p->values[random_below(&p->seed, (unsigned)p->values_count)]
				: random_value(&p->seed);

		switch (random_below(&p->seed, 6)) {
		case 0:
			value++;
			break;
		case 1:
			value--;
			break;
		case 2:
			value ^= (uint64_t)1 << random_below(&p->seed, 64);
			break;
		case 3:
			value = (value & 0xffffffff) | (random_value(&p->seed) << 32);
			break;
		default:
			break;
		}
		data->args[i] = value;
	}
}
