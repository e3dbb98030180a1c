/*
 * The gate of every access of the driver's. Device configuration goes to the task; what the state
 * stalls waits in order and is replayed; the rest is the decoder's. Runs under the transport's
 * lock; trusts neither the driver, whose accesses come in any order, nor the back-end's
 * configuration.
 */
#include "frontend/access.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/util.h"

static_assert(sizeof(struct access) <= sizeof(((struct airlock_access *)0)->internal), "fits");

static void append(struct airlock_access ***end, struct airlock_access *a)
{
	access_of(a)->next = NULL;
	**end = a;
	*end = &access_of(a)->next;
}

static struct airlock_access *take(struct airlock_access **first, struct airlock_access ***end)
{
	struct airlock_access *a = *first;

	*first = access_of(a)->next;
	if (!*first)
		*end = first;
	return a;
}

void access_complete(struct core *c, struct airlock_access *a)
{
	if (c->decoder->finish)
		c->decoder->finish(c, a);
	append(&c->finished_end, a);
}

static bool stalls(const struct core *c)
{
	return c->stopped || (c->options.policy == AIRLOCK_DEFER && (core_busy(c) || c->deferred));
}

static uint8_t config_room(const struct core *c, uint64_t offset, uint8_t len)
{
	uint64_t room = offset < c->options.config_length ? c->options.config_length - offset : 0;

	return (uint8_t)min_of(room, (uint64_t)len);
}

/* A back-end without a configuration space: the VMM's own is shown, and cannot be written. */
static int config_own(const struct core *c, const struct command *command)
{
	if (!c->options.config)
		return command->result;
	if (command->kind == COMMAND_READ_CONFIG)
		memcpy(command->bytes, ptr_add(c->options.config, command->offset), command->len);
	return 0;
}

/* What a back-end that does not answer said before: a driver that we have just interrupted for its
 * failure looks here, and takes all ones for a link that wants to be announced. */
static void config_recall(struct core *c, const struct command *command)
{
	for (unsigned int i = 0; i < command->len; i++) {
		unsigned int at = command->offset + i;

		if (!command->result) {
			c->config[at] = command->bytes[i];
			c->config_known[at] = true;
		} else {
			command->bytes[i] = c->config_known[at] ? c->config[at] : 0xff;
		}
	}
}

static void config_done(struct command *command, void *owner)
{
	struct core *c = owner;
	struct access *internal = container_of(command, struct access, command);
	struct airlock_access *a =
		container_of((uint64_t *)internal, struct airlock_access, internal[0]);

	if (command->result == -EOPNOTSUPP)
		command->result = config_own(c, command);
	a->result = command->result;
	if (command->kind == COMMAND_READ_CONFIG)
		config_recall(c, command);
	c->configs--;
	access_complete(c, a);
}

/* To the task, exactly the range that is accessed; ordered there behind what was asked before. */
static int config_post(struct core *c, struct airlock_access *a, uint64_t offset)
{
	uint8_t len = config_room(c, offset, a->len);

	if (!a->write)
		memset(a->data, 0xff, sizeof(a->data));
	if (!len)
		return 0;
	access_of(a)->command =
		(struct command){ .kind = a->write ? COMMAND_WRITE_CONFIG : COMMAND_READ_CONFIG,
				  .done = config_done,
				  .offset = (uint16_t)offset,
				  .len = len,
				  .bytes = a->data };
	c->configs++;
	task_post(&c->task, &access_of(a)->command);
	return 1;
}

static int gate(struct core *c, struct airlock_access *a)
{
	uint64_t offset;

	if (c->decoder->is_config(c, a, &offset))
		return config_post(c, a, offset);
	if (stalls(c) && !c->decoder->is_local(c, a)) {
		append(&c->stalled_end, a);
		return 1;
	}
	return c->decoder->access(c, a);
}

int access_begin(struct core *c, struct airlock_access *a)
{
	int rc;

	*access_of(a) = (struct access){ 0 };
	a->result = 0;
	rc = c->decoder->translate ? c->decoder->translate(c, a) : 0;
	if (rc) {
		a->result = rc;
		memset(a->data, 0xff, sizeof(a->data));
		return 0;
	}
	rc = gate(c, a);
	if (!rc && c->decoder->finish)
		c->decoder->finish(c, a);
	return rc;
}

/* In order, until one of them makes the state busy again: the rest stays queued behind it. */
void access_replay(struct core *c)
{
	while (c->stalled && !stalls(c)) {
		struct airlock_access *a = take(&c->stalled, &c->stalled_end);

		if (!gate(c, a))
			access_complete(c, a);
	}
}

void access_deferred_done(struct core *c)
{
	struct airlock_access *a = c->deferred;

	c->deferred = NULL;
	if (a)
		access_complete(c, a);
}
