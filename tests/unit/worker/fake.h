/*
 * The worker's world in its tests: a store in memory that fails in many ways, and a stand-in for
 * vega-walk that sources what it finds on descriptor 3, so that a job's spec is a bash script. Each
 * test begins with reset() and says what is to fail; WORKER_TESTS ends the file.
 */
#ifndef TESTS_WORKER_FAKE_H
#define TESTS_WORKER_FAKE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../tap.h"
#include "base/fd.h"
#include "child/child.h"
#include "worker/worker_internal.h"

#define SUMMARY "{\"type\":\"summary\",\"v\":1,\"complete\":true,\"ledger\":{\"entries\":3}}"
#define SAY_SUMMARY "echo '" SUMMARY "'\n"
#define JOBS_MAX 64

static char directory[] = "/tmp/vega-worker.XXXXXX";
static char walk[64], spool_dir[64], file[128], traces[64];
static bool works_on; /* a child did, after its lease had ended */

struct row {
	char id[UUID_TEXT];
	const char *spec;
	enum job_state state;
	unsigned attempt, max_attempts;
	uint64_t lease_seq, committed_seq, finished_seq, due, lease_end;
	bool cancel;
	struct job_limits limits;
	char *progress, *error, *summary, *records, *uri, *digest, *tail;
	uint64_t records_size;
	int exit_code;
	unsigned finishes; /* fenced writes that took effect */
};

static struct row rows[JOBS_MAX];
static size_t row_count;
static unsigned beats, opens, unavailable; /* the next so many calls fail */
static unsigned finish_calls;              /* that were answered */
static size_t finish_least;                /* one that ends fewer is not answered, until one was */
static const char *refuse_summary;         /* one that contains this text */
static bool refuse_progress, steal_at_beat, steal_at_finish, locked_at_beat;
static const struct row *locked;            /* of this one nothing can be stored */
static unsigned locked_calls;               /* that met it */
static bool away_at_locked;                 /* from then on the store is away */
static bool steal_at_commit, forget_commit; /* it is done, but its reply is lost */
static bool refuse_finish;                  /* the next one that is answered */
static uint64_t forget_finish;              /* the same, and the store is away so long */
static bool refuse_repeated;                /* the same, and when it is repeated, refused */
static uint64_t retry_delay, away_until, away_after_claim, away_at_finish;
static unsigned most_processing;
static bool claims_fail;
static uint64_t vain_until; /* something is due, nothing can be claimed; then comes SIGTERM */
static unsigned vain_claims;
static unsigned refuse_claims, refused_after_claim; /* the next so many */
static unsigned slow_claim;                         /* the next that has a job takes so long */
/* After the end of the leases that are held, no call returns so long. */
static uint64_t stuck_at_beat, stuck_at_wait;
static bool late_beat;        /* none is answered in time, and then one just after the deadline */
static uint64_t refuse_until; /* heartbeats and results */

static inline uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline int down(struct vega_error *err)
{
	if (away_until && now_ms() < away_until) {
		return vega_fail(err, VEGA_UNAVAILABLE, "pulled the plug");
	}
	if (unavailable) {
		unavailable--;
		return vega_fail(err, VEGA_UNAVAILABLE, "not today");
	}
	return 0;
}

static inline struct row *find_row(const char *id)
{
	for (size_t i = 0; i < row_count; i++) {
		if (strcmp(rows[i].id, id) == 0) {
			return &rows[i];
		}
	}
	return NULL;
}

static inline void set(char **field, const char *value)
{
	free(*field);
	*field = value ? strdup(value) : NULL;
}

static inline bool claimable(struct row *row)
{
	uint64_t now = now_ms();
	return (row->state == JOB_PENDING && row->due <= now) ||
	       (row->state == JOB_PROCESSING && row->lease_end <= now);
}

static char claimer[320];

