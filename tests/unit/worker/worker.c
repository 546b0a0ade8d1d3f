/*
 * The worker against a store in memory and children that misbehave. A job's spec is a bash script:
 * the stand-in for vega-walk sources what it finds on descriptor 3.
 */
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

/* --- a store in memory ------------------------------------------------------------------------ */

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

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int down(struct vega_error *err)
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

static struct row *find_row(const char *id)
{
	for (size_t i = 0; i < row_count; i++) {
		if (strcmp(rows[i].id, id) == 0) {
			return &rows[i];
		}
	}
	return NULL;
}

static void set(char **field, const char *value)
{
	free(*field);
	*field = value ? strdup(value) : NULL;
}

static bool claimable(struct row *row)
{
	uint64_t now = now_ms();
	return (row->state == JOB_PENDING && row->due <= now) ||
	       (row->state == JOB_PROCESSING && row->lease_end <= now);
}

static int fake_claim(struct store *store, const struct store_claim *claim, struct job *jobs,
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

static bool fenced(const struct row *row, const struct store_lease *lease)
{
	return !row || row->state != JOB_PROCESSING || row->lease_seq != lease->lease_seq;
}

static void sleep_until(uint64_t at)
{
	struct timespec until = {
	        .tv_sec = (time_t)(at / 1000), .tv_nsec = (long)(at % 1000) * 1000000};
	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL) == EINTR) {
	}
}

/* As a resolver that asks name servers which are away: nothing ends it, and the loop waits. It
 * waits anew after a signal. */
static void get_stuck(const struct row *row, uint64_t *how_long)
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

static int fake_heartbeat(struct store *store, const char *worker, struct store_lease *leases,
        size_t count, uint64_t lease_ms, struct vega_error *err)
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

static void keep_result(struct row *row, const struct store_result *result)
{
	set(&row->summary, result->summary);
	set(&row->records, result->records);
	set(&row->uri, result->records_uri);
	set(&row->digest, result->records_digest);
	set(&row->tail, result->stderr_tail);
	row->records_size = result->records_size;
	row->exit_code = result->exit_code;
}

static int refused(const struct store_result *result, struct vega_error *err)
{
	if (now_ms() < refuse_until) {
		return vega_fail(err, VEGA_FATAL, "there is no schema");
	}
	bool bad = refuse_summary && result->summary && strstr(result->summary, refuse_summary);
	return bad ? vega_fail(err, VEGA_FATAL, "what summary is this") : 0;
}

