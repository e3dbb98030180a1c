/*
 * Frames a second and processor time a frame: the limit, Airlock and its peers, row by row, all in
 * one run. Rounds go through all that is compared and the next one backwards; medians are shown,
 * and their ratio to the limit's. Needs root; two processors, for what is measured and for the
 * front-end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "tests/bench/limit.h"
#include "tests/bench/load.h"
#include "tests/bench/pin.h"
#include "tests/bench/results.h"
#include "tests/support/rig.h"

#define ROUNDS_MAX 7
#define ALL	   BIT_U(BACKEND_AIRLOCK) | BIT_U(BACKEND_DPDK)
#define BIT_U(n)   (1u << (n))

static const struct plan {
	struct row row;
	unsigned int backends; /* bits */
	bool quick;	       /* part of the short run */
} plan[] = {
	{ { WAY_SEND, TRAFFIC_MIXED, 64, 1, 256, 32, false }, ALL, true },
	{ { WAY_SEND, TRAFFIC_MIXED, 256, 1, 256, 32, false }, ALL, false },
	{ { WAY_SEND, TRAFFIC_MIXED, 1514, 1, 256, 32, false }, ALL, true },
	/* more than testpmd forwards with its packet buffers */
	{ { WAY_SEND, TRAFFIC_MIXED, 9014, 1, 256, 32, false }, BIT_U(BACKEND_AIRLOCK), false },
	{ { WAY_SEND, TRAFFIC_LARGE, TRAFFIC_GSO, 1, 256, 32, false },
	  BIT_U(BACKEND_AIRLOCK),
	  true },
	{ { WAY_RECEIVE, TRAFFIC_MIXED, 64, 1, 256, 32, false }, ALL, true },
	{ { WAY_RECEIVE, TRAFFIC_MIXED, 256, 1, 256, 32, false }, ALL, false },
	{ { WAY_RECEIVE, TRAFFIC_MIXED, 1514, 1, 256, 32, false }, ALL, true },
	{ { WAY_RECEIVE, TRAFFIC_LARGE, TRAFFIC_GSO, 1, 256, 32, false },
	  BIT_U(BACKEND_AIRLOCK),
	  true },
	{ { WAY_BOTH, TRAFFIC_MIXED, 64, 1, 256, 32, false }, ALL, true },
	{ { WAY_BOTH, TRAFFIC_MIXED, 1514, 1, 256, 32, false }, ALL, false },
	/* packed rings */
	{ { WAY_SEND, TRAFFIC_MIXED, 64, 1, 256, 32, true }, ALL, true },
	{ { WAY_SEND, TRAFFIC_MIXED, 1514, 1, 256, 32, true }, ALL, false },
	{ { WAY_SEND, TRAFFIC_LARGE, TRAFFIC_GSO, 1, 256, 32, true },
	  BIT_U(BACKEND_AIRLOCK),
	  false },
	{ { WAY_RECEIVE, TRAFFIC_MIXED, 64, 1, 256, 32, true }, ALL, true },
	{ { WAY_RECEIVE, TRAFFIC_MIXED, 1514, 1, 256, 32, true }, ALL, false },
	/* frames of one flow, which may be joined */
	{ { WAY_SEND, TRAFFIC_UDP, 1514, 1, 256, 32, false },
	  BIT_U(BACKEND_AIRLOCK) | BIT_U(BACKEND_SINGLE),
	  true },
	{ { WAY_SEND, TRAFFIC_TCP, 1514, 1, 256, 32, false },
	  BIT_U(BACKEND_AIRLOCK) | BIT_U(BACKEND_SINGLE),
	  true },
	{ { WAY_SEND, TRAFFIC_TCP, 1514, 1, 256, 32, true },
	  BIT_U(BACKEND_AIRLOCK) | BIT_U(BACKEND_SINGLE),
	  false },
	{ { WAY_SEND, TRAFFIC_SUMMED, 1514, 1, 256, 32, false },
	  BIT_U(BACKEND_AIRLOCK) | BIT_U(BACKEND_SINGLE),
	  true },
	/* the price of the filters */
	{ { WAY_SEND, TRAFFIC_MIXED, 64, 1, 256, 32, false },
	  BIT_U(BACKEND_FILTERED) | BIT_U(BACKEND_UNFILTERED),
	  true },
	{ { WAY_RECEIVE, TRAFFIC_MIXED, 64, 1, 256, 32, false },
	  BIT_U(BACKEND_FILTERED) | BIT_U(BACKEND_UNFILTERED),
	  false },
	/* pairs; testpmd stops serving net_vhost with more than one */
	{ { WAY_SEND, TRAFFIC_MIXED, 64, 2, 256, 32, false }, BIT_U(BACKEND_AIRLOCK), false },
	{ { WAY_SEND, TRAFFIC_MIXED, 64, 3, 256, 32, false }, BIT_U(BACKEND_AIRLOCK), false },
	{ { WAY_SEND, TRAFFIC_MIXED, 64, 4, 256, 32, false }, BIT_U(BACKEND_AIRLOCK), false },
	{ { WAY_RECEIVE, TRAFFIC_MIXED, 64, 2, 256, 32, false }, BIT_U(BACKEND_AIRLOCK), false },
	{ { WAY_RECEIVE, TRAFFIC_MIXED, 64, 4, 256, 32, false }, BIT_U(BACKEND_AIRLOCK), false },
	/* ring sizes and batches */
	{ { WAY_SEND, TRAFFIC_MIXED, 64, 1, 16, 8, false }, BIT_U(BACKEND_AIRLOCK), false },
	{ { WAY_SEND, TRAFFIC_MIXED, 64, 1, 64, 32, false }, BIT_U(BACKEND_AIRLOCK), false },
	{ { WAY_SEND, TRAFFIC_MIXED, 64, 1, 256, 1, false }, BIT_U(BACKEND_AIRLOCK), false },
	{ { WAY_SEND, TRAFFIC_MIXED, 64, 1, 256, 8, false }, BIT_U(BACKEND_AIRLOCK), false },
	{ { WAY_SEND, TRAFFIC_MIXED, 64, 1, 256, 128, false }, BIT_U(BACKEND_AIRLOCK), false },
};

