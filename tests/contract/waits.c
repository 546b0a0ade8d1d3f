/* wait(): who waits is woken, soon, and for a reason. */
#include <poll.h>
#include <sys/time.h>

#include "contract.h"

static struct vega_error err;

static long long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Waits until nothing that happened before wakes it. */
static void settle(struct store *store)
{
	long long begun;
	time_t deadline = time(NULL) + WAIT_S;
	do {
		begun = now_ms();
		if (store->driver->wait(store, 30, -1, &err)) {
			give_up("wait", &err);
		}
	} while (now_ms() - begun < 20 && time(NULL) < deadline);
}

struct deed {
	void (*act)(struct store *store, const struct store_lease *lease);
	const struct store_lease *lease;
};

/* How long a wait takes that another process ends with a deed, after some quiet; -1: it failed. */
static long long woken_after(struct store *store, struct deed deed)
{
	int started[2];
	if (pipe(started)) {
		give_up("pipe", NULL);
	}
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		struct store *own = open_store();
		poll(NULL, 0, 1500); /* by then the looks without a reason are seconds apart */
		deed.act(own, deed.lease);
		long long when = now_ms();
		_exit(write(started[1], &when, sizeof when) == sizeof when ? 0 : 1);
	}
	long long when = 0;
	/* A wait may end without a reason; what counts is that one ends soon after the deed. */
	struct pollfd done = {.fd = started[0], .events = POLLIN};
	int rc = 0;
	while (rc == 0 && poll(&done, 1, 0) == 0) {
		rc = store->driver->wait(store, 20000, -1, &err);
		poll(&done, 1, 50); /* the deed's author needs a moment to say when */
	}
	long long ended = now_ms();
	if (read(started[0], &when, sizeof when) != sizeof when || rc) {
		ended = -1;
	}
	waitpid(child, NULL, 0);
	close(started[0]);
	close(started[1]);
	return ended < 0 ? -1 : ended - when;
}

static void do_submit(struct store *store, const struct store_lease *lease)
{
	(void)lease;
	submit_to(store, "wake");
}

static void do_finish(struct store *store, const struct store_lease *lease)
{
	finish_as(store, lease, STORE_COMPLETED, NULL);
}

static void do_release(struct store *store, const struct store_lease *lease)
{
	finish_as(store, lease, STORE_RELEASED, NULL);
}

static void do_cancel(struct store *store, const struct store_lease *lease)
{
	store->driver->cancel(store, lease->id, NULL, &err);
}

static void is_soon(long long ms, const char *what)
{
	if (!ok(ms >= -60 && ms < 700, "%s: %s wakes", contract_store, what)) {
		printf("# %lld ms\n", ms);
	}
}

static void wakes(void)
{
	struct store *worker = open_store(), *watcher = open_store(), *other = open_store();
	struct job job;
	equal(claim(worker, "w", "wake", 1, 60000, &job), 0, "an idle worker claims nothing");
	settle(worker);
	is_soon(woken_after(worker, (struct deed){do_submit, NULL}), "a submit");
	struct store_lease lease = take(other, "wake");
	settle(worker);
	is_soon(woken_after(worker, (struct deed){do_cancel, &lease}), "a cancellation");
	finish_as(other, &lease, STORE_CANCELLED, NULL);
	submit_to(other, "wake");
	lease = take(other, "wake");
	settle(worker);
	is_soon(woken_after(worker, (struct deed){do_release, &lease}), "a release");

	lease = take(other, "wake");
	job = get(watcher, lease.id);
	job_release(&job);
	settle(watcher);
	job = get(watcher, lease.id);
	job_release(&job);
	is_soon(woken_after(watcher, (struct deed){do_finish, &lease}), "the end of a watched job");
	close_store(worker);
	close_store(watcher);
	close_store(other);
}

static void ends_in_time(void)
{
	struct store *store = open_store();
	int fds[2];
	settle(store);
	long long begun = now_ms();
	equal(store->driver->wait(store, 0, -1, &err), 0, "a wait of no time succeeds");
	check(now_ms() - begun < 1000, "a wait of no time ends at once");
	if (pipe(fds) || write(fds[1], "x", 1) != 1) {
		give_up("pipe", NULL);
	}
	begun = now_ms();
	equal(store->driver->wait(store, 20000, fds[0], &err), 0,
	        "a wait with something to read succeeds");
	check(now_ms() - begun < 1000, "a wait with something to read ends at once");
	equal(store->driver->wait(store, 20000, fds[0], &err), 0,
	        "a second wait with something to read succeeds");
	close(fds[1]);
	close(fds[0]);
	close_store(store);
}

static void note_signal(int number)
{
	(void)number;
}

static void heeds_signals(void)
{
	struct store *store = open_store();
	const struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
	const struct itimerval soon = {.it_value = {.tv_sec = 1, .tv_usec = 500000}};
	settle(store);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	long long begun = now_ms(), took;
	unsigned ends = 0;
	do {
		equal(store->driver->wait(store, 20000, -1, &err), 0,
		        "a wait until a signal succeeds");
		took = now_ms() - begun;
	} while (took < 1400 && ++ends < 20);
	check(took < 2200, "a wait ends when a signal was handled");
	close_store(store);
}

/* A job that is submitted between a look and the wait is not slept over. */
static void misses_nothing(void)
{
	struct store *worker = open_store(), *other = open_store();
	struct job job;
	unsigned missed = 0;
	for (int i = 0; i < 20; i++) {
		while (claim(worker, "w", "gap", 1, 60000, &job) == 1) {
			job_release(&job);
		}
		submit_to(other, "gap");
		long long begun = now_ms();
		worker->driver->wait(worker, 20000, -1, &err);
		missed += now_ms() - begun > 900;
	}
	equal(missed, 0, "no event between the look and the wait is missed");
	close_store(worker);
	close_store(other);
}

/*
 * A submit tells nobody while another of its submitter can be claimed. So who takes the last job,
 * with the end of another, looks again soon: one may have been submitted meanwhile.
 */
static void looks_again(void)
{
	struct store *worker = open_store();
	struct strlist queues = {0};
	strlist_add(&queues, "again");
	submit_to(worker, "again");
	struct store_lease lease = take(worker, "again");
	submit_to(worker, "again");
	for (int i = 0; i < 8; i++) { /* then looks without a reason are seconds apart */
		settle(worker);
	}
	const struct store_claim next = {
	        .worker = "w", .queues = &queues, .max = 1, .lease_ms = 60000};
	struct store_result good = {.outcome = STORE_COMPLETED};
	struct store_ending ending = {.lease = &lease, .result = &good};
	struct job job;
	equal(worker->driver->finish(worker, &ending, 1, &next, &job, &err), 1,
	        "the last job is taken with the end of another");
	job_release(&job);
	equal(claim(worker, "w", "again", 1, 60000, &job), 0, "no further job is claimed");
	long long begun = now_ms();
	equal(worker->driver->wait(worker, 4000, -1, &err), 0, "a wait for new jobs succeeds");
	check(now_ms() - begun < 1000, "a wait for new jobs ends soon, for another look");
	strlist_release(&queues);
	close_store(worker);
}

static void checks(void)
{
	wakes();
	if (strcmp(contract_store, "sqlite") != 0) { /* which shows each commit */
		looks_again();
	}
	ends_in_time();
	heeds_signals();
	misses_nothing();
}

int main(void)
{
	return contract_run(checks);
}
