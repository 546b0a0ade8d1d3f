/*
 * An attempt's state: which step runs, why it was ended, and the verdict that its child's end leads
 * to. It starts children and reads them, and never calls the store.
 */
#include "worker/attempt.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "base/check.h"
#include "base/killpoint.h"
#include "spec/spec.h"

#define BLOCKS_AT_ONCE 4 /* of one child, before the others have their turn */

/* What cannot be read here is refused by the child too. */
static bool writes_files(const char *json)
{
	struct spec spec;
	spec_init(&spec);
	bool writes = spec_parse_json(&spec, json, strlen(json), NULL) == 0 && spec_writes(&spec);
	spec_release(&spec);
	return writes;
}

void attempt_begin(struct attempt *attempt, struct job *job, const char *spool_dir, uint64_t now,
        uint64_t lease_end)
{
	CHECK(attempt->phase == ATTEMPT_FREE);
	*attempt = (struct attempt){.phase = ATTEMPT_OVER,
	        .step = job->committed_seq ? STEP_PUBLISH : STEP_WALK,
	        .staged = job->committed_seq || writes_files(job->spec),
	        .commit = job->committed_seq ? COMMIT_DONE : COMMIT_NONE,
	        .job = *job,
	        .began = now,
	        .lease_end = lease_end,
	        .child = {.out = -1, .err = -1}};
	*job = (struct job){.spec = NULL};
	snprintf(attempt->lease.id, sizeof attempt->lease.id, "%s", attempt->job.id);
	attempt->lease.lease_seq = attempt->job.lease_seq;
	spool_init(&attempt->spool, spool_dir, attempt->job.id, attempt->job.lease_seq);
	stream_init(&attempt->stream, &attempt->spool);
}

bool attempt_holds_lease(const struct attempt *attempt)
{
	return attempt->phase != ATTEMPT_FREE && attempt->ending != ENDING_LOST &&
	       attempt->step != STEP_DISCARD;
}

bool attempt_to_commit(const struct attempt *attempt)
{
	return attempt->staged && attempt->commit != COMMIT_DONE &&
	       attempt->result.outcome == STORE_COMPLETED;
}

void attempt_committed(struct attempt *attempt)
{
	CHECK(attempt->phase == ATTEMPT_OVER && attempt_to_commit(attempt));
	attempt->commit = COMMIT_DONE;
	attempt->job.committed_seq = attempt->lease.lease_seq;
}

bool attempt_to_discard(const struct attempt *attempt)
{
	return attempt->staged && attempt->step != STEP_DISCARD &&
	       (attempt->commit == COMMIT_NONE || attempt->completed);
}

/* --- the verdict ------------------------------------------------------------------------------ */

static void verdict(struct attempt *attempt, enum store_outcome outcome, char *error)
{
	free(attempt->error);
	attempt->error = error;
	attempt->result = (struct store_result){
	        .outcome = outcome,
	        .error = error,
	        .stderr_tail = attempt->stderr_tail,
	        .exit_code = attempt->result.exit_code,
	};
}

__attribute__((format(printf, 1, 2))) static char *text(const char *format, ...)
{
	va_list args;
	char *made = NULL;
	va_start(args, format);
	if (vasprintf(&made, format, args) < 0) {
		made = NULL;
	}
	va_end(args);
	return made;
}

static char *clean_text(const char *line)
{
	struct buf out = BUF_INIT;
	stream_clean(&out, line, strlen(line));
	return buf_detach(&out);
}

/* What the child's end says when it is not a success. */
static char *failure(const struct attempt *attempt)
{
	int status = attempt->child.status;
	if (WIFSIGNALED(status)) {
		const char *name = sigabbrev_np(WTERMSIG(status));
		return name ? text("vega-walk was killed by SIG%s", name)
		            : text("vega-walk was killed by signal %d", WTERMSIG(status));
	}
	int code = WEXITSTATUS(status);
	if (code != 0 && code != 3) {
		char *message = child_last_message(&attempt->child);
		char *made = message ? text("vega-walk exited with status %d: %s", code, message)
		                     : text("vega-walk exited with status %d", code);
		free(message);
		return made;
	}
	if (attempt->stream.broken) {
		return clean_text(attempt->stream.why.text);
	}
	return strdup(attempt->stream.summary ? "vega-walk says that its summary is incomplete"
	                                      : "vega-walk ended without a summary");
}

