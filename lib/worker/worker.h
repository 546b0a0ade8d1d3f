/*
 * The worker: claim PENDING jobs, run each in a `vega-walk` child, store its result.
 *
 * One thread, one event loop (poll over the children's pipes, signals, timers). It never walks
 * itself; the child gets the spec on descriptor 3, writes NDJSON on its stdout, leads its own
 * process group, and dies with the worker. A worker never exits because the store was away: it
 * backs off and reconnects. It stops a child before its lease can end (CLOCK_BOOTTIME, from the
 * moment the last good heartbeat was sent).
 */
#ifndef VEGA_WORKER_WORKER_H
#define VEGA_WORKER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strlist.h"
#include "store/store.h"

enum worker_mode { WORKER_FOREVER, WORKER_DRAIN, WORKER_ONCE };

struct identity_map;
struct worker_config {
	const char *store_url;
	const char
	        *walk_path; /* the vega-walk to run; NULL: beside our own binary, else from PATH */
	const char *spool_dir; /* large record streams; NULL: beside the state */
	const char *cache_url; /* VEGA_CACHE for the children and the result cache; NULL: none */
	struct strlist queues, roots;
	struct job_limits limits;              /* no job has more */
	bool refuse_commands;                  /* of jobs: what they run is bound by no root */
	const struct identity_map *submitters; /* whom jobs run as; NULL: as this process */
	unsigned jobs;                         /* at a time, ≥ 1 */
	enum worker_mode mode;
	uint64_t lease_ms;    /* 20000 */
	uint64_t progress_ms; /* how often a child reports; 1000 */
	int verbosity;        /* of the log: 0 a line a job, -1 only trouble, 1 also what starts */
	void (*log)(const char *line, void *context); /* one line, no newline */
	void *log_context;
	bool (*notify)(const char *state); /* a service manager, as notify_send() does; NULL */
	uint64_t watchdog_ms; /* how often it wants a sign of life at least; 0: never */
};

struct worker_counts {
	uint64_t completed, failed, retried, cancelled, released, lost;
};

/*
 * Returns 0 (drained, or stopped gracefully), VEGA_UNAVAILABLE (--once or --drain, and the store
 * could not be reached), or another code. SIGTERM, SIGINT and SIGHUP are handled inside: the first
 * drains (running jobs are ended and released), the second stops now. *signal_seen is the signal or
 * 0.
 */
int worker_run(const struct worker_config *config, struct worker_counts *counts, int *signal_seen,
        struct vega_error *err);

#endif