static inline int fake_claim(struct store *store, const struct store_claim *claim, struct job *jobs,
        struct vega_error *err)
{
	(void)store;
	int code = down(err), count = 0;
	unsigned processing = 0;
	if (vain_until) {
		vain_claims++;
		return now_ms() < vain_until ? 0 : raise(SIGTERM);
	}
	if (claims_fail || refuse_claims) {
		refuse_claims -= refuse_claims > 0;
		return vega_fail(err, VEGA_FATAL, "a damaged row");
	}
	for (size_t i = 0; code == 0 && i < row_count && (unsigned)count < claim->max; i++) {
		struct row *row = &rows[i];
		if (!claimable(row)) {
			continue;
		}
		row->state = JOB_PROCESSING;
		row->lease_seq++;
		row->attempt++;
		row->lease_end = now_ms() + claim->lease_ms;
		snprintf(claimer, sizeof claimer, "%s", claim->worker);
		jobs[count] = (struct job){.spec = strdup(row->spec),
		        .state = JOB_PROCESSING,
		        .attempt = row->attempt,
		        .max_attempts = row->max_attempts,
		        .limits = row->limits,
		        .lease_seq = row->lease_seq,
		        .committed_seq = row->committed_seq};
		memcpy(jobs[count++].id, row->id, UUID_TEXT);
	}
	for (size_t i = 0; i < row_count; i++) {
		processing += rows[i].state == JOB_PROCESSING;
	}
	most_processing = processing > most_processing ? processing : most_processing;
	if (count && refused_after_claim) {
		refuse_claims = refused_after_claim;
		refused_after_claim = 0;
	}
	if (count && slow_claim) {
		usleep((useconds_t)slow_claim * 1000);
		slow_claim = 0;
	}
	if (count && away_after_claim) {
		away_until = now_ms() + away_after_claim;
		away_after_claim = 0;
	}
	return code ? code : count;
}

static inline bool fenced(const struct row *row, const struct store_lease *lease)
{
	return !row || row->state != JOB_PROCESSING || row->lease_seq != lease->lease_seq;
}

static inline void sleep_until(uint64_t at)
{
	struct timespec until = {
	        .tv_sec = (time_t)(at / 1000), .tv_nsec = (long)(at % 1000) * 1000000};
	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL) == EINTR) {
	}
}

/* As a resolver that asks name servers which are away: nothing ends it, and the loop waits. It
 * waits anew after a signal. */
static inline void get_stuck(const struct row *row, uint64_t *how_long)
{
	struct stat at_end, later;
	sleep_until(row->lease_end);
	int rc = stat(traces, &at_end);
	while (poll(NULL, 0, (int)*how_long) < 0 && errno == EINTR) {
	}
	rc |= stat(traces, &later);
	works_on = rc != 0 || later.st_size != at_end.st_size;
	*how_long = 0;
}

static inline int fake_heartbeat(struct store *store, const char *worker,
        struct store_lease *leases, size_t count, uint64_t lease_ms, struct vega_error *err)
{
	(void)store;
	(void)worker;
	if (stuck_at_beat) {
		get_stuck(&rows[0], &stuck_at_beat);
		return vega_fail(err, VEGA_UNAVAILABLE, "no such host");
	}
	if (now_ms() < refuse_until) {
		return vega_fail(err, VEGA_FATAL, "there is no schema");
	}
	if (late_beat && now_ms() < rows[0].lease_end - lease_ms / 2) {
		return vega_fail(err, VEGA_UNAVAILABLE, "not now");
	}
	if (late_beat) {
		sleep_until(rows[0].lease_end);
		late_beat = false;
	}
	int code = down(err);
	if (code) {
		return code;
	}
	for (size_t i = 0; i < count; i++) {
		if (refuse_progress && leases[i].progress) {
			return vega_fail(err, VEGA_FATAL, "what progress is this");
		}
	}
	beats++;
	for (size_t i = 0; i < count; i++) {
		struct row *row = find_row(leases[i].id);
		row->lease_seq += steal_at_beat;
		leases[i].lost = fenced(row, &leases[i]);
		leases[i].kept = (locked_at_beat || row == locked) && !leases[i].lost;
		if (leases[i].lost || leases[i].kept) {
			continue;
		}
		leases[i].cancel = row->cancel;
		row->lease_end = now_ms() + lease_ms;
		if (leases[i].progress) {
			set(&row->progress, leases[i].progress);
		}
	}
	return 0;
}

static inline void keep_result(struct row *row, const struct store_result *result)
{
	set(&row->summary, result->summary);
	set(&row->records, result->records);
	set(&row->uri, result->records_uri);
	set(&row->digest, result->records_digest);
	set(&row->tail, result->stderr_tail);
	row->records_size = result->records_size;
	row->exit_code = result->exit_code;
}

static inline int refused(const struct store_result *result, struct vega_error *err)
{
	if (now_ms() < refuse_until) {
		return vega_fail(err, VEGA_FATAL, "there is no schema");
	}
	bool bad = refuse_summary && result->summary && strstr(result->summary, refuse_summary);
	return bad ? vega_fail(err, VEGA_FATAL, "what summary is this") : 0;
}

