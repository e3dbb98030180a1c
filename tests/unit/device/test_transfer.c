/* Words through a pipe: whole, or an error; at most eight bytes a call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "device/transfer.h"
#include "lib/fd.h"
#include "lib/util.h"

static uint64_t mine[3] = { 1, 0x1234, 1400 };
static struct transfer transfer;

/* Runs it until it ends; calls made, -1 it waits. */
static int run(void)
{
	for (int n = 1; n < 100; n++) {
		struct pollfd p = { .fd = transfer.fd, .events = transfer_events(&transfer) };

		if (poll(&p, 1, 0) <= 0)
			return -1;
		if (transfer_ready(&transfer))
			return n;
	}
	fail();
	return 0;
}

static void saved(void **state)
{
	uint64_t got[3];
	int fds[2];

	(void)state;
	transfer_init(&transfer);
	assert_int_equal(-1, transfer.fd);
	assert_int_equal(-ENODATA, transfer.result);
	assert_int_equal(0, pipe2(fds, O_CLOEXEC));
	assert_int_equal(0, transfer_begin(&transfer, TRANSFER_SAVE, fds[1], mine, 3));
	assert_int_equal(-EBUSY, transfer_begin(&transfer, TRANSFER_SAVE, fds[1], mine, 3));
	assert_int_equal(3, run());
	assert_int_equal(0, transfer.result);
	assert_int_equal(-1, transfer.fd);
	assert_int_equal(sizeof(got), read(fds[0], got, sizeof(got)));
	assert_memory_equal(mine, got, sizeof(got));
	assert_int_equal(0, read(fds[0], got, 1)); /* and the end */
	close(fds[0]);
}

static void saved_to_nobody(void **state)
{
	int fds[2];

	(void)state;
	transfer_init(&transfer);
	assert_int_equal(0, pipe2(fds, O_CLOEXEC));
	close(fds[0]);
	assert_int_equal(0, transfer_begin(&transfer, TRANSFER_SAVE, fds[1], mine, 3));
	assert_int_equal(1, run());
	assert_int_equal(-EPIPE, transfer.result);
}

static void saved_to_a_full_pipe(void **state)
{
	static char fill[4096];
	int fds[2], rc;

	(void)state;
	transfer_init(&transfer);
	assert_int_equal(0, pipe2(fds, O_CLOEXEC | O_NONBLOCK));
	while (write(fds[1], fill, sizeof(fill)) > 0)
		;
	assert_int_equal(0, transfer_begin(&transfer, TRANSFER_SAVE, fds[1], mine, 3));
	assert_int_equal(-1, run());
	while ((rc = (int)read(fds[0], fill, sizeof(fill))) > 0)
		;
	assert_int_equal(3, run());
	assert_int_equal(0, transfer.result);
	close(fds[0]);
}

/* What another back-end may have written, in pieces of any size: as much as there is room for. */
static void loaded(void **state)
{
	static const struct {
		size_t len;
		int rc;
	} rows[] = { { 24, 0 }, { 23, 0 }, { 0, 0 }, { 25, -EMSGSIZE }, { 64, -EMSGSIZE } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t cut = 1; cut <= 30; cut += 6) {
			uint64_t sent[8] = { 1, 77, 1300 }, got[3] = { 0 };
			int fds[2], rc = -1;

			transfer_init(&transfer);
			assert_int_equal(0, pipe2(fds, O_CLOEXEC | O_NONBLOCK));
			assert_int_equal(0,
					 transfer_begin(&transfer, TRANSFER_LOAD, fds[0], got, 3));
			for (size_t at = 0; at < rows[i].len && transfer.fd >= 0; at += cut) {
				size_t n = min_of(cut, rows[i].len - at);

				assert_int_equal(n, write(fds[1], (char *)sent + at, n));
				rc = run();
				assert_true(rc < 0 || transfer.result == -EMSGSIZE);
			}
			close(fds[1]);
			if (rc < 0)
				assert_true(run() > 0);
			assert_int_equal(rows[i].rc, transfer.result);
			assert_int_equal(-1, transfer.fd);
			if (!rows[i].rc) {
				assert_int_equal(rows[i].len, transfer.at);
				assert_memory_equal(sent, got, rows[i].len);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(saved),
		cmocka_unit_test(saved_to_nobody),
		cmocka_unit_test(saved_to_a_full_pipe),
		cmocka_unit_test(loaded),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