static char *refusal(const struct attempt *attempt)
{
	char *message = child_last_message(&attempt->child);
	return message ? message : strdup("vega-walk rejected the job without a reason");
}

static void keep(struct attempt *attempt)
{
	struct vega_error err;
	struct spool *spool = &attempt->spool;
	CHECK(attempt->step == STEP_WALK && attempt->commit == COMMIT_NONE);
	if (spool_finish(spool, &err) < 0) {
		verdict(attempt, STORE_RETRY, clean_text(err.text));
		return;
	}
	verdict(attempt, STORE_COMPLETED, NULL);
	attempt->result.summary = attempt->stream.summary;
	attempt->result.records = spool->fd < 0 && spool->size ? spool->held.data : NULL;
	attempt->result.records_uri = spool->uri;
	attempt->result.records_size = spool->size;
	attempt->result.records_digest = spool->digest;
}

/* A job that is committed can only be completed, now or later. */
static void conclude_publishing(struct attempt *attempt, int code)
{
	if (code == 0) {
		verdict(attempt, STORE_COMPLETED, NULL);
	} else if (code == 3) {
		verdict(attempt, STORE_COMPLETED, child_last_message(&attempt->child));
	} else if (attempt->ending == ENDING_RELEASE) {
		verdict(attempt, STORE_RELEASED, NULL);
	} else {
		verdict(attempt, STORE_RETRY, failure(attempt));
	}
}

static void conclude(struct attempt *attempt)
{
	int status = attempt->child.status;
	bool exited = WIFEXITED(status);
	int code = exited ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	bool whole = attempt->stream.summary && attempt->stream.complete && !attempt->stream.broken;
	if (attempt->step == STEP_DISCARD) {
		return; /* the verdict is stored */
	}
	free(attempt->stderr_tail);
	attempt->stderr_tail = child_stderr_tail(&attempt->child);
	if (attempt->step == STEP_WALK || code != 0) {
		attempt->result.exit_code = code;
	}
	if (attempt->ending == ENDING_LOST) {
		return; /* nothing is stored or kept */
	}
	if (attempt->step == STEP_PUBLISH) {
		conclude_publishing(attempt, code);
	} else if (attempt->ending == ENDING_CANCEL) {
		verdict(attempt, STORE_CANCELLED, NULL);
	} else if (attempt->ending == ENDING_LIMIT) {
		verdict(attempt, STORE_FAILED, clean_text(attempt->why.text));
	} else if (attempt->ending == ENDING_BROKEN) {
		verdict(attempt, STORE_RETRY, clean_text(attempt->why.text));
	} else if (exited && (code == 0 || code == 3) && whole) {
		keep(attempt);
	} else if (attempt->ending == ENDING_RELEASE) {
		verdict(attempt, STORE_RELEASED, NULL);
	} else if (exited && code == 2) {
		verdict(attempt, STORE_FAILED, refusal(attempt));
	} else {
		verdict(attempt, STORE_RETRY, failure(attempt));
	}
}

/* Remove the file of records, unless the store has it, or may have it. */
static void drop_records(struct attempt *attempt)
{
	if (!attempt->completed && !attempt->unanswered && attempt->commit == COMMIT_NONE) {
		spool_discard(&attempt->spool);
	}
}

void attempt_refused(struct attempt *attempt, const char *why)
{
	verdict(attempt, STORE_RETRY, clean_text(why));
	drop_records(attempt);
	attempt->refused = true;
}

/* --- the steps -------------------------------------------------------------------------------- */

/* Whom the job's processes run as, all of them. */
static int identify(
        struct attempt *attempt, const struct child_command *command, struct vega_error *err)
{
	if (!command->submitters || attempt->identity.user) {
		return 0;
	}
	return identity_find(command->submitters, attempt->job.submitter, &attempt->identity, err);
}

/* No child was started. A submitter without a system user will have none the next time either, but
 * what is committed must be published in the end. */