static inline int fake_commit(struct store *store, const struct store_lease *lease,
        const struct store_result *result, struct vega_error *err)
{
	(void)store;
	struct row *row = find_row(lease->id);
	int code = down(err);
	if (code) {
		return code;
	}
	if (refuse_repeated && row->committed_seq) {
		refuse_repeated = false;
		return vega_fail(err, VEGA_FATAL, "not again");
	}
	if (row == locked) {
		locked_calls++;
		return vega_fail(err, VEGA_LOCKED, "locked");
	}
	row->lease_seq += steal_at_commit;
	if (fenced(row, lease)) {
		return vega_fail(err, VEGA_LEASE_LOST, "fenced out");
	}
	if (row->cancel) {
		return vega_fail(err, VEGA_NO, "cancelled");
	}
	code = refused(result, err);
	if (code) {
		return code;
	}
	row->committed_seq = row->lease_seq;
	keep_result(row, result);
	if (refuse_repeated) {
		return vega_fail(err, VEGA_UNAVAILABLE, "no reply");
	}
	if (forget_commit) {
		forget_commit = false;
		row->lease_seq++;
		row->lease_end = now_ms() + 300;
		return vega_fail(err, VEGA_UNAVAILABLE, "no reply");
	}
	return 0;
}

static inline enum job_state end_row(struct row *row, const struct store_result *result)
{
	row->finishes++;
	row->finished_seq = row->lease_seq;
	set(&row->error, result->error);
	if (row->committed_seq && result->outcome != STORE_COMPLETED) {
		row->due = now_ms() + retry_delay;
		return row->state = JOB_PENDING;
	}
	if (row->committed_seq) {
		row->exit_code = result->exit_code;
	} else {
		keep_result(row, result);
	}
	switch (result->outcome) {
	case STORE_COMPLETED:
		row->state = JOB_COMPLETED;
		break;
	case STORE_FAILED:
		row->state = JOB_FAILED;
		break;
	case STORE_RETRY:
		row->state = row->cancel                         ? JOB_CANCELLED
		             : row->attempt >= row->max_attempts ? JOB_FAILED
		                                                 : JOB_PENDING;
		row->due = now_ms() + retry_delay;
		break;
	case STORE_CANCELLED:
		row->state = JOB_CANCELLED;
		break;
	case STORE_RELEASED:
		row->state = JOB_PENDING;
		row->due = 0;
		row->attempt--;
		break;
	}
	return row->state;
}

static unsigned claimed_with_finish;    /* jobs */
static unsigned claimed_before_failure; /* of them */
static bool damaged;                    /* from the next claim with a finish on, none succeeds */

static inline int fake_finish(struct store *store, struct store_ending *endings, size_t count,
        const struct store_claim *claim, struct job *jobs, struct vega_error *err)
{
	bool met_locked = false;
	if (away_at_finish) {
		away_until = now_ms() + away_at_finish;
		away_at_finish = 0;
	}
	int code = down(err);
	if (code || count < finish_least) {
		return vega_fail(err, VEGA_UNAVAILABLE, "not now");
	}
	finish_least = 0;
	finish_calls++;
	for (size_t i = 0; code == 0 && i < count; i++) {
		code = refused(endings[i].result, err);
	}
	claims_fail = claims_fail || (claim && damaged);
	if (code == 0 && claim && claims_fail) {
		code = vega_fail(err, VEGA_FATAL, "a damaged row");
	}
	if (code == 0 && refuse_finish && !forget_finish) {
		refuse_finish = false;
		code = vega_fail(err, VEGA_FATAL, "not this one");
	}
	for (size_t i = 0; code == 0 && i < count; i++) {
		struct row *row = find_row(endings[i].lease->id);
		if (row == locked) {
			locked_calls++;
			met_locked = true;
			away_until = away_at_locked ? UINT64_MAX : away_until;
			endings[i].code = VEGA_LOCKED;
			continue;
		}
		row->lease_seq += steal_at_finish;
		bool repeated = row->finished_seq == endings[i].lease->lease_seq;
		endings[i].code = !repeated && fenced(row, endings[i].lease) ? VEGA_LEASE_LOST : 0;
		if (endings[i].code == 0) {
			endings[i].state = repeated ? row->state : end_row(row, endings[i].result);
			claimed_before_failure = endings[i].state == JOB_FAILED
			                                 ? claimed_with_finish
			                                 : claimed_before_failure;
		}
	}
	if (code == 0 && forget_finish) {
		away_until = now_ms() + forget_finish;
		forget_finish = 0;
		return vega_fail(err, VEGA_UNAVAILABLE, "no reply");
	}
	if (code == 0 && claim && !met_locked) {
		code = fake_claim(store, claim, jobs, err);
		claimed_with_finish += code > 0 ? (unsigned)code : 0;
	}
	return code;
}

