/*
 * Frames taken from the transmit ring that wait to be written together: consecutive ones of one
 * flow, which a guest without segmentation offload sends by the dozen, leave by one system call as
 * one frame with segments. Worker's; open within one turn of the ring only, so that no frame ever
 * waits for another. net_tx.c calls it in place of its own way for single frames where there is a
 * kind to join; --coalesce=off leaves none.
 */
#ifndef AIRLOCK_DEVICE_COALESCE_H
#define AIRLOCK_DEVICE_COALESCE_H

#include "device/segment.h"

#define COALESCE_FRAMES 64 /* joined at most */

struct pair;

struct coalesce {
	unsigned int kinds;	    /* set of segment_kind to join */
	struct segment segments[2]; /* the first frame that waits, and the one looked at */
	unsigned int first;	    /* which of the two */
	unsigned int frames;	    /* taken, not written yet; 0: nothing waits */
	unsigned int pieces;	    /* of guest memory, from pair->tx_iov[1] on: their payload */
	uint32_t payload;	    /* bytes of it */
	uint64_t frame_bytes;	    /* as the guest sent them */
	uint8_t ending;		    /* of the last one */
	bool closed;		    /* nothing can follow it */
	bool sound;		    /* the first frame's checksums were looked at */
	unsigned int misses;	    /* frames in a row that joined nothing, in this turn */
	unsigned int slots;	    /* of the ring, that the chains take up */
	struct {
		uint16_t head, slots;
	} chains[COALESCE_FRAMES];
};

/* A turn of the ring begins. */
void coalesce_turn(struct coalesce *c);
/* Is it worth trying? Not where nothing may be joined, nor in the rest of a turn whose frames are
 * each of another flow. Never changes while frames wait. */
bool coalesce_hopeful(const struct coalesce *c);
/* Takes one chain: joins its frame to those that wait, or writes them and lets it wait itself, or
 * writes it too. As net_tx_run(), and 0 once the ring is empty and everything is written. */
int coalesce_one(struct pair *p);
/* Writes what waits. 0, -EAGAIN: the TAP takes nothing now and the chains are the ring's again, or
 * -ESTALE. */
int coalesce_flush(struct pair *p);
/* Gives what waits back to the ring: its memory went away in the middle of a turn. */
void coalesce_release(struct pair *p);

#endif