static int conclude_unstarted(struct attempt *attempt, int code, struct vega_error *err)
{
	bool known = attempt->identity.user, committed = attempt->commit != COMMIT_NONE;
	attempt->phase = ATTEMPT_OVER;
	if (attempt->step == STEP_DISCARD) {
		return code;
	}
	if (code != VEGA_NO) {
		verdict(attempt, STORE_RELEASED, NULL);
		return code;
	}
	attempt->staged = attempt->staged && (known || committed);
	attempt->result.exit_code = vega_exit_status(VEGA_FATAL);
	verdict(attempt, known || committed ? STORE_RETRY : STORE_FAILED, clean_text(err->text));
	return 0;
}

/* What the child of a step is told besides the worker's own options. */
struct step_options {
	char stage[64 + UUID_TEXT], memory[40], output[40];
	const char *list[CHILD_OPTIONS_MAX + 1];
};

static void choose_options(
        struct step_options *options, const struct attempt *attempt, enum attempt_step step)
{
	static const char *const steps[] = {
	        [STEP_PUBLISH] = "--publish", [STEP_DISCARD] = "--discard"};
	const struct job_limits *limits = &attempt->job.limits;
	unsigned long long memory = step == STEP_WALK ? limits->memory_bytes : 0;
	unsigned long long output = step == STEP_WALK ? limits->output_bytes : 0;
	uint64_t seq = step == STEP_PUBLISH ? attempt->job.committed_seq : attempt->lease.lease_seq;
	const char **next = options->list;
	if (attempt->staged) {
		snprintf(options->stage, sizeof options->stage, "--stage=%s.%llu", attempt->job.id,
		        (unsigned long long)seq);
		*next++ = options->stage;
	}
	if (steps[step]) {
		*next++ = steps[step];
	}
	if (memory) {
		snprintf(options->memory, sizeof options->memory, "--max-memory=%llu", memory);
		*next++ = options->memory;
	}
	if (output) {
		snprintf(options->output, sizeof options->output, "--max-output=%llu", output);
		*next++ = options->output;
	}
	*next = NULL;
}

int attempt_start(struct attempt *attempt, enum attempt_step step,
        const struct child_command *command, uint64_t now, struct vega_error *err)
{
	struct step_options options;
	uint64_t timeout = step == STEP_WALK ? attempt->job.limits.timeout_ms : 0;
	CHECK(attempt->phase == ATTEMPT_OVER && attempt->child.pid == 0);
	CHECK(step != STEP_PUBLISH || attempt->commit == COMMIT_DONE);
	choose_options(&options, attempt, step);
	child_release(&attempt->child);
	attempt->step = step;
	attempt->phase = ATTEMPT_RUNNING;
	attempt->kill_at = step == STEP_DISCARD ? now + ATTEMPT_DISCARD_MS : 0;
	attempt->limit_at = timeout ? now + timeout : 0;
	int code = identify(attempt, command, err);
	if (code == 0) {
		const struct identity *identity = command->submitters ? &attempt->identity : NULL;
		KILL_POINT(spawn);
		code = child_start(
		        &attempt->child, command, options.list, identity, attempt->job.spec, err);
		KILL_POINT(spawned);
	}
	if (code < 0) {
		return conclude_unstarted(attempt, code, err);
	}
	if (step == STEP_PUBLISH) {
		attempt->ending = ENDING_NONE; /* what ended the walk does not end this */
	}
	return 0;
}

void attempt_put_off(struct attempt *attempt)
{
	attempt->staged = attempt->staged && attempt->commit != COMMIT_NONE;
	verdict(attempt, STORE_RELEASED, NULL);
}

/* --- running ---------------------------------------------------------------------------------- */

void attempt_stop(
        struct attempt *attempt, enum attempt_ending ending, const char *why, uint64_t now)
{
	if (!attempt_holds_lease(attempt) || ending <= attempt->ending) {
		return;
	}
	attempt->ending = ending;
	vega_fail(&attempt->why, VEGA_FATAL, "%s", why ? why : "");
	if (ending == ENDING_LOST) {
		attempt_kill(attempt);
	} else if (attempt->phase == ATTEMPT_RUNNING &&
	           (!attempt->kill_at || attempt->kill_at > now + ATTEMPT_GRACE_MS)) {
		child_signal(&attempt->child, SIGTERM);
		attempt->kill_at = now + ATTEMPT_GRACE_MS;
	} else if (attempt->phase == ATTEMPT_OVER && ending == ENDING_CANCEL) {
		verdict(attempt, STORE_CANCELLED, NULL);
		drop_records(attempt);
	}
}

