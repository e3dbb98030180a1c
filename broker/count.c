/*
 * Counting by asking. Runs in the broker's only thread after privileges are dropped; a device that
 * does not answer is device.c's to judge, its end is the end of the count.
 */
#include "broker/count.h"

#include <errno.h>

static void count_done(struct count *count)
{
	void (*done)(void *arg) = count->done;

	count->done = NULL;
	count->device = NULL;
	if (done)
		done(count->arg);
}

static void count_next(struct count *count)
{
	struct device *device = count->device;

	if (!device || device->state != DEVICE_SERVING || count->next == count->tally.rings ||
	    device_ask(device, count->next++))
		count_done(count);
}

int count_begin(struct count *count, struct device *device, void (*done)(void *arg), void *arg)
{
	if (count->done)
		return -EBUSY;
	count->done = done;
	count->arg = arg;
	count->device = device;
	count->next = 0;
	count_next(count);
	return 0;
}

int count_told(struct count *count, const struct channel_stats *stats)
{
	int error = tally_note(&count->tally, stats);

	if (!error && count->done)
		count_next(count);
	return error;
}

void count_close(struct count *count)
{
	tally_close(&count->tally);
	count_done(count);
}
