/*
 * The workers: lib/worker's own claim.c, lease.c, reach.c, finish.c and attempt.c, one step at a
 * time. A worker of a state is unpacked into the real structures, the real function is called, and
 * the result is packed again. worker.c's loop, the clock of common.c, start.c, child.c's processes
 * and deadline.c's timer are replaced here.
 */
#include "model.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "worker/worker_internal.h"

#define TICK_MS UINT64_C(1000)
#define NOW (100 * TICK_MS)
#define NEVER UINT64_MAX

static const char job_id[] = "01a20919-5b78-7163-8ed0-628c66594237";
static const struct worker_config config = {
        .jobs = 1, .mode = WORKER_FOREVER, .lease_ms = LEASE * TICK_MS, .verbosity = -1};
static struct worker_counts counts;

static struct model_worker *model; /* the one that acts */
static struct worker worker;
static struct attempt attempt;
static struct store_lease leases[1];
static struct store_ending endings[1];
static struct attempt *over[1];
static struct job claimed[1];
static bool can_start_children;

struct model_worker *worker_now_at(void)
{
	return model;
}

/* In place of common.c and start.c. */

uint64_t worker_now(void)
{
	return NOW;
}

uint64_t worker_random(uint64_t limit)
{
	(void)limit;
	return 0;
}

void worker_report(const struct worker *w, int level, const char *format, ...)
{
	(void)w, (void)level, (void)format;
}

bool worker_stopping(const struct worker *w)
{
	return w->signals;
}

void worker_give_up(struct worker *w, const struct vega_error *err)
{
	(void)w, (void)err;
	violate("a worker gives up");
}

int worker_start(
        struct worker *w, struct attempt *a, enum attempt_step step, struct vega_error *err)
{
	return attempt_start(a, step, &w->command, NOW, err);
}

/* In place of child.c. */

int child_start(struct child *child, const struct child_command *command,
        const char *const *options, const struct identity *identity, const char *spec,
        struct vega_error *err)
{
	struct model_child *started = &model->child;
	(void)command, (void)identity, (void)spec;
	*child = (struct child){.out = -1, .err = -1};
	if (!can_start_children) {
		return vega_fail(err, VEGA_FATAL, "no process");
	}
	*started = (struct model_child){.kind = CHILD_WALK};
	for (size_t i = 0; options[i]; i++) {
		const char *seq = strrchr(options[i], '.');
		started->stage = seq ? (uint8_t)atoi(seq + 1) : started->stage;
		if (strcmp(options[i], "--publish") == 0) {
			started->kind = CHILD_PUBLISH;
		} else if (strcmp(options[i], "--discard") == 0) {
			started->kind = CHILD_DISCARD;
		}
	}
	if (mutant == PUBLISH_OWN_STAGE && started->kind == CHILD_PUBLISH) {
		started->stage = (uint8_t)attempt.lease.lease_seq;
	}
	child->pid = 1;
	return 0;
}

/* What the loop does in time needs nothing behind it; and the loop never waits here. */
bool deadline_set(unsigned index, pid_t leader, uint64_t at)
{
	(void)index, (void)leader, (void)at;
	return false;
}

void deadline_arm(void)
{
}

void child_signal(const struct child *child, int number)
{
	struct model_child *c = &model->child;
	if (child->pid > 0 && number == SIGTERM) {
		c->told = 1;
	} else if (child->pid > 0 && c->end == CHILD_RUNS) {
		c->end = CHILD_KILLED;
		c->code = (uint8_t)number;
	}
}

bool child_ended(const struct child *child)
{
	return child->pid > 0 && model->child.end != CHILD_RUNS;
}

void child_reap(struct child *child)
{
	const struct model_child *c = &model->child;
	child->status = c->end == CHILD_EXITED ? c->code << 8 : c->code;
	child->pid = 0;
	model->child = (struct model_child){.kind = CHILD_NONE};
}

void child_release(struct child *child)
{
	if (child->pid > 0) {
		model->child = (struct model_child){.kind = CHILD_NONE};
	}
	*child = (struct child){.out = -1, .err = -1};
}

char *child_stderr_tail(const struct child *child)
{
	(void)child;
	return NULL;
}

char *child_last_message(const struct child *child)
{
	(void)child;
	return NULL;
}

ssize_t child_read(int *fd, char *block, size_t size)
{
	(void)fd, (void)block, (void)size;
	return -1;
}

ssize_t child_read_err(struct child *child, char *block, size_t size)
{
	return child_read(&child->err, block, size);
}

/* In place of spool.c: the records of every walk are many, and go into a file. */

void spool_init(struct spool *spool, const char *dir, const char *id, uint64_t lease_seq)
{
	(void)dir, (void)id;
	*spool = (struct spool){.lease_seq = lease_seq, .fd = -1};
}

int spool_add(struct spool *spool, const char *bytes, size_t len, struct vega_error *err)
{
	(void)spool, (void)bytes, (void)len, (void)err;
	return 0;
}