/* Of one row: the limit by the library, that by calls in place, then each back-end. */
#define LIMITS 2
struct subject {
	const char *name;
	struct backend backend;
	struct guest guest;
	struct figures rounds[ROUNDS_MAX], median;
};

static struct subject subjects[LIMITS + BACKEND_KINDS];
static unsigned int nsubjects, nrounds, round_ms;

static void subjects_open(const struct plan *p)
{
	subjects[0].name = "limit";
	subjects[1].name = "limit, in place";
	nsubjects = LIMITS;
	for (unsigned int kind = 0; kind < BACKEND_KINDS; kind++) {
		struct subject *s = &subjects[nsubjects];

		if (!(p->backends & BIT_U(kind)))
			continue;
		if (backend_start(&s->backend, kind, &p->row)) {
			printf("  %s: not on this machine\n", backend_names[kind]);
			continue;
		}
		s->name = backend_names[kind];
		load_open(&s->guest, &s->backend, &p->row);
		backend_pause(&s->backend);
		nsubjects++;
	}
}

static void subjects_close(const struct row *row)
{
	for (unsigned int i = LIMITS; i < nsubjects; i++) {
		load_check(&subjects[i].guest, &subjects[i].backend, row);
		backend_resume(&subjects[i].backend);
		load_close(&subjects[i].guest);
		backend_stop(&subjects[i].backend);
	}
}

static void measure(const struct row *row)
{
	for (unsigned int round = 0; round < nrounds; round++) {
		for (unsigned int i = 0; i < nsubjects; i++) {
			unsigned int at = round % 2 ? nsubjects - 1 - i : i;
			struct subject *s = &subjects[at];

			s->rounds[round] =
				at < LIMITS ? limit_run(row, at, round_ms)
					    : load_run(&s->guest, &s->backend, row, round_ms);
		}
	}
}

static double median_of(const struct subject *s, size_t offset)
{
	double values[ROUNDS_MAX];

	for (unsigned int i = 0; i < nrounds; i++)
		memcpy(&values[i], (const char *)&s->rounds[i] + offset, sizeof(double));
	return results_median(values, nrounds);
}

