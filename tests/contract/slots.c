/* The promises of store.h, slot by slot, by one process. */
#include <sys/resource.h>

#include "contract.h"
#include "store/store_internal.h"

#define D(store) (store)->driver

static struct vega_error err;

static void submit_keeps_what_was_said(struct store *store)
{
	static const char spec[] =
	        "{\"v\":1, \"z\":9007199254740993,\"a\":\"\\u0001\xf0\x9f\x93\x81\"}";
	struct store_request r = request("said");
	r.spec = spec;
	r.priority = -7;
	r.max_attempts = 5;
	r.idempotency_key = "key 1";
	r.labels = "{\"team\":\"x\"}";
	r.not_before = (struct vega_time){.sec = 4102444800, .nsec = 123456000};
	r.limits = (struct job_limits){
	        .timeout_ms = 1, .memory_bytes = 1 << 20, .output_bytes = INT64_MAX};
	submit(store, &r);
	same(r.stored_id, r.id, "submit returns the id");
	check(!r.existed, "a new job did not exist");
	struct job job = get(store, r.id);
	same(job.spec, spec, "a job has its specification, byte by byte");
	same(job.submitter, contract_submitter, "a job has its submitter");
	same(job.queue, "said", "a job has its queue");
	equal(job.priority, -7, "a job has its priority");
	equal(job.max_attempts, 5, "a job has its number of attempts");
	same(job.idempotency_key, "key 1", "a job has its idempotency key");
	check(strstr(job.labels, "\"team\"") && strstr(job.labels, "\"x\""),
	        "a job has its labels");
	check(job.limits.timeout_ms == 1 && job.limits.memory_bytes == 1 << 20 &&
	                job.limits.output_bytes == INT64_MAX,
	        "a job has its limits");
	equal(job.not_before.sec, 4102444800, "a job has its start in seconds");
	equal(job.not_before.nsec, 123456000, "a job has its start in microseconds");
	check(llabs(job.created.sec - (long long)time(NULL)) < 60, "a new job was created now");
	equal(job.state, JOB_PENDING, "a new job is PENDING");
	equal(job.attempt, 0, "a new job has no attempt");
	equal(job.lease_seq, 0, "a new job has no lease");
	check(!job.worker && !job.error && !job.summary && !job.records && !job.cancel_requested,
	        "a new job has no worker and no result");
	check(job.started.sec == 0 && job.finished.sec == 0 && job.lease_until.sec == 0,
	        "a new job has neither started nor ended");
	job_release(&job);
}

static void submit_has_defaults(struct store *store)
{
	struct store_request r = request(NULL);
	submit(store, &r);
	struct job job = get(store, r.id);
	same(job.queue, "default", "a job without a queue is in the default queue");
	equal(job.max_attempts, JOB_MAX_ATTEMPTS_DEFAULT,
	        "a job without a number of attempts has the default");
	same(job.labels, "{}", "a job without labels has none");
	check(!job.limits.timeout_ms && !job.limits.memory_bytes && !job.limits.output_bytes,
	        "a job without limits has none");
	check(job.not_before.sec == 0 && job.not_before.nsec == 0 && !job.idempotency_key,
	        "a job without a start and a key has none");
	job_release(&job);
}

static unsigned count_queue(struct store *store, const char *queue);

static void submit_is_idempotent(struct store *store)
{
	struct store_request first = request("twice"), again, other;
	first.idempotency_key = "K";
	submit(store, &first);
	again = first;
	submit(store, &again);
	same(again.stored_id, first.id, "a submission with the same id is the same job");
	check(!again.existed, "a submission with the same id did not exist before");
	other = request("twice");
	other.idempotency_key = "K";
	submit(store, &other);
	same(other.stored_id, first.id, "a submission with the same key gives the first job's id");
	check(other.existed, "a submission with the same key says that the job existed");
	struct store_request pair[2] = {request("twice"), request("twice")};
	pair[0].idempotency_key = pair[1].idempotency_key = "L";
	equal(D(store)->submit(store, pair, 2, &err), 0, "a batch with one key twice is stored");
	same(pair[1].stored_id, pair[0].id, "the second job of a key is the first");
	equal(count_queue(store, "twice"), 2, "a batch makes one job per key");
	struct store_request none[2] = {request("twice"), request("twice")};
	equal(D(store)->submit(store, none, 2, &err), 0, "a batch without keys is stored");
	equal(count_queue(store, "twice"), 4, "jobs without a key are their own");
	struct store_request more[4] = {none[0], request("twice"), none[1]};
	more[3] = more[1];
	equal(D(store)->submit(store, more, 4, &err), 0,
	        "a batch with old ids, and a new one twice, is stored");
	same(more[2].stored_id, none[1].id, "an old id is the job that it was");
	same(more[3].stored_id, more[1].id, "a new id twice is one job");
	check(!more[0].existed && !more[3].existed, "no id of the batch belongs to another");
	equal(count_queue(store, "twice"), 5, "a batch makes one job per id");
}

/* What a client that repeats a key with something else gets is an error, not another's job. */
static void a_key_is_for_one_spec(struct store *store)
{
	struct store_request first = request("key"), other = request("key");
	first.idempotency_key = other.idempotency_key = "one spec";
	submit(store, &first);
	other.spec = "{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"/other\"]}";
	equal(D(store)->submit(store, &other, 1, &err), VEGA_USAGE,
	        "a key with another specification is rejected");
	check(strstr(err.text, first.id) && strstr(err.text, "one spec"),
	        "the error names the key and the first job");
	struct store_request batch[3] = {request("key"), other, request("key")};
	equal(D(store)->submit(store, batch, 3, &err), VEGA_USAGE,
	        "a key with another specification is rejected in a batch");
	struct store_request pair[2] = {request("key"), other};
	pair[0].idempotency_key = pair[1].idempotency_key = "two specs";
	equal(D(store)->submit(store, pair, 2, &err), VEGA_USAGE,
	        "a key with two specifications in one batch is rejected");
	check(strstr(err.text, "two specs"), "the error names the key of two specifications");
	equal(count_queue(store, "key"), 1, "a rejected key stores nothing");
	other.submitter = "someone else";
	if (strcmp(contract_store, "sqlite") == 0) { /* PostgreSQL stamps its own */
		equal(D(store)->submit(store, &other, 1, &err), 0,
		        "the key of another submitter is free");
	}
	other = first;
	other.spec = "{}";
	equal(D(store)->submit(store, &other, 1, &err), 0,
	        "a repeated call with the same id succeeds");
	same(other.stored_id, first.id, "a repeated call keeps the first job");
}

