/*
 * Looks whether the machine runs: a child that sleeps for a moment, again and again, and notes how
 * much longer it took. Runs in the test process and that child; they share a counter.
 */
#include "tests/support/machine.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"

#define MOMENT_MS 5
#define LATE_MS	  15 /* less is how a scheduler is */

static atomic_llong *stood; /* shared: ms */

static _Noreturn void look(void)
{
	int64_t before = clock_ms();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int64_t late;

		nanosleep(&(struct timespec){ .tv_nsec = MOMENT_MS * 1000000L }, NULL);
		late = clock_ms() - before - MOMENT_MS;
		if (late > LATE_MS)
			atomic_fetch_add_explicit(stood, late, memory_order_relaxed);
		before = clock_ms();
	}
}

void machine_watch(void)
{
	void *page = mmap(NULL, sizeof(*stood), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);

	if (page == MAP_FAILED)
		return;
	stood = page;
	if (fork() == 0)
		look();
}

int64_t machine_ms(void)
{
	return clock_ms() - (stood ? atomic_load_explicit(stood, memory_order_relaxed) : 0);
}
