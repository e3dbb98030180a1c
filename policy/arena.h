/* Memory that is given back all at once, with a limit: what a hostile policy can make its reader
 * hold is bounded. */
#pragma once

#include <stddef.h>

#define POLICY_ARENA_LIMIT (32u << 20) /* bytes */

struct policy_arena;

/* NULL when there is no memory. */
struct policy_arena *arena_new(void);
void arena_free(struct policy_arena *arena);

/* Zeroed and aligned for any type; NULL when the limit or the memory is reached. */
void *arena_alloc(struct policy_arena *arena, size_t size);

/* LENGTH bytes of TEXT and a NUL; NULL likewise. */
char *arena_string(struct policy_arena *arena, const char *text, size_t length);