static void submit_stores_all_or_none(struct store *store)
{
	struct store_request pair[2] = {request("none"), request("none")};
	memcpy(pair[1].id, "not-a-uuid", 11);
	equal(D(store)->submit(store, pair, 2, &err), VEGA_USAGE, "a malformed id is rejected");
	check(strstr(err.text, "not-a-uuid"), "a malformed id is named");
	equal(count_queue(store, "none"), 0, "a malformed id keeps its batch from being stored");
}

static void submit_takes_a_thousand(struct store *store)
{
	enum { COUNT = 1000 };
	struct store_request *many = calloc(COUNT, sizeof *many);
	struct job job;
	bool in_order = true;
	for (int i = 0; i < COUNT; i++) {
		many[i] = request("many");
	}
	equal(D(store)->submit(store, many, COUNT, &err), 0,
	        "a thousand jobs are submitted in one call");
	equal(count_queue(store, "many"), COUNT, "a thousand jobs are all stored");
	for (int i = 0; i < 20; i++) {
		in_order = in_order && claim(store, "w", "many", 1, 60000, &job) == 1 &&
		           strcmp(job.id, many[i].id) == 0;
		job_release(&job);
	}
	check(in_order, "a thousand jobs run in the order of submission");
	free(many);
}

static void strange_bytes_survive(struct store *store)
{
	struct store_request r = request("strange\xff\n\x1b[31m");
	r.idempotency_key = "k\xc0\xaf";
	submit(store, &r);
	struct store_request again = request("strange\xff\n\x1b[31m");
	again.idempotency_key = "k\xc0\xaf";
	submit(store, &again);
	same(again.stored_id, r.id, "a key of strange bytes is still a key");
	struct job jobs[2];
	equal(claim(store, "host\xfe:1", "strange\xff\n\x1b[31m", 2, 60000, jobs), 1,
	        "a queue of strange bytes is still a queue");
	same(jobs[0].queue, "strange\xef\xbf\xbd\n\x1b[31m",
	        "a queue that is not UTF-8 has U+FFFD");
	struct store_lease lease = {.lease_seq = jobs[0].lease_seq};
	memcpy(lease.id, jobs[0].id, UUID_TEXT);
	equal(D(store)->heartbeat(store, "host\xfe:1", &lease, 1, 60000, &err), 0,
	        "a heartbeat of a worker of strange bytes succeeds");
	check(!lease.lost, "the lease of a worker of strange bytes is renewed");
	job_release(&jobs[0]);
	jobs[0] = get(store, r.id);
	same(jobs[0].worker, "host\xef\xbf\xbd:1", "a worker's name that is not UTF-8 has U+FFFD");
	struct store_result result = {.outcome = STORE_FAILED,
	        .error = "cannot read 'a\xff\n\xed\xa0\x80'",
	        .stderr_tail = "\x01tail\xe2\x82",
	        .records = "{\"path\":\"\xff\"}\n",
	        .records_uri = "file:///spool/\xfe"};
	equal(finish_one(store, &lease, &result, NULL), 0,
	        "finish takes a result of strange bytes");
	job_release(&jobs[0]);
	jobs[0] = get(store, r.id);
	same(jobs[0].error, "cannot read 'a\xef\xbf\xbd\n\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd'",
	        "an error that is not UTF-8 has U+FFFD");
	same(jobs[0].stderr_tail, "\x01tail\xef\xbf\xbd\xef\xbf\xbd",
	        "a stderr that is not UTF-8 has U+FFFD");
	same(jobs[0].records_uri, "file:///spool/\xef\xbf\xbd",
	        "a place of records that is not UTF-8 has U+FFFD");
	same(jobs[0].records, "{\"path\":\"\xff\"}\n",
	        "records of strange bytes are stored as they are");
	job_release(&jobs[0]);
}

static void claim_takes_the_right_ones(struct store *store)
{
	struct store_request low = request("order"), high = request("order"),
	                     late = request("order");
	struct job jobs[8];
	high.priority = 10;
	high.max_attempts = 7;
	high.limits.timeout_ms = 9000;
	high.labels = "{\"team\":\"red\"}";
	late.not_before = (struct vega_time){.sec = time(NULL) + 3600};
	late.priority = 100;
	submit(store, &low);
	submit(store, &late);
	submit(store, &high);
	struct store_request low2 = submit_to(store, "order");
	submit_to(store, "elsewhere");
	equal(claim(store, "w1", "order", 2, 30000, jobs), 2, "claim takes no more than asked for");
	same(jobs[0].id, high.id, "claim takes the highest priority first");
	same(jobs[1].id, low.id, "claim takes the oldest next");
	equal(jobs[0].state, JOB_PROCESSING, "a claimed job is PROCESSING");
	equal(jobs[0].attempt, 1, "a claimed job is in its first attempt");
	equal(jobs[0].lease_seq, 1, "a claimed job has its first lease");
	same(jobs[0].spec, high.spec, "a claimed job has its specification");
	same(jobs[0].queue, "order", "a claimed job has its queue");
	check(jobs[0].submitter && *jobs[0].submitter, "a claimed job has its submitter");
	equal(jobs[0].max_attempts, 7, "a claimed job has its number of attempts");
	equal(jobs[0].limits.timeout_ms, 9000, "a claimed job has its limits");
	check(jobs[0].priority == 0 && !jobs[0].labels && !jobs[0].worker &&
	                jobs[0].created.sec == 0 && jobs[0].lease_until.sec == 0,
	        "a claimed job has nothing else");
	job_release(&jobs[0]);
	job_release(&jobs[1]);
	jobs[0] = get(store, high.id);
	same(jobs[0].worker, "w1", "a claimed job has its worker");
	long long lease = jobs[0].lease_until.sec - jobs[0].started.sec;
	check(lease >= 29 && lease <= 31, "a lease is as long as asked for");
	job_release(&jobs[0]);
	equal(claim(store, "w2", "order", 8, 30000, jobs), 1, "claim leaves jobs that are not due");
	same(jobs[0].id, low2.id, "claim takes the last due job");
	job_release(&jobs[0]);
	equal(claim(store, "w2", "order", 8, 30000, jobs), 0, "claim takes no job twice");
	equal(state_of(store, late.id), JOB_PENDING, "a job with a later start stays PENDING");
}