int spool_finish(struct spool *spool, struct vega_error *err)
{
	(void)err;
	spool->fd = 0;
	now->records[spool->lease_seq] = 1;
	for (uint64_t seq = spool->lease_seq; seq-- > 1;) {
		now->records[seq] = 0;
	}
	return 0;
}

void spool_discard(struct spool *spool)
{
	if (spool->fd >= 0) {
		now->records[spool->lease_seq] = 0;
	}
	spool_release(spool);
}

void spool_release(struct spool *spool)
{
	*spool = (struct spool){.fd = -1};
}

/* Unpacking and packing. */

static void unpack_attempt(void)
{
	attempt = (struct attempt){.phase = (enum attempt_phase)model->phase,
	        .step = (enum attempt_step)model->step,
	        .staged = staged_job,
	        .commit = (enum attempt_commit)model->commit,
	        .completed = model->completed,
	        .unanswered = model->unanswered,
	        .job = {.lease_seq = model->seq, .committed_seq = model->committed},
	        .lease = {.lease_seq = model->seq},
	        .lease_end = NOW + model->left * TICK_MS,
	        .kill_at = model->kill ? NOW + ATTEMPT_GRACE_MS : 0,
	        .ending = (enum attempt_ending)model->ending,
	        .refused = model->refused,
	        .result = {.outcome = (enum store_outcome)model->outcome},
	        .child = {.out = -1, .err = -1, .pid = model->child.kind != CHILD_NONE}};
	memcpy(attempt.job.id, job_id, sizeof job_id);
	memcpy(attempt.lease.id, job_id, sizeof job_id);
	spool_init(&attempt.spool, "/", job_id, model->seq);
	attempt.spool.fd = model->spooled ? 0 : -1;
	stream_init(&attempt.stream, &attempt.spool);
	if (model->child.said) {
		attempt.stream.summary = strdup("{}");
		attempt.stream.complete = true;
	}
}

static void unpack(unsigned number)
{
	model = &now->workers[number];
	worker = (struct worker){.config = &config,
	        .counts = &counts,
	        .store = &model_store,
	        .attempts = &attempt,
	        .leases = leases,
	        .endings = endings,
	        .over = over,
	        .claimed = claimed,
	        .running = model->phase != ATTEMPT_FREE,
	        .beat_at = NEVER,
	        .failures = model->failures,
	        .signals = model->signals};
	can_start_children = true;
	if (model->phase == ATTEMPT_FREE) {
		attempt = (struct attempt){.child = {.out = -1, .err = -1}};
	} else {
		unpack_attempt();
	}
}

static void forget(void)
{
	model->phase = ATTEMPT_FREE;
	model->step = model->commit = model->completed = model->unanswered = 0;
	model->ending = model->outcome = 0;
	model->spooled = model->refused = model->kill = model->seq = model->committed =
	        model->left = 0;
	model->tried = model->failures = model->signals = model->epoch = 0;
}

static void pack(void)
{
	if (attempt.phase == ATTEMPT_FREE) {
		forget();
		return;
	}
	model->phase = (uint8_t)attempt.phase;
	model->step = (uint8_t)attempt.step;
	model->commit = (uint8_t)attempt.commit;
	model->completed = attempt.completed;
	model->unanswered = attempt.unanswered && mutant != DROP_RECORDS_UNANSWERED;
	model->ending = (uint8_t)attempt.ending;
	model->outcome = attempt.phase == ATTEMPT_OVER ? (uint8_t)attempt.result.outcome : 0;
	model->refused = attempt.refused;
	model->kill = attempt.kill_at != 0;
	model->seq = (uint8_t)attempt.lease.lease_seq;
	model->committed = (uint8_t)attempt.job.committed_seq;
	model->failures = worker.failures != 0;
	bool left = attempt_holds_lease(&attempt) && attempt.lease_end > NOW;
	model->left = left ? (uint8_t)((attempt.lease_end - NOW) / TICK_MS) : 0;
	if (mutant == DISCARD_WHILE_UNKNOWN && model->commit == COMMIT_UNKNOWN) {
		model->commit = COMMIT_NONE;
	}
	model->spooled = attempt.spool.fd >= 0;
	spool_release(&attempt.spool);
	attempt_clear(&attempt);
}

/* attempt_clear() in pack() must not touch the child. */
static void repack(void)
{
	const struct model_child child = model->child;
	pack();
	model->child = child;
}

static void tend(void)
{
	if (mutant != NO_STOP_BEFORE_LEASE_END) {
		worker_tend(&worker);
	}
}

/* The actions. */

static bool has_control(unsigned number)
{
	return !now->workers[number].stalled;
}

bool worker_tends(unsigned number)
{
	if (!has_control(number)) {
		return false;
	}
	unpack(number);
	tend();
	repack();
	return true;
}

static void beat(enum behaviour behaviour)
{
	store_behaves(behaviour);
	worker.beat_at = 0;
	tend();
	worker_heartbeat(&worker);
}

