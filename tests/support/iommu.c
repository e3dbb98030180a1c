/*
 * Translations for a back-end under test. Runs a thread of the test process; takes nothing that the
 * back-end asks on trust: a miss of no guest memory is refused.
 */
#include "tests/support/iommu.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/fd.h"

#define PAGE 4096ull

static int tell(struct iommu *iommu, const struct vu_iotlb *msg)
{
	struct vu_message answer;
	int rc = peer_ask(&iommu->guest->peer, VU_IOTLB_MSG, msg, sizeof(*msg), &answer);

	if (!rc && (answer.head.size != sizeof(answer.u64) || answer.u64))
		rc = -EPROTO;
	return rc;
}

/* 0, or the back-end is wrong. *known: there is such a page. */
static int translate(struct iommu *iommu, const struct vu_iotlb *miss, bool *known)
{
	struct vu_iotlb update = { .iova = miss->iova,
				   .size = PAGE,
				   .addr = guest_uva(&iommu->guest->memory, miss->iova),
				   .perm = miss->perm,
				   .type = VU_IOTLB_UPDATE };

	if (miss->type != VU_IOTLB_MISS || miss->iova % PAGE || !miss->perm)
		return -EPROTO;
	*known = update.addr != GUEST_NOWHERE;
	return *known ? tell(iommu, &update) : 0;
}

static int serve(struct iommu *iommu)
{
	static const struct vu_iotlb everything = { .type = VU_IOTLB_INVALIDATE };
	struct {
		struct vu_header head;
		struct vu_iotlb body;
	} m;
	struct {
		struct vu_header head;
		uint64_t value;
	} __attribute__((packed)) answer;
	unsigned every = atomic_load(&iommu->invalidate_every);
	bool known = false;
	int rc;

	if (recv(iommu->channel, &m.head, sizeof(m.head), MSG_WAITALL) != sizeof(m.head) ||
	    m.head.request != VU_BACK_IOTLB_MSG || m.head.size != sizeof(m.body) ||
	    recv(iommu->channel, &m.body, sizeof(m.body), MSG_WAITALL) != sizeof(m.body))
		return -EPROTO;
	rc = translate(iommu, &m.body, &known);
	if (rc)
		return rc;
	answer.head = (struct vu_header){ VU_BACK_IOTLB_MSG, VU_VERSION | VU_FLAG_REPLY, 8 };
	answer.value = !known;
	if (send(iommu->channel, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
		return -EPROTO;
	if (every && atomic_fetch_add(&iommu->misses, 1) % every == every - 1)
		return tell(iommu, &everything);
	if (!every)
		atomic_fetch_add(&iommu->misses, 1);
	return 0;
}

static void *run(void *arg)
{
	struct iommu *iommu = arg;
	struct pollfd p = { .fd = iommu->channel, .events = POLLIN };

	while (!atomic_load(&iommu->ending)) {
		if (poll(&p, 1, 20) == 1 && serve(iommu)) {
			atomic_fetch_add(&iommu->failures, 1);
			break;
		}
	}
	return NULL;
}

int iommu_start(struct iommu *iommu, struct guest *guest)
{
	int rc;

	*iommu = (struct iommu){ .guest = guest, .lock = PTHREAD_MUTEX_INITIALIZER };
	rc = peer_open_channel(&guest->peer, &iommu->channel);
	if (rc)
		return rc;
	guest->peer.lock = &iommu->lock;
	rc = -pthread_create(&iommu->thread, NULL, run, iommu);
	if (rc)
		fd_close(&iommu->channel);
	return rc;
}

void iommu_stop(struct iommu *iommu)
{
	atomic_store(&iommu->ending, true);
	pthread_join(iommu->thread, NULL);
	iommu->guest->peer.lock = NULL;
	fd_close(&iommu->channel);
}
