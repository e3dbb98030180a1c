/*
 * A guest's network card behind airlock-vfio-user, as a VMM with a vfio-user client has it that
 * takes ioeventfds: registers and memory over the socket, interrupts and doorbells by eventfd
 * beside it. The rings and frames are struct guest's, which has no vhost-user peer then. Shares no
 * text with the server. Results: 0, an errno that the server answered (positive), or -errno. One
 * thread.
 */
#ifndef AIRLOCK_TESTS_CARD_H
#define AIRLOCK_TESTS_CARD_H

#include "tests/support/guest.h"
#include "tests/support/program.h"

#define CARD_STATE_MAX 32768
#define CARD_UID       65431 /* whom the transport runs as */

enum card_region {
	CARD_BAR0 = 0,
	CARD_CONFIG = 7
};

struct card {
	int sock;
	int changed; /* eventfd: the configuration's interrupt */
};

/* Starts airlock-vfio-user confined, `socket` for the VMM, `backend` the vhost-user socket;
 * filtered: under its policy, too. Waits until it listens. */
int card_program(struct program *p, const char *socket, const char *backend, bool filtered);

/* The connection and its version; adopt: one that is there already, the card's from then on. */
int card_connect(struct card *card, const char *socket);
int card_adopt(struct card *card, int sock);
void card_close(struct card *card);
/* Any message; *len: room in reply, then the payload that came. */
int card_ask(struct card *card, uint16_t command, const void *payload, size_t size, const int *fds,
	     size_t nfds, void *reply, size_t *len, int *reply_fds);
uint64_t card_read(struct card *card, enum card_region region, uint64_t offset, uint32_t len);
int card_write(struct card *card, enum card_region region, uint64_t offset, uint64_t value,
	       uint32_t len);
int card_reset(struct card *card);
/* Migration: into the state (1 stop, 2 running, 3 copy, 4 resuming), and its data. */
int card_state(struct card *card, uint32_t state);
ssize_t card_save(struct card *card, void *state, size_t room);
int card_load(struct card *card, const void *state, size_t len);

/* Rings and buffers in memory of the guest's own. features as struct guest_options has them. */
int card_make_rings(struct guest *guest, uint64_t features);
/* Memory, vectors and doorbells of a fresh client. */
int card_plug(struct card *card, struct guest *guest);
/* The driver, from reset to DRIVER_OK; receive buffers are posted. The STATUS it reads then. */
uint8_t card_drive(struct card *card, struct guest *guest);

#endif
