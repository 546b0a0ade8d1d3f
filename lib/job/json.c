/* A job as the JSON object that programs read. */
#include "job/job.h"

#include <string.h>

static void member_str(struct json *json, const char *key, const char *value)
{
	if (value) {
		json_member_str(json, key, value);
	}
}

static void member_raw(struct json *json, const char *key, const char *value)
{
	if (value) {
		json_key(json, key);
		json_raw(json, value, strlen(value));
	}
}

static void member_time(struct json *json, const char *key, struct vega_time when)
{
	if (when.sec || when.nsec) {
		json_key(json, key);
		json_time(json, when.sec, when.nsec);
	}
}

static void limit_members(const struct job_limits *limits, struct json *json)
{
	const struct {
		const char *key;
		uint64_t value;
	} members[] = {{"timeout_ms", limits->timeout_ms}, {"memory_bytes", limits->memory_bytes},
	        {"output_bytes", limits->output_bytes}};
	if (!limits->timeout_ms && !limits->memory_bytes && !limits->output_bytes) {
		return;
	}
	json_key(json, "limits");
	json_object_begin(json);
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		if (members[i].value) {
			json_member_u64(json, members[i].key, members[i].value);
		}
	}
	json_object_end(json);
}

static void result_members(const struct job *job, struct json *json)
{
	if (job->summary || job->stderr_tail || job->exit_code) {
		json_key(json, "exit_code");
		json_i64(json, job->exit_code);
	}
	member_str(json, "stderr_tail", job->stderr_tail);
	if (job->records_uri || job->records_digest || job->records_size) {
		json_member_u64(json, "records_size", job->records_size);
	}
	member_str(json, "records_uri", job->records_uri);
	member_str(json, "records_digest", job->records_digest);
	member_raw(json, "summary", job->summary);
}

void job_to_json(const struct job *job, struct json *json)
{
	json_object_begin(json);
	json_member_str(json, "type", "job");
	json_member_u64(json, "v", 1);
	json_member_str(json, "id", job->id);
	json_member_str(json, "state", job_state_name(job->state));
	member_str(json, "queue", job->queue);
	json_key(json, "priority");
	json_i64(json, job->priority);
	member_str(json, "submitter", job->submitter);
	member_str(json, "idempotency_key", job->idempotency_key);
	member_raw(json, "labels", job->labels);
	limit_members(&job->limits, json);
	member_raw(json, "spec", job->spec);
	member_time(json, "created", job->created);
	member_time(json, "not_before", job->not_before);
	json_member_u64(json, "attempt", job->attempt);
	json_member_u64(json, "max_attempts", job->max_attempts);
	json_member_u64(json, "lease_seq", job->lease_seq);
	if (job->committed_seq) {
		json_member_u64(json, "committed_seq", job->committed_seq);
	}
	member_str(json, "worker", job->worker);
	member_time(json, "lease_until", job->lease_until);
	member_time(json, "started", job->started);
	member_time(json, "finished", job->finished);
	json_key(json, "cancel_requested");
	json_bool(json, job->cancel_requested);
	member_raw(json, "progress", job->progress);
	member_str(json, "error", job->error);
	result_members(job, json);
	json_object_end(json);
}
