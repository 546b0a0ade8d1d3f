#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "store/result_cache.h"
#include "worker/attempt.h"
#include "worker/worker_internal.h"

#define BLOCK_SIZE ((size_t)256 * 1024)
#define EVENTS 64
#define BACKOFF_FIRST_MS 250
#define BACKOFF_MAX_MS 30000
#define POLL_IDLE_MS 10000   /* behind the store's own wake-up */
#define POLL_RUNNING_MS 1000 /* output of children may keep us from waiting on the store */
#define CLAIM_GAP_MS 50      /* between claims that found nothing */
#define BEAT_GAP_MS 1000     /* between heartbeats that a change in the store brings forward */

struct worker {
	const struct worker_config *config;
	struct worker_counts *counts;
	worker_opener *open;
	struct store *store; /* NULL until it was reached once */
	struct result_cache *results;
	bool told_of_cache;
	struct child_command command;
	char *spool_dir;
	char name[320];
	char *block;

	struct attempt *attempts; /* config->jobs of them */
	struct store_lease *leases;
	struct job *claimed;
	unsigned running; /* attempts that are not FREE */
	unsigned claims;  /* jobs claimed so far */

	int epoll_fd, signal_fd, timer_fd;

	/* CLOCK_BOOTTIME milliseconds */
	uint64_t beat_sent, beat_at;
	uint64_t claim_sent, claim_at;
	uint64_t retry_at;   /* the store is left alone until then */
	uint64_t away_since; /* while failures > 0 */
	unsigned failures;   /* of store calls, in a row */
	unsigned start_failures;

	unsigned signals;
	int first_signal;
	bool drained;
	struct vega_error failure; /* code != 0: why the worker gives up */
};

