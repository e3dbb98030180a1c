/*
 * What a confined device can say. It sends a number and two values; whoever receives it owns the
 * words. So a device that is no longer ours can at most repeat these sentences with other figures.
 */
#ifndef AIRLOCK_LIB_EVENT_H
#define AIRLOCK_LIB_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/log.h"

/* name, level, guilty, words with at most two %lld. The position of a packed ring is
 * GET_VRING_BASE's: the used ring's slot and wrap counter above the available ring's. */
#define EVENTS(X)                                                                               \
	X(RING_STARTED, LOG_DEBUG, "", "ring %lld started at index %lld")                       \
	X(RING_STOPPED, LOG_DEBUG, "", "ring %lld stopped at index %lld")                       \
	X(PACKED_STARTED, LOG_DEBUG, "", "packed ring %lld started at %#llx")                   \
	X(PACKED_STOPPED, LOG_DEBUG, "", "packed ring %lld stopped at %#llx")                   \
	X(RING_BROKEN, LOG_WARN, "guest", "ring %lld broken: %lld (see errno)")                 \
	X(RING_UNREADABLE, LOG_WARN, "front-end",                                               \
	  "memory of ring %lld vanished while in use (error %lld)")                             \
	X(RING_REFUSED, LOG_WARN, "front-end",                                                  \
	  "ring %lld cannot start: its areas are not all mapped (error %lld)")                  \
	X(REQUEST_REFUSED, LOG_WARN, "front-end", "request %lld refused: error %lld")           \
	X(REQUEST_MALFORMED, LOG_WARN, "front-end",                                             \
	  "malformed request %lld: error %lld; connection closed")                              \
	X(MESSAGE_SLOW, LOG_WARN, "front-end",                                                  \
	  "message not complete after %lld ms; connection closed")                              \
	X(REPLY_NOT_TAKEN, LOG_WARN, "front-end",                                               \
	  "reply not taken for %lld ms; connection closed")                                     \
	X(PEER_GONE, LOG_INFO, "", "front-end disconnected after %lld requests (error %lld)")   \
	X(MEMORY_MAPPED, LOG_DEBUG, "", "guest memory: %lld regions, %lld bytes")               \
	X(MEMORY_NOT_SEALED, LOG_WARN, "front-end",                                             \
	  "guest memory region %lld could shrink (seals %lld); refused")                        \
	X(OFFLOAD_REFUSED, LOG_ERROR, "administrator", "TAP refuses offloads %lld: error %lld") \
	X(WORKER_SILENT, LOG_ERROR, "device", "worker %lld did not answer within %lld ms")      \
	X(START_FAILED, LOG_ERROR, "administrator", "confinement step %lld failed: error %lld") \
	X(EVENTS_LOST, LOG_WARN, "device", "events that were not logged: %lld")

enum event_code {
#define CODE(name, level, guilty, words) EVENT_##name,
	EVENTS(CODE)
#undef CODE
	EVENT_COUNT
};

/* Of a code; LOG_ERROR for one out of range. */
enum log_level event_level(uint32_t code);
/*
 * Writes "guilty: words" of a code to line (always terminated) and returns its level; a code out of
 * range is LOG_ERROR with the number alone.
 */
enum log_level event_describe(uint32_t code, int64_t a, int64_t b, char *line, size_t size);

#endif
