/* One command in flight between two threads: nothing is lost, doubled or seen half written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/mailbox.h"

#define COMMANDS 20000

static struct mailbox box;
static int answers;
static uint64_t command[4], answer[4];

static int set_up(void **state)
{
	(void)state;
	answers = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return answers < 0 ? -1 : mailbox_init(&box, answers);
}

static int tear_down(void **state)
{
	(void)state;
	mailbox_close(&box);
	fd_close(&answers);
	return 0;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void one_at_a_time(void **state)
{
	(void)state;
	assert_true(mailbox_idle(&box));
	assert_false(mailbox_take(&box));
	assert_int_equal(0, mailbox_post(&box));
	assert_true(readable(box.command_fd));
	assert_false(mailbox_idle(&box));
	assert_int_equal(-EBUSY, mailbox_post(&box));
	assert_true(mailbox_take(&box));
	assert_false(readable(box.command_fd));
	assert_true(mailbox_take(&box)); /* until it is answered */
	assert_false(readable(answers));
	mailbox_answer(&box);
	assert_true(readable(answers));
	assert_true(mailbox_idle(&box));
	assert_false(mailbox_take(&box));
	assert_int_equal(0, mailbox_post(&box));
}

static void woken_for_nothing(void **state)
{
	(void)state;
	fd_signal(box.command_fd);
	assert_false(mailbox_take(&box));
	assert_false(readable(box.command_fd));
	assert_true(mailbox_idle(&box));
}

static void *answerer(void *arg)
{
	struct pollfd p = { .fd = box.command_fd, .events = POLLIN };

	(void)arg;
	for (int done = 0; done < COMMANDS;) {
		poll(&p, 1, -1);
		if (!mailbox_take(&box))
			continue;
		for (int i = 0; i < 4; i++)
			answer[i] = command[i] * 3;
		mailbox_answer(&box);
		done++;
	}
	return NULL;
}

static void two_threads(void **state)
{
	struct pollfd p = { .fd = answers, .events = POLLIN };
	pthread_t thread;

	(void)state;
	assert_int_equal(0, pthread_create(&thread, NULL, answerer, NULL));
	for (uint64_t n = 0; n < COMMANDS; n++) {
		for (uint64_t i = 0; i < 4; i++)
			command[i] = n + i;
		assert_int_equal(0, mailbox_post(&box));
		while (!mailbox_idle(&box)) {
			poll(&p, 1, -1);
			fd_drain(answers);
		}
		for (uint64_t i = 0; i < 4; i++)
			if (answer[i] != 3 * (n + i))
				fail();
	}
	pthread_join(thread, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_at_a_time),
		TEST(woken_for_nothing),
		TEST(two_threads),
	};

	return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
