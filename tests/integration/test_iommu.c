/*
 * A guest behind an IOMMU whose every page leads elsewhere, through broker and jailed device:
 * frames bit for bit in both ring formats, with more pages in use than the device keeps
 * translations, and while all of them are taken back again and again.
 */
#include <errno.h>

#include "lib/util.h"
#include "tests/support/iommu.h"
#include "tests/support/rig.h"

#define MERGE  BIT(VIRTIO_NET_F_MRG_RXBUF)
#define EVENT  BIT(VIRTIO_RING_F_EVENT_IDX)
#define PACKED BIT(VIRTIO_F_RING_PACKED)
#define KEPT   2048 /* translations, in device/iotlb.h */

static struct rig rig;
static struct guest guest;
static struct iommu iommu;
static bool answering;

static int start(void **state)
{
	(void)state;
	guest_blank(&guest);
	rig_start(&rig, (const char *[]){ NULL });
	return 0;
}

static void end_iommu(void)
{
	if (answering)
		iommu_stop(&iommu);
	answering = false;
}

static int end(void **state)
{
	(void)state;
	end_iommu();
	guest_close(&guest);
	rig_abandon(&rig);
	return 0;
}

static void open_guest(const struct guest_options *options)
{
	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(&guest, options));
	assert_ok(guest_set_up(&guest));
	assert_ok(iommu_start(&iommu, &guest));
	answering = true;
	assert_ok(guest_start_rings(&guest, guest.options.base));
	guest_refill(&guest, 0);
}

static void close_guest(void)
{
	assert_int_equal(0, atomic_load(&iommu.failures));
	end_iommu();
	rig_close(&rig, &guest);
}

static const struct guest_options rows[] = {
	{ .platform = true, .features = EVENT },
	{ .platform = true, .features = MERGE },
	{ .platform = true, .features = PACKED | EVENT },
	{ .platform = true, .features = PACKED | MERGE, .ring_size = 250 },
	{ .platform = true, .features = EVENT, .indirect = true },
	{ .platform = true, .features = PACKED | MERGE, .indirect = true },
	{ .platform = true, .features = EVENT, .polling = true },
};

static void frames_bit_for_bit(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		open_guest(&rows[i]);
		rig_exchange(&rig, &guest, 0);
		rig_transmit(&rig, &guest, 0, 1514, 10000, 300);
		rig_receive(&rig, &guest, 0, 1514, 20000, 300);
		close_guest();
	}
	rig_serves(&rig);
	rig_stop(&rig);
}

/* Every receive buffer has 17 pages: a round over all of them is twice what is kept. */
static void more_pages_than_translations(void **state)
{
	(void)state;
	for (size_t packed = 0; packed < 2; packed++) {
		open_guest(&rows[packed ? 2 : 0]);
		rig_receive(&rig, &guest, 0, 1514, 0, 300);
		rig_transmit(&rig, &guest, 0, 1514, 10000, 100);
		assert_true(atomic_load(&iommu.misses) > 2 * KEPT);
		close_guest();
	}
	rig_stop(&rig);
}

static void everything_taken_back_under_traffic(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t base;

		open_guest(&rows[i]);
		/* Not sooner than rings and one buffer, which must be known at once, take. */
		atomic_store(&iommu.invalidate_every, 67);
		rig_transmit(&rig, &guest, 0, 1514, 0, 100);
		rig_receive(&rig, &guest, 0, 590, 1000, 40);
		rig_exchange(&rig, &guest, 0);
		/* stopped and started in between, no frame is lost or comes twice */
		for (unsigned ring = 0; ring < 2; ring++) {
			assert_ok(guest_ring_stop(&guest, ring, &base));
			assert_ok(guest_ring_configure(&guest, ring, base));
		}
		rig_transmit(&rig, &guest, 0, 1514, 2000, 20);
		rig_receive(&rig, &guest, 0, 590, 3000, 20);
		close_guest();
	}
	rig_serves(&rig);
	rig_stop(&rig);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_bit_for_bit),
		TEST(more_pages_than_translations),
		TEST(everything_taken_back_under_traffic),
	};

	return rig_run("iommu", tests, ARRAY_SIZE(tests));
}