static int fake_commit(struct store *store, const struct store_lease *lease,
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

static enum job_state end_row(struct row *row, const struct store_result *result)
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

static int fake_finish(struct store *store, struct store_ending *endings, size_t count,
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

static int fake_get(struct store *store, const char *id, unsigned parts, struct job *job,
        struct vega_error *err)
{
	(void)store;
	(void)id;
	(void)parts;
	(void)job;
	return vega_fail(err, VEGA_NO, "not asked for");
}

static int fake_list(struct store *store, const struct store_filter *filter,
        int (*each)(const struct job *job, void *context), void *context, struct vega_error *err)
{
	(void)store;
	int code = down(err);
	for (size_t i = 0; code == 0 && i < row_count; i++) {
		char queue[] = "default";
		struct job job = {.attempt = rows[i].attempt, .queue = queue};
		if (filter->states & 1u << rows[i].state && each(&job, context)) {
			break;
		}
	}
	return code;
}

static int fake_next_due(struct store *store, const struct strlist *queues, uint64_t limit_ms,
        uint64_t *due_ms, struct vega_error *err)
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

static int fake_wait(struct store *store, uint64_t timeout_ms, int wake_fd, struct vega_error *err)
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

static int fake_announce(
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

static int fake_leave(struct store *store, const char *name, struct vega_error *err)
{
	(void)store;
	(void)name;
	leaves++;
	return down(err);
}

static void fake_close(struct store *store)
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

static int fake_open(
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

/* --- running ---------------------------------------------------------------------------------- */

static struct worker_config config;
static struct worker_counts counts;
static struct vega_error failure;
static int signal_seen;
static char log_text[65536];
static uint64_t lost_at; /* when the log said so */

static void keep_log(const char *line, void *context)
{
	(void)context;
	size_t used = strlen(log_text);
	lost_at = strstr(line, "lost:") ? now_ms() : lost_at;
	snprintf(log_text + used, sizeof log_text - used, "%s\n", line);
}

static unsigned logged(const char *text)
{
	unsigned count = 0;
	for (const char *at = log_text; (at = strstr(at, text)); at++) {
		count++;
	}
	return count;
}

static void reset(void)
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

static struct row *submit(const char *spec)
{
	struct row *row = &rows[row_count++];
	row->spec = spec;
	row->max_attempts = 1;
	uuid7(row->id);
	return row;
}

static int work(void)
{
	return worker_run_on(&config, fake_open, &counts, &signal_seen, &failure);
}

/* One job, one attempt. */
static struct row *work_on(const char *spec)
{
	reset();
	struct row *row = submit(spec);
	is_int(work(), 0, "the worker ends well");
	is_int(row->finishes, 1, "one result is stored");
	return row;
}

/* --- what children do ------------------------------------------------------------------------- */

static void test_success(void)
{
	struct row *row = work_on("echo '{\"type\":\"entry\",\"path\":\"/a\"}'\n" SAY_SUMMARY
	                          "echo 'vega-walk: a word' >&2\n");
	is_int(row->state, JOB_COMPLETED, "a job is completed");
	is_str(row->summary, SUMMARY, "with its summary");
	is_str(row->records, "{\"type\":\"entry\",\"path\":\"/a\"}\n", "its records");
	is_int(row->records_size, 29, "their size");
	ok(row->digest && strncmp(row->digest, "xxh128:", 7) == 0, "their digest");
	is_str(row->tail, "vega-walk: a word\n", "and what was said on stderr");
	is_int(counts.completed, 1, "it is counted");
	ok(logged("completed in") && logged("3 entries"), "and logged: %s", log_text);

	row = work_on(SAY_SUMMARY "exit 3\n");
	is_int(row->state, JOB_COMPLETED, "a partial one is completed");
	is_int(row->exit_code, 3, "and keeps its exit code");
	is_str(row->records, NULL, "without records there are none");
}

static void test_surroundings(void)
{
	setenv("PGPASSWORD", "secret", 1);
	setenv("VEGA_STORE", "secret", 1);
	setenv("VEGA_CACHE", "secret", 1);
	int leak = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ok(dup2(leak, 77) == 77, "a descriptor without CLOEXEC");
	struct row *row = work_on(
	        "{ tr '\\0' '\\n' < /proc/$$/environ | grep -E 'secret|^VEGA|^PG'\n"
	        "echo args: \"$@\"; readlink /proc/$$/fd/0\n"
	        "ls /proc/$$/fd | tr '\\n' ' '; ps -o pgid= -p $$ | grep -q \"$$\" && echo leads\n"
	        "grep SigBlk /proc/self/status; } >&2\n" SAY_SUMMARY);
	ok(strstr(row->tail, "secret") == NULL, "a child learns no secret");
	ok(strstr(row->tail, "VEGA_CACHE=none\n") != NULL, "and that there is no cache");
	ok(strstr(row->tail, "args: --spec-fd=3 --format=ndjson --progress-every=100\n") != NULL,
	        "its arguments");
	ok(strstr(row->tail, "/dev/null\n") != NULL, "stdin is empty");
	ok(strstr(row->tail, " 77 ") == NULL, "no descriptor is inherited");
	ok(strstr(row->tail, "leads\n") != NULL, "it leads its process group");
	ok(strstr(row->tail, "SigBlk:\t0000000000000000\n") != NULL, "no signal is blocked");
	close(leak);
	close(77);
	unsetenv("PGPASSWORD");
	unsetenv("VEGA_STORE");
	unsetenv("VEGA_CACHE");

	reset();
	row = submit("echo args: \"$@\" >&2; echo $VEGA_CACHE >&2\n" SAY_SUMMARY);
	strlist_add(&config.roots, "/data");
	strlist_add(&config.roots, "/x y");
	config.cache_url = "unix:/nowhere/redis";
	is_int(work(), 0, "with roots and a cache");
	ok(strstr(row->tail, "--allow-root=/data --allow-root=/x y\n") != NULL, "roots: %s",
	        row->tail);
	ok(strstr(row->tail, "unix:/nowhere/redis\n") != NULL, "the cache is in the environment");
	strlist_release(&config.roots);
}

static void test_failures(void)
{
	static const struct {
		const char *spec, *error;
		enum job_state state;
		int exit_code;
	} cases[] = {
	        {"echo 'vega-walk: /x: no such root' >&2; echo \"Try 'vega-walk --help'\" >&2; "
	         "exit 2\n",
	                "vega-walk: /x: no such root", JOB_FAILED, 2},
	        {"exit 2\n", "vega-walk refused the job and did not say why", JOB_FAILED, 2},
	        {"kill -SEGV $$\n", "vega-walk was killed by SIGSEGV", JOB_PENDING, 139},
	        {SAY_SUMMARY "kill -KILL $$\n", "vega-walk was killed by SIGKILL", JOB_PENDING,
	                137},
	        {"exit 0\n", "vega-walk ended without a summary", JOB_PENDING, 0},
	        {"echo oh >&2; exit 7\n", "vega-walk exited with status 7: oh", JOB_PENDING, 7},
	        {SAY_SUMMARY "exit 1\n", "vega-walk exited with status 1", JOB_PENDING, 1},
	        {"echo '{\"type\":\"summary\",\"complete\":false}'; exit 3\n",
	                "vega-walk says that its summary is incomplete", JOB_PENDING, 3},
	        {"echo rubbish\n" SAY_SUMMARY, "a line that is not a record: rubbish", JOB_PENDING,
	                -1},
	        {"echo rubbish; exec sleep 100\n", "a line that is not a record: rubbish",
	                JOB_PENDING, -1},
	        {SAY_SUMMARY SAY_SUMMARY, "more after its summary", JOB_PENDING, -1},
	        {"printf '{\"type\":\"entry\"'; kill -ABRT $$\n", "killed by SIGABRT", JOB_PENDING,
	                134},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		reset();
		struct row *row = submit(cases[i].spec);
		row->max_attempts = 2;
		config.mode = WORKER_ONCE;
		is_int(work(), 0, "a child that fails does not end the worker");
		is_int(row->state, cases[i].state, "case %zu", i);
		ok(row->error && strstr(row->error, cases[i].error), "says why: %s",
		        row->error ? row->error : "(null)");
		ok(cases[i].exit_code < 0 || row->exit_code == cases[i].exit_code, "exit code %d",
		        row->exit_code);
		ok(!row->summary && !row->records, "and leaves no result");
	}
}

static void test_retries(void)
{
	reset();
	retry_delay = 300;
	struct row *row = submit("exit 9\n");
	row->max_attempts = 3;
	struct row *later = submit(SAY_SUMMARY);
	later->due = now_ms() + 3600000;
	is_int(work(), 0, "--drain");
	is_int(row->attempt, 3, "waits for retries");
	is_int(row->state, JOB_FAILED, "until the job has failed");
	is_int(counts.retried, 2, "retries are counted");
	is_int(counts.failed, 1, "and failures");
	is_int(later->state, JOB_PENDING, "but not for what is scheduled for later");
}

static void test_large_records(void)
{
	struct row *row = work_on("yes '{\"type\":\"entry\",\"path\":\"/some/file\"}' | head -n "
	                          "200000\n" SAY_SUMMARY);
	is_int(row->state, JOB_COMPLETED, "many records");
	is_int(row->records_size, 200000u * 37, "all of them");
	ok(!row->records && row->uri && strncmp(row->uri, "file://", 7) == 0, "are spooled: %s",
	        row->uri ? row->uri : "(null)");
	snprintf(file, sizeof file, "%s/%s.1.ndjson", spool_dir, row->id);
	ok(access(file, R_OK) == 0, "to a file");
	unlink(file);

	row = work_on("yes '{\"type\":\"entry\"}' | head -n 100000; exit 9\n");
	is_int(row->state, JOB_FAILED, "many records and a failure");
	ok(!row->uri, "are not kept");
	ok(rmdir(spool_dir) == 0, "no file is left");

	row = work_on(
	        "head -c 1000000 /dev/zero | tr '\\0' 'e' > \"$TMPDIR/e\"\n"
	        "for i in 1 2 3; do printf '{\"type\":\"entry\",\"p\":\"'; cat \"$TMPDIR/e\"; "
	        "echo '\"}'; done\n" SAY_SUMMARY "rm \"$TMPDIR/e\"\n");
	is_int(row->state, JOB_COMPLETED, "lines of 1 MB");
	is_int(row->records_size, 3 * (1000000 + 24), "pass");
	snprintf(file, sizeof file, "%s/%s.1.ndjson", spool_dir, row->id);
	unlink(file);
}

static void test_stderr(void)
{
	struct row *row = work_on("yes 'a flood of words' | head -c 5000000 >&2\n"
	                          "printf 'caf\\xe9 \\0 last words' >&2\n" SAY_SUMMARY);
	is_int(row->state, JOB_COMPLETED, "a flood of stderr");
	ok(strlen(row->tail) <= CHILD_TAIL_MAX + 16, "only its end is kept");
	ok(strlen(row->tail) > CHILD_TAIL_MAX / 2, "enough of it");
	ok(strstr(row->tail, "caf\xEF\xBF\xBD \xEF\xBF\xBD last words") != NULL,
	        "as text that a store takes");
}

static void test_stragglers(void)
{
	uint64_t began = now_ms();
	struct row *row = work_on("sleep 50 & echo '{\"type\":\"entry\"}'\n" SAY_SUMMARY);
	is_int(row->state, JOB_COMPLETED, "a process left behind keeps the pipes open");
	ok(now_ms() - began < 5000, "and is not waited for");
	row = work_on(
	        "(trap '' TERM; setsid yes '{\"type\":\"entry\"}' & echo $! > \"$TMPDIR/pid\")\n"
	        "while [ ! -s \"$TMPDIR/pid\" ]; do :; done\n" SAY_SUMMARY);
	ok(row->state != JOB_PROCESSING, "nor one that escaped and floods them");
	snprintf(file, sizeof file, "%s/pid", directory);
	struct buf text = BUF_INIT;
	if (file_read_all(file, &text, NULL) == 0) {
		kill(atoi(buf_cstr(&text)), SIGKILL);
	}
	buf_release(&text);
	unlink(file);
}

static void test_closed_stdout(void)
{
	uint64_t began = now_ms();
	struct row *row = work_on(SAY_SUMMARY "exec >&-; exec sleep 100\n");
	uint64_t took = now_ms() - began;
	is_int(row->state, JOB_FAILED, "closed stdout, still running");
	ok(strstr(row->error, "closed its output but did not exit") != NULL, "says so: %s",
	        row->error);
	ok(took >= 9000 && took < 13000, "killed after 10 s (%llu ms)", (unsigned long long)took);
	ok(beats >= 20, "its lease was renewed meanwhile (%u)", beats);
}

/* --- leases ----------------------------------------------------------------------------------- */

static void test_progress_and_cancel(void)
{
	reset();
	struct row *row =
	        submit("i=0; while :; do i=$((i+1))\n"
	               "echo '{\"type\":\"progress\",\"entries\":'$i'}'; sleep 0.05; done\n");
	row->cancel = true;
	is_int(work(), 0, "a cancelled job");
	is_int(row->state, JOB_CANCELLED, "is cancelled");
	is_int(row->exit_code, 143, "by SIGTERM");
	ok(row->progress && strstr(row->progress, "\"entries\":"), "its progress was seen: %s",
	        row->progress);
	is_int(counts.cancelled, 1, "and it is counted");

	reset();
	row = submit("trap '' TERM; while :; do sleep 0.1; done\n");
	row->cancel = true;
	uint64_t began = now_ms();
	is_int(work(), 0, "one that will not listen");
	uint64_t took = now_ms() - began;
	is_int(row->state, JOB_CANCELLED, "is cancelled too");
	is_int(row->exit_code, 137, "by SIGKILL");
	ok(took >= 5000 && took < 7500, "after 5 s (%llu ms)", (unsigned long long)took);

	reset();
	refuse_progress = true;
	row = submit("echo '{\"type\":\"progress\",\"odd\":1}'; sleep 0.8\n" SAY_SUMMARY);
	is_int(work(), 0, "progress that the store refuses");
	is_int(row->state, JOB_COMPLETED, "does not cost the lease");
	ok(logged("refused a heartbeat") > 0, "and is logged");
}

static void test_announcements(void)
{
	reset();
	is_int(work(), 0, "a worker without work");
	is_int(announcements + leaves, 0, "comes and goes unnoticed");

	reset();
	config.jobs = 3;
	submit("sleep 0.8\n" SAY_SUMMARY);
	is_int(work(), 0, "one that works");
	ok(announcements >= 3, "announces itself with each heartbeat (%u)", announcements);
	ok(announced_well, "by name");
	is_int(announced.running, 1, "with what it runs");
	is_int(announced.jobs, 3, "and could");
	is_int(announced.lease_ms, 1000, "for how long it is to be trusted");
	is_int(announced.pid, getpid(), "and who it is");
	is_int(leaves, 1, "and in the end it leaves");

	reset();
	config.mode = WORKER_FOREVER;
	submit(SAY_SUMMARY);
	submit("trap '' TERM; kill -TERM $PPID\n" SAY_SUMMARY)->due = now_ms() + 1500;
	is_int(work(), 0, "one that has nothing to do for a while");
	is_int(idle_announcements, 1, "says so once");
	is_int(announcements, 1, "and not again");

	reset();
	refuse_announcement = true;
	struct row *row = submit("sleep 0.8\n" SAY_SUMMARY);
	is_int(work(), 0, "one that may not announce itself");
	is_int(row->state, JOB_COMPLETED, "works all the same");
	is_int(logged("not listed among the workers: permission denied"), 1, "and says so once");
}

static void test_lost_at_heartbeat(void)
{
	reset();
	config.mode = WORKER_ONCE;
	steal_at_beat = true;
	struct row *row = submit("exec sleep 100\n");
	is_int(work(), 0, "a lease that another worker took over");
	is_int(row->finishes, 0, "stores nothing");
	is_int(beats, 1, "and ends at the first heartbeat that says so");
	is_int(counts.lost, 1, "it is counted");
	ok(logged("lost: its lease was taken over") == 1, "and logged: %s", log_text);
}

static void test_locked_at_heartbeat(void)
{
	reset();
	config.mode = WORKER_ONCE;
	locked_at_beat = true;
	struct row *row = submit("exec sleep 100\n");
	uint64_t began = now_ms();
	is_int(work(), 0, "a lease that cannot be renewed, as its row is locked");
	is_int(row->finishes, 0, "stores nothing");
	ok(beats > 1, "is tried again");
	ok(logged("lost: its lease could not be renewed in time") == 1, "and given up: %s",
	        log_text);
	ok(lost_at < row->lease_end && lost_at - began < 1000, "before it ends");
}

static void test_locked_at_finish(void)
{
	reset();
	config.jobs = 2;
	struct row *row = submit(SAY_SUMMARY);
	struct row *others[] = {submit(SAY_SUMMARY), submit(SAY_SUMMARY)};
	locked = row;
	is_int(work(), 0, "a result that cannot be stored, as its row is locked");
	ok(locked_calls > 1 && locked_calls < 20, "is tried again (%u times)", locked_calls);
	ok(logged("lost: its row is locked"), "and given up: %s", log_text);
	ok(lost_at < row->lease_end, "before its lease ends");
	is_int(row->finishes, 0, "nothing of it is stored");
	is_int(others[0]->state, JOB_COMPLETED, "another one is stored meanwhile");
	is_int(others[1]->state, JOB_COMPLETED, "and one that was claimed after it");

	reset();
	config.mode = WORKER_ONCE;
	locked = submit(SAY_SUMMARY);
	away_at_locked = true;
	is_int(work(), 0, "a locked row, and then the store is away");
	is_int(logged("lost: its row is locked"), 0, "the row is not what it is lost for");
	is_int(logged("lost: the store is away"), 1, "but the store: %s", log_text);
}

static char told[1000];
static unsigned deaf; /* so often the service manager takes nothing */

static bool fake_notify(const char *state)
{
	if (deaf) {
		deaf--;
		return false;
	}
	snprintf(told + strlen(told), sizeof told - strlen(told), "%s\n", state);
	return true;
}

static void test_service_manager(void)
{
	reset();
	config.notify = fake_notify;
	deaf = 1;
	told[0] = '\0';
	submit(SAY_SUMMARY);
	is_int(work(), 0, "a service manager that is deaf for a moment");
	ok(strncmp(told, "READY=1\n", 8) == 0, "is told again: %s", told);
	ok(!strstr(told + 1, "READY=1"), "and once");
}

static void test_lost_at_finish(void)
{
	reset();
	config.mode = WORKER_ONCE;
	steal_at_finish = true;
	struct row *row = submit("yes '{\"type\":\"entry\"}' | head -n 100000\n" SAY_SUMMARY);
	is_int(work(), 0, "a lease that was lost before the end");
	is_int(row->finishes, 0, "stores nothing");
	is_int(counts.lost, 1, "and is counted");
	ok(rmdir(spool_dir) == 0, "no file is left");
}

static void test_store_away(void)
{
	reset();
	config.mode = WORKER_ONCE;
	config.lease_ms = 2000;
	away_after_claim = 10000;
	struct row *row = submit("exec sleep 100\n");
	uint64_t began = now_ms();
	is_int(work(), 0, "a store that is away for longer than the lease");
	is_int(row->finishes, 0, "gets no result");
	ok(lost_at >= began + 1400 && lost_at < row->lease_end,
	        "the child ends before its lease does (%lld ms)", (long long)(lost_at - began));
	is_int(logged("the store is away"), 1, "one line says so");

	reset();
	away_after_claim = 400;
	row = submit("sleep 0.7\n" SAY_SUMMARY);
	is_int(work(), 0, "a store that is away for a moment");
	is_int(row->state, JOB_COMPLETED, "does not stop a child");
	is_int(logged("the store is away"), 1, "one line when it goes");
	is_int(logged("the store is back"), 1, "and one when it returns");

	reset();
	config.lease_ms = 4000;
	away_at_finish = 1500;
	row = submit(SAY_SUMMARY);
	is_int(work(), 0, "a store that is away when a result is there");
	is_int(row->state, JOB_COMPLETED, "gets it later");

	reset();
	config.lease_ms = 2000;
	away_at_finish = 3600000;
	row = submit(SAY_SUMMARY);
	began = now_ms();
	is_int(work(), VEGA_UNAVAILABLE, "--drain with a result waits for a store that is away");
	ok(now_ms() - began < 2 * 2000, "for a lease (%lld ms)", (long long)(now_ms() - began));
	is_int(row->finishes, 0, "which the job's next worker waits for, too");
	is_int(counts.lost, 1, "the result is lost");

	reset();
	unavailable = 1;
	is_int(work(), VEGA_UNAVAILABLE, "--drain does not wait for a store it never reached");
	reset();
	config.mode = WORKER_FOREVER;
	unavailable = 4;
	row = submit("trap '' TERM; kill -TERM $PPID\n" SAY_SUMMARY);
	is_int(work(), 0, "a worker for ever does");
	is_int(row->state, JOB_COMPLETED, "and works");
	is_int(opens, 5, "once it is there");
}

/* A row that somebody keeps locked: due, and not to be had. */
static void test_vain_claims(void)
{
	reset();
	config.mode = WORKER_FOREVER;
	vain_until = now_ms() + 2000;
	is_int(work(), 0, "a worker that finds nothing, though something is due");
	ok(vain_claims >= 4 && vain_claims < 12, "looks more and more seldom (%u times in 2 s)",
	        vain_claims);
}

static void test_stuck_at(uint64_t *where)
{
	char script[512];
	reset();
	config.lease_ms = 1200;
	*where = 400;
	snprintf(script, sizeof script,
	        "[ -e %s ] || while echo >>%s; do sleep 0.02; done\n" SAY_SUMMARY, traces, traces);
	struct row *row = submit(script);
	is_int(work(), 0, "a store call that does not return while a lease ends");
	ok(!works_on && unlink(traces) == 0, "does not let its child work on");
	is_int(counts.lost, 1, "which is lost");
	is_int(row->finishes, 1, "and stores nothing");
	is_int(row->attempt, 2, "but for the next attempt");
}

static void test_late_claim(void)
{
	reset();
	config.lease_ms = 1000;
	slow_claim = 800;
	struct row *row = submit(SAY_SUMMARY);
	is_int(work(), 0, "a claim that is answered when its lease is nearly over");
	is_int(counts.released, 1, "is given back");
	is_int(row->state, JOB_COMPLETED, "so that it is done later");
	is_int(row->attempt, 1, "and has lost no attempt");
}

static void test_late_heartbeat(void)
{
	char script[256];
	reset();
	config.lease_ms = 2000;
	late_beat = true;
	snprintf(script, sizeof script, "[ -e %s ] || { echo >%s; exec sleep 100; }\n" SAY_SUMMARY,
	        traces, traces);
	struct row *row = submit(script);
	is_int(work(), 0, "a heartbeat that is answered after the child had to be killed");
	ok(unlink(traces) == 0, "which had begun");
	is_int(counts.released, 1, "gives the job back");
	is_int(row->state, JOB_COMPLETED, "so that it is done later");
	is_int(row->attempt, 1, "and has lost no attempt");
}

static void test_stuck(void)
{
	test_stuck_at(&stuck_at_beat);
	test_stuck_at(&stuck_at_wait); /* the first after its start */
}

/* A schema that is restored, a role that is granted again. */
static void test_refused_claims(void)
{
	reset();
	config.mode = WORKER_FOREVER;
	config.lease_ms = 1000;
	config.jobs = 2;
	refused_after_claim = 3;
	submit("sleep 1.5\n" SAY_SUMMARY); /* with heartbeats meanwhile */
	struct row *row = submit("trap '' TERM; kill -TERM $PPID\n" SAY_SUMMARY);
	row->due = now_ms() + 200;
	is_int(work(), 0, "a worker for ever outlives claims that the store refuses");
	is_int(row->state, JOB_COMPLETED, "and works when it does no more");
	is_int(counts.completed, 2, "and meanwhile on what it has");
	is_int(logged("the store refuses claims, trying again: a damaged row"), 1,
	        "one line says so");
	is_int(logged("the store answers claims again"), 1, "and one that it is over");
	is_int(logged("the store is back"), 0, "and none what is not so");

	reset();
	config.mode = WORKER_FOREVER;
	refuse_claims = 1;
	is_int(work(), VEGA_FATAL, "but not one that was never answered");
}

/* While it ends a job. */
static void test_refusing_store(void)
{
	reset();
	config.mode = WORKER_FOREVER;
	config.lease_ms = 4000;
	refuse_until = now_ms() + 1000;
	struct row *row = submit("trap '' TERM; kill -TERM $PPID\n" SAY_SUMMARY);
	is_int(work(), 0, "a store that refuses everything for a while");
	is_int(row->state, JOB_COMPLETED, "gets the result later");
	is_int(row->finishes, 1, "once");
	is_int(counts.lost + counts.retried, 0, "which is not thrown away");
	is_int(logged("the store refuses, trying again: there is no schema"), 1,
	        "one line says so");

	reset();
	config.mode = WORKER_FOREVER;
	config.lease_ms = 4000;
	refuse_until = now_ms() + 3600000;
	submit("trap '' TERM; kill -INT $PPID; kill -TERM $PPID\n" SAY_SUMMARY);
	uint64_t began = now_ms();
	is_int(work(), 0, "a second signal while the store refuses");
	ok(now_ms() - began < 3000, "waits for nobody");
	is_int(counts.lost, 1, "and lets go of the job");
}

/* The job has ended, so that a heartbeat finds no lease; only finish() can tell why. */
static void test_unanswered_finish(void)
{
	reset();
	forget_finish = 600;
	struct row *row = submit("yes '{\"type\":\"entry\"}' | head -n 100000\n" SAY_SUMMARY);
	is_int(work(), 0, "a result whose storing is not answered");
	is_int(row->state, JOB_COMPLETED, "is stored");
	is_int(row->finishes, 1, "once");
	is_int(counts.completed, 1, "the worker learns of it");
	is_int(counts.lost, 0, "and does not take its lease for lost");
	ok(row->uri && unlink(strchr(row->uri + 7, '/')) == 0, "the records are there");

	reset();
	forget_finish = 3600000;
	row = submit("yes '{\"type\":\"entry\"}' | head -n 100000\n" SAY_SUMMARY);
	is_int(work(), VEGA_UNAVAILABLE, "and when the worker never learns of it");
	is_int(row->state, JOB_COMPLETED, "it is stored, too");
	ok(row->uri && unlink(strchr(row->uri + 7, '/')) == 0, "with its records");

	reset();
	forget_finish = 300;
	refuse_finish = true;
	row = submit("yes '{\"type\":\"entry\"}' | head -n 100000\n" SAY_SUMMARY);
	is_int(work(), 0, "and when the store refuses to be asked again");
	is_int(row->state, JOB_COMPLETED, "it is stored, too");
	ok(row->uri && unlink(strchr(row->uri + 7, '/')) == 0, "with its records");
}

static void test_refused_result(void)
{
	reset();
	refuse_summary = "summary";
	struct row *row = submit("yes '{\"type\":\"entry\"}' | head -n 100000\n" SAY_SUMMARY);
	is_int(work(), 0, "a result that the store refuses");
	is_int(row->state, JOB_FAILED, "is a failed attempt");
	is_str(row->error, "what summary is this", "which says why");
	ok(rmdir(spool_dir) == 0, "no file is left");
}

static void test_batch(void)
{
	for (int odd = 0; odd < 2; odd++) {
		reset();
		config.jobs = 3;
		finish_least = 3;
		refuse_summary = odd ? "odd" : NULL;
		struct row *good = submit(SAY_SUMMARY), *bad = submit("exit 7\n");
		struct row *other =
		        submit("echo '{\"type\":\"summary\",\"complete\":true,\"odd\":1}'\n");
		is_int(work(), 0, "three that end before the store answers");
		is_int(good->state, JOB_COMPLETED, "each in its own way");
		is_int(bad->state, JOB_FAILED, "as its child did");
		is_int(other->state, odd ? JOB_FAILED : JOB_COMPLETED, "or as the store says");
		is_int(good->finishes + bad->finishes + other->finishes, 3, "once");
		is_int(finish_calls, odd ? 5 : 1,
		        odd ? "asked about each by itself" : "in one call");
	}
}

/* What is refused does not have the others wait for it. */
static void test_batch_among_many(void)
{
	reset();
	config.jobs = 3;
	finish_least = 3;
	refuse_summary = "odd";
	submit(SAY_SUMMARY);
	submit(SAY_SUMMARY);
	struct row *bad = submit("echo '{\"type\":\"summary\",\"complete\":true,\"odd\":1}'\n");
	for (int i = 0; i < 20; i++) {
		submit(SAY_SUMMARY);
	}
	is_int(work(), 0, "one of three is refused, and many wait");
	is_int(bad->state, JOB_FAILED, "it is found");
	is_int(claimed_before_failure, 0, "before others are begun");
	is_int(counts.completed, 22, "and they are all done");
}

/* Nor is a result to blame when it is the claim that fails. */
static void test_claim_fails(void)
{
	reset();
	damaged = true;
	struct row *row = submit("yes '{\"type\":\"entry\"}' | head -n 100000\n" SAY_SUMMARY);
	submit(SAY_SUMMARY);
	is_int(work(), VEGA_FATAL, "a store that can give no job");
	is_int(row->state, JOB_COMPLETED, "keeps the result of the last one");
	ok(row->uri && unlink(strchr(row->uri + 7, '/')) == 0, "with its records");
}

static void test_limits(void)
{
	reset();
	struct row *row = submit("exec sleep 100\n");
	row->max_attempts = 3;
	row->limits.timeout_ms = 300;
	uint64_t began = now_ms();
	is_int(work(), 0, "a job that runs too long");
	ok(now_ms() - began < 5000, "is ended");
	is_int(row->state, JOB_FAILED, "for good");
	is_int(row->attempt, 1, "in its first attempt");
	is_str(row->error, "it ran longer than --max-time 300ms", "and says why");
	is_int(row->exit_code, 143, "by SIGTERM");

	reset();
	row = submit("trap 'sleep 0.1; echo \"$end\"; exit 0' TERM; end='" SUMMARY
	             "'; while :; do sleep 0.05; done\n");
	row->limits.timeout_ms = 100;
	work();
	is_int(row->state, JOB_FAILED, "one that is done too late has failed, too");

	reset();
	row = submit("echo args: \"$@\" >&2\n" SAY_SUMMARY);
	row->limits = (struct job_limits){.timeout_ms = 3600000, .memory_bytes = 99999999};
	config.limits = (struct job_limits){.memory_bytes = 88888888, .output_bytes = 77777777};
	is_int(work(), 0, "limits of a job and of the worker");
	is_int(row->state, JOB_COMPLETED, "that are kept");
	ok(strstr(row->tail, " --max-memory=88888888 --max-output=77777777\n") != NULL,
	        "are told to the child, the lower of both: %s", row->tail);
}

/* --- signals ---------------------------------------------------------------------------------- */

static void test_signals(void)
{
	reset();
	config.mode = WORKER_FOREVER;
	struct row *row = submit("kill -TERM $PPID; exec sleep 100\n");
	struct row *waiting = submit(SAY_SUMMARY);
	is_int(work(), 0, "SIGTERM");
	is_int(signal_seen, SIGTERM, "is told");
	is_int(row->state, JOB_PENDING, "a running job is released");
	is_int(row->attempt, 0, "and its attempt is not counted");
	is_int(waiting->lease_seq, 0, "no further job is claimed");
	is_int(counts.released, 1, "one was released");

	reset();
	config.mode = WORKER_FOREVER;
	row = submit(
	        "trap '' TERM; kill -INT $PPID; kill -TERM $PPID; while :; do sleep 1; done\n");
	uint64_t began = now_ms();
	is_int(work(), 0, "a second signal");
	ok(now_ms() - began < 4000, "waits for nobody");
	is_int(row->state, JOB_PENDING, "and still releases");

	reset();
	config.mode = WORKER_FOREVER;
	config.lease_ms = 20000;
	away_at_finish = 3600000;
	row = submit(
	        "trap '' TERM; kill -INT $PPID; kill -TERM $PPID; while :; do sleep 1; done\n");
	began = now_ms();
	is_int(work(), 0, "a second signal while the store is away");
	ok(now_ms() - began < 4000, "waits for nobody either");
	is_int(row->finishes, 0, "the lease must end by itself");

	reset();
	signal(SIGHUP, SIG_IGN);
	row = submit("kill -HUP $PPID\n" SAY_SUMMARY);
	is_int(work(), 0, "under nohup");
	is_int(row->state, JOB_COMPLETED, "SIGHUP changes nothing");
	is_int(signal_seen, 0, "and is not seen");
	signal(SIGHUP, SIG_DFL);
}

/* A worker in a process of its own; what it prints is not ours. */
static pid_t fork_worker(int (*then)(void))
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		int code = work();
		_exit(code ? 99 : then());
	}
	return pid;
}

static int lost_once(void)
{
	return rows[0].finishes == 0 && counts.lost == 1 ? 0 : 1;
}

static void test_stopped(void)
{
	int status;
	reset();
	config.mode = WORKER_ONCE;
	submit("kill -STOP $PPID\n" SAY_SUMMARY);
	pid_t pid = fork_worker(lost_once);
	ok(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "a worker is stopped");
	usleep(1100 * 1000); /* its lease */
	kill(pid, SIGCONT);
	ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "and goes on after its lease");
	is_int(WEXITSTATUS(status), 0, "it stores nothing");
}

static int nothing(void)
{
	return 0;
}

static void test_killed(void)
{
	int status;
	struct buf text = BUF_INIT;
	reset();
	config.mode = WORKER_ONCE;
	submit("echo $$ > \"$TMPDIR/new\"; mv \"$TMPDIR/new\" \"$TMPDIR/pid\"; exec sleep 100\n");
	pid_t pid = fork_worker(nothing);
	snprintf(file, sizeof file, "%s/pid", directory);
	uint64_t deadline = now_ms() + 20000;
	while (access(file, R_OK) != 0 && now_ms() < deadline) {
		usleep(5000);
	}
	ok(file_read_all(file, &text, NULL) == 0, "a child runs");
	pid_t child = atoi(buf_cstr(&text));
	ok(child > 0 && kill(child, 0) == 0, "and lives");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	while (kill(child, 0) == 0 && now_ms() < deadline) {
		usleep(5000);
	}
	ok(kill(child, 0) != 0 && errno == ESRCH, "it dies with its worker");
	unlink(file);
	buf_release(&text);
}

/* --- the worker itself ------------------------------------------------------------------------ */

static void test_many(void)
{
	reset();
	config.jobs = 4;
	for (int i = 0; i < 20; i++) {
		submit("sleep 0.1; echo '{\"type\":\"entry\"}'\n" SAY_SUMMARY);
	}
	is_int(work(), 0, "20 jobs, 4 at a time");
	is_int(counts.completed, 20, "all completed");
	is_int(most_processing, 4, "never more than 4 at once");
	ok(claimed_with_finish >= 12, "most of them were claimed as others ended");
	bool once = true;
	for (int i = 0; i < 20; i++) {
		once = once && rows[i].finishes == 1 && rows[i].attempt == 1;
	}
	ok(once, "each once");

	reset();
	config.mode = WORKER_ONCE;
	config.jobs = 4;
	submit(SAY_SUMMARY);
	submit(SAY_SUMMARY);
	is_int(work(), 0, "--once");
	is_int(counts.completed, 1, "is one job");
	is_int(rows[1].state, JOB_PENDING, "not two");
	reset();
	config.mode = WORKER_ONCE;
	is_int(work(), 0, "--once with nothing to do ends");
}

static void write_walk(const char *text)
{
	int fd = open(walk, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	ok(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0, "wrote a stand-in");
	close(fd);
}

static void test_cannot_start(void)
{
	reset();
	config.walk_path = "/nonexistent/vega-walk";
	is_int(work(), VEGA_FATAL, "no vega-walk");
	ok(strstr(failure.text, "/nonexistent/vega-walk") != NULL, "is named: %s", failure.text);

	reset();
	write_walk("#!/nonexistent/interpreter\n");
	struct row *row = submit(SAY_SUMMARY);
	is_int(work(), VEGA_FATAL, "one that cannot be executed");
	is_int(row->state, JOB_PENDING, "the job is released");
	is_int(row->attempt, 0, "without an attempt");

	reset();
	config.spool_dir = "/dev/null/results";
	is_int(work(), VEGA_FATAL, "no place for records");
}

/* --- jobs that write files -------------------------------------------------------------------- */

#define TRANSFORM \
	"{\"v\":1,\"operations\":[\"transform\"],\"roots\":[\"/in\"]," \
	"\"options\":{\"to\":\"gzip\",\"out\":\"/out\"}}"

/* Notes its step and stage in the file "steps", then does as the file of the step says. */
#define STEP_WALK_SCRIPT \
	"#!/bin/bash\nstep=walk\n" \
	"for option; do case $option in\n" \
	"--publish | --discard) step=${option#--} ;; --stage=*) stage=${option##*.} ;; esac; " \
	"done\n" \
	"echo -n \"$step $stage, \" >> $TMPDIR/steps\nsource $TMPDIR/do.$step\n"

static void script(const char *step, const char *text)
{
	snprintf(file, sizeof file, "%s/do.%s", directory, step);
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ok(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0, "what to do in %s", step);
	close(fd);
}

/* What was started, for which stage. */
static const char *steps(void)
{
	static char text[256];
	snprintf(file, sizeof file, "%s/steps", directory);
	int fd = open(file, O_RDONLY);
	ssize_t got = read(fd, text, sizeof text - 1);
	text[got < 0 ? 0 : got] = '\0';
	close(fd);
	unlink(file);
	return text;
}

static struct row *stage_job(const char *walking, const char *publishing)
{
	reset();
	script("walk", walking);
	script("publish", publishing);
	script("discard", "exit 0\n");
	return submit(TRANSFORM);
}

static void test_staged(void)
{
	struct row *row = stage_job("echo '{\"type\":\"entry\"}'\n" SAY_SUMMARY, "exit 0\n");
	is_int(work(), 0, "a job that writes files");
	is_str(steps(), "walk 1, publish 1, discard 1, ", "is published and cleaned up after");
	is_int(row->state, JOB_COMPLETED, "completed");
	is_int(row->committed_seq, 1, "after its commit");
	is_str(row->summary, SUMMARY, "with the summary of the walk");
	is_int(row->finishes, 1, "ended once");
	is_int(counts.completed, 1, "counted once");

	row = stage_job(SAY_SUMMARY, "echo 'vega-walk: 1 file is in the way' >&2; exit 3\n");
	work();
	is_int(row->state, JOB_COMPLETED, "what cannot be published");
	is_int(row->exit_code, 3, "makes it partial");
	is_str(row->error, "vega-walk: 1 file is in the way", "and says why");
	is_str(steps(), "walk 1, publish 1, discard 1, ", "and is cleaned up after");

	row = stage_job(SAY_SUMMARY "exit 3\n", "exit 0\n");
	work();
	is_int(row->exit_code, 3, "a walk that was partial stays so");
	steps();
}

/* An attempt whose stage is yet to be removed makes no room for another one. */
static void test_staged_among_others(void)
{
	stage_job(SAY_SUMMARY, "exit 0\n");
	config.jobs = 2;
	for (int i = 0; i < 9; i++) {
		submit(i % 3 ? TRANSFORM : SAY_SUMMARY);
	}
	is_int(work(), 0, "jobs that write files, and others");
	is_int(counts.completed, 10, "are all done");
	is_int(most_processing, 2, "two at a time");
	steps();
}

static void test_staged_limits(void)
{
	struct row *row = stage_job("exec sleep 100\n", "exit 0\n");
	row->limits.timeout_ms = 200;
	work();
	is_int(row->state, JOB_FAILED, "a walk that runs too long");
	is_str(steps(), "walk 1, discard 1, ", "publishes nothing");

	row = stage_job(SAY_SUMMARY, "echo \"$@\" > $TMPDIR/options; sleep 0.5\n");
	row->limits = (struct job_limits){300, 99999999, 77777777};
	work();
	is_int(row->state, JOB_COMPLETED, "publishing may take longer");
	is_str(steps(), "walk 1, publish 1, discard 1, ", "than the walk");
	struct buf text = BUF_INIT;
	snprintf(file, sizeof file, "%s/options", directory);
	file_read_all(file, &text, NULL);
	ok(buf_cstr(&text) && text.len && !strstr(text.data, "--max-"), "under no limit: %s",
	        buf_cstr(&text));
	buf_release(&text);
	unlink(file);
}

static void test_staged_refused(void)
{
	struct row *row =
	        stage_job("yes '{\"type\":\"entry\"}' | head -n 100000\n" SAY_SUMMARY, "exit 0\n");
	refuse_finish = true;
	work();
	is_int(row->state, JOB_COMPLETED, "when the end of publishing is refused");
	is_str(steps(), "walk 1, publish 1, publish 1, discard 2, ", "it is published again");
	ok(row->uri && unlink(strchr(row->uri + 7, '/')) == 0, "the committed records are there");
}

static void test_staged_failures(void)
{
	struct row *row = stage_job("exit 1\n", "exit 0\n");
	work();
	is_int(row->state, JOB_FAILED, "a walk that fails");
	is_str(steps(), "walk 1, discard 1, ", "publishes nothing");
	is_int(row->committed_seq, 0, "and is not committed");

	row = stage_job(SAY_SUMMARY "kill -KILL $$\n", "exit 0\n");
	work();
	is_str(steps(), "walk 1, discard 1, ", "nor does one that is killed after its summary");

	row = stage_job(SAY_SUMMARY, "mkdir $TMPDIR/once 2>&- && kill -KILL $$\nexit 0\n");
	work();
	is_int(row->state, JOB_COMPLETED, "publishing is tried again");
	is_str(steps(), "walk 1, publish 1, publish 1, discard 2, ", "until it is done");
	snprintf(file, sizeof file, "%s/once", directory);
	rmdir(file);

	row = stage_job(SAY_SUMMARY, "exit 0\n");
	script("discard", "echo 'vega-walk: no' >&2; exit 2\n");
	work();
	is_int(row->state, JOB_COMPLETED, "a stage that cannot be removed");
	ok(logged("its stage is left behind: vega-walk: no"), "is told of: %s", log_text);
	steps();

	row = stage_job(SAY_SUMMARY, "exit 0\n");
	refuse_summary = "summary";
	work();
	is_int(row->state, JOB_FAILED, "a result that the store refuses");
	is_str(steps(), "walk 1, discard 1, ", "publishes nothing");
}

static void test_commit(void)
{
	struct row *row = stage_job(SAY_SUMMARY, "exit 0\n");
	row->cancel = true;
	work();
	is_int(row->state, JOB_CANCELLED, "cancelled before the commit");
	is_str(steps(), "walk 1, discard 1, ", "nothing is published");

	row = stage_job(SAY_SUMMARY, "exit 0\n");
	away_after_claim = 400;
	work();
	is_int(row->state, JOB_COMPLETED, "the store is away at the commit");
	is_str(steps(), "walk 1, publish 1, discard 1, ", "which is made when it is back");

	row = stage_job(SAY_SUMMARY, "exit 0\n");
	steal_at_commit = true;
	config.mode = WORKER_ONCE;
	work();
	is_int(row->state, JOB_PROCESSING, "the lease is lost at the commit");
	is_str(steps(), "walk 1, discard 1, ", "nothing is published");
	is_int(counts.lost, 1, "it is lost");

	row = stage_job(SAY_SUMMARY, "exit 0\n");
	locked = row;
	config.mode = WORKER_ONCE;
	work();
	is_int(row->state, JOB_PROCESSING, "its row is locked at the commit");
	ok(locked_calls > 1 && locked_calls < 20, "which is tried again (%u times)", locked_calls);
	is_str(steps(), "walk 1, discard 1, ", "nothing is published");
	is_int(counts.lost, 1, "it is lost");

	row = stage_job(SAY_SUMMARY, "exit 0\n");
	refuse_repeated = true;
	config.mode = WORKER_ONCE;
	work();
	is_int(row->state, JOB_PENDING, "refused after a commit without a reply");
	is_str(steps(), "walk 1, ", "its stage is kept: it may be committed");
	config.mode = WORKER_DRAIN;
	work();
	is_int(row->state, JOB_COMPLETED, "and it was");
	is_str(steps(), "publish 1, discard 2, ", "so it is published");

	/* Then it may have been committed: the stage is the next worker's. */
	row = stage_job(
	        "printf '{\"type\":\"entry\",\"x\":\"%0100000d\"}\\n' 0\n" SAY_SUMMARY, "exit 0\n");
	forget_commit = true;
	config.mode = WORKER_ONCE;
	work();
	is_str(steps(), "walk 1, ", "the lease is lost after a commit without a reply");
	ok(row->uri != NULL, "its records are in a file");
	ok(row->uri && access(strchr(row->uri + 7, '/'), F_OK) == 0, "which is kept");
	config.mode = WORKER_DRAIN;
	while (now_ms() < row->lease_end) {
		poll(NULL, 0, 10);
	}
	work();
	is_int(row->state, JOB_COMPLETED, "the next claim ends the job");
	is_str(steps(), "publish 1, discard 3, ", "by publishing what was committed");
	ok(logged("published what another worker had committed"), "and says so: %s", log_text);
	unlink(strchr(row->uri + 7, '/'));
}

static void test_staged_signal(void)
{
	struct row *row = stage_job(SAY_SUMMARY "kill -TERM $PPID; sleep 0.1\n", "exit 0\n");
	work();
	is_int(signal_seen, SIGTERM, "stopped at the end of a walk");
	ok(row->state == JOB_PENDING || row->state == JOB_COMPLETED, "it is given back or ended");
	const char *got = steps();
	ok(strcmp(got, row->state == JOB_PENDING ? "walk 1, discard 1, "
	                                         : "walk 1, publish 1, discard 1, ") == 0,
	        "and cleaned up after: %s", got);

	row = stage_job(SAY_SUMMARY,
	        "trap 'exit 143' TERM; kill -TERM $PPID\nwhile :; do sleep 0.05; done\n");
	work();
	is_int(row->state, JOB_PENDING, "stopped while it publishes, it is given back");
	is_str(steps(), "walk 1, publish 1, ", "with its stage");
	is_int(row->committed_seq, 1, "for another to publish");
}

int main(void)
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
	write_walk("#!/bin/bash\nsource /dev/fd/3\n");
	test_success();
	test_surroundings();
	test_failures();
	test_retries();
	test_large_records();
	test_stderr();
	test_stragglers();
	test_progress_and_cancel();
	test_announcements();
	test_lost_at_heartbeat();
	test_locked_at_heartbeat();
	test_locked_at_finish();
	test_service_manager();
	test_lost_at_finish();
	test_store_away();
	test_unanswered_finish();
	test_refused_result();
	test_batch();
	test_batch_among_many();
	test_claim_fails();
	test_refused_claims();
	test_vain_claims();
	test_refusing_store();
	test_late_claim();
	test_late_heartbeat();
	test_stuck();
	test_limits();
	test_signals();
	test_stopped();
	test_killed();
	test_many();
	test_closed_stdout();
	test_cannot_start();
	write_walk(STEP_WALK_SCRIPT);
	test_staged();
	test_staged_among_others();
	test_staged_limits();
	test_staged_refused();
	test_staged_failures();
	test_commit();
	test_staged_signal();
	reset();
	static const char *const scripts[] = {"walk", "publish", "discard"};
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		snprintf(file, sizeof file, "%s/do.%s", directory, scripts[i]);
		unlink(file);
	}
	unlink(walk);
	rmdir(spool_dir);
	ok(rmdir(directory) == 0, "no file is left");
	return done();
}
