/*
 * A VMM's IOMMU for a guest of guest.h: answers the back-end's misses, a page at a time, in a
 * thread of its own beside the test's. What the guest calls an address is an I/O address then; the
 * pages behind it lie in reverse order (guest_memory_reverse()), so that nothing follows anything.
 */
#ifndef AIRLOCK_TESTS_IOMMU_H
#define AIRLOCK_TESTS_IOMMU_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/support/guest.h"

struct iommu {
	struct guest *guest;
	int channel; /* our end of the back-end's */
	pthread_t thread;
	pthread_mutex_t lock;	      /* of the connection, which both threads use */
	atomic_uint misses, failures; /* answered; what the back-end refused or broke */
	atomic_uint invalidate_every; /* so many misses, everything is taken back; 0: never */
	atomic_bool ending;
};

/* After guest_make_rings(), before the first ring is kicked. 0 or what the peer returned. */
int iommu_start(struct iommu *iommu, struct guest *guest);
/* Before guest_close(). */
void iommu_stop(struct iommu *iommu);

#endif