static inline int fake_get(struct store *store, const char *id, unsigned parts, struct job *job,
        struct vega_error *err)
{
	(void)store;
	(void)id;
	(void)parts;
	(void)job;
	return vega_fail(err, VEGA_NO, "not asked for");
}

static inline int fake_list(struct store *store, const struct store_filter *filter,
        int (*each)(const struct job *job, void *context), void *context, struct vega_error *err)
{
	(void)store;
	int code = down(err);
	for (size_t i = 0; code == 0 && i < row_count; i++) {
		char queue[] = "default";
		struct job job = {.state = rows[i].state,
		        .attempt = rows[i].attempt,
		        .queue = queue,
		        .worker = claimer,
		        .lease_seq = rows[i].lease_seq,
		        .lease_until = {.sec = (int64_t)rows[i].lease_end}};
		memcpy(job.id, rows[i].id, UUID_TEXT);
		if (filter->states & 1u << rows[i].state && each(&job, context)) {
			break;
		}
	}
	return code;
}

static inline int fake_next_due(struct store *store, const struct strlist *queues,
        uint64_t limit_ms, uint64_t *due_ms, struct vega_error *err)
{
	(void)store;
	(void)queues;
	uint64_t now = now_ms(), best = now + limit_ms;
	for (size_t i = 0; i < row_count; i++) {
		uint64_t at = rows[i].state == JOB_PENDING      ? rows[i].due
		              : rows[i].state == JOB_PROCESSING ? rows[i].lease_end
		                                                : best;
		best = at < best ? at : best;
	}
	*due_ms = best > now && !vain_until ? best - now : 0;
	return down(err);
}

static inline int fake_wait(
        struct store *store, uint64_t timeout_ms, int wake_fd, struct vega_error *err)
{
	(void)store;
	if (stuck_at_wait) {
		get_stuck(&rows[0], &stuck_at_wait);
		return vega_fail(err, VEGA_UNAVAILABLE, "no such host");
	}
	struct pollfd wake = {.fd = wake_fd, .events = POLLIN};
	poll(&wake, 1, (int)timeout_ms);
	return 0;
}

static struct store_worker announced; /* as of the last call; its strings are not kept */
static unsigned announcements, idle_announcements, leaves;
static bool announced_well;
static bool refuse_announcement;

static inline int fake_announce(
        struct store *store, const struct store_worker *worker, struct vega_error *err)
{
	(void)store;
	int code = down(err);
	if (code) {
		return code;
	}
	announced = *worker;
	announcements++;
	idle_announcements += worker->running == 0;
	announced_well = strstr(worker->name, worker->host) == worker->name &&
	                 strcmp(worker->version, VEGA_VERSION) == 0 &&
	                 strcmp(worker->queues, "[]") == 0;
	return refuse_announcement ? vega_fail(err, VEGA_FATAL, "permission denied") : 0;
}

static inline int fake_leave(struct store *store, const char *name, struct vega_error *err)
{
	(void)store;
	(void)name;
	leaves++;
	return down(err);
}

static inline void fake_close(struct store *store)
{
	(void)store;
}

static const struct store_driver fake_driver = {
        .scheme = "fake",
        .claim = fake_claim,
        .heartbeat = fake_heartbeat,
        .commit = fake_commit,
        .finish = fake_finish,
        .get = fake_get,
        .list = fake_list,
        .next_due = fake_next_due,
        .wait = fake_wait,
        .announce = fake_announce,
        .leave = fake_leave,
        .close = fake_close,
};

static inline int fake_open(
        const char *url, unsigned timeout_ms, struct store **out, struct vega_error *err)
{
	static struct store store = {.driver = &fake_driver};
	(void)url;
	(void)timeout_ms;
	opens++;
	int code = down(err);
	*out = code ? NULL : &store;
	return code;
}

static struct worker_config config;
static struct worker_counts counts;
static struct vega_error failure;
static int signal_seen;
static char log_text[65536];
static uint64_t lost_at; /* when the log said so */

