/*
 * The worker's loop and its life. The loop does what is due in a fixed order, the urgent first,
 * then sleeps until the next time that something is due, a child writes or ends, a signal comes, or
 * the store has news.
 */
#include "worker/worker_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/check.h"

#define BLOCK_SIZE ((size_t)256 * 1024)
#define EVENTS 64
#define WAIT_MAX_MS 10000 /* on the store, when nothing is planned */
#define CLAIM_GAP_MS 50   /* between claims that changes in the store bring about */
#define BEAT_GAP_MS 1000  /* between heartbeats that they bring forward */

/* --- the loop --------------------------------------------------------------------------------- */

static void take_signal(struct worker *w, int number)
{
	if (w->signals++ == 0) {
		w->first_signal = number;
		worker_report(w, NEWS, "SIG%s: ending %u running job%s", sigabbrev_np(number),
		        w->running, w->running == 1 ? "" : "s");
	}
	for (unsigned i = 0; i < w->config->jobs; i++) {
		attempt_stop(&w->attempts[i], ENDING_RELEASE, NULL, worker_now());
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
		attempt_reap(&w->attempts[i], w->block, BLOCK_SIZE, worker_now());
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
		attempt_read_out(attempt, w->block, BLOCK_SIZE, worker_now());
		break;
	case EVENT_ERR:
		attempt_read_err(attempt, w->block, BLOCK_SIZE);
		break;
	}
}

/* When something must be done although nothing happens. */
static uint64_t next_event(const struct worker *w)
{
	uint64_t next = worker_watchdog_at(w), store_next = UINT64_MAX;
	for (unsigned i = 0; i < w->config->jobs; i++) {
		const struct attempt *attempt = &w->attempts[i];
		if (attempt->phase == ATTEMPT_RUNNING) {
			if (attempt_holds_lease(attempt)) {
				next = least(next, attempt->lease_end - worker_margin(w));
			}
			next = attempt->kill_at ? least(next, attempt->kill_at) : next;
			next = attempt->limit_at ? least(next, attempt->limit_at) : next;
		} else if (attempt->phase == ATTEMPT_OVER) {
			store_next = least(store_next, attempt->again_at);
		}
	}
	if (w->running) {
		store_next = least(store_next, w->beat_at);
	}
	if (!worker_stopping(w) && w->running < w->config->jobs) {
		store_next = least(store_next, w->claim_at);
	}
	store_next = least(store_next, w->announce_at);
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
	if (!w->refusals) {
		w->claim_at = least(w->claim_at, w->claim_sent + CLAIM_GAP_MS);
	}
	w->beat_at = least(w->beat_at, w->beat_sent + BEAT_GAP_MS);
}

static void pause_until(struct worker *w, uint64_t at)
{
	struct epoll_event events[EVENTS];
	struct vega_error err;
	uint64_t now = worker_now();
	bool ask_store = w->store && !w->failures && !worker_stopping(w) && at > now;
	arm_timer(w, at);
	if (ask_store) {
		/* The timer, which counts suspended time too, ends it; the time-out only backs it.
		 */
		uint64_t longest = at == UINT64_MAX ? WAIT_MAX_MS : at - now + 1000;
		if (w->store->driver->wait(w->store, longest, w->epoll_fd, &err) < 0) {
			worker_store_away(w, &err);
		}
	}
	int count = epoll_wait(w->epoll_fd, events, EVENTS, ask_store ? 0 : -1);
	worker_tend(w);
	for (int i = 0; i < count; i++) {
		handle(w, &events[i]);
	}
	if (ask_store && count == 0) {
		store_changed(w);
	}
}

static void check_running(const struct worker *w)
{
	unsigned used = 0;
	for (unsigned i = 0; i < w->config->jobs; i++) {
		used += w->attempts[i].phase != ATTEMPT_FREE;
	}
	CHECK(used == w->running);
}

static void run(struct worker *w)
{
	for (;;) {
		check_running(w);
		worker_tend(w);
		worker_heartbeat(w);
		worker_finish(w);
		worker_announce(w);
		worker_tend(w);
		worker_claim(w);
		worker_tell_status(w);
		if (!w->running && worker_stopping(w)) {
			return;
		}
		pause_until(w, next_event(w));
	}
}

/* --- life ------------------------------------------------------------------------------------- */

static void make_name(struct worker *w)
{
	char host[256] = "localhost";
	uint32_t salt = (uint32_t)worker_random(UINT32_MAX);
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
		        "no spool directory for large results: set HOME, XDG_STATE_HOME or "
		        "--spool");
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
	        !worker_watch(w, w->signal_fd, 0, EVENT_SIGNAL) ||
	        !worker_watch(w, w->timer_fd, 0, EVENT_TIMER)) {
		return vega_fail_errno(err, VEGA_FATAL, errno, "cannot watch for events");
	}
	return 0;
}

static int worker_prepare(struct worker *w, const sigset_t *signals, struct vega_error *err)
{
	const struct worker_config *config = w->config;
	const struct child_config children = {.walk_path = config->walk_path,
	        .cache_url = config->cache_url,
	        .roots = &config->roots,
	        .submitters = config->submitters,
	        .refuse_commands = config->refuse_commands,
	        .progress_ms = config->progress_ms};
	make_name(w);
	w->attempts = calloc(config->jobs, sizeof *w->attempts);
	w->leases = calloc(config->jobs, sizeof *w->leases);
	w->endings = calloc(config->jobs, sizeof *w->endings);
	w->over = calloc(config->jobs, sizeof *w->over);
	w->claimed = calloc(config->jobs, sizeof *w->claimed);
	w->block = malloc(BLOCK_SIZE);
	if (!w->attempts || !w->leases || !w->endings || !w->over || !w->claimed || !w->block) {
		return vega_fail_nomem(err);
	}
	int code = child_command_init(&w->command, &children, err);
	if (code == 0) {
		code = prepare_spool(w, err);
	}
	if (code == 0) {
		code = result_cache_open(config->cache_url, &w->results, err);
	}
	code = code ? code : prepare_events(w, signals, err);
	return code ? code : deadline_open(config->jobs, err);
}

static void worker_release(struct worker *w)
{
	deadline_close();
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
	free(w->held);
	free(w->attempts);
	free(w->leases);
	free(w->endings);
	free(w->over);
	free(w->claimed);
	free(w->block);
	free(w->spool_dir);
}

/* Those that the loop reads. What nohup or a shell has us ignore stays ignored, which blocking
 * would undo; SIGCHLD must not be, or there would be nothing to wait for. */
static void block_signals(sigset_t *signals, sigset_t *before)
{
	static const int stops[] = {SIGHUP, SIGINT, SIGTERM};
	struct sigaction now;
	sigemptyset(signals);
	for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
		if (sigaction(stops[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) {
			sigaddset(signals, stops[i]);
		}
	}
	signal(SIGCHLD, SIG_DFL);
	sigaddset(signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, signals, before);
}

int worker_run_on(const struct worker_config *config, worker_opener *open,
        struct worker_counts *counts, int *signal_seen, struct vega_error *err)
{
	struct worker w = {.config = config,
	        .counts = counts,
	        .open = open,
	        .announce_at = config->mode == WORKER_FOREVER ? 0 : UINT64_MAX,
	        .epoll_fd = -1,
	        .signal_fd = -1,
	        .timer_fd = -1};
	sigset_t signals, before;
	block_signals(&signals, &before);
	*counts = (struct worker_counts){.completed = 0};
	int code = worker_prepare(&w, &signals, err);
	if (code == 0) {
		run(&w);
		worker_leave(&w);
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
