/*
 * What a driver that is moved to another back-end relies on and no front-end sets up again: the MTU
 * it was told, what it said on its control queue, and the frames that were read from the TAP and
 * wait for buffers, which a stopped ring would lose. In words of eight bytes, little endian:
 *
 *   magic, which names the version; features (without the log's, which moves with nobody); MTU;
 *   number of frames; with CTRL_VQ what was said there, as net_ctrl_state.c has it;
 *   then for each frame: pair, with its length in the upper half; its header in two; its bytes.
 *
 * Control thread only, and only while no ring runs: the frames are the workers' otherwise.
 */
#ifndef AIRLOCK_DEVICE_STATE_H
#define AIRLOCK_DEVICE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "device/net_ctrl.h"

#define STATE_MAGIC 0x336b636f6c726941ull /* "Airlock3" */

/* Where the words of the one transfer that can be under way lie, and room for how many. */
uint64_t *state_words(size_t *room);
/* Fills them; how many. Nothing is taken from the device: it may go on if the move fails. */
size_t state_save(uint64_t *words, const struct net_ctrl *control);
/*
 * Takes over n words that another back-end saved, before this front-end negotiated features or
 * after. mtu_max: the administrator's. 0; -EBADMSG not such words; other -errno this device cannot
 * go on from there. Then nothing has changed.
 */
int state_load(const uint64_t *words, size_t n, struct net_ctrl *control, uint16_t mtu_max);

#endif
