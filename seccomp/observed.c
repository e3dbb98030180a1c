/*
 * A growing array of counted calls, put in order when it would grow. Runs in airlock-policy's only
 * thread. What a watched process is called and which numbers it passes are its own choice: both are
 * only compared and counted here.
 */
#include "seccomp/observed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ORDER(a, b)                                \
	do {                                       \
		if ((a) != (b))                    \
			return (a) < (b) ? -1 : 1; \
	} while (0)

static int call_order(const void *left, const void *right)
{
	const struct observed_call *a = left, *b = right;
	int role = strncmp(a->role, b->role, OBSERVED_ROLE);

	if (role)
		return role;
	ORDER(a->foreign, b->foreign);
	ORDER(a->nr, b->nr);
	ORDER(a->outcome, b->outcome);
	ORDER(a->filters, b->filters);
	ORDER(a->known, b->known);
	for (int i = 0; i < 6; i++)
		ORDER(a->args[i], b->args[i]);
	ORDER(a->tgid, b->tgid);
	ORDER(a->tid, b->tid);
	return 0;
}

bool observed_same(const struct observed_call *a, const struct observed_call *b)
{
	return call_order(a, b) == 0;
}

void observed_settle(struct observed *seen)
{
	size_t kept = 0;

	if (!seen->count)
		return;
	qsort(seen->calls, seen->count, sizeof(*seen->calls), call_order);
	for (size_t i = 1; i < seen->count; i++) {
		if (call_order(&seen->calls[kept], &seen->calls[i]) == 0)
			seen->calls[kept].count += seen->calls[i].count;
		else
			seen->calls[++kept] = seen->calls[i];
	}
	seen->count = kept + 1;
}

static int make_room(struct observed *seen)
{
	struct observed_call *calls;
	size_t room = seen->room ? seen->room * 2 : 256;

	observed_settle(seen);
	if (seen->count <= seen->room / 2 && seen->count < seen->room)
		return 0;
	calls = reallocarray(seen->calls, room, sizeof(*calls));
	if (!calls)
		return -ENOMEM;
	seen->calls = calls;
	seen->room = room;
	return 0;
}

int observed_add(struct observed *seen, const struct observed_call *call)
{
	int ret = seen->count == seen->room ? make_room(seen) : 0;

	if (ret)
		return ret;
	seen->calls[seen->count++] = *call;
	return 0;
}

void observed_merge_threads(struct observed *seen)
{
	for (size_t i = 0; i < seen->count; i++)
		seen->calls[i].tgid = seen->calls[i].tid = 0;
	observed_settle(seen);
}

void observed_free(struct observed *seen)
{
	free(seen->calls);
	*seen = (struct observed){};
}
