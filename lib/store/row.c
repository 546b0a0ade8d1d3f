/*
 * From the rows of a store to the structs that callers see: jobs, workers, statistics, and jobs to
 * prune. A driver gives the text of a column; everything that both stores return is read here,
 * once.
 */

#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static bool copy(char **out, const struct store_row *row, int column)
{
	const char *text = row->text(row->context, column);
	if (!text) {
		return true;
	}
	*out = strdup(text);
	return *out != NULL;
}

static long long integer(const struct store_row *row, int column)
{
	const char *text = row->text(row->context, column);
	return text ? strtoll(text, NULL, 10) : 0;
}

static struct vega_time point(const struct store_row *row, int column)
{
	long long us = integer(row, column);
	long long sec = us / 1000000, rest = us % 1000000;
	if (rest < 0) {
		sec--;
		rest += 1000000;
	}
	return (struct vega_time){.sec = sec, .nsec = (uint32_t)rest * 1000};
}

static bool read_result(struct job *job, const struct store_row *row)
{
	job->records_size = (uint64_t)integer(row, COLUMN_RECORDS_SIZE);
	job->exit_code = (int)integer(row, COLUMN_EXIT_CODE);
	return copy(&job->summary, row, COLUMN_SUMMARY) &&
	       copy(&job->records_uri, row, COLUMN_RECORDS_URI) &&
	       copy(&job->records_digest, row, COLUMN_RECORDS_DIGEST) &&
	       copy(&job->stderr_tail, row, COLUMN_STDERR_TAIL);
}

static bool read_rest(struct job *job, const struct store_row *row)
{
	job->nr = integer(row, COLUMN_NR);
	job->priority = (int)integer(row, COLUMN_PRIORITY);
	job->created = point(row, COLUMN_CREATED);
	job->not_before = point(row, COLUMN_NOT_BEFORE);
	job->lease_until = point(row, COLUMN_LEASE_UNTIL);
	job->started = point(row, COLUMN_STARTED);
	job->finished = point(row, COLUMN_FINISHED);
	job->cancel_requested = integer(row, COLUMN_CANCEL_REQUESTED) != 0;
	return copy(&job->idempotency_key, row, COLUMN_IDEMPOTENCY_KEY) &&
	       copy(&job->labels, row, COLUMN_LABELS) && copy(&job->worker, row, COLUMN_WORKER) &&
	       copy(&job->progress, row, COLUMN_PROGRESS) && copy(&job->error, row, COLUMN_ERROR);
}

int store_read_job(
        struct job *job, const struct store_row *row, unsigned parts, struct vega_error *err)
{
	const char *id = row->text(row->context, COLUMN_ID);
	const char *state = row->text(row->context, COLUMN_STATE);
	if (!id || !state || !uuid_valid(id) || !job_state_parse(state, &job->state)) {
		return vega_fail(err, VEGA_FATAL,
		        "the store holds a job with id '%s' and state '%s', which cannot be; it is "
		        "damaged",
		        id ? id : "", state ? state : "");
	}
	memcpy(job->id, id, UUID_TEXT);
	job->max_attempts = (unsigned)integer(row, COLUMN_MAX_ATTEMPTS);
	job->limits = (struct job_limits){
	        .timeout_ms = (uint64_t)integer(row, COLUMN_TIMEOUT),
	        .memory_bytes = (uint64_t)integer(row, COLUMN_MEMORY),
	        .output_bytes = (uint64_t)integer(row, COLUMN_OUTPUT),
	};
	job->attempt = (unsigned)integer(row, COLUMN_ATTEMPT);
	job->lease_seq = (uint64_t)integer(row, COLUMN_LEASE_SEQ);
	job->committed_seq = (uint64_t)integer(row, COLUMN_COMMITTED_SEQ);
	if (!copy(&job->spec, row, COLUMN_SPEC) || !copy(&job->submitter, row, COLUMN_SUBMITTER) ||
	        !copy(&job->queue, row, COLUMN_QUEUE) ||
	        ((parts & STORE_PART_REST) && !read_rest(job, row)) ||
	        ((parts & STORE_PART_RESULT) && !read_result(job, row)) ||
	        ((parts & STORE_PART_RECORDS) && !copy(&job->records, row, COLUMN_RECORDS))) {
		job_release(job);
		return vega_fail_nomem(err);
	}
	return 0;
}

struct store_worker store_read_worker(const struct store_row *row)
{
	struct store_worker worker = {
	        .name = row->text(row->context, WORKER_NAME),
	        .host = row->text(row->context, WORKER_HOST),
	        .version = row->text(row->context, WORKER_VERSION),
	        .queues = row->text(row->context, WORKER_QUEUES),
	        .pid = (int)integer(row, WORKER_PID),
	        .jobs = (unsigned)integer(row, WORKER_JOBS),
	        .running = (unsigned)integer(row, WORKER_RUNNING),
	        .lease_ms = (uint64_t)integer(row, WORKER_LEASE),
	        .started = point(row, WORKER_STARTED),
	        .seen = point(row, WORKER_SEEN),
	};
	long long silent_us = integer(row, WORKER_NOW) - integer(row, WORKER_SEEN);
	uint64_t trusted_ms = worker.lease_ms + (worker.running ? 0 : STORE_ANNOUNCE_MS);
	worker.silent_ms = silent_us > 0 ? (uint64_t)silent_us / 1000 : 0;
	worker.alive = worker.silent_ms <= trusted_ms;
	return worker;
}

struct store_stats store_read_stats(const struct store_row *row)
{
	struct store_stats stats = {.queue = row->text(row->context, 0)};
	int column = 1;
	for (int i = 0; i < JOB_STATES; i++) {
		stats.jobs[i] = (uint64_t)integer(row, column++);
	}
	stats.due = (uint64_t)integer(row, column++);
	int64_t oldest = integer(row, column++);
	stats.oldest_due_ms = oldest > 0 ? (uint64_t)oldest : 0; /* the clock may have been ahead */
	stats.retried = (uint64_t)integer(row, column++);
	stats.leases = (uint64_t)integer(row, column++);
	stats.expired = (uint64_t)integer(row, column++);
	stats.stateless = (uint64_t)integer(row, column++);
	stats.partial = (uint64_t)integer(row, column++);
	for (int i = 0; i < STORE_WINDOWS; i++) {
		stats.last[i].started = (uint64_t)integer(row, column++);
		stats.last[i].ended[JOB_COMPLETED] = (uint64_t)integer(row, column++);
		stats.last[i].ended[JOB_FAILED] = (uint64_t)integer(row, column++);
		stats.last[i].ended[JOB_CANCELLED] = (uint64_t)integer(row, column++);
	}
	return stats;
}

uint32_t store_prunable(const struct store_prune *prune)
{
	const uint32_t ended = 1u << JOB_COMPLETED | 1u << JOB_FAILED | 1u << JOB_CANCELLED;
	return prune->states ? prune->states & ended : ended;
}

bool store_prune_row(struct store_prune *prune, const struct store_row *row)
{
	const struct store_pruned job = {
	        .id = row->text(row->context, PRUNED_ID),
	        .lease_seq = (uint64_t)integer(row, PRUNED_LEASE_SEQ),
	        .spec = prune->dry_run ? NULL : row->text(row->context, PRUNED_SPEC),
	        .records_uri = row->text(row->context, PRUNED_URI),
	        .records_size = (uint64_t)integer(row, PRUNED_SIZE),
	};
	CHECK(integer(row, PRUNED_NR) > prune->after); /* or it would never end */
	prune->after = integer(row, PRUNED_NR);
	return prune->remove(&job, prune->context) && !prune->dry_run;
}
