/*
 * Snapshots of guest memory: which files and ranges are taken, what addresses they answer for, how
 * long mappings live, and where SIGBUS ends.
 */
#include "tests/unit/device/stage.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define PAGE 4096ull

/* Mappings of this process that come from memory_file(). */
static int mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		n += !!strstr(line, "memfd:guest");
	fclose(maps);
	return n;
}

static struct memory_source source(int fd, uint64_t gpa, uint64_t size, uint64_t uva,
				   uint64_t offset)
{
	return (struct memory_source){ .region = { gpa, size, uva, offset }, .fd = fd };
}

static void one_region_is_validated(void **state)
{
	enum kind {
		FILE_4K,
		DIRECTORY,
		PIPE,
		SOCKET,
		DEVICE,
		EVENT,
		NONE,
		READ_ONLY,
		KINDS
	};
	static const struct {
		const char *name;
		enum kind kind;
		uint64_t gpa, size, uva, offset;
		int rc;
	} rows[] = {
		{ "one page", FILE_4K, 0, PAGE, 0, 0, 0 },
		{ "a few bytes at an odd place", FILE_4K, 4711, 13, 815, 77, 0 },
		{ "the last byte", FILE_4K, 1, 1, 1, PAGE - 1, 0 },
		{ "region size 0", FILE_4K, 0, 0, 0, 0, -EINVAL },
		{ "region > st_size", FILE_4K, 0, PAGE + 1, 0, 0, -EBADF },
		{ "offset beyond the file", FILE_4K, 0, PAGE, 0, 1, -EBADF },
		{ "offset is the file's size", FILE_4K, 0, 1, 0, PAGE, -EBADF },
		{ "CVE-2020-10722: offset + size wraps", FILE_4K, 0, PAGE, 0, UINT64_MAX - PAGE + 1,
		  -EBADF },
		{ "offset of 2^64 - 1", FILE_4K, 0, PAGE, 0, UINT64_MAX, -EBADF },
		{ "gpa + size wraps", FILE_4K, UINT64_MAX - 100, PAGE, 0, 0, -EINVAL },
		{ "uva + size wraps", FILE_4K, 0, PAGE, UINT64_MAX - 100, 0, -EINVAL },
		{ "size of 2^63", FILE_4K, 0, 1ull << 63, 0, 0, -EINVAL },
		{ "size of 2^64 - 1", FILE_4K, 0, UINT64_MAX, 0, 0, -EINVAL },
		{ "directory", DIRECTORY, 0, 1, 0, 0, -EBADF },
		{ "pipe", PIPE, 0, 1, 0, 0, -EBADF },
		{ "socket", SOCKET, 0, 1, 0, 0, -EBADF },
		{ "chardev", DEVICE, 0, 1, 0, 0, -EBADF },
		{ "eventfd", EVENT, 0, 1, 0, 0, -EBADF },
		{ "no descriptor", NONE, 0, 1, 0, 0, -EBADF },
		{ "read-only file", READ_ONLY, 0, 1, 0, 0, -ENOMEM },
	};
	int fds[KINDS] = { memory_file(PAGE),	      open("/tmp", O_RDONLY), -1, -1,
			   open("/dev/zero", O_RDWR), eventfd(0, 0),	      -1, -1 };
	int pipes[2], sockets[2], before = mapped();
	char path[64];

	(void)state;
	assert_int_equal(0, pipe(pipes));
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	fds[PIPE] = pipes[0];
	fds[SOCKET] = sockets[0];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[FILE_4K]);
	fds[READ_ONLY] = open(path, O_RDONLY);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_source s = source(fds[rows[i].kind], rows[i].gpa, rows[i].size,
						rows[i].uva, rows[i].offset);
		struct memory *mem = NULL;

		print_message("# %s\n", rows[i].name);
		assert_int_equal(rows[i].rc, memory_new(&s, 1, false, &mem));
		if (!rows[i].rc) {
			assert_int_equal(rows[i].size, mem->bytes);
			memory_free(mem);
		}
		/* the same as a slot */
		assert_int_equal(rows[i].rc, memory_add(NULL, &s, false, 1, &mem));
		if (!rows[i].rc)
			memory_free(mem);
		assert_int_equal(before, mapped());
	}
	fd_close_all(fds, KINDS);
	fd_close(&pipes[1]);
	fd_close(&sockets[1]);
}

