/* One more try for a job that has ended: a new job, found again by its idempotency key. */
#include "store/job_retry.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define LABEL "retry-of"

/* The job's labels, with ours. */
static const char *add_labels(const struct job *job, struct buf *out)
{
	struct json json = json_writer(out);
	cJSON *labels = cJSON_Parse(job->labels);
	const cJSON *label;
	json_object_begin(&json);
	cJSON_ArrayForEach(label, labels)
	{
		if (cJSON_IsString(label) && strcmp(label->string, LABEL) != 0) {
			json_member_str(&json, label->string, label->valuestring);
		}
	}
	json_member_str(&json, LABEL, job->id);
	json_object_end(&json);
	cJSON_Delete(labels);
	return buf_cstr(out);
}

/* The key makes it one job of this submitter, however often it is asked for. */
static int submit_again(struct store *store, const struct job *job, const char *user,
        struct store_request *request, struct vega_error *err)
{
	char key[sizeof "retry:" + UUID_TEXT];
	struct buf labels = BUF_INIT;
	snprintf(key, sizeof key, "retry:%s", job->id);
	*request = (struct store_request){.spec = job->spec,
	        .submitter = user,
	        .queue = job->queue,
	        .priority = job->priority,
	        .max_attempts = job->max_attempts,
	        .limits = job->limits,
	        .idempotency_key = key,
	        .labels = add_labels(job, &labels)};
	uuid7(request->id);
	int code = request->labels ? store->driver->submit(store, request, 1, err)
	                           : vega_fail_nomem(err);
	buf_release(&labels);
	return code;
}

static bool to_be_tried(const struct job *job, bool force)
{
	return job->state == JOB_FAILED || job->state == JOB_CANCELLED ||
	       (force && job->state == JOB_COMPLETED);
}

static int refuse(const struct job *job, struct vega_error *err)
{
	if (job->state == JOB_COMPLETED) {
		return vega_fail(
		        err, VEGA_NO, "job %s COMPLETED; use --force to repeat it", job->id);
	}
	return vega_fail(err, VEGA_NO, "job %s is %s: it can be retried when it has ended", job->id,
	        job_state_name(job->state));
}

int job_retry(struct store *store, const char *id, const char *user, bool force,
        char retry[UUID_TEXT], struct vega_error *err)
{
	struct store_request request = {.existed = true};
	struct job job;
	snprintf(retry, UUID_TEXT, "%s", id);
	for (bool first = true;; first = false) {
		int code = store->driver->get(store, retry, 0, &job, err);
		if (code) {
			return code;
		}
		bool again = to_be_tried(&job, force);
		if (again) {
			code = submit_again(store, &job, user, &request, err);
		} else if (first) {
			code = refuse(&job, err);
		}
		job_release(&job);
		if (code || !again) {
			return code;
		}
		memcpy(retry, request.stored_id, UUID_TEXT);
		if (!request.existed) {
			return 0;
		}
	}
}
