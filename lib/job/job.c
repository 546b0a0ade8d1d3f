/* The states of a job and what leads from one to another; its limits; what it owns. */
#include "job/job.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const state_names[JOB_STATES] = {
        [JOB_PENDING] = "PENDING",
        [JOB_PROCESSING] = "PROCESSING",
        [JOB_COMPLETED] = "COMPLETED",
        [JOB_FAILED] = "FAILED",
        [JOB_CANCELLED] = "CANCELLED",
};

#define BIT(state) (1u << (state))

static const unsigned transitions[JOB_STATES] = {
        [JOB_PENDING] = BIT(JOB_PROCESSING) | BIT(JOB_CANCELLED),
        [JOB_PROCESSING] =
                BIT(JOB_PENDING) | BIT(JOB_COMPLETED) | BIT(JOB_FAILED) | BIT(JOB_CANCELLED),
};

const char *job_state_name(enum job_state state)
{
	return state_names[state];
}

bool job_state_parse(const char *name, enum job_state *state)
{
	for (int i = 0; i < JOB_STATES; i++) {
		if (strcasecmp(name, state_names[i]) == 0) {
			*state = (enum job_state)i;
			return true;
		}
	}
	return false;
}

bool job_state_terminal(enum job_state state)
{
	return transitions[state] == 0;
}

bool job_transition_allowed(enum job_state from, enum job_state to)
{
	return transitions[from] & BIT(to);
}

uint64_t job_retry_delay_ms(unsigned attempt)
{
	const uint64_t first = 1000, most = JOB_RETRY_MAX_MS;
	uint64_t delay = first;
	while (attempt > 1 && delay < most) {
		delay *= 2;
		attempt--;
	}
	return delay < most ? delay : most;
}

static void lower(uint64_t *limit, uint64_t most)
{
	if (most && (*limit == 0 || *limit > most)) {
		*limit = most;
	}
}

void job_limits_lower(struct job_limits *limits, const struct job_limits *most)
{
	lower(&limits->timeout_ms, most->timeout_ms);
	lower(&limits->memory_bytes, most->memory_bytes);
	lower(&limits->output_bytes, most->output_bytes);
}

void job_release(struct job *job)
{
	free(job->spec);
	free(job->submitter);
	free(job->queue);
	free(job->idempotency_key);
	free(job->labels);
	free(job->worker);
	free(job->progress);
	free(job->error);
	free(job->summary);
	free(job->records);
	free(job->records_uri);
	free(job->records_digest);
	free(job->stderr_tail);
	*job = (struct job){0};
}