static void regions_must_not_overlap(void **state)
{
	static const struct {
		const char *name;
		uint64_t gpa, uva, size;
		int rc;
	} rows[] = {
		{ "apart", 0x100000, 0x900000, PAGE, 0 },
		{ "right behind", 0x10000 + 4 * PAGE, 0x80000 + 4 * PAGE, PAGE, 0 },
		{ "right before", 0x10000 - PAGE, 0x80000 - PAGE, PAGE, 0 },
		{ "overlap in gpa", 0x10000 + 3 * PAGE, 0x900000, PAGE, -EINVAL },
		{ "overlap in gpa by a byte", 0x10000 - PAGE + 1, 0x900000, PAGE, -EINVAL },
		{ "overlap in uva", 0x100000, 0x80000 + 3 * PAGE, PAGE, -EINVAL },
		{ "overlap in uva by a byte", 0x100000, 0x80000 - PAGE + 1, PAGE, -EINVAL },
		{ "within", 0x10000 + PAGE, 0x80000 + PAGE, PAGE, -EINVAL },
		{ "around", 0x10000 - PAGE, 0x80000 - PAGE, 6 * PAGE, -EINVAL },
		{ "the same", 0x10000, 0x80000, 4 * PAGE, -EINVAL },
		{ "across half of all addresses", 0xc000000000000000, 0xc000000000000000, PAGE, 0 },
	};
	int fd = memory_file(8 * PAGE), before = mapped();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_source s[2] = { source(fd, 0x10000, 4 * PAGE, 0x80000, 0),
					      source(fd, rows[i].gpa, rows[i].size, rows[i].uva,
						     PAGE) };
		struct memory *mem = NULL;

		print_message("# %s\n", rows[i].name);
		assert_int_equal(rows[i].rc, memory_new(s, 2, false, &mem));
		if (!rows[i].rc) {
			assert_true(mem->regions[0].gpa < mem->regions[1].gpa);
			memory_free(mem);
		}
		assert_int_equal(before, mapped()); /* nothing is left of a refused table */
	}
	fd_close(&fd);
}

