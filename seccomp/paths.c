/* Walking a filter for one call, to show it to people. Ways that no arguments can take are not
 * gone; a test that the others on the way imply is not told. What cannot be put as a test of one
 * word is told as instructions. */
#include "seccomp/paths.h"

#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seccomp/decisions.h"

#define TESTS	  256	     /* on one way */
#define LIMIT	  (1u << 16) /* nodes of the sets here */
#define STEPS	  100000
#define CONDITION 4096

/* The accumulator: a constant, bits of a word, or something else. */
struct held {
	enum {
		HELD_CONSTANT,
		HELD_WORD,
		HELD_OTHER
	} kind;
	uint32_t k, mask;
	unsigned word;
};

struct test {
	unsigned word;
	uint32_t mask, k;
	uint16_t op; /* BPF_JEQ, BPF_JGE, BPF_JSET */
	bool outcome;
	uint32_t set; /* of calls for which it comes out so */
	bool told;
};

struct walk {
	const struct sock_filter *insns;
	unsigned short len;
	uint32_t arch, nr;
	struct space *space;
	paths_found *found;
	void *context;
	unsigned paths, steps;
	struct test tests[TESTS];
	size_t count;
};

/* ---- one test as a set
 * ---------------------------------------------------------------------------------------------------
 */

static uint32_t test_set(struct space *s, const struct test *t)
{
	uint32_t set = t->op == BPF_JSET ? SPACE_EMPTY : SPACE_ALL;

	for (unsigned bit = 0; bit < 32; bit++) {
		uint32_t one = t->mask >> bit & 1 ? space_bit(s, t->word, bit) : SPACE_EMPTY;
		bool wanted = t->k >> bit & 1;

		if (t->op == BPF_JSET)
			set = wanted ? space_or(s, set, one) : set;
		else if (t->op == BPF_JEQ)
			set = wanted ? space_and(s, set, one) : space_minus(s, set, one);
		else
			set = wanted ? space_and(s, set, one) : space_or(s, set, one);
	}
	return t->outcome ? set : space_minus(s, SPACE_ALL, set);
}

/* ---- telling
 * --------------------------------------------------------------------------------------------------------------
 */

static void append(char *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(char *out, const char *format, ...)
{
	size_t length = strlen(out);
	va_list args;

	va_start(args, format);
	vsnprintf(out + length, CONDITION - length, format, args);
	va_end(args);
}

static void separate(char *out)
{
	if (*out)
		append(out, " && ");
}

/* A test of which only the others' words are not enough to know it. */
static void drop_implied(struct walk *w)
{
	for (size_t i = 0; i < w->count; i++)
		w->tests[i].told = true;
	for (size_t i = 0; i < w->count; i++) {
		uint32_t others = SPACE_ALL;

		for (size_t j = 0; j < w->count; j++)
			if (j != i && w->tests[j].told)
				others = space_and(w->space, others, w->tests[j].set);
		if (others != SPACE_EMPTY &&
		    space_minus(w->space, others, w->tests[i].set) == SPACE_EMPTY)
			w->tests[i].told = false;
	}
}

static struct test *find(struct walk *w, unsigned word, uint16_t op, bool outcome)
{
	for (size_t i = 0; i < w->count; i++) {
		struct test *t = &w->tests[i];

		if (t->told && t->word == word && t->op == op && t->outcome == outcome &&
		    t->mask == UINT32_MAX)
			return t;
	}
	return NULL;
}

/* Both halves together, where the language has a word for it. */
static void tell_whole(struct walk *w, unsigned argument, char *out)
{
	unsigned low_word = 4 + 2 * argument, high_word = low_word + 1;
	struct test *high = find(w, high_word, BPF_JEQ, true),
		    *low = find(w, low_word, BPF_JEQ, true);

	if (high && low) {
		separate(out);
		append(out, "arg%u == 0x%llx", argument,
		       (unsigned long long)high->k << 32 | low->k);
		high->told = low->told = false;
		return;
	}
	low = find(w, low_word, BPF_JGE, false);
	if (high && high->k == 0 && low) {
		separate(out);
		append(out, "arg%u < 0x%x", argument, low->k);
		high->told = low->told = false;
	}
	low = find(w, low_word, BPF_JSET, false);
	if (high && high->told && high->k == 0 && low) {
		separate(out);
		append(out, "arg%u in 0x%x", argument, ~low->k);
		high->told = low->told = false;
	}
	high = find(w, high_word, BPF_JSET, false);
	low = find(w, low_word, BPF_JSET, false);
	if (high || low) {
		unsigned long long bits =
			(high ? (unsigned long long)high->k << 32 : 0) | (low ? low->k : 0);

		separate(out);
		append(out, "arg%u in ~0x%llx", argument, bits);
		if (high)
			high->told = false;
		if (low)
			low->told = false;
	}
}

static void tell_half(const struct test *t, char *out)
{
	static const char *const words[] = { "nr", "arch", "ip", "ip >> 32" };
	const char *op = t->op == BPF_JEQ ? (t->outcome ? "==" : "!=") : t->outcome ? ">=" : "<";
	char name[32];

	if (t->word < 4)
		snprintf(name, sizeof(name), "%s", words[t->word]);
	else
		snprintf(name, sizeof(name), t->word % 2 ? "arg%u >> 32" : "low(arg%u)",
			 (t->word - 4) / 2);
	separate(out);
	if (t->op == BPF_JSET && t->word >= 4)
		append(out, t->outcome ? "arg%u & 0x%llx" : "arg%u in ~0x%llx", (t->word - 4) / 2,
		       (unsigned long long)t->k << (t->word % 2 ? 32 : 0));
	else if (t->mask != UINT32_MAX)
		append(out, "(%s & 0x%x) %s 0x%x", name, t->mask, op, t->k);
	else
		append(out, "%s %s 0x%x", name, op, t->k);
}

static void tell(struct walk *w, uint32_t returned, const char *note)
{
	char out[CONDITION] = "";

	if (w->paths++ >= PATHS_MAX) {
		if (w->paths == PATHS_MAX + 1)
			w->found(w->context, decisions_read(returned), "...");
		return;
	}
	drop_implied(w);
	for (unsigned argument = 0; argument < 6; argument++)
		tell_whole(w, argument, out);
	for (size_t i = 0; i < w->count; i++)
		if (w->tests[i].told)
			tell_half(&w->tests[i], out);
	if (note) {
		separate(out);
		append(out, "%s", note);
	}
	w->found(w->context, decisions_read(returned), out);
}

/* ---- walking
 * --------------------------------------------------------------------------------------------------------------
 */

static struct held load(const struct walk *w, const struct sock_filter *insn)
{
	if (BPF_MODE(insn->code) == BPF_MEM)
		return (struct held){ .kind = HELD_OTHER };
	if (BPF_MODE(insn->code) != BPF_ABS)
		return (struct held){ .kind = HELD_CONSTANT,
				      .k = BPF_MODE(insn->code) == BPF_LEN
						   ? sizeof(struct seccomp_data)
						   : insn->k };
	if (insn->k <= 4)
		return (struct held){ .kind = HELD_CONSTANT, .k = insn->k ? w->arch : w->nr };
	return (struct held){ .kind = HELD_WORD, .word = insn->k / 4, .mask = UINT32_MAX };
}

static void step(const struct walk *w, const struct sock_filter *insn, struct held *a)
{
	if (BPF_CLASS(insn->code) == BPF_LD)
		*a = load(w, insn);
	else if (insn->code == (BPF_ALU | BPF_AND | BPF_K) && a->kind != HELD_OTHER) {
		a->k &= insn->k;
		a->mask &= insn->k;
	} else if (BPF_CLASS(insn->code) == BPF_ALU || insn->code == (BPF_MISC | BPF_TXA))
		a->kind = HELD_OTHER;
}

static bool constant_outcome(const struct sock_filter *insn, uint32_t a)
{
	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
		return a == insn->k;
	case BPF_JGE:
		return a >= insn->k;
	case BPF_JGT:
		return a > insn->k;
	default:
		return a & insn->k;
	}
}

