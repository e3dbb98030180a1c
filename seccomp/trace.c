/*
 * Loads trace.bpf.c, tells it whom to follow and collects what it counted. Runs in airlock-policy's
 * only thread, with privilege; trusts the kernel.
 */
#include "seccomp/trace.h"
#include "seccomp/trace.skel.h"
#include "lib/fd.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct trace {
	struct trace_bpf *skel;
	uint64_t swept;	   /* entries taken out of the kernel's table */
	uint64_t sweep_at; /* look for more when it holds so many */
};

static int trace_error(int err)
{
	if (err == -EPERM || err == -EACCES)
		return -EPERM;
	return err == -ENOMEM ? err : -EOPNOTSUPP;
}

static int trace_load(struct trace *t, const uint8_t wanted[TRACE_NUMBERS])
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	int ret;

	t->skel = trace_bpf__open();
	if (!t->skel)
		return -errno;
	memcpy((void *)t->skel->rodata->wanted, wanted, TRACE_NUMBERS);
	bpf_program__set_autoattach(t->skel->progs.seed, false);
	bpf_program__set_autoattach(t->skel->progs.locate, false);
	ret = trace_bpf__load(t->skel);
	if (!ret)
		ret = bpf_prog_test_run_opts(bpf_program__fd(t->skel->progs.locate), &run);
	return ret ? ret : trace_bpf__attach(t->skel);
}

int trace_open(const uint8_t wanted[TRACE_NUMBERS], struct trace **out)
{
	libbpf_print_fn_t loud = libbpf_set_print(NULL); /* the caller says what an error means */
	struct trace *t = calloc(1, sizeof(*t));
	int ret;

	*out = NULL;
	ret = t ? trace_load(t, wanted) : -ENOMEM;
	libbpf_set_print(loud);
	if (ret) {
		trace_close(t);
		return trace_error(ret);
	}
	*out = t;
	return 0;
}

/* One walk over the kernel's tasks. */
static int trace_seed(struct bpf_link *link)
{
	_cleanup_fd int fd = bpf_iter_create(bpf_link__fd(link));
	char nothing[64];
	ssize_t n;

	if (fd < 0)
		return fd;
	do
		n = read(fd, nothing, sizeof(nothing));
	while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	return n < 0 ? -errno : 0;
}

int trace_follow(struct trace *t, pid_t pid)
{
	struct bpf_link *link;
	uint64_t before;
	int ret;

	t->skel->bss->seed_tgid = (uint32_t)pid;
	link = bpf_program__attach_iter(t->skel->progs.seed, NULL);
	if (!link)
		return -errno;
	do { /* until a walk finds no descendant that the one before it came too early for */
		before = t->skel->bss->live;
		ret = trace_seed(link);
	} while (!ret && t->skel->bss->live > before);
	bpf_link__destroy(link);
	t->skel->bss->seed_tgid = 0;
	return ret ? ret : t->skel->bss->live ? 0 : -ESRCH;
}

bool trace_is_live(const struct trace *t)
{
	return __atomic_load_n(&t->skel->bss->live, __ATOMIC_RELAXED) != 0;
}

static int collect(struct trace *t, struct observed *seen, const struct trace_key *key,
		   const struct trace_value *value)
{
	uint32_t nr = (uint32_t)key->nr;
	struct observed_call call = { .nr = key->nr,
				      .outcome = key->outcome,
				      .foreign = key->foreign,
				      .filters = key->filters,
				      .known = nr < TRACE_NUMBERS ? t->skel->rodata->wanted[nr] : 0,
				      .tgid = (pid_t)value->tgid,
				      .tid = (pid_t)value->tid,
				      .count = value->count,
				      .first_known = 0x3f };

	memcpy(call.role, key->role, sizeof(call.role));
	memcpy(call.args, key->args, sizeof(call.args));
	memcpy(call.first, value->first, sizeof(call.first));
	return observed_add(seen, &call);
}

/* A thread that has ended counts no more. */
static bool has_ended(struct trace *t, const struct trace_key *key)
{
	struct trace_thread thread;

	return bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.threads), &key->pid, &thread) ||
	       thread.thread != key->thread;
}

static int move_out(struct trace *t, const struct trace_key *key, struct observed *seen)
{
	struct trace_value value;

	if (bpf_map_lookup_and_delete_elem(bpf_map__fd(t->skel->maps.calls), key, &value))
		return 0; /* the walk came by twice */
	t->swept++;
	return collect(t, seen, key, &value);
}

static int move_each(struct trace *t, bool all, struct observed *seen)
{
	int calls = bpf_map__fd(t->skel->maps.calls);
	struct trace_key key, next;
	int end = bpf_map_get_next_key(calls, NULL, &next), ret = 0;

	while (!end && !ret) {
		key = next; /* the successor is asked for while the key is still there */
		end = bpf_map_get_next_key(calls, &key, &next);
		if (all || has_ended(t, &key))
			ret = move_out(t, &key, seen);
	}
	return ret;
}

static uint64_t entries_used(const struct trace *t)
{
	return __atomic_load_n(&t->skel->bss->inserted, __ATOMIC_RELAXED) - t->swept;
}

int trace_sweep(struct trace *t, struct observed *seen)
{
	uint64_t used = entries_used(t);
	int ret;

	if (used < t->sweep_at && used < TRACE_ENTRIES / 8 * 7)
		return 0;
	ret = move_each(t, false, seen);
	t->sweep_at = entries_used(t) + TRACE_ENTRIES / 8;
	return ret;
}

int trace_finish(struct trace *t, struct observed *seen)
{
	int ret;

	trace_bpf__detach(t->skel);
	ret = move_each(t, true, seen);
	seen->lost_calls += t->skel->bss->lost_calls;
	seen->lost_threads += t->skel->bss->lost_threads;
	observed_settle(seen);
	return ret;
}

void trace_close(struct trace *t)
{
	if (!t)
		return;
	trace_bpf__destroy(t->skel);
	free(t);
}