static void claim_looks_into_its_queues(struct store *store)
{
	struct job jobs[8];
	struct strlist queues = {0};
	struct store_request a = submit_to(store, "qa"), b = submit_to(store, "q\"b,"),
	                     c = submit_to(store, "qc");
	strlist_add(&queues, "q\"b,");
	strlist_add(&queues, "qa");
	struct store_claim one = {.worker = "w", .queues = &queues, .max = 8, .lease_ms = 60000};
	equal(D(store)->claim(store, &one, jobs, &err), 2, "claim takes jobs of two queues");
	same(jobs[0].id, a.id, "claim takes the job of the first queue");
	same(jobs[1].id, b.id, "claim takes the job of the second queue");
	job_release(&jobs[0]);
	job_release(&jobs[1]);
	equal(state_of(store, c.id), JOB_PENDING, "claim leaves the job of the third queue");
	int count = 0, got;
	while ((got = claim(store, "w", NULL, 8, 60000, jobs)) > 0) {
		for (int i = 0; i < got; i++) {
			count += strcmp(jobs[i].id, c.id) == 0;
			job_release(&jobs[i]);
		}
	}
	equal(count, 1, "claim without queues takes any");
	strlist_release(&queues);
}

static void heartbeat_renews(struct store *store)
{
	struct store_request r[4];
	struct store_lease leases[6] = {0};
	for (int i = 0; i < 4; i++) {
		r[i] = submit_to(store, "beat");
		leases[i] = take_for(store, "beat", 30000);
	}
	leases[0].progress = "{\"entries\":12}";
	leases[1].lease_seq++;
	leases[1].progress = "{\"stale\":1}";
	equal(finish_as(store, &leases[2], STORE_COMPLETED, NULL), 0,
	        "one of the jobs is finished");
	equal(D(store)->cancel(store, r[3].id, NULL, &err), 0, "one of the jobs is cancelled");
	leases[4] = leases[0];
	leases[4].lease_seq = 0;
	uuid7(leases[5].id);
	leases[5].lease_seq = 1;
	equal(D(store)->heartbeat(store, "w", leases, 6, 300000, &err), 0,
	        "one heartbeat renews all leases");
	check(!leases[0].lost && !leases[0].cancel, "a held lease is renewed");
	check(leases[1].lost, "the lease of another worker is lost");
	check(leases[2].lost, "the lease of an ended job is lost");
	check(!leases[3].lost && leases[3].cancel, "a held lease has the request for cancellation");
	check(leases[4].lost && !leases[4].cancel, "a job without a lease is lost");
	check(leases[5].lost, "the lease of a missing job is lost");
	struct job job = get(store, r[0].id);
	long long left = job.lease_until.sec - job.started.sec;
	check(left >= 299 && left <= 330, "a renewed lease ends later");
	check(job.progress && strstr(job.progress, "12"), "a heartbeat stores the progress");
	job_release(&job);
	job = get(store, r[1].id);
	left = job.lease_until.sec - job.started.sec;
	check(left <= 31 && !job.progress, "a wrong lease renews and stores nothing");
	job_release(&job);
	leases[0].progress = NULL;
	equal(D(store)->heartbeat(store, "w", leases, 1, 300000, &err), 0,
	        "a second heartbeat succeeds");
	job = get(store, r[0].id);
	check(job.progress && strstr(job.progress, "12"),
	        "a heartbeat without progress keeps the progress");
	job_release(&job);
	struct store_lease older = leases[0];
	older.lease_seq--;
	equal(D(store)->heartbeat(store, "w", &older, 1, 300000, &err), 0,
	        "a heartbeat of an older lease succeeds");
	check(older.lost, "an older lease is lost");
	equal(D(store)->heartbeat(store, "thief", leases, 1, 300000, &err), 0,
	        "a heartbeat of another worker succeeds");
	check(leases[0].lost, "a lease is lost to a worker that does not hold it");
	equal(D(store)->heartbeat(store, "w", NULL, 0, 300000, &err), 0,
	        "a heartbeat without leases succeeds");
	for (int i = 0; i < 4; i += 3) {
		finish_as(store, &leases[i], STORE_CANCELLED, NULL);
	}
}

