/*
 * A clock that is driven: a child sleeps for a moment, again and again, and lets as much time pass
 * as that should have taken. Runs in the test process and that child; they share the clock.
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
#include "lib/util.h"

#define MOMENT_MS 20
#define LATE_MS	  15 /* no more is how a scheduler is */

static atomic_llong *ran; /* shared: ms; NULL: nobody drives it */

static _Noreturn void drive(pid_t parent)
{
	int64_t before = clock_ms();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent) {
		int64_t now, took;

		nanosleep(&(struct timespec){ .tv_nsec = MOMENT_MS * 1000000L }, NULL);
		now = clock_ms();
		took = min_of(now - before, (int64_t)(MOMENT_MS + LATE_MS));
		atomic_fetch_add_explicit(ran, took, memory_order_relaxed);
		before = now;
	}
	_exit(0);
}

void machine_watch(void)
{
	const int access = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_ANONYMOUS;
	void *page = mmap(NULL, sizeof(*ran), access, flags, -1, 0);
	const pid_t parent = getpid();
	pid_t pid;

	if (page == MAP_FAILED)
		return;
	ran = page;
	pid = fork();
	if (!pid)
		drive(parent);
	if (pid < 0)
		ran = NULL;
}

int64_t machine_ms(void)
{
	return ran ? atomic_load_explicit(ran, memory_order_relaxed) : clock_ms();
}
