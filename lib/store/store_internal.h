/* What the stores share: the shape of a row, clean text, deadlines, queue filters. */
#ifndef VEGA_STORE_INTERNAL_H
#define VEGA_STORE_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "store/store.h"

/*
 * The columns of a job, in the order in which every SELECT names them. Times are microseconds since
 * 1970. A claim's end before COLUMN_PRIORITY, those of a SELECT without the result before
 * COLUMN_SUMMARY, without the records before COLUMN_RECORDS.
 */
enum store_column {
	COLUMN_ID,
	COLUMN_SPEC,
	COLUMN_SUBMITTER,
	COLUMN_QUEUE,
	COLUMN_MAX_ATTEMPTS,
	COLUMN_TIMEOUT,
	COLUMN_MEMORY,
	COLUMN_OUTPUT,
	COLUMN_STATE,
	COLUMN_ATTEMPT,
	COLUMN_LEASE_SEQ,
	COLUMN_COMMITTED_SEQ,
	COLUMN_PRIORITY,
	COLUMN_IDEMPOTENCY_KEY,
	COLUMN_LABELS,
	COLUMN_CREATED,
	COLUMN_NOT_BEFORE,
	COLUMN_WORKER,
	COLUMN_LEASE_UNTIL,
	COLUMN_STARTED,
	COLUMN_FINISHED,
	COLUMN_CANCEL_REQUESTED, /* 0 or 1 */
	COLUMN_PROGRESS,
	COLUMN_ERROR,
	COLUMN_NR, /* the order of acceptance; list() pages by it */
	COLUMN_SUMMARY,
	COLUMN_RECORDS_URI,
	COLUMN_RECORDS_SIZE,
	COLUMN_RECORDS_DIGEST,
	COLUMN_STDERR_TAIL,
	COLUMN_EXIT_CODE,
	COLUMN_RECORDS,
};

/* Those of a claim, once for both stores; or with NULL for the specification. */
#define STORE_CLAIM_COLUMNS STORE_CLAIM_COLUMNS_WITH("j.spec")
#define STORE_CLAIM_COLUMNS_WITH(spec) \
	"j.id, " spec \
	" AS spec, j.submitter, j.queue, j.max_attempts, j.timeout_ms, j.memory_bytes," \
	" j.output_bytes, s.state, s.attempt, s.lease_seq, s.committed_seq"

/* A row of text values; NULL for SQL's NULL. A value is valid until the row is left. */
struct store_row {
	const char *(*text)(void *context, int column);
	void *context;
};

/* What is loaded of a job besides the columns of a claim: all but the result. To be combined with
 * store_parts. */
enum { STORE_PART_REST = 4 };

/* Fills a zeroed job from the columns that `parts` loaded. Releases it on failure. */
int store_read_job(
        struct job *job, const struct store_row *row, unsigned parts, struct vega_error *err);

/* Text as any store takes it: what is not valid UTF-8 becomes U+FFFD, in a copy in the arena. NULL
 * stays NULL. False: no memory. */
bool store_clean(struct arena *arena, const char **text);

/* The key of this request was used for the job `first`, which has another spec. */
int store_key_taken(const struct store_request *request, const char *first, struct vega_error *err);

/* The canonical, lower-case form of an id; VEGA_USAGE names what is not one. */
int store_id(const char *id, char canonical[UUID_TEXT], struct vega_error *err);

/* The parts of "KEY=VALUE", VALUE borrowed; both NULL when there is no label. VEGA_USAGE names what
 * is not one. */
int store_split_label(const char *label, struct arena *arena, const char **key, const char **value,
        struct vega_error *err);

/* How claim and next_due are limited to queues, and the parameter for it: nothing, a queue's name,
 * or a JSON array of names. */
enum store_queues { QUEUES_ANY, QUEUES_ONE, QUEUES_MANY, QUEUES_KINDS };
enum store_queues store_queues(const struct strlist *queues, struct buf *parameter);

/* Microseconds since 1970, as far as both stores can hold them (years 1 to 9999). */
int64_t store_time_us(struct vega_time when);

/* A limit as both stores can hold it. */
int64_t store_limit(uint64_t limit);

/* A length of time in microseconds; what is longer than a thousand years is cut to that. */
int64_t store_span_us(uint64_t ms);

/*
 * A clock that is set back leaves times in the future behind. A job's due is no such time unless
 * its submitter said it: it is 1970 when it waits for nothing, and else at most a retry's delay
 * away. Nor is that of a lease whose attempt began in the future. From next_due(), not more often
 * than each STORE_MEND_MS, such leases are begun anew, in case their worker is alive, and such jobs
 * are due. Less than a minute is waited for.
 */