/* What an epoll event is about: the attempt's index times EVENT_KINDS, plus the kind. */
enum { EVENT_SIGNAL, EVENT_TIMER, EVENT_OUT, EVENT_ERR, EVENT_KINDS };

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t random_below(uint64_t limit)
{
	uint64_t bits = 0;
	return getrandom(&bits, sizeof bits, 0) == (ssize_t)sizeof bits && limit ? bits % limit : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

enum { TROUBLE = -1, NEWS, DETAIL };

__attribute__((format(printf, 3, 4))) static void report(
        const struct worker *w, int level, const char *format, ...)
{
	char line[2048];
	va_list args;
	if (!w->config->log || level > w->config->verbosity) {
		return;
	}
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	w->config->log(line, w->config->log_context);
}

static bool stopping(const struct worker *w)
{
	return w->signals || w->failure.code || w->drained ||
	       (w->config->mode == WORKER_ONCE && w->claims);
}

/* A child must be dead by then if its lease is not renewed. Store calls block for less. */
static uint64_t lease_margin(const struct worker *w)
{
	return w->config->lease_ms / 4;
}

static unsigned store_timeout(const struct worker *w)
{
	return (unsigned)(w->config->lease_ms / 5);
}

/* --- the store comes and goes ----------------------------------------------------------------- */

static void give_up(struct worker *w, const struct vega_error *err)
{
	if (!w->failure.code) {
		w->failure = *err;
	}
	for (unsigned i = 0; i < w->config->jobs; i++) {
		attempt_stop(&w->attempts[i], ENDING_RELEASE, NULL, now_ms());
	}
}

static void store_away(struct worker *w, const struct vega_error *err)
{
	uint64_t now = now_ms();
	if (w->failures++ == 0) {
		w->away_since = now;
		report(w, TROUBLE, "the store is away, trying again: %s", err->text);
	}
	uint64_t most = w->running ? w->config->lease_ms / 8 : BACKOFF_MAX_MS;
	unsigned doublings = w->failures < 8 ? w->failures : 8;
	w->retry_at = now + 1 + random_below(least(most, (uint64_t)BACKOFF_FIRST_MS << doublings));
	if (w->config->mode != WORKER_FOREVER && !w->running &&
	        now - w->away_since >= w->config->lease_ms) {
		give_up(w, err);
	}
}

static void store_back(struct worker *w)
{
	if (w->failures) {
		report(w, TROUBLE, "the store is back after %.1fs",
		        (double)(now_ms() - w->away_since) / 1000);
		w->failures = 0;
	}
}

/* True when store calls may be made now. */
static bool store_ready(struct worker *w)
{
	if (w->failures && now_ms() < w->retry_at && w->signals < 2) {
		return false;
	}
	if (w->store) {
		return true;
	}
	struct vega_error err;
	int code = w->open(w->config->store_url, store_timeout(w), &w->store, &err);
	if (code == VEGA_UNAVAILABLE && w->config->mode == WORKER_FOREVER) {
		store_away(w, &err);
	} else if (code < 0) {
		give_up(w, &err);
	} else {
		store_back(w);
	}
	return code == 0;
}

/* --- leases ----------------------------------------------------------------------------------- */

/* What must happen in time, whatever the store does. Called before every call that may block. */
static void tend(struct worker *w)
{
	uint64_t now = now_ms();
	for (unsigned i = 0; i < w->config->jobs; i++) {
		struct attempt *attempt = &w->attempts[i];
		if (attempt->phase == ATTEMPT_RUNNING &&
		        now + lease_margin(w) >= attempt->lease_end) {
			attempt_stop(attempt, ENDING_LOST, "its lease could not be renewed in time",
			        now);
		}
		attempt_tick(attempt, now);
	}
}

static void lease_answered(struct worker *w, struct attempt *attempt,
        const struct store_lease *lease, uint64_t sent, uint64_t now)
{
	if (lease->lost) {
		attempt_stop(attempt, ENDING_LOST, "its lease was taken over", now);
		return;
	}
	attempt->lease_end = sent + w->config->lease_ms;
	if (lease->progress) {
		attempt->stream.progress_is_new = false;
	}
	if (lease->cancel) {
		attempt_stop(attempt, ENDING_CANCEL, NULL, now);
	}
}

/* The attempts that hold a lease, in w->leases; returns how many. */
static size_t gather_leases(struct worker *w, bool with_progress)
{
	size_t count = 0;
	for (unsigned i = 0; i < w->config->jobs; i++) {
		const struct attempt *attempt = &w->attempts[i];
		if (attempt->phase != ATTEMPT_FREE && attempt->ending != ENDING_LOST) {
			w->leases[count] = attempt->lease;
			w->leases[count++].progress =
			        with_progress && attempt->stream.progress_is_new
			                ? attempt->stream.progress.data
			                : NULL;
		}
	}
	return count;
}

static void heartbeat(struct worker *w)
{
	if (!w->running || now_ms() < w->beat_at || !store_ready(w)) {
		return;
	}
	struct vega_error err;
	uint64_t sent = now_ms();
	size_t count = gather_leases(w, true);
	w->beat_at = sent + w->config->lease_ms / 4;
	if (!count) {
		return;
	}
	int code = w->store->driver->heartbeat(
	        w->store, w->name, w->leases, count, w->config->lease_ms, &err);
	if (code < 0 && code != VEGA_UNAVAILABLE) {
		/* One child's odd progress must not cost the others their leases. */
		report(w, TROUBLE, "the store refused a heartbeat, trying without progress: %s",
		        err.text);
		tend(w);
		sent = now_ms();
		count = gather_leases(w, false);
		code = w->store->driver->heartbeat(
		        w->store, w->name, w->leases, count, w->config->lease_ms, &err);
	}
	if (code < 0) {
		w->beat_at = sent;
		store_away(w, &err);
		return;
	}
	store_back(w);
	w->beat_sent = sent;
	uint64_t now = now_ms();
	for (unsigned i = 0; i < w->config->jobs; i++) {
		struct attempt *attempt = &w->attempts[i];
		for (size_t j = 0; attempt->phase != ATTEMPT_FREE && j < count; j++) {
			if (strcmp(w->leases[j].id, attempt->lease.id) == 0 &&
			        w->leases[j].lease_seq == attempt->lease.lease_seq) {
				lease_answered(w, attempt, &w->leases[j], sent, now);
			}
		}
	}
}

/* --- results ---------------------------------------------------------------------------------- */

static void drop(struct worker *w, struct attempt *attempt, bool stored)
{
	attempt_clear(attempt, stored);
	w->running--;
	if (!w->start_failures) {
		w->claim_at = 0;
	}
}

static void report_lost(struct worker *w, struct attempt *attempt, const char *why)
{
	w->counts->lost++;
	report(w, TROUBLE, "%s lost: %s; its result is discarded", attempt->job.id, why);
	drop(w, attempt, false);
}

static void report_completed(struct worker *w, const struct attempt *attempt)
{
	struct buf text = BUF_INIT;
	buf_printf(&text, "%s completed in ", attempt->job.id);
	format_duration(&text, (now_ms() - attempt->began) * 1000000);
	buf_add_str(&text, ": ");
	format_count(&text, (unsigned __int128)attempt->stream.entries);
	buf_add_str(&text,
	        attempt->result.exit_code == 3 ? " entries, some could not be read" : " entries");
	report(w, NEWS, "%s", buf_cstr(&text) ? text.data : attempt->job.id);
	buf_release(&text);
}

static void report_stored(struct worker *w, const struct attempt *attempt, enum job_state state)
{
	const char *id = attempt->job.id;
	const char *error = attempt->error ? attempt->error : "";
	switch (state) {
	case JOB_COMPLETED:
		w->counts->completed++;
		report_completed(w, attempt);
		break;
	case JOB_FAILED:
		w->counts->failed++;
		report(w, NEWS, "%s failed: %s", id, error);
		break;
	case JOB_CANCELLED:
		w->counts->cancelled++;
		report(w, NEWS, "%s cancelled", id);
		break;
	default:
		if (attempt->result.outcome == STORE_RELEASED) {
			w->counts->released++;
			report(w, NEWS, "%s released", id);
		} else {
			w->counts->retried++;
			report(w, NEWS, "%s will be tried again: %s", id, error);
		}
	}
}

/* So that vega-status finds it there before it asks the database. */
static void cache_result(struct worker *w, const char *id)
{
	struct job job;
	struct vega_error err;
	const unsigned parts = STORE_PART_RESULT | STORE_PART_RECORDS;
	if (!w->results || w->store->driver->get(w->store, id, parts, &job, &err) != 0) {
		return;
	}
	result_cache_put(w->results, &job, parts);
	job_release(&job);
	const char *trouble = result_cache_trouble(w->results);
	if (trouble && !w->told_of_cache) {
		report(w, TROUBLE, "results are not cached: %s", trouble);
		w->told_of_cache = true;
	}
}

static void store_result(struct worker *w, struct attempt *attempt)
{
	struct vega_error err;
	enum job_state state;
	int code =
	        w->store->driver->finish(w->store, &attempt->lease, &attempt->result, &state, &err);
	if (code == VEGA_UNAVAILABLE) {
		store_away(w, &err);
		return;
	}
	store_back(w);
	if (code == VEGA_LEASE_LOST) {
		report_lost(w, attempt, "its lease was taken over");
	} else if (code == 0) {
		char id[UUID_TEXT];
		memcpy(id, attempt->job.id, sizeof id);
		report_stored(w, attempt, state);
		drop(w, attempt, true);
		if (job_state_terminal(state)) {
			cache_result(w, id);
		}
	} else if (attempt->result.outcome == STORE_RELEASED || attempt->refused) {
		report_lost(w, attempt, err.text);
	} else {
		attempt_refused(attempt, err.text);
	}
}

static void finish(struct worker *w)
{
	for (unsigned i = 0; i < w->config->jobs; i++) {
		struct attempt *attempt = &w->attempts[i];
		if (attempt->phase != ATTEMPT_OVER) {
			continue;
		}
		if (attempt->ending == ENDING_LOST) {
			report_lost(w, attempt, attempt->why.text);
			continue;
		}
		tend(w);
		heartbeat(w);
		if (attempt->ending != ENDING_LOST && store_ready(w)) {
			store_result(w, attempt);
		}
		/* A worker that is to stop does not wait for the store longer than it may. */
		if (attempt->phase == ATTEMPT_OVER && w->failures && stopping(w) &&
		        (w->signals > 1 || now_ms() >= attempt->lease_end)) {
			report_lost(w, attempt, "the store is away and this worker stops");
		}
	}
}

/* --- claiming --------------------------------------------------------------------------------- */

static bool watch(struct worker *w, int fd, unsigned index, unsigned kind)
{
	struct epoll_event event = {
	        .events = EPOLLIN, .data.u64 = (uint64_t)index * EVENT_KINDS + kind};
	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void start(struct worker *w, struct job *job, uint64_t lease_end)
{
	unsigned i = 0;
	while (w->attempts[i].phase != ATTEMPT_FREE) {
		i++;
	}
	struct attempt *attempt = &w->attempts[i];
	struct vega_error err;
	w->running++;
	w->claims++;
	report(w, DETAIL, "%s started: attempt %u of %u", job->id, job->attempt, job->max_attempts);
	int code =
	        attempt_begin(attempt, job, &w->command, w->spool_dir, now_ms(), lease_end, &err);
	if (code == 0 && (!watch(w, attempt->child.out, i, EVENT_OUT) ||
	                         !watch(w, attempt->child.err, i, EVENT_ERR))) {
		code = vega_fail_errno(&err, VEGA_FATAL, errno, "cannot watch a child");
		attempt_stop(attempt, ENDING_RELEASE, NULL, now_ms());
	}
	if (code == 0) {
		w->start_failures = 0;
		return;
	}
	report(w, TROUBLE, "%s cannot be started: %s", attempt->job.id, err.text);
	w->start_failures++;
	if (w->config->mode != WORKER_FOREVER) {
		give_up(w, &err);
	}
}

static bool queue_wanted(const struct worker *w, const char *queue)
{
	const struct strlist *queues = &w->config->queues;
	for (size_t i = 0; i < queues->count; i++) {
		if (strcmp(queues->items[i], queue) == 0) {
			return true;
		}
	}
	return queues->count == 0;
}

struct retry_search {
	const struct worker *worker;
	bool found;
};

static int look_for_retry(const struct job *job, void *context)
{
	struct retry_search *search = context;
	search->found = job->attempt > 0 && queue_wanted(search->worker, job->queue);
	return search->found;
}

/*
 * After a claim that found less than was wanted: when could there be more? --drain ends when
 * nothing is due and nothing waits for another attempt; jobs that are scheduled for later, or that
 * others are working on, do not keep it.
 */
static void plan_claim(struct worker *w)
{
	struct vega_error err;
	uint64_t limit = w->running ? POLL_RUNNING_MS : POLL_IDLE_MS, due = limit;
	int code = w->store->driver->next_due(w->store, &w->config->queues, limit, &due, &err);
	if (code == 0 && due > 0 && w->config->mode == WORKER_DRAIN && !w->running) {
		const struct store_filter pending = {.states = 1u << JOB_PENDING};
		struct retry_search search = {.worker = w};
		code = w->store->driver->list(w->store, &pending, look_for_retry, &search, &err);
		w->drained = code == 0 && !search.found;
	}
	if (code < 0) {
		store_away(w, &err);
		return;
	}
	if (due < limit) {
		due += CLAIM_GAP_MS + random_below(CLAIM_GAP_MS);
	} else {
		due -= random_below(limit / 4);
	}
	w->claim_at = now_ms() + due;
}

static void claim(struct worker *w)
{
	unsigned room = w->config->mode == WORKER_ONCE ? 1 : w->config->jobs - w->running;
	if (stopping(w) || !room || now_ms() < w->claim_at || !store_ready(w)) {
		return;
	}
	struct vega_error err;
	struct store_claim wanted = {.worker = w->name,
	        .queues = &w->config->queues,
	        .max = room,
	        .lease_ms = w->config->lease_ms};
	uint64_t sent = now_ms();
	int count = w->store->driver->claim(w->store, &wanted, w->claimed, &err);
	if (count == VEGA_UNAVAILABLE) {
		store_away(w, &err);
		return;
	}
	if (count < 0) {
		give_up(w, &err);
		return;
	}
	store_back(w);
	w->claim_sent = sent;
	if (!w->running) {
		w->beat_sent = sent;
		w->beat_at = sent + w->config->lease_ms / 4;
	}
	for (int i = 0; i < count; i++) {
		start(w, &w->claimed[i], sent + w->config->lease_ms);
	}
	if (w->start_failures) {
		unsigned doublings = w->start_failures < 8 ? w->start_failures : 8;
		w->claim_at = now_ms() + BACKOFF_FIRST_MS +
		              random_below(least(
		                      BACKOFF_MAX_MS, (uint64_t)BACKOFF_FIRST_MS << doublings));
	} else if ((unsigned)count < room && w->config->mode == WORKER_ONCE) {
		w->drained = true;
	} else if ((unsigned)count < room) {
		plan_claim(w);
	}
}

/* --- the loop --------------------------------------------------------------------------------- */

static void take_signal(struct worker *w, int number)
{
	if (w->signals++ == 0) {
		w->first_signal = number;
		report(w, NEWS, "SIG%s: ending %u running job%s", sigabbrev_np(number), w->running,
		        w->running == 1 ? "" : "s");
	}
	for (unsigned i = 0; i < w->config->jobs; i++) {
		attempt_stop(&w->attempts[i], ENDING_RELEASE, NULL, now_ms());
		if (w->signals > 1) {
			attempt_kill(&w->attempts[i]);
		}
	}
}

static void read_signals(struct worker *w)
{
	struct signalfd_siginfo info;
	bool child = false;
	while (read(w->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGCHLD) {
			child = true;
		} else {
			take_signal(w, (int)info.ssi_signo);
		}
	}
	for (unsigned i = 0; child && i < w->config->jobs; i++) {
		attempt_reap(&w->attempts[i], w->block, BLOCK_SIZE, now_ms());
	}
}

static void handle(struct worker *w, const struct epoll_event *event)
{
	struct attempt *attempt = &w->attempts[event->data.u64 / EVENT_KINDS];
	uint64_t expired;
	switch (event->data.u64 % EVENT_KINDS) {
	case EVENT_SIGNAL:
		read_signals(w);
		break;
	case EVENT_TIMER:
		if (read(w->timer_fd, &expired, sizeof expired) < 0) {
			break; /* re-armed meanwhile */
		}
		break;
	case EVENT_OUT:
		attempt_read_out(attempt, w->block, BLOCK_SIZE, now_ms());
		break;
	case EVENT_ERR:
		attempt_read_err(attempt, w->block, BLOCK_SIZE);
		break;
	}
}

/* When something must be done although nothing happens. */
static uint64_t next_event(const struct worker *w)
{
	uint64_t next = UINT64_MAX, store_next = UINT64_MAX;
	for (unsigned i = 0; i < w->config->jobs; i++) {
		const struct attempt *attempt = &w->attempts[i];
		if (attempt->phase == ATTEMPT_RUNNING) {
			if (attempt->ending != ENDING_LOST) {
				next = least(next, attempt->lease_end - lease_margin(w));
			}
			next = attempt->kill_at ? least(next, attempt->kill_at) : next;
		} else if (attempt->phase == ATTEMPT_OVER) {
			store_next = 0;
		}
	}
	if (w->running) {
		store_next = least(store_next, w->beat_at);
	}
	if (!stopping(w) && w->running < w->config->jobs) {
		store_next = least(store_next, w->claim_at);
	}
	if (w->failures && store_next < w->retry_at) {
		store_next = w->retry_at;
	}
	return least(next, store_next);
}

static void arm_timer(const struct worker *w, uint64_t at)
{
	struct itimerspec when = {.it_value = {.tv_nsec = 0}};
	if (at != UINT64_MAX) {
		at = at ? at : 1;
		when.it_value.tv_sec = (time_t)(at / 1000);
		when.it_value.tv_nsec = (long)(at % 1000) * 1000000;
	}
	timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Something changed in the store, perhaps a new job or a request to cancel. */
static void store_changed(struct worker *w)
{
	w->claim_at = least(w->claim_at, w->claim_sent + CLAIM_GAP_MS);
	w->beat_at = least(w->beat_at, w->beat_sent + BEAT_GAP_MS);
}

static void pause_until(struct worker *w, uint64_t at)
{
	struct epoll_event events[EVENTS];
	struct vega_error err;
	uint64_t now = now_ms();
	bool ask_store = w->store && !w->failures && !stopping(w) && at > now;
	arm_timer(w, at);
	if (ask_store) {
		/* The timer, which counts suspended time too, ends it; the time-out only backs it.
		 */
		uint64_t longest = at == UINT64_MAX ? POLL_IDLE_MS : at - now + 1000;
		if (w->store->driver->wait(w->store, longest, w->epoll_fd, &err) < 0) {
			store_away(w, &err);
		}
	}
	int count = epoll_wait(w->epoll_fd, events, EVENTS, ask_store ? 0 : -1);
	tend(w);
	for (int i = 0; i < count; i++) {
		handle(w, &events[i]);
	}
	if (ask_store && count == 0) {
		store_changed(w);
	}
}

static void run(struct worker *w)
{
	for (;;) {
		tend(w);
		heartbeat(w);
		finish(w);
		tend(w);
		claim(w);
		if (!w->running && stopping(w)) {
			return;
		}
		pause_until(w, next_event(w));
	}
}

/* --- life ------------------------------------------------------------------------------------- */

static void make_name(struct worker *w)
{
	char host[256] = "localhost";
	uint32_t salt = (uint32_t)random_below(UINT32_MAX);
	gethostname(host, sizeof host - 1);
	snprintf(w->name, sizeof w->name, "%s:%ld:%08x", host, (long)getpid(), salt);
}

static int prepare_spool(struct worker *w, struct vega_error *err)
{
	char *given =
	        w->config->spool_dir ? strdup(w->config->spool_dir) : store_state_path("results");
	int code;
	if (!given) {
		return vega_fail(err, VEGA_USAGE,
		        "no place for large results: set HOME, XDG_STATE_HOME or --spool");
	}
	code = spool_prepare(given, err);
	if (code == 0 && !(w->spool_dir = realpath(given, NULL))) {
		code = vega_fail_errno(err, VEGA_FATAL, errno, "cannot use %s", given);
	}
	free(given);
	return code;
}

static int prepare_events(struct worker *w, const sigset_t *signals, struct vega_error *err)
{
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	w->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->epoll_fd < 0 || w->signal_fd < 0 || w->timer_fd < 0 ||
	        !watch(w, w->signal_fd, 0, EVENT_SIGNAL) ||
	        !watch(w, w->timer_fd, 0, EVENT_TIMER)) {
		return vega_fail_errno(err, VEGA_FATAL, errno, "cannot watch for events");
	}
	return 0;
}

static int worker_prepare(struct worker *w, const sigset_t *signals, struct vega_error *err)
{
	const struct worker_config *config = w->config;
	make_name(w);
	w->attempts = calloc(config->jobs, sizeof *w->attempts);
	w->leases = calloc(config->jobs, sizeof *w->leases);
	w->claimed = calloc(config->jobs, sizeof *w->claimed);
	w->block = malloc(BLOCK_SIZE);
	if (!w->attempts || !w->leases || !w->claimed || !w->block) {
		return vega_fail_nomem(err);
	}
	int code = child_command_init(&w->command, config->walk_path, &config->roots,
	        config->cache_url, config->progress_ms, err);
	if (code == 0) {
		code = prepare_spool(w, err);
	}
	if (code == 0) {
		code = result_cache_open(config->cache_url, &w->results, err);
	}
	return code ? code : prepare_events(w, signals, err);
}

static void worker_release(struct worker *w)
{
	const int fds[] = {w->epoll_fd, w->signal_fd, w->timer_fd};
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
		if (fds[i] >= 0) {
			close(fds[i]);
		}
	}
	if (w->store) {
		w->store->driver->close(w->store);
	}
	result_cache_close(w->results);
	child_command_release(&w->command);
	free(w->attempts);
	free(w->leases);
	free(w->claimed);
	free(w->block);
	free(w->spool_dir);
}

int worker_run_on(const struct worker_config *config, worker_opener *open,
        struct worker_counts *counts, int *signal_seen, struct vega_error *err)
{
	struct worker w = {.config = config,
	        .counts = counts,
	        .open = open,
	        .epoll_fd = -1,
	        .signal_fd = -1,
	        .timer_fd = -1};
	sigset_t signals, before;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &before);
	*counts = (struct worker_counts){.completed = 0};
	int code = worker_prepare(&w, &signals, err);
	if (code == 0) {
		run(&w);
		code = w.failure.code;
		if (code && err) {
			*err = w.failure;
		}
	}
	*signal_seen = w.first_signal;
	worker_release(&w);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return code;
}

int worker_run(const struct worker_config *config, struct worker_counts *counts, int *signal_seen,
        struct vega_error *err)
{
	return worker_run_on(config, store_open, counts, signal_seen, err);
}
