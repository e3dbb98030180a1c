/*
 * MSI-X of one device: table, pending bits, and the eventfds that stand for vectors. Under the
 * transport's lock. With `external` the table is the client's (a vfio client keeps its own): a
 * vector is deliverable as soon as it has an eventfd.
 */
#ifndef AIRLOCK_FRONTEND_MSIX_H
#define AIRLOCK_FRONTEND_MSIX_H

#include <stdbool.h>
#include <stdint.h>

#define MSIX_VECTORS_MAX 257
#define MSIX_PBA	 0x2000 /* offset in its BAR; the table is at 0 */
#define MSIX_BAR_SIZE	 0x4000
#define MSIX_MASKED	 1u /* of a vector's control word */

struct msix_entry {
	uint64_t address;
	uint32_t data, control;
};
struct msix {
	bool external, enabled, masked; /* the function's enable and mask bits */
	unsigned int count, with_fd;
	struct msix_entry table[MSIX_VECTORS_MAX];
	uint64_t pending[(MSIX_VECTORS_MAX + 63) / 64];
	int fds[MSIX_VECTORS_MAX]; /* owned; -1: none */
	void (*message)(void *opaque, unsigned int vector, uint64_t address, uint32_t data);
	void *opaque;
};

void msix_init(struct msix *m, unsigned int count);
void msix_close(struct msix *m);
void msix_reset(struct msix *m); /* but for the eventfds */
bool msix_on(const struct msix *m);
void msix_control(struct msix *m, bool enabled, bool masked);
/* Takes over fd. What was pending is delivered. */
void msix_set_fd(struct msix *m, unsigned int vector, int fd);
/* The eventfd that delivers this vector now, or -1. */
int msix_route(const struct msix *m, unsigned int vector);
/* Delivers, or leaves it pending. */
void msix_raise(struct msix *m, unsigned int vector);
/* 32-bit words of the BAR. write: the vector whose mask has changed, or -1. */
uint32_t msix_read(const struct msix *m, uint32_t offset);
int msix_write(struct msix *m, uint32_t offset, uint32_t value);

#endif
