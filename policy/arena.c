/* Memory of one policy, owned by one thread of whoever parses. Trusts its caller's sizes only up to
 * the limit. */
#include "policy/arena.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK (64u << 10)

struct chunk {
	struct chunk *next;
	max_align_t data[];
};

struct policy_arena {
	struct chunk *chunks;
	size_t used;  /* in the first chunk */
	size_t room;  /* of the first chunk */
	size_t total; /* of all */
};

struct policy_arena *arena_new(void)
{
	return calloc(1, sizeof(struct policy_arena));
}

void arena_free(struct policy_arena *arena)
{
	if (!arena)
		return;
	while (arena->chunks) {
		struct chunk *next = arena->chunks->next;

		free(arena->chunks);
		arena->chunks = next;
	}
	free(arena);
}

static int arena_grow(struct policy_arena *arena, size_t size)
{
	size_t room = size > CHUNK ? size : CHUNK;
	struct chunk *chunk;

	if (room > POLICY_ARENA_LIMIT - arena->total)
		return -1;
	chunk = calloc(1, sizeof(*chunk) + room);
	if (!chunk)
		return -1;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	arena->room = room;
	arena->used = 0;
	arena->total += room;
	return 0;
}

void *arena_alloc(struct policy_arena *arena, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	void *out;

	if (size > POLICY_ARENA_LIMIT)
		return NULL;
	size = (size + align - 1) / align * align;
	if (size > arena->room - arena->used && arena_grow(arena, size) < 0)
		return NULL;
	out = (char *)arena->chunks->data + arena->used;
	arena->used += size;
	return out;
}

char *arena_string(struct policy_arena *arena, const char *text, size_t length)
{
	char *out = length < POLICY_ARENA_LIMIT ? arena_alloc(arena, length + 1) : NULL;

	if (out)
		memcpy(out, text, length);
	return out;
}
