/*
 * When --drain has nothing left to wait for. A job that another worker runs is that worker's; but
 * one whose worker is gone comes back when its lease ends, and is to be waited for. Which of the
 * two it is only time tells: a worker that is alive renews its leases, each time with a later end.
 * One of this host is known to be alive at once, by its process.
 */
#include "worker/worker_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS 1000 /* while it waits for that */

/* A lease of another worker, as it was seen first. */
struct held {
	char id[UUID_TEXT];
	uint64_t lease_seq;
	struct vega_time until;
	bool alive; /* it was renewed since, or its worker is here */
};

struct look {
	struct worker *w;
	char here[256]; /* this host, as in the names of workers */
	unsigned retries, held, alive;
	bool nomem;
};

/* "HOST:PID:…" of this host, and a worker still; a number is used again in time. */
static bool lives_here(const struct look *look, const char *worker)
{
	size_t len = strlen(look->here);
	char path[64], name[32] = "";
	if (!worker || strncmp(worker, look->here, len) != 0 || worker[len] != ':') {
		return false;
	}
	snprintf(path, sizeof path, "/proc/%ld/comm", strtol(worker + len + 1, NULL, 10));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	ssize_t got = read(fd, name, sizeof name - 1);
	close(fd);
	return got > 0 && strncmp(name, "vega-run", 8) == 0;
}

static struct held *find(struct worker *w, const struct job *job, bool *fresh)
{
	for (size_t i = 0; i < w->held_count; i++) {
		if (strcmp(w->held[i].id, job->id) == 0 && w->held[i].lease_seq == job->lease_seq) {
			return &w->held[i];
		}
	}
	struct held *larger = reallocarray(w->held, w->held_count + 1, sizeof *larger);
	if (!larger) {
		return NULL;
	}
	w->held = larger;
	struct held *held = &larger[w->held_count++];
	*held = (struct held){.lease_seq = job->lease_seq, .until = job->lease_until};
	memcpy(held->id, job->id, UUID_TEXT);
	*fresh = true;
	return held;
}

static bool wants_queue(const struct worker *w, const char *queue)
{
	const struct strlist *queues = &w->config->queues;
	for (size_t i = 0; i < queues->count; i++) {
		if (strcmp(queues->items[i], queue) == 0) {
			return true;
		}
	}
	return queues->count == 0;
}

static int look_at(const struct job *job, void *context)
{
	struct look *look = context;
	bool fresh = false;
	if (!wants_queue(look->w, job->queue)) {
		return 0;
	}
	if (job->state == JOB_PENDING) {
		look->retries += job->attempt > 0;
		return 0;
	}
	if (job->worker && strcmp(job->worker, look->w->name) == 0) {
		return 0; /* lost by this one, which said so */
	}
	struct held *held = find(look->w, job, &fresh);
	if (!held) {
		look->nomem = true;
		return 1;
	}
	held->alive = held->alive || (fresh && lives_here(look, job->worker)) ||
	              vega_time_compare(job->lease_until, held->until) > 0;
	look->held++;
	look->alive += held->alive;
	return 0;
}

int worker_drained(struct worker *w, uint64_t *due_ms, struct vega_error *err)
{
	const struct store_filter filter = {.states = 1u << JOB_PENDING | 1u << JOB_PROCESSING};
	struct look look = {.w = w};
	gethostname(look.here, sizeof look.here - 1);
	int code = w->store->driver->list(w->store, &filter, look_at, &look, err);
	code = code == 0 && look.nomem ? vega_fail_nomem(err) : code;
	if (code < 0) {
		return code;
	}
	unsigned waited = look.held - look.alive;
	if (waited && !w->told_of_held) {
		worker_report(w, NEWS,
		        "waiting for %u job%s of other workers, in case these are gone", waited,
		        waited == 1 ? "" : "s");
		w->told_of_held = true;
	}
	if (waited) {
		*due_ms = least(*due_ms, LOOK_MS);
	}
	w->drained = !look.retries && !waited;
	if (w->drained && look.alive) {
		worker_report(w, NEWS, "%u job%s still run%s in other workers", look.alive,
		        look.alive == 1 ? "" : "s", look.alive == 1 ? "s" : "");
	}
	return 0;
}