static void finish_keeps_the_result(struct store *store)
{
	enum { SIZE = 1 << 20 };
	struct buf summary = BUF_INIT;
	struct store_request r = submit_to(store, "result");
	struct store_lease lease = take(store, "result");
	enum job_state state = JOB_PENDING;
	buf_add_str(&summary, "{\"bytes\":18446744073709551616,\"names\":\"");
	while (summary.len < SIZE) {
		buf_add_str(&summary, "a\\n\xc3\xbc");
	}
	buf_add_str(&summary, "\"}");
	struct store_result result = {.outcome = STORE_COMPLETED,
	        .summary = buf_cstr(&summary),
	        .records = "{\"a\":1}\n{\"b\":2}\n",
	        .records_uri = "file:///spool/x.ndjson",
	        .records_size = 5000000000,
	        .records_digest = "xxh128:00",
	        .stderr_tail = "warned",
	        .exit_code = 3};
	equal(finish_one(store, &lease, &result, &state), 0, "finish stores a result");
	equal(state, JOB_COMPLETED, "finish returns the state");
	struct job job = get(store, r.id);
	equal(job.state, JOB_COMPLETED, "a finished job is COMPLETED");
	check(job.summary && strlen(job.summary) >= SIZE,
	        "a finished job has its summary of a megabyte");
	check(job.summary && strstr(job.summary, "18446744073709551616"),
	        "a finished job has exact numbers");
	same(job.records, result.records, "a finished job has its records");
	same(job.records_uri, result.records_uri, "a finished job has the place of its records");
	equal(job.records_size, 5000000000, "a finished job has the size of its records");
	same(job.records_digest, "xxh128:00", "a finished job has the digest of its records");
	same(job.stderr_tail, "warned", "a finished job has the end of its stderr");
	equal(job.exit_code, 3, "a finished job has its exit code");
	check(job.finished.sec >= job.started.sec && job.finished.sec > 0,
	        "a finished job has the time of its end");
	equal(job.lease_until.sec, 0, "a finished job has no lease");
	check(!job.error, "a finished job has no error");
	job_release(&job);
	equal(D(store)->get(store, r.id, 0, &job, &err), 0, "get succeeds without the result");
	check(!job.summary && !job.records && !job.stderr_tail,
	        "get without the result loads none of it");
	job_release(&job);
	equal(D(store)->get(store, r.id, STORE_PART_RECORDS, &job, &err), 0,
	        "get succeeds with only the records");
	check(!job.summary && job.records, "get with only the records loads only these");
	job_release(&job);
	buf_release(&summary);
}

static void finish_is_fenced(struct store *store)
{
	struct store_request r = submit_to(store, "fence");
	struct store_lease lease = take(store, "fence"), wrong = lease;
	struct store_result result = {.outcome = STORE_COMPLETED, .summary = "{\"forged\":1}"};
	wrong.lease_seq++;
	equal(finish_one(store, &wrong, &result, NULL), VEGA_LEASE_LOST,
	        "finish with a wrong lease is rejected");
	wrong.lease_seq = 0;
	equal(finish_one(store, &wrong, &result, NULL), VEGA_LEASE_LOST,
	        "finish without a lease is rejected");
	uuid7(wrong.id);
	wrong.lease_seq = 1;
	equal(finish_one(store, &wrong, &result, NULL), VEGA_LEASE_LOST,
	        "finish of a missing job is rejected");
	struct job job = get(store, r.id);
	check(job.state == JOB_PROCESSING && !job.summary, "a rejected finish stores nothing");
	job_release(&job);
	equal(finish_as(store, &lease, STORE_COMPLETED, NULL), 0,
	        "finish with the right lease succeeds");
	result.outcome = STORE_FAILED;
	enum job_state state = JOB_PENDING;
	equal(finish_one(store, &lease, &result, &state), 0,
	        "finish may be repeated, as after a lost reply");
	equal(state, JOB_COMPLETED, "a repeated finish keeps the first ending");
	job = get(store, r.id);
	check(job.state == JOB_COMPLETED && !job.summary, "a repeated finish stores nothing more");
	job_release(&job);
}

/* Every kind of ending in one call, and a lease twice. */
static void finish_takes_a_batch(struct store *store)
{
	static const enum store_outcome outcomes[] = {STORE_COMPLETED, STORE_FAILED, STORE_RETRY,
	        STORE_CANCELLED, STORE_RELEASED, STORE_COMPLETED, STORE_COMPLETED};
	static const enum job_state states[] = {JOB_COMPLETED, JOB_FAILED, JOB_PENDING,
	        JOB_CANCELLED, JOB_PENDING, JOB_COMPLETED, JOB_COMPLETED};
	enum { JOBS = 7, LOST = 5, COMMITTED = 6, TWICE = 7, ENDINGS = 8 };
	struct store_lease leases[JOBS];
	struct store_result results[JOBS], of_commit = {.summary = "{\"n\":66}"};
	struct store_ending endings[ENDINGS];
	char summaries[JOBS][24];
	for (int i = 0; i < JOBS; i++) {
		submit_to(store, "batch");
		leases[i] = take(store, "batch");
		snprintf(summaries[i], sizeof summaries[i], "{\"n\":%d}", i);
		results[i] = (struct store_result){.outcome = outcomes[i],
		        .summary = summaries[i],
		        .records = i % 2 ? "{\"r\":\"\\\\\"}\n" : NULL,
		        .error = i % 2 ? NULL : "a \"quoted\" \xff, {error}"};
		endings[i] = (struct store_ending){.lease = &leases[i], .result = &results[i]};
	}
	endings[TWICE] = endings[0];
	leases[LOST].lease_seq++;
	equal(D(store)->commit(store, &leases[COMMITTED], &of_commit, &err), 0,
	        "one of the batch is committed");
	for (int round = 0; round < 2; round++) {
		equal(D(store)->finish(store, endings, ENDINGS, NULL, NULL, &err), 0,
		        round ? "again, as after a lost reply" : "finish many");
		for (int i = 0; i < ENDINGS; i++) {
			int n = i == TWICE ? 0 : i;
			equal(endings[i].code, n == LOST ? VEGA_LEASE_LOST : 0,
			        "each ending has its code");
			check(n == LOST || endings[i].state == states[n],
			        "each ending has its state");
			struct job job = get(store, leases[n].id);
			equal(job.state, n == LOST ? JOB_PROCESSING : states[n],
			        "each job of the batch has its state");
			check(n == LOST || outcomes[n] == STORE_RELEASED
			                ? !job.summary
			                : job.summary && strchr(job.summary, '0' + n),
			        "each job of the batch has its own summary");
			job_release(&job);
		}
	}
	struct job job = get(store, leases[2].id);
	same(job.error, "a \"quoted\" \xef\xbf\xbd, {error}", "a batch stores texts as they are");
	job_release(&job);
	job = get(store, leases[1].id);
	same(job.records, "{\"r\":\"\\\\\"}\n", "a batch stores records as they are");
	job_release(&job);
	leases[LOST].lease_seq--;
	equal(finish_as(store, &leases[LOST], STORE_COMPLETED, NULL), 0,
	        "the lost one of a batch can end");
	equal(D(store)->finish(store, endings, 0, NULL, NULL, &err), 0, "an empty batch succeeds");
}