#define STORE_AHEAD_US INT64_C(60000000)
#define STORE_RETRY_AHEAD_US (INT64_C(1000) * JOB_RETRY_MAX_MS + STORE_AHEAD_US)
#define STORE_MEND_MS 10000

/* Is it time to look for such? *at is when that was last the case; 0: never. */
bool store_mend_due(uint64_t *at);

/* The timeout_ms of open(): 15 s by default, and no more than PostgreSQL can hold. */
unsigned store_timeout(unsigned timeout_ms);

/* What is left until a deadline, as poll() takes it. */
int store_left_ms(uint64_t deadline);

/* A random number from low to high, so that many processes do not do the same at once. */
unsigned store_jitter(unsigned low, unsigned high);

/* The columns of a worker, in the order in which both stores select them. Times are microseconds
 * since 1970. */
enum store_worker_column {
	WORKER_NAME,
	WORKER_HOST,
	WORKER_PID,
	WORKER_VERSION,
	WORKER_STARTED,
	WORKER_SEEN,
	WORKER_LEASE,
	WORKER_JOBS,
	WORKER_RUNNING,
	WORKER_QUEUES,
	WORKER_NOW, /* the store's clock */
};

/* Borrows from the row. */
struct store_worker store_read_worker(const struct store_row *row);

/*
 * What stats() selects of each job j and its state s, which may be missing, once for both stores.
 * `age` is the milliseconds that have passed since a time, as an expression, and `later` the later
 * of two times; `now`, `minute` and `hour` are expressions, too. A job that waits for nothing is
 * due since 1970.
 */
/* clang-format off */
#define STORE_COUNT(condition) ", count(*) FILTER (WHERE " condition ")"
#define STORE_COUNT_WINDOW(since) \
	STORE_COUNT("started > " since) \
	STORE_COUNT("finished > " since " AND state = 'COMPLETED'") \
	STORE_COUNT("finished > " since " AND state = 'FAILED'") \
	STORE_COUNT("finished > " since " AND state = 'CANCELLED'")
#define STORE_DUE(now) "state = 'PENDING' AND due <= " now
#define STORE_STATS(now, minute, hour, age, later) \
	"j.queue" \
	STORE_COUNT("state = 'PENDING'") STORE_COUNT("state = 'PROCESSING'") \
	STORE_COUNT("state = 'COMPLETED'") STORE_COUNT("state = 'FAILED'") \
	STORE_COUNT("state = 'CANCELLED'") STORE_COUNT(STORE_DUE(now)) \
	", coalesce(" age("min(" later("due", "j.created") ") FILTER (WHERE " STORE_DUE(now) ")") ", 0)" \
	STORE_COUNT("attempt > 1") \
	STORE_COUNT("lease_until > " now) STORE_COUNT("lease_until <= " now) \
	STORE_COUNT("s.nr IS NULL") \
	STORE_COUNT("state = 'COMPLETED' AND exit_code = 3") \
	STORE_COUNT_WINDOW(now " - " minute) STORE_COUNT_WINDOW(now " - " hour)
/* clang-format on */

/* Reads such a row. */
struct store_stats store_read_stats(const struct store_row *row);

/* The columns that prune() selects, in this order. */
enum store_pruned_column {
	PRUNED_NR,
	PRUNED_ID,
	PRUNED_LEASE_SEQ,
	PRUNED_SPEC,
	PRUNED_URI,
	PRUNED_SIZE,
};

/* The states that prune() may look at. */
uint32_t store_prunable(const struct store_prune *prune);

/* Calls remove() for a row; true when the job is to be deleted. Moves `after`. */
bool store_prune_row(struct store_prune *prune, const struct store_row *row);

/* What list() reads at a time: jobs with nr below `before`, newest first. Paging keeps memory
 * small, and no transaction open while the caller prints. A page ends after `limit` jobs, or with
 * the one whose specification brings it to STORE_PAGE_BYTES. */
#define STORE_PAGE 500
#define STORE_PAGE_BYTES 1048576 /* a literal of SQL, too */
#define STORE_PAGE_FIRST 8       /* jobs, when their specifications are read */
struct store_page {
	const struct store_filter *filter;
	const char *label_key, *label_value; /* NULL: any */
	int64_t before;                      /* in, out: where the next page goes on */
	unsigned limit;
	bool more; /* out: the page was full */
};

/* The next limit after a page of `count` jobs: PostgreSQL measures the specifications of as many
 * jobs, however few fit. */
unsigned store_next_page(unsigned count, unsigned most);

/* Fills up to `limit` jobs. Returns how many, or a negative code. */
typedef int store_page_reader(
        struct store *store, struct store_page *page, struct job *jobs, struct vega_error *err);

/* The list slot, over a store's reader of one page. */
int store_list(struct store *store, const struct store_filter *filter, store_page_reader *read,
        store_each_job *each, void *context, struct vega_error *err);

#endif
