#include "store/store_internal.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct store_driver *const stores[] = {&store_sqlite, &store_postgres, NULL};

static const struct store_driver *driver_for(const char *url)
{
	for (size_t i = 0; stores[i]; i++) {
		size_t len = strlen(stores[i]->scheme);
		if (strncmp(url, stores[i]->scheme, len) == 0 && url[len] == ':') {
			return stores[i];
		}
	}
	if (strncmp(url, "postgres://", strlen("postgres://")) == 0 || strchr(url, '=')) {
		return &store_postgres;
	}
	return NULL;
}

int store_open(const char *url, unsigned timeout_ms, struct store **out, struct vega_error *err)
{
	char *fallback = NULL;
	if (!url) {
		url = getenv("VEGA_STORE");
	}
	if (!url || !*url) {
		char *path = store_state_path("jobs.db");
		if (!path || asprintf(&fallback, "sqlite:%s", path) < 0) {
			free(path);
			return vega_fail(err, VEGA_FATAL,
			        "no home directory for the job store; set VEGA_STORE=sqlite:PATH");
		}
		free(path);
		url = fallback;
	}
	const struct store_driver *driver = driver_for(url);
	/* Of what is not understood only the scheme is shown: a password may follow. */
	int code = driver ? driver->open(url, timeout_ms, out, err)
	                  : vega_fail(err, VEGA_USAGE,
	                            "'%.*s' is no store; say sqlite:PATH or postgresql://…",
	                            (int)strcspn(url, ":"), url);
	free(fallback);
	return code;
}

char *store_state_path(const char *below)
{
	char *path = NULL;
	const char *state = getenv("XDG_STATE_HOME");
	if (state && state[0] == '/') {
		return asprintf(&path, "%s/vega/%s", state, below) < 0 ? NULL : path;
	}
	const char *home = getenv("HOME");
	if (!home || home[0] != '/') {
		const struct passwd *user = getpwuid(geteuid());
		home = user ? user->pw_dir : NULL;
	}
	if (!home || asprintf(&path, "%s/.local/state/vega/%s", home, below) < 0) {
		return NULL;
	}
	return path;
}

static bool copy(char **out, const struct store_row *row, int column)
{
	const char *text = row->text(row->context, column);
	if (!text) {
		return true;
	}
	*out = strdup(text);
	return *out != NULL;
}

static long long integer(const struct store_row *row, int column)
{
	const char *text = row->text(row->context, column);
	return text ? strtoll(text, NULL, 10) : 0;
}

static struct vega_time point(const struct store_row *row, int column)
{
	long long us = integer(row, column);
	long long sec = us / 1000000, rest = us % 1000000;
	if (rest < 0) {
		sec--;
		rest += 1000000;
	}
	return (struct vega_time){.sec = sec, .nsec = (uint32_t)rest * 1000};
}

static bool read_result(struct job *job, const struct store_row *row)
{
	job->records_size = (uint64_t)integer(row, COLUMN_RECORDS_SIZE);
	job->exit_code = (int)integer(row, COLUMN_EXIT_CODE);
	return copy(&job->summary, row, COLUMN_SUMMARY) &&
	       copy(&job->records_uri, row, COLUMN_RECORDS_URI) &&
	       copy(&job->records_digest, row, COLUMN_RECORDS_DIGEST) &&
	       copy(&job->stderr_tail, row, COLUMN_STDERR_TAIL);
}

static bool read_rest(struct job *job, const struct store_row *row)
{
	job->priority = (int)integer(row, COLUMN_PRIORITY);
	job->created = point(row, COLUMN_CREATED);
	job->not_before = point(row, COLUMN_NOT_BEFORE);
	job->lease_until = point(row, COLUMN_LEASE_UNTIL);
	job->started = point(row, COLUMN_STARTED);
	job->finished = point(row, COLUMN_FINISHED);
	job->cancel_requested = integer(row, COLUMN_CANCEL_REQUESTED) != 0;
	return copy(&job->idempotency_key, row, COLUMN_IDEMPOTENCY_KEY) &&
	       copy(&job->labels, row, COLUMN_LABELS) && copy(&job->worker, row, COLUMN_WORKER) &&
	       copy(&job->progress, row, COLUMN_PROGRESS) && copy(&job->error, row, COLUMN_ERROR);
}

