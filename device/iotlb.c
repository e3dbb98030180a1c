/*
 * Translations of a guest's IOMMU. Made by the control thread, read by every worker; trusts the
 * front-end to say where an address leads to, since the memory is its own, but not that it says so
 * sensibly: what does not lie in the memory map, whole in one region, is refused.
 */
#include "device/iotlb.h"

#include <errno.h>
#include <stddef.h>

#include "lib/util.h"

/* One in use, and one that replaces it. */
static struct iotlb pool[2];

static struct iotlb *snapshot_take(void)
{
	struct iotlb *t = pool[0].used ? &pool[1] : &pool[0];

	if (t->used)
		return NULL;
	t->used = true;
	t->count = 0;
	t->age = 0;
	return t;
}

void iotlb_free(struct iotlb *t)
{
	if (t)
		t->used = false;
}

int iotlb_new(const struct iotlb *old, const struct memory *mem, bool by_gpa, struct iotlb **out)
{
	struct iotlb *t = snapshot_take();

	if (!t)
		return -EBUSY;
	for (unsigned int i = 0; old && i < old->count; i++) {
		const struct iotlb_entry *e = &old->entries[i];
		char *host = memory_area(mem, by_gpa, e->addr, e->last - e->first + 1);

		if (!host)
			continue;
		t->entries[t->count] = *e;
		t->entries[t->count++].host = host;
	}
	t->age = old ? old->age : 0;
	*out = t;
	return 0;
}

/* All entries but those that touch [first, last]. */
static void copy_without(struct iotlb *t, const struct iotlb *old, uint64_t first, uint64_t last)
{
	for (unsigned int i = 0; i < old->count; i++)
		if (old->entries[i].last < first || old->entries[i].first > last)
			t->entries[t->count++] = old->entries[i];
	t->age = old->age;
}

static void entry_remove(struct iotlb *t, unsigned int at)
{
	for (t->count--; at < t->count; at++)
		t->entries[at] = t->entries[at + 1];
}

static void entry_insert(struct iotlb *t, const struct iotlb_entry *e)
{
	unsigned int at, oldest = 0;

	if (t->count == IOTLB_ENTRIES) {
		for (unsigned int i = 1; i < t->count; i++)
			if (t->entries[i].age < t->entries[oldest].age)
				oldest = i;
		entry_remove(t, oldest);
	}
	for (at = t->count++; at && t->entries[at - 1].first > e->first; at--)
		t->entries[at] = t->entries[at - 1];
	t->entries[at] = *e;
	t->entries[at].age = t->age++;
}

int iotlb_apply(const struct iotlb *old, const struct vu_iotlb *msg, const struct memory *mem,
		bool by_gpa, struct iotlb **out)
{
	struct iotlb_entry e = { .first = msg->iova,
				 .last = msg->iova + msg->size - 1,
				 .addr = msg->addr,
				 .perm = msg->perm };
	bool update = msg->type == VU_IOTLB_UPDATE;
	struct iotlb *t;

	if (!update && msg->type != VU_IOTLB_INVALIDATE)
		return -EINVAL;
	/* From 0, a size of 0 is 2^64, which the field cannot hold. */
	if (e.last < e.first || (update && !msg->size))
		return -EINVAL;
	if (update) {
		if (!msg->perm || (msg->perm & ~VU_ACCESS_RW))
			return -EINVAL;
		e.host = memory_area(mem, by_gpa, msg->addr, msg->size);
		if (!e.host)
			return -EFAULT;
	}
	t = snapshot_take();
	if (!t)
		return -EBUSY;
	copy_without(t, old, e.first, e.last);
	if (update)
		entry_insert(t, &e);
	*out = t;
	return 0;
}

static const struct iotlb_entry *entry_of(const struct iotlb *t, uint64_t iova, unsigned int *hint)
{
	unsigned int low = 0, high = t->count;

	if (*hint < t->count && iova >= t->entries[*hint].first && iova <= t->entries[*hint].last)
		return &t->entries[*hint];
	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (iova < t->entries[mid].first) {
			high = mid;
		} else if (iova > t->entries[mid].last) {
			low = mid + 1;
		} else {
			*hint = mid;
			return &t->entries[mid];
		}
	}
	return NULL;
}

void *iotlb_at(const struct iotlb *t, uint64_t iova, uint64_t *len, unsigned int perm,
	       unsigned int *hint)
{
	const struct iotlb_entry *e = entry_of(t, iova, hint);

	if (!e || (perm & ~e->perm))
		return NULL;
	*len = min_of(*len, e->last - iova + 1);
	return e->host + (iova - e->first);
}