static void row_name(const struct row *row, char *name, size_t room)
{
	static const char *const ways[] = {
		[WAY_SEND] = "transmit", [WAY_RECEIVE] = "receive", [WAY_BOTH] = "both"
	};
	static const char *const kinds[] = { [TRAFFIC_MIXED] = "",
					     [TRAFFIC_UDP] = " UDP flow",
					     [TRAFFIC_TCP] = " TCP flow",
					     [TRAFFIC_SUMMED] = " TCP flow, summed",
					     [TRAFFIC_LARGE] = " TSO" };

	snprintf(name, room, "%s %u%s%s", ways[row->way], row->len, kinds[row->traffic],
		 row->packed ? ", packed" : "");
}

static json_t *row_json(const struct row *row, const struct subject *s)
{
	const struct figures *m = &s->median, *limit = &subjects[0].median;
	char name[64];

	row_name(row, name, sizeof(name));
	return json_pack("{ss ss si si si si sb sf sf sf sf sf sf sf}", "test", name, "subject",
			 s->name, "bytes", (int)row->len, "pairs", (int)row->pairs, "ring",
			 (int)row->ring, "batch", (int)row->batch, "packed", row->packed,
			 "frames_per_second", m->frames, "bits_per_second", m->bits,
			 "cpu_ns_per_frame", m->cpu_ns, "rate_to_limit", m->frames / limit->frames,
			 "cpu_to_limit", m->cpu_ns / limit->cpu_ns, "front_end_idle", m->idle,
			 "offered_per_second", m->offered);
}

static void row_print(const struct row *row, const struct subject *s)
{
	const struct figures *m = &s->median, *limit = &subjects[0].median;
	char name[64];

	row_name(row, name, sizeof(name));
	printf("%-26s %3u %5u %5u  %-22s %9.0f %8.2f %8.0f %6.2f %6.2f", name, row->pairs,
	       row->ring, row->batch, s->name, m->frames / 1e3, m->bits / 1e9, m->cpu_ns,
	       m->frames / limit->frames, m->cpu_ns / limit->cpu_ns);
	if (row->way == WAY_SEND && s >= subjects + LIMITS)
		printf("  %3.0f %% idle", 100 * m->idle);
	if (row->way & WAY_RECEIVE)
		printf("  %5.0f offered", m->offered / 1e3);
	puts("");
}

static void row_run(const struct plan *p, json_t *rows)
{
	subjects_open(p);
	measure(&p->row);
	for (unsigned int i = 0; i < nsubjects; i++) {
		struct subject *s = &subjects[i];

		s->median = (struct figures){
			.frames = median_of(s, offsetof(struct figures, frames)),
			.bits = median_of(s, offsetof(struct figures, bits)),
			.cpu_ns = median_of(s, offsetof(struct figures, cpu_ns)),
			.idle = median_of(s, offsetof(struct figures, idle)),
			.offered = median_of(s, offsetof(struct figures, offered)),
		};
		row_print(&p->row, s);
		json_array_append_new(rows, row_json(&p->row, s));
	}
	fflush(stdout);
	subjects_close(&p->row);
}

/* $ROW: only those whose names hold these words. */
static bool wanted(const struct plan *p)
{
	const char *words = getenv("ROW");
	char name[64];

	row_name(&p->row, name, sizeof(name));
	return words ? strstr(name, words) != NULL : p->quick || !results_quick();
}

/* passt is another thing: it carries a guest's connections to sockets of its own, without a TAP.
 * There is no limit to set it beside, so it is named and not measured. */
static void name_passt(void)
{
	if (!system("passt --help 2>&1 | grep -q vhost-user"))
		puts("  passt speaks vhost-user here; it has no TAP, and is not in this table");
	else
		puts("  passt: none here that speaks vhost-user");
}

static void rates(void **state)
{
	json_t *rows = json_array();

	(void)state;
	nrounds = results_quick() ? 3 : 5;
	round_ms = results_quick() ? 100 : 300;
	pin_front_end(0);
	printf("\n%-26s %3s %5s %5s  %-22s %9s %8s %8s %6s %6s\n", "test", "prs", "ring", "batch",
	       "", "kframes/s", "Gbit/s", "CPU ns", "rate", "CPU");
	for (size_t i = 0; i < ARRAY_SIZE(plan); i++)
		if (wanted(&plan[i]))
			row_run(&plan[i], rows);
	puts("  rate, CPU: to the limit's in the same rounds; idle: of the front-end; offered: "
	     "kframes/s of the flood\n");
	name_passt();
	results_save("rate", rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rates) };

	return rig_run("rate", tests, ARRAY_SIZE(tests));
}