int store_read_job(
        struct job *job, const struct store_row *row, unsigned parts, struct vega_error *err)
{
	const char *id = row->text(row->context, COLUMN_ID);
	const char *state = row->text(row->context, COLUMN_STATE);
	if (!id || !state || !uuid_valid(id) || !job_state_parse(state, &job->state)) {
		return vega_fail(err, VEGA_FATAL,
		        "the store holds a job with id '%s' and state '%s', which cannot be; it is "
		        "damaged",
		        id ? id : "", state ? state : "");
	}
	memcpy(job->id, id, UUID_TEXT);
	job->max_attempts = (unsigned)integer(row, COLUMN_MAX_ATTEMPTS);
	job->limits = (struct job_limits){
	        .timeout_ms = (uint64_t)integer(row, COLUMN_TIMEOUT),
	        .memory_bytes = (uint64_t)integer(row, COLUMN_MEMORY),
	        .output_bytes = (uint64_t)integer(row, COLUMN_OUTPUT),
	};
	job->attempt = (unsigned)integer(row, COLUMN_ATTEMPT);
	job->lease_seq = (uint64_t)integer(row, COLUMN_LEASE_SEQ);
	job->committed_seq = (uint64_t)integer(row, COLUMN_COMMITTED_SEQ);
	if (!copy(&job->spec, row, COLUMN_SPEC) || !copy(&job->submitter, row, COLUMN_SUBMITTER) ||
	        !copy(&job->queue, row, COLUMN_QUEUE) ||
	        ((parts & STORE_PART_REST) && !read_rest(job, row)) ||
	        ((parts & STORE_PART_RESULT) && !read_result(job, row)) ||
	        ((parts & STORE_PART_RECORDS) && !copy(&job->records, row, COLUMN_RECORDS))) {
		job_release(job);
		return vega_fail_nomem(err);
	}
	return 0;
}

static void add_clean(struct buf *out, const char *text)
{
	size_t len = strlen(text);
	for (size_t i = 0; i < len;) {
		uint32_t code;
		size_t step = utf8_decode(text + i, len - i, &code);
		if (step) {
			buf_add(out, text + i, step);
		} else {
			buf_add_str(out, "\xef\xbf\xbd");
		}
		i += step ? step : 1;
	}
}

bool store_clean(struct arena *arena, const char **text)
{
	if (!*text || utf8_valid(*text, strlen(*text))) {
		return true;
	}
	struct buf clean = BUF_INIT;
	add_clean(&clean, *text);
	*text = clean.failed ? NULL : arena_copy(arena, clean.data, clean.len);
	buf_release(&clean);
	return *text != NULL;
}

int store_key_taken(const struct store_request *request, const char *first, struct vega_error *err)
{
	return vega_fail(err, VEGA_USAGE,
	        "the idempotency key '%s' was used for job %s, which is not the same "
	        "specification; use another key",
	        request->idempotency_key, first);
}

int store_id(const char *id, char canonical[UUID_TEXT], struct vega_error *err)
{
	if (!uuid_valid(id)) {
		return vega_fail(err, VEGA_USAGE, "'%s' is not a job id", id);
	}
	for (size_t i = 0; i < UUID_TEXT; i++) {
		canonical[i] = (char)(id[i] >= 'A' && id[i] <= 'F' ? id[i] | 0x20 : id[i]);
	}
	return 0;
}

enum store_queues store_queues(const struct strlist *queues, struct buf *parameter)
{
	size_t count = queues ? queues->count : 0;
	if (count == 0) {
		return QUEUES_ANY;
	}
	if (count == 1) {
		add_clean(parameter, queues->items[0]);
		return QUEUES_ONE;
	}
	struct json json = json_writer(parameter);
	json_array_begin(&json);
	for (size_t i = 0; i < count; i++) {
		json_str(&json, queues->items[i]);
	}
	json_array_end(&json);
	return QUEUES_MANY;
}

int64_t store_time_us(struct vega_time when)
{
	const int64_t first = -62135596800, last = 253402300799; /* 0001-01-01, 9999-12-31 */
	int64_t sec = when.sec < first ? first : when.sec > last ? last : when.sec;
	return sec * 1000000 + when.nsec / 1000;
}

int64_t store_limit(uint64_t limit)
{
	return limit < INT64_MAX ? (int64_t)limit : INT64_MAX;
}

int64_t store_span_us(uint64_t ms)
{
	const uint64_t most = (uint64_t)1000 * 365 * 86400 * 1000;
	return (int64_t)(ms < most ? ms : most) * 1000;
}

unsigned store_timeout(unsigned timeout_ms)
{
	return timeout_ms == 0 ? 15000 : timeout_ms < INT32_MAX ? timeout_ms : INT32_MAX;
}

int store_left_ms(uint64_t deadline)
{
	uint64_t now = monotonic_ms();
	uint64_t left = deadline > now ? deadline - now : 0;
	return left > INT32_MAX ? INT32_MAX : (int)left;
}

unsigned store_jitter(unsigned low, unsigned high)
{
	static _Thread_local unsigned state;
	if (state == 0) {
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		state = (unsigned)now.tv_nsec ^ (unsigned)getpid() << 16 ^ 1u;
	}
	return low + (unsigned)rand_r(&state) % (high - low + 1);
}

unsigned store_next_page(unsigned count, unsigned most)
{
	unsigned next = count < most / 2 ? 2 * count : most;
	return next ? next : 1;
}

