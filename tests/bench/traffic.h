/*
 * Frames for measurements, all alike but for what makes a flow of them: built once, so that making
 * them costs the front-end next to nothing. A frame lies behind a virtio-net header of 12 bytes,
 * as a guest's buffer holds it. No state; any thread.
 */
#ifndef AIRLOCK_BENCH_TRAFFIC_H
#define AIRLOCK_BENCH_TRAFFIC_H

#include <stdint.h>

#define TRAFFIC_HEADER 12
#define TRAFFIC_ROOM   (TRAFFIC_HEADER + 65550)
#define TRAFFIC_GSO    65226 /* the longest frame of whole segments of 1448 bytes */

enum traffic {
	TRAFFIC_MIXED,	/* UDP without checksum, each of 64 frames a flow of its own */
	TRAFFIC_UDP,	/* one flow, checksum left to the device; identifications go on */
	TRAFFIC_TCP,	/* the same, and sequence numbers */
	TRAFFIC_SUMMED, /* TCP with complete checksums, from a guest without any offload */
	TRAFFIC_LARGE,	/* TCP, to be cut into segments of 1448 bytes by whoever comes later */
};

/* Header and frame `number` of `len` bytes (LARGE: always TRAFFIC_GSO) to buffer; bytes written. */
uint32_t traffic_fill(enum traffic kind, uint32_t len, uint32_t number, uint8_t *buffer);
/* Of the flow's number: TCP that the kernel is to cut into `count` frames of `len` bytes; bytes
 * written. */
uint32_t traffic_train(uint32_t len, uint32_t count, uint32_t flow, uint8_t *buffer);
/* The same buffer once more, as frame `number` of its flow. */
void traffic_next(enum traffic kind, uint32_t number, uint32_t len, uint8_t *buffer);

#endif