/* Ends one attempt, and claims up to `max` jobs of its queue in jobs[]. */
static int finish_and_claim(struct store *store, struct store_ending *ending, const char *queue,
        unsigned max, struct job *jobs)
{
	struct strlist queues = {0};
	strlist_add(&queues, queue);
	strlist_add(&queues, "nobody's");
	const struct store_claim claim = {
	        .worker = "w2", .queues = &queues, .max = max, .lease_ms = 60000};
	int count = D(store)->finish(store, ending, 1, &claim, jobs, &err);
	strlist_release(&queues);
	return count;
}

static void finish_claims(struct store *store)
{
	struct store_result good = {.outcome = STORE_COMPLETED, .summary = "{\"n\":1}"};
	struct store_request low = submit_to(store, "next");
	struct store_lease lease = take(store, "next"), wrong = lease;
	struct store_ending ending = {.lease = &lease, .result = &good};
	struct job jobs[3];
	equal(finish_and_claim(store, &ending, "next", 3, jobs), 0,
	        "finish with nothing to claim succeeds");
	equal(state_of(store, low.id), JOB_COMPLETED,
	        "finish with nothing to claim completes the job");
	submit_to(store, "other");
	low = submit_to(store, "next");
	struct store_request high = request("next"), third = request("next");
	high.priority = 5;
	submit(store, &high);
	submit(store, &third);
	equal(finish_and_claim(store, &ending, "next", 2, jobs), 2,
	        "finish, repeated, claims two jobs");
	check(ending.code == 0 && ending.state == JOB_COMPLETED,
	        "finish, repeated, returns the first ending");
	same(jobs[0].id, high.id, "finish claims the highest priority first");
	same(jobs[1].id, low.id, "finish claims the oldest next, of the named queues");
	for (int i = 0; i < 2; i++) {
		check(jobs[i].spec && jobs[i].state == JOB_PROCESSING && jobs[i].lease_seq == 1 &&
		                jobs[i].attempt == 1,
		        "finish claims under a lease, as claim() does");
		memcpy(lease.id, jobs[i].id, UUID_TEXT);
		lease.lease_seq = jobs[i].lease_seq;
		job_release(&jobs[i]);
	}
	ending = (struct store_ending){.lease = &wrong, .result = &good};
	wrong.lease_seq += 7;
	equal(finish_and_claim(store, &ending, "next", 3, jobs), 1,
	        "finish with a lost lease claims a job");
	equal(ending.code, VEGA_LEASE_LOST, "finish with a lost lease reports it");
	same(jobs[0].id, third.id, "finish with a lost lease claims the right job");
	job_release(&jobs[0]);
	equal(finish_as(store, &lease, STORE_COMPLETED, NULL), 0,
	        "a job claimed by finish can be finished");
}

static void finish_retries(struct store *store)
{
	struct store_request r = request("retry");
	struct store_result result = {
	        .outcome = STORE_RETRY, .error = "it broke", .stderr_tail = "why", .exit_code = 9};
	struct strlist queues = {0};
	uint64_t due = 0;
	enum job_state state = JOB_STATES;
	r.max_attempts = 2;
	submit(store, &r);
	strlist_add(&queues, "retry");
	struct store_lease lease = take(store, "retry");
	equal(finish_one(store, &lease, &result, &state), 0, "a failed attempt is finished");
	equal(state, JOB_PENDING, "a failed attempt leaves the job PENDING");
	equal(finish_one(store, &lease, &result, &state), 0,
	        "a failed attempt may be finished twice");
	equal(state, JOB_PENDING, "a failed attempt finished twice leaves the job PENDING");
	struct job job = get(store, r.id);
	check(job.attempt == 1 && job.lease_until.sec == 0 && job.finished.sec == 0,
	        "a failed attempt counts once");
	same(job.error, "it broke", "a failed attempt has its error");
	same(job.stderr_tail, "why", "a failed attempt has the end of its stderr");
	equal(job.exit_code, 9, "a failed attempt has its exit code");
	job_release(&job);
	equal(D(store)->next_due(store, &queues, 60000, &due, &err), 0, "next_due knows a retry");
	check(due > 0 && due <= job_retry_delay_ms(1), "a retry is due after the backoff");
	check(claim(store, "w", "retry", 1, 1000, &job) == 0,
	        "a retry cannot be claimed before the backoff");
	check(becomes_due(store, "retry"), "a retry becomes due");
	lease = take(store, "retry");
	equal(lease.lease_seq, 2, "a retry has a higher lease");
	result.stderr_tail = "why again";
	result.exit_code = 8;
	equal(finish_one(store, &lease, &result, &state), 0, "the last attempt fails");
	equal(state, JOB_FAILED, "the last failed attempt fails the job");
	job = get(store, r.id);
	check(job.state == JOB_FAILED, "a job without attempts left has FAILED");
	same(job.stderr_tail, "why again", "the last attempt's stderr replaces the first's");
	equal(job.exit_code, 8, "the last attempt's exit code replaces the first's");
	job_release(&job);
	strlist_release(&queues);
}