void attempt_kill(struct attempt *attempt)
{
	child_signal(&attempt->child, SIGKILL);
	attempt->kill_at = 0;
}

static void use_up_time(struct attempt *attempt, uint64_t now)
{
	struct buf why = BUF_INIT;
	buf_add_str(&why, "it ran longer than --max-time ");
	format_exact_duration(&why, attempt->job.limits.timeout_ms);
	attempt_stop(attempt, ENDING_LIMIT, buf_cstr(&why), now);
	attempt->limit_at = 0;
	buf_release(&why);
}

void attempt_tick(struct attempt *attempt, uint64_t now)
{
	if (attempt->phase == ATTEMPT_RUNNING && attempt->limit_at && now >= attempt->limit_at) {
		use_up_time(attempt, now);
	}
	if (attempt->phase != ATTEMPT_RUNNING || !attempt->kill_at || now < attempt->kill_at) {
		return;
	}
	if (attempt->ending == ENDING_NONE) {
		attempt->ending = ENDING_BROKEN;
		vega_fail(
		        &attempt->why, VEGA_FATAL, "vega-walk closed its output but did not exit");
	}
	attempt_kill(attempt);
}

static void take(struct attempt *attempt, const char *bytes, size_t len, uint64_t now)
{
	if (attempt->ending > ENDING_RELEASE || attempt->step != STEP_WALK) {
		return; /* read so that the child can end, but of no use */
	}
	stream_add(&attempt->stream, bytes, len);
	if (attempt->stream.broken) {
		attempt_stop(attempt, ENDING_BROKEN, attempt->stream.why.text, now);
	}
}

void attempt_read_out(struct attempt *attempt, char *block, size_t size, uint64_t now)
{
	bool running = attempt->phase == ATTEMPT_RUNNING;
	for (int i = 0; running && i < BLOCKS_AT_ONCE && attempt->child.out >= 0; i++) {
		ssize_t got = child_read(&attempt->child.out, block, size);
		if (got < 0) {
			return;
		}
		if (got > 0) {
			take(attempt, block, (size_t)got, now);
		} else if (!attempt->kill_at) {
			attempt->kill_at = now + ATTEMPT_LINGER_MS;
		}
	}
}

void attempt_read_err(struct attempt *attempt, char *block, size_t size)
{
	bool running = attempt->phase == ATTEMPT_RUNNING;
	for (int i = 0; running && i < BLOCKS_AT_ONCE && attempt->child.err >= 0; i++) {
		if (child_read_err(&attempt->child, block, size) < 0) {
			return;
		}
	}
}

/* As much as was in the pipe when the child ended: what comes later is not its own. */
static size_t left_in(int fd)
{
	int left = 0;
	return fd >= 0 && ioctl(fd, FIONREAD, &left) == 0 && left > 0 ? (size_t)left : 0;
}

static void read_last_words(struct attempt *attempt, char *block, size_t size, uint64_t now)
{
	struct child *child = &attempt->child;
	ssize_t got = 0;
	for (size_t left = left_in(child->out); left; left -= (size_t)got) {
		got = child_read(&child->out, block, left < size ? left : size);
		if (got <= 0) {
			break;
		}
		take(attempt, block, (size_t)got, now);
	}
	for (size_t left = left_in(child->err); left; left -= (size_t)got) {
		got = child_read_err(child, block, left < size ? left : size);
		if (got <= 0) {
			break;
		}
	}
}

bool attempt_reap(struct attempt *attempt, char *block, size_t size, uint64_t now)
{
	if (attempt->phase != ATTEMPT_RUNNING || !child_ended(&attempt->child)) {
		return false;
	}
	read_last_words(attempt, block, size, now);
	stream_end(&attempt->stream);
	child_reap(&attempt->child);
	conclude(attempt);
	attempt->phase = ATTEMPT_OVER;
	attempt->kill_at = 0;
	return true;
}

void attempt_clear(struct attempt *attempt)
{
	child_release(&attempt->child);
	stream_release(&attempt->stream);
	drop_records(attempt);
	spool_release(&attempt->spool);
	job_release(&attempt->job);
	identity_release(&attempt->identity);
	free(attempt->error);
	free(attempt->stderr_tail);
	*attempt = (struct attempt){.phase = ATTEMPT_FREE, .child = {.out = -1, .err = -1}};
}