bool worker_beats(unsigned number, enum behaviour behaviour)
{
	struct model_worker *w = &now->workers[number];
	if (!has_control(number) || w->phase == ATTEMPT_FREE || behaviour == REFUSED) {
		return false;
	}
	if (behaviour == DELAYED && w->flight.call) {
		return false;
	}
	unpack(number);
	beat(behaviour);
	repack();
	model->tried = model->phase != ATTEMPT_FREE && behaviour != FINE;
	return store_was_called();
}

static void finish(void)
{
	unsigned failures = worker.failures;
	bool unanswered = attempt.unanswered;
	worker_finish(&worker);
	if (store_put_off()) { /* it was not sent */
		worker.failures = failures;
		attempt.unanswered =
		        attempt.phase == ATTEMPT_OVER ? unanswered : attempt.unanswered;
	}
}

bool worker_finishes(unsigned number, enum behaviour behaviour, bool can_start)
{
	struct model_worker *w = &now->workers[number];
	if (!has_control(number) || w->phase != ATTEMPT_OVER) {
		return false;
	}
	if (behaviour == DELAYED && w->flight.call) {
		return false;
	}
	unpack(number);
	can_start_children = can_start;
	store_behaves(behaviour);
	finish();
	tend(); /* as the loop does */
	repack();
	return behaviour == FINE || store_was_called();
}

bool worker_claims(unsigned number, enum behaviour behaviour, bool can_start)
{
	struct model_worker *w = &now->workers[number];
	if (!has_control(number) || w->phase != ATTEMPT_FREE || w->child.kind != CHILD_NONE ||
	        behaviour == REFUSED || (behaviour == DELAYED && w->flight.call)) {
		return false;
	}
	unpack(number);
	can_start_children = can_start;
	store_behaves(behaviour);
	worker_claim(&worker);
	repack();
	return true;
}

bool worker_reaps(unsigned number)
{
	static char block[1];
	if (!has_control(number)) {
		return false;
	}
	unpack(number);
	bool reaped = attempt_reap(&attempt, block, sizeof block, NOW);
	repack();
	return reaped;
}

bool worker_loses_patience(unsigned number)
{
	struct model_worker *w = &now->workers[number];
	if (!has_control(number) || !w->kill || w->step == STEP_DISCARD) {
		return false;
	}
	unpack(number);
	attempt_tick(&attempt, NEVER);
	repack();
	return true;
}

bool worker_is_stopped(unsigned number)
{
	struct model_worker *w = &now->workers[number];
	if (!has_control(number) || w->phase == ATTEMPT_FREE || w->signals) {
		return false;
	}
	unpack(number);
	attempt_stop(&attempt, ENDING_RELEASE, NULL, NOW);
	repack();
	model->signals = 1;
	return true;
}

bool worker_dies(unsigned number)
{
	struct model_worker *w = &now->workers[number];
	if (w->phase == ATTEMPT_FREE) {
		return false;
	}
	model = w;
	const uint8_t epoch = w->epoch;
	forget();
	w->stalled = w->lag = 0;
	if (mutant != CHILD_OUTLIVES_WORKER) {
		w->child = (struct model_child){.kind = CHILD_NONE};
	} else if (w->child.kind != CHILD_NONE) {
		w->epoch = epoch;
	}
	return true;
}

bool worker_stalls(unsigned number)
{
	struct model_worker *w = &now->workers[number];
	if (w->stalled || w->phase == ATTEMPT_FREE) {
		return false;
	}
	w->stalled = 1;
	return true;
}

/* The time that passed meanwhile is noticed. */
static void wake(void)
{
	model->left -= model->left < model->lag ? model->left : model->lag;
	model->stalled = model->lag = 0;
}

bool worker_resumes(unsigned number, enum call call)
{
	struct model_worker *w = &now->workers[number];
	if (!w->stalled || (call == CALL_FINISH && w->phase != ATTEMPT_OVER) ||
	        (call == CALL_BEAT && w->left == 0)) {
		return false;
	}
	unpack(number);
	store_behaves(FINE);
	if (call == CALL_BEAT) {
		beat(FINE);
	} else if (call == CALL_FINISH) {
		finish();
	}
	repack();
	wake();
	unpack(number);
	tend();
	repack();
	return true;
}

bool worker_is_due(unsigned number)
{
	const struct model_worker *w = &now->workers[number];
	static struct attempt look;
	look.phase = (enum attempt_phase)w->phase;
	look.step = (enum attempt_step)w->step;
	look.ending = (enum attempt_ending)w->ending;
	bool to_renew = w->left < LEASE && !w->tried;
	bool to_stop = w->left <= 1 && w->phase == ATTEMPT_RUNNING;
	return !w->stalled && attempt_holds_lease(&look) &&
	       (to_renew || (to_stop && mutant != NO_STOP_BEFORE_LEASE_END));
}