static int list_pages(struct store *store, struct store_page *page, store_page_reader *read,
        struct job *jobs, store_each_job *each, void *context, struct vega_error *err)
{
	unsigned left = page->filter->limit ? page->filter->limit : UINT32_MAX;
	unsigned most = page->filter->parts & STORE_PART_SPEC ? STORE_PAGE_FIRST : STORE_PAGE;
	for (;;) {
		page->limit = left < most ? left : most;
		int count = read(store, page, jobs, err);
		if (count < 0) {
			return count;
		}
		bool stopped = false;
		for (int i = 0; i < count; i++) {
			stopped = stopped || each(&jobs[i], context) != 0;
			job_release(&jobs[i]);
		}
		left -= page->filter->limit ? (unsigned)count : 0;
		if (stopped || !page->more || left == 0) {
			return 0;
		}
		most = store_next_page((unsigned)count, STORE_PAGE);
	}
}

int store_split_label(const char *label, struct arena *arena, const char **key, const char **value,
        struct vega_error *err)
{
	const char *equals = label ? strchr(label, '=') : NULL;
	*key = *value = NULL;
	if (!label) {
		return 0;
	}
	if (!equals || equals == label) {
		return vega_fail(err, VEGA_USAGE, "'%s' is not a label; say KEY=VALUE", label);
	}
	*key = arena_copy(arena, label, (size_t)(equals - label));
	*value = equals + 1;
	return *key ? 0 : vega_fail_nomem(err);
}

int store_list(struct store *store, const struct store_filter *filter, store_page_reader *read,
        store_each_job *each, void *context, struct vega_error *err)
{
	struct arena arena = {0};
	struct store_filter clean = *filter;
	struct store_page page = {.filter = &clean, .before = INT64_MAX};
	struct job *jobs = calloc(STORE_PAGE, sizeof *jobs);
	bool copied = jobs && store_clean(&arena, &clean.queue) &&
	              store_clean(&arena, &clean.submitter) && store_clean(&arena, &clean.label);
	int code = copied ? store_split_label(
	                            clean.label, &arena, &page.label_key, &page.label_value, err)
	                  : vega_fail_nomem(err);
	code = code ? code : list_pages(store, &page, read, jobs, each, context, err);
	free(jobs);
	arena_release(&arena);
	return code;
}

struct store_worker store_read_worker(const struct store_row *row)
{
	struct store_worker worker = {
	        .name = row->text(row->context, WORKER_NAME),
	        .host = row->text(row->context, WORKER_HOST),
	        .version = row->text(row->context, WORKER_VERSION),
	        .queues = row->text(row->context, WORKER_QUEUES),
	        .pid = (int)integer(row, WORKER_PID),
	        .jobs = (unsigned)integer(row, WORKER_JOBS),
	        .running = (unsigned)integer(row, WORKER_RUNNING),
	        .lease_ms = (uint64_t)integer(row, WORKER_LEASE),
	        .started = point(row, WORKER_STARTED),
	        .seen = point(row, WORKER_SEEN),
	};
	long long silent_us = integer(row, WORKER_NOW) - integer(row, WORKER_SEEN);
	uint64_t trusted_ms = worker.lease_ms + (worker.running ? 0 : STORE_ANNOUNCE_MS);
	worker.silent_ms = silent_us > 0 ? (uint64_t)silent_us / 1000 : 0;
	worker.alive = worker.silent_ms <= trusted_ms;
	return worker;
}

struct store_stats store_read_stats(const struct store_row *row)
{
	struct store_stats stats = {.queue = row->text(row->context, 0)};
	int column = 1;
	for (int i = 0; i < JOB_STATES; i++) {
		stats.jobs[i] = (uint64_t)integer(row, column++);
	}
	stats.due = (uint64_t)integer(row, column++);
	stats.oldest_due_ms = (uint64_t)integer(row, column++);
	stats.retried = (uint64_t)integer(row, column++);
	stats.leases = (uint64_t)integer(row, column++);
	stats.expired = (uint64_t)integer(row, column++);
	for (int i = 0; i < STORE_WINDOWS; i++) {
		stats.last[i].started = (uint64_t)integer(row, column++);
		stats.last[i].ended[JOB_COMPLETED] = (uint64_t)integer(row, column++);
		stats.last[i].ended[JOB_FAILED] = (uint64_t)integer(row, column++);
		stats.last[i].ended[JOB_CANCELLED] = (uint64_t)integer(row, column++);
	}
	return stats;
}

uint32_t store_prunable(const struct store_prune *prune)
{
	const uint32_t ended = 1u << JOB_COMPLETED | 1u << JOB_FAILED | 1u << JOB_CANCELLED;
	return prune->states ? prune->states & ended : ended;
}

bool store_prune_row(struct store_prune *prune, const struct store_row *row)
{
	const struct store_pruned job = {
	        .id = row->text(row->context, PRUNED_ID),
	        .lease_seq = (uint64_t)integer(row, PRUNED_LEASE_SEQ),
	        .spec = prune->dry_run ? NULL : row->text(row->context, PRUNED_SPEC),
	        .records_uri = row->text(row->context, PRUNED_URI),
	        .records_size = (uint64_t)integer(row, PRUNED_SIZE),
	};
	prune->after = integer(row, PRUNED_NR);
	return prune->remove(&job, prune->context) && !prune->dry_run;
}