static void finish_releases(struct store *store)
{
	struct store_request r = request("release");
	struct job job;
	enum job_state state = JOB_STATES;
	r.max_attempts = 1;
	submit(store, &r);
	for (unsigned i = 1; i <= 3; i++) {
		equal(claim(store, "w", "release", 1, 60000, &job), 1,
		        "a released job can be claimed");
		check(job.attempt == 1 && job.lease_seq == i,
		        "a release counts the lease, not the attempt");
		struct store_lease lease = {.lease_seq = job.lease_seq};
		memcpy(lease.id, job.id, UUID_TEXT);
		job_release(&job);
		equal(finish_as(store, &lease, STORE_RELEASED, &state), 0, "a job is released");
		equal(state, JOB_PENDING, "a released job is PENDING at once");
		equal(finish_as(store, &lease, STORE_RELEASED, &state), 0,
		        "a release may be repeated");
		job = get(store, r.id);
		equal(job.attempt, 0, "a repeated release does not count down twice");
		job_release(&job);
	}
}

static void finish_heeds_cancellation(struct store *store)
{
	static const enum store_outcome outcomes[] = {
	        STORE_COMPLETED, STORE_FAILED, STORE_RETRY, STORE_RELEASED, STORE_CANCELLED};
	for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
		struct store_request r = submit_to(store, "cancelled");
		struct store_lease lease = take(store, "cancelled");
		enum job_state state = JOB_STATES;
		equal(D(store)->cancel(store, r.id, &state, &err), 0,
		        "a cancellation is asked for");
		equal(state, JOB_PROCESSING, "a cancellation of a PROCESSING job leaves it so");
		const struct store_result result = {.outcome = outcomes[i],
		        .summary = "{\"n\":1}",
		        .records = "{\"r\":1}\n",
		        .records_size = 8};
		equal(finish_one(store, &lease, &result, &state), 0,
		        "the attempt of a job to be cancelled ends");
		equal(state, JOB_CANCELLED,
		        "a job to be cancelled is CANCELLED, whatever it had done");
		struct job job = get(store, r.id);
		check(job.state == JOB_CANCELLED && job.finished.sec > 0,
		        "a CANCELLED job has ended");
		check(!job.summary && !job.records, "a CANCELLED job has no result");
		job_release(&job);
	}
}

static void expired_leases_are_taken_over(struct store *store)
{
	struct store_request r = submit_to(store, "expired");
	struct store_lease zombie = take_for(store, "expired", 1);
	struct job job;
	check(becomes_due(store, "expired"), "an expired lease is due");
	equal(claim(store, "w2", "expired", 1, 60000, &job), 1, "an expired lease is taken over");
	check(job.attempt == 2 && job.lease_seq == 2,
	        "a job that was taken over is in its second attempt");
	job_release(&job);
	job = get(store, r.id);
	same(job.worker, "w2", "a job that was taken over has its new worker");
	check(job.error && strstr(job.error, "worker w was lost"),
	        "a job that was taken over has the error of the first attempt");
	struct store_lease lease = {.lease_seq = 2};
	memcpy(lease.id, job.id, UUID_TEXT);
	job_release(&job);
	equal(D(store)->heartbeat(store, "w", &zombie, 1, 60000, &err), 0,
	        "a zombie's heartbeat succeeds");
	check(zombie.lost, "a zombie's heartbeat reports the lost lease");
	for (int outcome = STORE_COMPLETED; outcome <= STORE_RELEASED; outcome++) {
		equal(finish_as(store, &zombie, (enum store_outcome)outcome, NULL), VEGA_LEASE_LOST,
		        "a zombie's finish is rejected");
	}
	check(state_of(store, r.id) == JOB_PROCESSING, "a zombie's finish changes nothing");
	equal(finish_as(store, &lease, STORE_COMPLETED, NULL), 0, "the holder may finish");
	equal(finish_as(store, &zombie, STORE_FAILED, NULL), VEGA_LEASE_LOST,
	        "a zombie's finish is rejected after the holder's");
}

static void expired_jobs_are_buried(struct store *store)
{
	struct store_request worn = request("buried"), unwanted = request("buried");
	struct job job;
	worn.max_attempts = 1;
	submit(store, &worn);
	submit(store, &unwanted);
	take_for(store, "buried", 1);
	struct store_lease lease = take_for(store, "buried", 1);
	equal(D(store)->cancel(store, unwanted.id, NULL, &err), 0, "a PROCESSING job is cancelled");
	check(becomes_due(store, "buried"), "the leases of both jobs expire");
	time_t deadline = time(NULL) + WAIT_S;
	do {
		equal(claim(store, "w", "buried", 1, 60000, &job), 0,
		        "jobs without attempts left are not claimed");
	} while (state_of(store, unwanted.id) == JOB_PROCESSING && time(NULL) < deadline);
	job = get(store, worn.id);
	equal(job.state, JOB_FAILED, "a job whose attempts are used up has FAILED");
	same(job.error, "worker w was lost in attempt 1 of 1",
	        "a job whose attempts are used up has its reason");
	check(job.finished.sec > 0 && job.lease_seq == 2,
	        "a job whose attempts are used up has ended, with a new lease");
	job_release(&job);
	equal(state_of(store, unwanted.id), JOB_CANCELLED,
	        "a job cancelled meanwhile is CANCELLED");
	equal(finish_as(store, &lease, STORE_COMPLETED, NULL), VEGA_LEASE_LOST,
	        "finish does not revive an ended job");
}

