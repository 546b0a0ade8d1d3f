/*
 * The job: a record and a state machine, pure data. No I/O, no clock.
 *
 *   PENDING ──claim──► PROCESSING ──finish──► COMPLETED | FAILED | CANCELLED
 *      ▲  └──cancel──► CANCELLED   │
 *      └──retry, release, expiry───┘
 *
 * Nothing leaves a terminal state.
 */
#ifndef VEGA_JOB_JOB_H
#define VEGA_JOB_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/parse.h"
#include "base/uuid.h"

enum job_state { JOB_PENDING, JOB_PROCESSING, JOB_COMPLETED, JOB_FAILED, JOB_CANCELLED };
#define JOB_STATES 5

const char *job_state_name(enum job_state state);              /* "PENDING" */
bool job_state_parse(const char *name, enum job_state *state); /* either case */
bool job_state_terminal(enum job_state state);

/* May a job go from one state to the other? */
bool job_transition_allowed(enum job_state from, enum job_state to);

#define JOB_MAX_ATTEMPTS_DEFAULT 3

#define JOB_RETRY_MAX_MS 600000

/* How long a retry waits after the given attempt (1, 2, …) failed: 1 s doubled each time, at most
 * JOB_RETRY_MAX_MS. Both stores use it. */
uint64_t job_retry_delay_ms(unsigned attempt);

/* What one attempt of a job may use; 0: no limit. Set by the submitter, kept by the worker. */
struct job_limits {
	uint64_t timeout_ms;   /* of the walk: files that are committed are published in any case */
	uint64_t memory_bytes; /* of each process */
	uint64_t output_bytes; /* records and files together */
};

/* Lower each to `most`. */
void job_limits_lower(struct job_limits *limits, const struct job_limits *most);

/* A job as the store returns it. Strings are owned (job_release()); those that are not known are
 * NULL. */
struct job {
	/* immutable */
	char id[UUID_TEXT];
	int64_t nr; /* its place in the order of acceptance, from 1; 0: not loaded */
	char *spec; /* canonical JSON */
	char *submitter;
	char *queue;
	int priority; /* higher first */
	unsigned max_attempts;
	char *idempotency_key;
	char *labels; /* a JSON object of strings */
	struct job_limits limits;
	struct vega_time created, not_before;

	/* hot */
	enum job_state state;
	unsigned attempt;       /* how many were begun; 0 before the first */
	uint64_t lease_seq;     /* the fence: only ever rises, once a claim */
	uint64_t committed_seq; /* the lease whose staged output files are published, and nothing
	                           else; 0: none yet */
	char *worker;           /* who holds or held it */
	struct vega_time lease_until, started, finished; /* {0,0}: not yet */
	bool cancel_requested;
	char *progress; /* the last progress record, JSON */
	char *error;    /* why the last attempt failed */

	/* result, only when asked for */
	char *summary;         /* JSON */
	char *records;         /* NDJSON stored inline, or NULL */
	char *records_uri;     /* where a spooled stream is, or NULL */
	uint64_t records_size; /* bytes of NDJSON */
	char *records_digest;  /* "xxh128:HEX" */
	char *stderr_tail;
	int exit_code; /* of the child; 128+n by a signal */
};

void job_release(struct job *job);

/* The object that vega-status --format=json prints for it. Members with JSON in them (spec, labels,
 * progress, summary) are embedded as such. */
void job_to_json(const struct job *job, struct json *json);

#endif
