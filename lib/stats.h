/*
 * Counters of one ring, kept by its worker (one writer), read by the control thread, sent over the
 * channel and shown by airlock-ctl under these names. All 64 bits, none ever goes back within a
 * connection.
 */
#ifndef AIRLOCK_LIB_STATS_H
#define AIRLOCK_LIB_STATS_H

#include <stdint.h>

/*              field        what it counts */
#define RING_COUNTERS(X)                                                               \
	X(frames, "frames moved between ring and TAP")                                 \
	X(bytes, "bytes of those frames, without the virtio-net header")               \
	X(joined, "of those frames, sent together with others as one")                 \
	X(kicks, "notifications from the driver")                                      \
	X(calls, "interrupts sent to the driver")                                      \
	X(batches, "wake-ups that moved at least one frame")                           \
	X(held, "frames that waited for more buffers")                                 \
	X(dropped_invalid, "frames refused: header, length or chain not allowed")      \
	X(dropped_no_room, "frames no posted buffer could hold")                       \
	X(dropped_tap, "frames the TAP did not take, or that arrived unreadable")      \
	X(dropped_disabled, "frames discarded while the ring was disabled")            \
	X(dropped_filtered, "frames for addresses or VLANs the guest did not ask for") \
	X(breaks, "times the ring was broken by what the guest wrote")

struct ring_stats {
#define FIELD(name, help) uint64_t name;
	RING_COUNTERS(FIELD)
#undef FIELD
};

#endif
