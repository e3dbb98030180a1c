/*
 * What a guest's IOMMU lets this device reach, as far as the front-end has said: translations of
 * I/O addresses ("IOMMU support" of the vhost-user document), in immutable snapshots like those of
 * memory.h. Made and freed by the control thread; a worker borrows one together with the memory map
 * that it leads to. Bounded: the oldest translation makes room for a new one, and is asked for
 * again if it is missed.
 */
#ifndef AIRLOCK_DEVICE_IOTLB_H
#define AIRLOCK_DEVICE_IOTLB_H

#include <stdbool.h>
#include <stdint.h>

#include "device/memory.h"
#include "lib/vhost_user.h"

#define IOTLB_ENTRIES 2048   /* as many as Linux' vhost keeps */
#define IOTLB_PAGE    4096ul /* the least that an IOMMU translates, and what a miss names */

struct iotlb_entry {
	uint64_t first, last; /* I/O addresses */
	uint64_t addr;	      /* where they lead to, by the name that the front-end has for it */
	char *host;	      /* where that is in this process */
	uint64_t age;	      /* the smallest is the oldest */
	unsigned int perm;    /* VU_ACCESS_* */
};
struct iotlb {
	bool used;
	unsigned int count;
	uint64_t age;				   /* of the next entry */
	struct iotlb_entry entries[IOTLB_ENTRIES]; /* ascending, apart */
};

/*
 * A fresh snapshot: `old` (NULL: nothing) over the memory map `mem`, without what that does not
 * hold any more; or `old` after a message of the front-end's: a translation more, in place of all
 * that it overlaps, or without all that an invalidation touches. by_gpa: memory_area(). 0; -EINVAL
 * a range, permission or type that cannot be; -EFAULT it leads out of the memory map; -EBUSY while
 * two are in use.
 */
int iotlb_new(const struct iotlb *old, const struct memory *mem, bool by_gpa, struct iotlb **out);
int iotlb_apply(const struct iotlb *old, const struct vu_iotlb *msg, const struct memory *mem,
		bool by_gpa, struct iotlb **out);
void iotlb_free(struct iotlb *t);

/* Host address of an I/O address that may be accessed so, and in *len at most the wanted bytes that
 * follow it; NULL: not known. `hint` as for memory_gpa(). */
void *iotlb_at(const struct iotlb *t, uint64_t iova, uint64_t *len, unsigned int perm,
	       unsigned int *hint);

#endif