static void sealed_or_not(void **state)
{
	int fd = memory_file(PAGE), plain = -1;
	struct memory_source s = source(fd, 0, PAGE, 0, 0);
	char name[] = "/tmp/airlock-test-XXXXXX";
	struct memory *mem;

	(void)state;
	assert_int_equal(-EPERM, memory_new(&s, 1, true, &mem));
	assert_int_equal(-EPERM, memory_add(NULL, &s, true, 1, &mem));
	assert_int_equal(0, fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	assert_int_equal(-EPERM, memory_new(&s, 1, true, &mem));
	assert_int_equal(0, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	assert_int_equal(0, memory_new(&s, 1, true, &mem));
	memory_free(mem);
	/* a file that has no seals */
	plain = mkstemp(name);
	assert_true(plain >= 0);
	unlink(name);
	assert_int_equal(0, ftruncate(plain, PAGE));
	s.fd = plain;
	assert_int_equal(-EPERM, memory_new(&s, 1, true, &mem));
	assert_int_equal(0, memory_new(&s, 1, false, &mem));
	memory_free(mem);
	fd_close(&plain);
	fd_close(&fd);
}

static void addresses(void **state)
{
	unsigned int hint = 0;
	uint64_t len;

	(void)state;
	stage_open(8, 0, 0);
	/* front-end addresses: whole, in one region */
	assert_ptr_equal(at(GPA_A), memory_uva(stage.mem, UVA(GPA_A), REGION));
	assert_ptr_equal(at(GPA_B + 5), memory_uva(stage.mem, UVA(GPA_B) + 5, REGION - 5));
	assert_null(memory_uva(stage.mem, UVA(GPA_A), REGION + 1)); /* B follows, but is another */
	assert_null(memory_uva(stage.mem, UVA(GPA_A) - 1, 1));
	assert_null(memory_uva(stage.mem, UVA(GPA_TOP), 1));
	assert_null(memory_uva(stage.mem, UVA(GPA_TOP) - 1, UINT64_MAX));
	assert_null(memory_uva(stage.mem, GPA_A, 1));
	assert_null(memory_uva(NULL, 0, 1));
	/* guest addresses: as much as lies together */
	static const struct {
		uint64_t gpa, want, len;
	} cases[] = {
		{ GPA_A, 1, 1 },
		{ GPA_A + 7, REGION, REGION - 7 },
		{ GPA_B - 1, 100, 1 },
		{ GPA_B, 100, 100 },
		{ GPA_TOP - 1, UINT64_MAX, 1 },
		{ GPA_C + REGION - 1, 2, 1 },
		{ GPA_C, UINT64_MAX, REGION },
		{ GPA_TOP, 1, 0 },
		{ GPA_A - 1, 1, 0 },
		{ 0, 1, 0 },
		{ GPA_C - 1, 1, 0 },
		{ GPA_C + REGION, 1, 0 },
		{ UINT64_MAX, 1, 0 },
	};
	/* in any order, so that the hint is right, wrong, or beyond all regions */
	for (size_t i = 0; i < 4 * ARRAY_SIZE(cases); i++) {
		const size_t n = i * 5 % ARRAY_SIZE(cases);
		void *host;

		len = cases[n].want;
		if (i % 3 == 0)
			hint = i % 5 ? 2 : 77;
		host = memory_gpa(stage.mem, cases[n].gpa, &len, &hint);
		if (cases[n].len) {
			assert_ptr_equal(at(cases[n].gpa), host);
			assert_int_equal(cases[n].len, len);
		} else {
			assert_null(host);
		}
	}
	stage_close();
}

static void offsets_are_honoured(void **state)
{
	int fd = memory_file(4 * PAGE);
	struct memory_source s = source(fd, 0x1000, PAGE, 0x5000, PAGE + 100);
	struct memory *mem;
	unsigned int hint = 0;
	uint64_t len = 1;

	(void)state;
	assert_int_equal(1, pwrite(fd, "x", 1, PAGE + 100));
	assert_int_equal(1, pwrite(fd, "y", 1, 2 * PAGE + 99));
	assert_int_equal(0, memory_new(&s, 1, false, &mem));
	assert_int_equal('x', *(char *)memory_gpa(mem, 0x1000, &len, &hint));
	assert_int_equal('y', *(char *)memory_gpa(mem, 0x1000 + PAGE - 1, &len, &hint));
	assert_int_equal('x', *(char *)memory_uva(mem, 0x5000, PAGE));
	memory_free(mem);
	fd_close(&fd);
}

/* A snapshot stays as it is while others are made of it; a mapping lives as long as one has it. */
static void snapshots_share_mappings(void **state)
{
	int fd = memory_file(64 * PAGE), before = mapped();
	struct memory_source a = source(fd, 0, PAGE, 0, 0),
			     b = source(fd, 2 * PAGE, PAGE, 2 * PAGE, 8 * PAGE);
	struct memory *one, *two, *three, *four;

	(void)state;
	assert_int_equal(0, memory_add(NULL, &a, false, 1, &one));
	assert_int_equal(0, memory_add(one, &b, false, 1, &two));
	assert_int_equal(before + 2, mapped());
	assert_int_equal(1, one->count);
	assert_int_equal(2, two->count);
	assert_ptr_equal(one->regions[0].host, two->regions[0].host);
	assert_int_equal(0, memory_remove(two, &a.region, &three));
	assert_int_equal(1, three->count);
	assert_int_equal(PAGE, three->bytes);
	assert_int_equal(-EBUSY, memory_add(three, &a, false, 1, &four)); /* three at a time */
	memory_free(one);
	assert_int_equal(before + 2, mapped());
	memory_free(two);
	assert_int_equal(before + 1, mapped());
	memory_free(three);
	assert_int_equal(before, mapped());
	memory_free(NULL);
	fd_close(&fd);
}

static void removal_names_a_region(void **state)
{
	int fd = memory_file(4 * PAGE);
	struct memory_source s = source(fd, 0x1000, PAGE, 0x5000, 0);
	struct vu_mem_region r = s.region;
	struct memory *mem, *out;

	(void)state;
	assert_int_equal(-EINVAL, memory_remove(NULL, &r, &out));
	assert_int_equal(0, memory_new(&s, 1, false, &mem));
	r.size--;
	assert_int_equal(-EINVAL, memory_remove(mem, &r, &out));
	r = s.region;
	r.user_addr++;
	assert_int_equal(-EINVAL, memory_remove(mem, &r, &out));
	r = s.region;
	r.guest_addr++;
	assert_int_equal(-EINVAL, memory_remove(mem, &r, &out));
	assert_int_equal(0, memory_remove(mem, &s.region, &out));
	assert_int_equal(0, out->count);
	assert_int_equal(0, out->bytes);
	memory_free(mem);
	memory_free(out);
	fd_close(&fd);
}

/* QEMU up to 7.2 adds and removes all memory once for each queue pair. */
static void the_same_region_several_times(void **state)
{
	int fd = memory_file(4 * PAGE), other = memory_file(4 * PAGE), before = mapped();
	struct memory_source s = source(fd, 0x1000, PAGE, 0x5000, 0), t = s;
	struct memory *mem = NULL, *next;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(0, memory_add(mem, &s, false, 3, &next));
		memory_free(mem);
		mem = next;
		assert_int_equal(1, mem->count);
	}
	assert_int_equal(before + 1, mapped());
	assert_int_equal(-EINVAL, memory_add(mem, &s, false, 3, &next)); /* too often */
	t.fd = other;
	assert_int_equal(-EINVAL, memory_add(mem, &t, false, 4, &next)); /* another file */
	t = s;
	t.region.mmap_offset = PAGE;
	assert_int_equal(-EINVAL, memory_add(mem, &t, false, 4, &next)); /* another part of it */
	for (int i = 2; i >= 0; i--) {
		assert_int_equal(0, memory_remove(mem, &s.region, &next));
		memory_free(mem);
		mem = next;
		assert_int_equal(i ? 1 : 0, mem->count);
	}
	assert_int_equal(-EINVAL, memory_remove(mem, &s.region, &next));
	memory_free(mem);
	assert_int_equal(before, mapped());
	fd_close(&fd);
	fd_close(&other);
}

static void every_slot(void **state)
{
	int fd = memory_file(PAGE), before = mapped();
	struct memory *mem = NULL, *next;

	(void)state;
	for (uint64_t i = 0; i <= MEMORY_SLOTS; i++) {
		/* backwards, so that each goes to the front */
		uint64_t addr = (1000 - i) * 2 * PAGE;
		struct memory_source s = source(fd, addr, PAGE, addr, 0);

		assert_int_equal(i < MEMORY_SLOTS ? 0 : -ENOSPC,
				 memory_add(mem, &s, false, 1, &next));
		if (i == MEMORY_SLOTS)
			break;
		memory_free(mem);
		mem = next;
	}
	for (unsigned int i = 1; i < mem->count; i++)
		assert_true(mem->regions[i - 1].gpa < mem->regions[i].gpa);
	for (uint64_t i = 0; i < MEMORY_SLOTS; i++) {
		unsigned int hint = (unsigned int)(i * 7 % 600);
		uint64_t len = 2;

		assert_non_null(memory_gpa(mem, (1000 - i) * 2 * PAGE + PAGE - 1, &len, &hint));
		assert_int_equal(1, len);
		assert_null(memory_gpa(mem, (1000 - i) * 2 * PAGE + PAGE, &len, &hint));
	}
	/* A table of others beside them, then none of either. */
	memory_free(mem);
	assert_int_equal(before, mapped());
	fd_close(&fd);
}

static struct memory_guard guard;

/* True when touching the byte at p ended in the guard. */
static bool caught(const struct memory *mem, volatile char *p)
{
	guard.mem = mem;
	memory_guard = &guard;
	if (memory_guard_caught()) {
		guard.mem = NULL;
		return true;
	}
	(void)*p;
	*p = 1;
	guard.mem = NULL;
	return false;
}

static void sigbus_lands_in_the_guard(void **state)
{
	int fd = memory_file(4 * PAGE);
	struct memory_source s = source(fd, 0, 4 * PAGE, 0, 0);
	struct memory *mem;
	char *host;

	(void)state;
	assert_int_equal(0, memory_guard_init());
	assert_int_equal(0, memory_new(&s, 1, false, &mem));
	host = mem->regions[0].host;
	assert_false(caught(mem, host + 3 * PAGE));
	assert_int_equal(0, ftruncate(fd, PAGE));
	for (int i = 0; i < 1000; i++) { /* again and again: the signal is never left blocked */
		assert_true(caught(mem, host + PAGE));
		assert_true(caught(mem, host + 4 * PAGE - 1));
		assert_false(caught(mem, host));
	}
	assert_int_equal(0, ftruncate(fd, 4 * PAGE));
	assert_false(caught(mem, host + PAGE));
	memory_free(mem);
	fd_close(&fd);
}

/* Anywhere else it is a bug of ours, and the process ends. */
static void sigbus_elsewhere_ends(void **state)
{
	int fd = memory_file(2 * PAGE), status;
	struct memory_source s = source(fd, 0, PAGE, 0, 0);
	volatile char *other = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct memory *mem;

	(void)state;
	assert_int_equal(0, memory_new(&s, 1, false, &mem));
	assert_int_equal(0, ftruncate(fd, 0));
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (!pid) {
			memory_guard_init();
			if (i)
				caught(mem, other); /* guarded, but not guest memory */
			else
				(void)*other;
			_exit(0);
		}
		assert_int_equal(pid, waitpid(pid, &status, 0));
		assert_true(WIFEXITED(status));
		assert_int_equal(128 + SIGBUS, WEXITSTATUS(status));
	}
	munmap((void *)other, 2 * PAGE);
	memory_free(mem);
	fd_close(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_region_is_validated),
		cmocka_unit_test(regions_must_not_overlap),
		cmocka_unit_test(sealed_or_not),
		cmocka_unit_test(addresses),
		cmocka_unit_test(offsets_are_honoured),
		cmocka_unit_test(snapshots_share_mappings),
		cmocka_unit_test(removal_names_a_region),
		cmocka_unit_test(the_same_region_several_times),
		cmocka_unit_test(every_slot),
		cmocka_unit_test(sigbus_lands_in_the_guard),
		cmocka_unit_test(sigbus_elsewhere_ends),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