static void cancel_cancels(struct store *store)
{
	enum job_state state = JOB_STATES;
	char none[UUID_TEXT];
	struct job job;
	struct store_request r = submit_to(store, "cancel");
	uuid7(none);
	for (int i = 0; i < 2; i++) {
		equal(D(store)->cancel(store, r.id, &state, &err), 0, "a PENDING job is cancelled");
		equal(state, JOB_CANCELLED, "cancel returns CANCELLED at once");
	}
	job = get(store, r.id);
	check(job.state == JOB_CANCELLED && job.finished.sec > 0,
	        "a cancelled PENDING job is CANCELLED");
	job_release(&job);
	equal(claim(store, "w", "cancel", 1, 60000, &job), 0, "a cancelled job is never claimed");
	r = submit_to(store, "cancel");
	struct store_lease lease = take(store, "cancel");
	finish_as(store, &lease, STORE_COMPLETED, NULL);
	equal(D(store)->cancel(store, r.id, &state, &err), 0, "cancel of a COMPLETED job succeeds");
	equal(state, JOB_COMPLETED, "cancel of a COMPLETED job returns its state");
	job = get(store, r.id);
	check(!job.cancel_requested, "cancel of a COMPLETED job changes nothing");
	job_release(&job);
	equal(D(store)->cancel(store, none, &state, &err), VEGA_NO,
	        "cancel of a missing job is rejected");
	check(strstr(err.text, none), "cancel names a missing job");
	equal(D(store)->cancel(store, "x'; DROP TABLE job --", &state, &err), VEGA_USAGE,
	        "cancel of a malformed id is rejected");
}

static void get_finds(struct store *store)
{
	struct job job;
	char none[UUID_TEXT], upper[UUID_TEXT];
	struct store_request r = submit_to(store, "get");
	uuid7(none);
	for (int i = 0; i < UUID_TEXT; i++) {
		upper[i] = (char)(r.id[i] >= 'a' && r.id[i] <= 'f' ? r.id[i] - 32 : r.id[i]);
	}
	equal(D(store)->get(store, none, 0, &job, &err), VEGA_NO,
	        "get of a missing job is rejected");
	equal(D(store)->get(store, "", 0, &job, &err), VEGA_USAGE,
	        "get of an empty id is rejected");
	equal(D(store)->get(store, upper, 0, &job, &err), 0, "get takes an id in upper case");
	same(job.id, r.id, "an id has one form");
	job_release(&job);
}

struct listed {
	unsigned count, stop_after;
	bool in_order;
	char last[UUID_TEXT];
	int64_t last_nr;
	char want[8][UUID_TEXT]; /* in the order in which they must come */
};

static int note(const struct job *job, void *context)
{
	struct listed *l = context;
	if (l->count < 8 && l->want[l->count][0]) {
		l->in_order = l->in_order && strcmp(l->want[l->count], job->id) == 0;
	}
	l->count++;
	memcpy(l->last, job->id, UUID_TEXT);
	l->last_nr = job->nr;
	return l->count == l->stop_after;
}

static struct listed list(struct store *store, const struct store_filter *filter)
{
	struct listed l = {.in_order = true};
	if (D(store)->list(store, filter, note, &l, &err)) {
		give_up("list", &err);
	}
	return l;
}

static unsigned count_queue(struct store *store, const char *queue)
{
	return list(store, &(struct store_filter){.queue = queue}).count;
}

static void list_filters(struct store *store)
{
	struct store_request a = request("list"), b = request("list");
	a.labels = "{\"team\":\"a=b\",\"it's\":\"\\\"q\\\"\"}";
	b.labels = "{\"team\":\"other\"}";
	submit(store, &a);
	submit(store, &b);
	struct store_request c = submit_to(store, "list");
	struct store_lease lease = take(store, "list");
	finish_as(store, &lease, STORE_FAILED, NULL);

	struct listed l = {.in_order = true};
	memcpy(l.want[0], c.id, UUID_TEXT);
	memcpy(l.want[1], b.id, UUID_TEXT);
	memcpy(l.want[2], a.id, UUID_TEXT);
	struct store_filter filter = {.queue = "list"};
	equal(D(store)->list(store, &filter, note, &l, &err), 0, "list takes a queue");
	check(l.count == 3 && l.in_order, "list gives the newest first");
	filter.limit = 2;
	equal(list(store, &filter).count, 2, "list gives at most as many as asked for");
	filter.limit = 0;
	filter.states = 1u << JOB_FAILED;
	same(list(store, &filter).last, a.id, "list selects by state");
	filter.states = 1u << JOB_FAILED | 1u << JOB_PENDING;
	equal(list(store, &filter).count, 3, "list selects by several states");
	filter.states = 1u << JOB_COMPLETED;
	equal(list(store, &filter).count, 0, "list selects no job of a state that none has");
	filter.states = 0;
	filter.label = "team=a=b";
	l = list(store, &filter);
	check(l.count == 1 && strcmp(l.last, a.id) == 0, "list selects by label");
	filter.label = "it's=\"q\"";
	equal(list(store, &filter).count, 1, "list selects by a label in need of quotes");
	filter.label = "team=";
	equal(list(store, &filter).count, 0, "list selects no job by a label of another value");
	filter.label = "team";
	equal(D(store)->list(store, &filter, note, &l, &err), VEGA_USAGE,
	        "list rejects a label without a value");
	filter.label = NULL;
	filter.submitter = contract_submitter;
	equal(list(store, &filter).count, 3, "list selects by submitter");
	filter.submitter = "nobody";
	equal(list(store, &filter).count, 0, "list selects no job of another submitter");
	filter.submitter = NULL;
	filter.younger_ms = 3600000;
	equal(list(store, &filter).count, 3, "list selects jobs younger than an hour");
	filter.younger_ms = 0;
	filter.older_ms = 3600000;
	equal(list(store, &filter).count, 0, "list selects no job older than an hour");
	filter.older_ms = UINT64_MAX;
	equal(list(store, &filter).count, 0, "list selects no job older than the epoch");
}