static inline void keep_log(const char *line, void *context)
{
	(void)context;
	size_t used = strlen(log_text);
	lost_at = strstr(line, "lost:") ? now_ms() : lost_at;
	snprintf(log_text + used, sizeof log_text - used, "%s\n", line);
}

static inline unsigned logged(const char *text)
{
	unsigned count = 0;
	for (const char *at = log_text; (at = strstr(at, text)); at++) {
		count++;
	}
	return count;
}

static inline void reset(void)
{
	for (size_t i = 0; i < row_count; i++) {
		char **owned[] = {&rows[i].progress, &rows[i].error, &rows[i].summary,
		        &rows[i].records, &rows[i].uri, &rows[i].digest, &rows[i].tail};
		for (size_t j = 0; j < sizeof owned / sizeof *owned; j++) {
			set(owned[j], NULL);
		}
	}
	memset(rows, 0, sizeof rows);
	row_count = beats = opens = unavailable = most_processing = finish_calls = 0;
	claimed_with_finish = claimed_before_failure = 0;
	claims_fail = damaged = works_on = false;
	refuse_claims = refused_after_claim = vain_claims = slow_claim = 0;
	vain_until = 0;
	stuck_at_beat = stuck_at_wait = refuse_until = 0;
	late_beat = false;
	refuse_summary = NULL;
	finish_least = locked_calls = 0;
	locked = NULL;
	away_at_locked = false;
	refuse_progress = steal_at_beat = steal_at_finish = locked_at_beat = false;
	steal_at_commit = forget_commit = refuse_repeated = false;
	forget_finish = 0;
	refuse_finish = false;
	retry_delay = away_until = away_after_claim = away_at_finish = lost_at = 0;
	announcements = idle_announcements = leaves = 0;
	refuse_announcement = false;
	log_text[0] = '\0';
	config = (struct worker_config){.walk_path = walk,
	        .spool_dir = spool_dir,
	        .jobs = 1,
	        .mode = WORKER_DRAIN,
	        .lease_ms = 1000,
	        .progress_ms = 100,
	        .log = keep_log};
}

static inline struct row *submit(const char *spec)
{
	struct row *row = &rows[row_count++];
	row->spec = spec;
	row->max_attempts = 1;
	uuid7(row->id);
	return row;
}

/* Until there is no more to do, or a signal. */
static inline int work(void)
{
	return worker_run_on(&config, fake_open, &counts, &signal_seen, &failure);
}

/* One job, one attempt. */
static inline struct row *work_on(const char *spec)
{
	reset();
	struct row *row = submit(spec);
	is_int(work(), 0, "the worker ends well");
	is_int(row->finishes, 1, "one result is stored");
	return row;
}

/* The records that were spooled for a row are in their file, which is removed. */
static inline bool take_spooled(const struct row *row)
{
	return row->uri && unlink(strchr(row->uri + 7, '/')) == 0;
}

static inline bool write_walk(const char *text)
{
	int fd = open(walk, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	bool fine = fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0;
	close(fd);
	return fine;
}

/* `stand_in` is the script in place of vega-walk. */
static inline int run_worker_tests(int argc, char **argv, const char *stand_in)
{
	if (!mkdtemp(directory)) {
		return 1;
	}
	snprintf(walk, sizeof walk, "%s/walk", directory);
	snprintf(spool_dir, sizeof spool_dir, "%s/results", directory);
	snprintf(traces, sizeof traces, "%s/traces", directory);
	setenv("TMPDIR", directory, 1);
	signal(SIGINT, SIG_DFL);  /* a shell's background */
	signal(SIGCHLD, SIG_IGN); /* a careless parent */
	int status = write_walk(stand_in) ? run_tests(argc, argv) : 1;
	static const char *const left[] = {"walk", "do.walk", "do.publish", "do.discard"};
	reset();
	for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
		snprintf(file, sizeof file, "%s/%s", directory, left[i]);
		unlink(file);
	}
	rmdir(spool_dir);
	if (rmdir(directory) != 0) {
		printf("# files are left in %s\n", directory);
		status = 1;
	}
	return status;
}

#define SOURCE_SPEC "#!/bin/bash\nsource /dev/fd/3\n"
#define WORKER_TESTS(stand_in) \
	int main(int argc, char **argv) \
	{ \
		return run_worker_tests(argc, argv, stand_in); \
	}

#endif