static struct test make_test(const struct sock_filter *insn, const struct held *a)
{
	struct test t = {
		.word = a->word, .mask = a->mask, .k = insn->k, .op = BPF_OP(insn->code)
	};

	if (t.op == BPF_JGT) {
		t.op = BPF_JGE;
		t.k++; /* never past the end: the caller leaves "> ~0" out */
	}
	if (t.op == BPF_JSET) {
		t.k &= t.mask;
		t.mask = UINT32_MAX;
	}
	return t;
}

static void walk(struct walk *w, unsigned pc, struct held a, uint32_t set);

static void branch(struct walk *w, unsigned pc, struct held a, uint32_t set)
{
	const struct sock_filter *insn = &w->insns[pc];
	struct test t = make_test(insn, &a);

	for (int outcome = 1; outcome >= 0; outcome--) {
		uint32_t left;

		t.outcome = outcome;
		t.set = test_set(w->space, &t);
		left = space_and(w->space, set, t.set);
		if (left == SPACE_EMPTY || w->count == TESTS)
			continue;
		w->tests[w->count++] = t;
		walk(w, pc + 1 + (outcome ? insn->jt : insn->jf), a, left);
		w->count--;
	}
}

static void walk(struct walk *w, unsigned pc, struct held a, uint32_t set)
{
	while (pc < w->len && w->steps++ < STEPS && w->paths <= PATHS_MAX &&
	       !space_exhausted(w->space)) {
		const struct sock_filter *insn = &w->insns[pc];
		bool taken;

		if (insn->code == (BPF_RET | BPF_K)) {
			tell(w, insn->k, NULL);
			return;
		}
		if (BPF_CLASS(insn->code) == BPF_RET) {
			tell(w, 0, "what the accumulator says is returned");
			return;
		}
		if (BPF_CLASS(insn->code) != BPF_JMP) {
			step(w, insn, &a);
			pc++;
			continue;
		}
		if (insn->code == (BPF_JMP | BPF_JA)) {
			pc += 1 + insn->k;
			continue;
		}
		if (a.kind == HELD_OTHER || BPF_SRC(insn->code) == BPF_X) {
			tell(w, 0, "more is computed than can be told here: see --asm");
			return;
		}
		if (a.kind == HELD_WORD &&
		    !(BPF_OP(insn->code) == BPF_JGT && insn->k == UINT32_MAX)) {
			branch(w, pc, a, set);
			return;
		}
		taken = a.kind == HELD_CONSTANT && constant_outcome(insn, a.k);
		pc += 1 + (taken ? insn->jt : insn->jf);
	}
}

void paths_of_call(const struct sock_filter *insns, unsigned short len, uint32_t arch, uint32_t nr,
		   paths_found *found, void *context)
{
	struct walk *w = calloc(1, sizeof(*w));
	const struct held zero = { .kind = HELD_CONSTANT };

	if (!w)
		return;
	w->insns = insns;
	w->len = len;
	w->arch = arch;
	w->nr = nr;
	w->found = found;
	w->context = context;
	w->space = space_new(LIMIT);
	if (w->space)
		walk(w, 0, zero, SPACE_ALL);
	space_free(w->space);
	free(w);
}