static void list_pages(struct store *store)
{
	enum { COUNT = 1201 };
	struct store_request *many = calloc(COUNT, sizeof *many);
	struct store_filter filter = {.queue = "pages"};
	for (int i = 0; i < COUNT; i++) {
		many[i] = request("pages");
	}
	equal(D(store)->submit(store, many, COUNT, &err), 0,
	        "more jobs than a page holds are submitted");
	struct listed l = list(store, &filter);
	check(l.count == COUNT && strcmp(l.last, many[0].id) == 0,
	        "list gives the jobs of many pages, once each");
	l = (struct listed){.stop_after = 3};
	equal(D(store)->list(store, &filter, note, &l, &err), 0, "a list that is stopped succeeds");
	equal(l.count, 3, "a list stops when asked");
	filter.limit = 1000;
	l = list(store, &filter);
	check(l.count == 1000 && strcmp(l.last, many[201].id) == 0,
	        "list keeps a limit beyond a page");
	filter.before = l.last_nr;
	l = list(store, &filter);
	check(l.count == 201 && strcmp(l.last, many[0].id) == 0,
	        "a list goes on before the last job of another");
	filter.before = l.last_nr;
	equal(list(store, &filter).count, 0, "nothing comes before the first job");
	free(many);
}

struct specs {
	unsigned jobs, told;
	size_t bytes;
};

static int add_spec(const struct job *job, void *context)
{
	struct specs *s = context;
	s->jobs++;
	s->told += job->spec != NULL;
	s->bytes += job->spec ? strlen(job->spec) : 0;
	return 0;
}

/* The most that this process has ever had in memory. */
static size_t peak_kib(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (size_t)usage.ru_maxrss;
}

/* Large ones are half a page each, so that a page ends with the second. */
static void list_tells_specs_when_asked(struct store *store)
{
	enum { COUNT = 101, SIZE = STORE_PAGE_BYTES / 2 };
	struct store_filter filter = {.queue = "specs"};
	char *spec = malloc(SIZE + 1);
	memset(spec, ' ', SIZE);
	memcpy(spec, "{\"v\":1}", strlen("{\"v\":1}"));
	spec[SIZE] = '\0';
	for (int i = 0; i < COUNT; i++) {
		struct store_request r = request("specs");
		r.spec = i % 3 ? spec : "{\"v\":1}";
		submit(store, &r);
	}
	free(spec);
	size_t before = peak_kib();
	struct specs s = {0};
	equal(D(store)->list(store, &filter, add_spec, &s, &err), 0,
	        "list succeeds without specifications");
	check(s.jobs == COUNT && s.told == 0,
	        "list without specifications gives all jobs, and no specification");
	filter.parts = STORE_PART_SPEC;
	s = (struct specs){0};
	equal(D(store)->list(store, &filter, add_spec, &s, &err), 0,
	        "list succeeds with large specifications");
	check(s.jobs == COUNT && s.told == COUNT, "list gives all large specifications, once each");
	equal(s.bytes, (uint64_t)SIZE * 67 + 34 * strlen("{\"v\":1}"),
	        "list gives large specifications whole");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they keep what is freed */
	check(peak_kib() - before < 20 * 1024, "list holds few large specifications at a time");
#else
	(void)before;
#endif
	filter.limit = 60;
	s = (struct specs){0};
	equal(D(store)->list(store, &filter, add_spec, &s, &err), 0,
	        "list succeeds with a limit beyond small pages");
	equal(s.jobs, 60, "list keeps a limit beyond small pages");
}

static void next_due_tells(struct store *store)
{
	struct strlist queues = {0};
	uint64_t due = 0;
	strlist_add(&queues, "due");
	equal(D(store)->next_due(store, &queues, 7000, &due, &err), 0,
	        "next_due succeeds without a job");
	equal(due, 7000, "next_due without a job is the limit");
	struct store_request r = request("due");
	r.not_before = (struct vega_time){.sec = time(NULL) + 100};
	submit(store, &r);
	equal(D(store)->next_due(store, &queues, 7000, &due, &err), 0,
	        "next_due succeeds with a distant job");
	equal(due, 7000, "next_due with a distant job is the limit");
	equal(D(store)->next_due(store, &queues, 1000000, &due, &err), 0,
	        "next_due succeeds with a later limit");
	check(due > 90000 && due <= 101000, "next_due with a later limit is the job's time");
	strlist_add(&queues, "due2");
	struct store_request now = submit_to(store, "due2");
	equal(D(store)->next_due(store, &queues, 7000, &due, &err), 0,
	        "next_due succeeds with a due job");
	equal(due, 0, "next_due with a due job is now");
	take_for(store, "due2", 5000);
	equal(D(store)->next_due(store, &queues, UINT64_MAX, &due, &err), 0,
	        "next_due succeeds with a held lease");
	check(due > 0 && due <= 5001, "next_due with a held lease is its end");
	D(store)->cancel(store, now.id, NULL, &err);
	D(store)->cancel(store, r.id, NULL, &err);
	strlist_release(&queues);
}

static void checks(void)
{
	static void (*const all[])(struct store *) = {submit_keeps_what_was_said,
	        submit_has_defaults, submit_is_idempotent, a_key_is_for_one_spec,
	        submit_stores_all_or_none, submit_takes_a_thousand, strange_bytes_survive,
	        claim_takes_the_right_ones, claim_looks_into_its_queues, heartbeat_renews,
	        finish_keeps_the_result, finish_is_fenced, finish_takes_a_batch, finish_claims,
	        finish_retries, finish_releases, finish_heeds_cancellation,
	        expired_leases_are_taken_over, expired_jobs_are_buried, cancel_cancels, get_finds,
	        list_filters, list_pages, list_tells_specs_when_asked, next_due_tells};
	struct store *store = open_store();
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		all[i](store);
	}
	close_store(store);
}

int main(void)
{
	return contract_run(checks);
}
