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
	same(r.stored_id, r.id, "submit tells the id");
	check(!r.existed, "a new job did not exist");
	struct job job = get(store, r.id);
	same(job.spec, spec, "the spec comes back byte by byte");
	same(job.submitter, contract_submitter, "submitter");
	same(job.queue, "said", "queue");
	equal(job.priority, -7, "priority");
	equal(job.max_attempts, 5, "max_attempts");
	same(job.idempotency_key, "key 1", "idempotency key");
	check(strstr(job.labels, "\"team\"") && strstr(job.labels, "\"x\""), "labels");
	check(job.limits.timeout_ms == 1 && job.limits.memory_bytes == 1 << 20 &&
	                job.limits.output_bytes == INT64_MAX,
	        "limits");
	equal(job.not_before.sec, 4102444800, "not_before, seconds");
	equal(job.not_before.nsec, 123456000, "not_before, microseconds");
	check(llabs(job.created.sec - (long long)time(NULL)) < 60, "created is now");
	equal(job.state, JOB_PENDING, "it is PENDING");
	equal(job.attempt, 0, "no attempt was begun");
	equal(job.lease_seq, 0, "no lease was given");
	check(!job.worker && !job.error && !job.summary && !job.records && !job.cancel_requested,
	        "nothing else is known");
	check(job.started.sec == 0 && job.finished.sec == 0 && job.lease_until.sec == 0,
	        "nothing has happened");
	job_release(&job);
}

static void submit_has_defaults(struct store *store)
{
	struct store_request r = request(NULL);
	submit(store, &r);
	struct job job = get(store, r.id);
	same(job.queue, "default", "no queue is the default queue");
	equal(job.max_attempts, JOB_MAX_ATTEMPTS_DEFAULT, "attempts by default");
	same(job.labels, "{}", "no labels");
	check(!job.limits.timeout_ms && !job.limits.memory_bytes && !job.limits.output_bytes,
	        "no limits");
	check(job.not_before.sec == 0 && job.not_before.nsec == 0 && !job.idempotency_key,
	        "no start and no key");
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
	same(again.stored_id, first.id, "the same id again is the same job");
	check(!again.existed, "and is not another's");
	other = request("twice");
	other.idempotency_key = "K";
	submit(store, &other);
	same(other.stored_id, first.id, "the same key gives the first job's id");
	check(other.existed, "and says so");
	struct store_request pair[2] = {request("twice"), request("twice")};
	pair[0].idempotency_key = pair[1].idempotency_key = "L";
	equal(D(store)->submit(store, pair, 2, &err), 0, "one key twice in one batch");
	same(pair[1].stored_id, pair[0].id, "the second is the first");
	equal(count_queue(store, "twice"), 2, "one job a key");
	struct store_request none[2] = {request("twice"), request("twice")};
	equal(D(store)->submit(store, none, 2, &err), 0, "no key twice");
	equal(count_queue(store, "twice"), 4, "jobs without a key are their own");
	struct store_request more[4] = {none[0], request("twice"), none[1]};
	more[3] = more[1];
	equal(D(store)->submit(store, more, 4, &err), 0, "ids that are there, and a new one twice");
	same(more[2].stored_id, none[1].id, "each is the job that it was");
	same(more[3].stored_id, more[1].id, "or the one that it became");
	check(!more[0].existed && !more[3].existed, "and none is another's");
	equal(count_queue(store, "twice"), 5, "one job an id");
}

/* What a client that repeats a key with something else gets is an error, not another's job. */
static void a_key_is_for_one_spec(struct store *store)
{
	struct store_request first = request("key"), other = request("key");
	first.idempotency_key = other.idempotency_key = "one spec";
	submit(store, &first);
	other.spec = "{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"/other\"]}";
	equal(D(store)->submit(store, &other, 1, &err), VEGA_USAGE, "a key with another spec");
	check(strstr(err.text, first.id) && strstr(err.text, "one spec"),
	        "names the key and the first job");
	struct store_request batch[3] = {request("key"), other, request("key")};
	equal(D(store)->submit(store, batch, 3, &err), VEGA_USAGE, "so it does in a batch");
	struct store_request pair[2] = {request("key"), other};
	pair[0].idempotency_key = pair[1].idempotency_key = "two specs";
	equal(D(store)->submit(store, pair, 2, &err), VEGA_USAGE, "two specs in one batch");
	check(strstr(err.text, "two specs"), "name their key");
	equal(count_queue(store, "key"), 1, "and nothing was stored");
	other.submitter = "someone else";
	if (strcmp(contract_store, "sqlite") == 0) { /* PostgreSQL stamps its own */
		equal(D(store)->submit(store, &other, 1, &err), 0, "another's key is another key");
	}
	other = first;
	other.spec = "{}";
	equal(D(store)->submit(store, &other, 1, &err), 0, "the same id is the same call");
	same(other.stored_id, first.id, "and the first job stands");
}

static void submit_stores_all_or_none(struct store *store)
{
	struct store_request pair[2] = {request("none"), request("none")};
	memcpy(pair[1].id, "not-a-uuid", 11);
	equal(D(store)->submit(store, pair, 2, &err), VEGA_USAGE, "a bad id is refused");
	check(strstr(err.text, "not-a-uuid"), "and named");
	equal(count_queue(store, "none"), 0, "and nothing of its batch is stored");
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
	equal(D(store)->submit(store, many, COUNT, &err), 0, "a thousand jobs in one call");
	equal(count_queue(store, "many"), COUNT, "are all there");
	for (int i = 0; i < 20; i++) {
		in_order = in_order && claim(store, "w", "many", 1, 60000, &job) == 1 &&
		           strcmp(job.id, many[i].id) == 0;
		job_release(&job);
	}
	check(in_order, "and run in the order in which they were submitted");
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
	same(jobs[0].queue, "strange\xef\xbf\xbd\n\x1b[31m", "what is no UTF-8 becomes U+FFFD");
	struct store_lease lease = {.lease_seq = jobs[0].lease_seq};
	memcpy(lease.id, jobs[0].id, UUID_TEXT);
	equal(D(store)->heartbeat(store, "host\xfe:1", &lease, 1, 60000, &err), 0, "heartbeat");
	check(!lease.lost, "whose lease is renewed all the same");
	job_release(&jobs[0]);
	jobs[0] = get(store, r.id);
	same(jobs[0].worker, "host\xef\xbf\xbd:1", "in the worker's name too");
	struct store_result result = {.outcome = STORE_FAILED,
	        .error = "cannot read 'a\xff\n\xed\xa0\x80'",
	        .stderr_tail = "\x01tail\xe2\x82",
	        .records = "{\"path\":\"\xff\"}\n",
	        .records_uri = "file:///spool/\xfe"};
	equal(finish_one(store, &lease, &result, NULL), 0, "finish");
	job_release(&jobs[0]);
	jobs[0] = get(store, r.id);
	same(jobs[0].error, "cannot read 'a\xef\xbf\xbd\n\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd'",
	        "in errors");
	same(jobs[0].stderr_tail, "\x01tail\xef\xbf\xbd\xef\xbf\xbd", "in the child's last words");
	same(jobs[0].records_uri, "file:///spool/\xef\xbf\xbd", "in the place of the records");
	same(jobs[0].records, "{\"path\":\"\xff\"}\n", "the records themselves are not touched");
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
	equal(claim(store, "w1", "order", 2, 30000, jobs), 2,
	        "claim takes no more than it is told");
	same(jobs[0].id, high.id, "the highest priority first");
	same(jobs[1].id, low.id, "then the oldest");
	equal(jobs[0].state, JOB_PROCESSING, "it is PROCESSING");
	equal(jobs[0].attempt, 1, "the first attempt");
	equal(jobs[0].lease_seq, 1, "the first lease");
	same(jobs[0].spec, high.spec, "with the spec");
	same(jobs[0].queue, "order", "its queue");
	check(jobs[0].submitter && *jobs[0].submitter, "its submitter");
	equal(jobs[0].max_attempts, 7, "how many attempts there are");
	equal(jobs[0].limits.timeout_ms, 9000, "its limits");
	check(jobs[0].priority == 0 && !jobs[0].labels && !jobs[0].worker &&
	                jobs[0].created.sec == 0 && jobs[0].lease_until.sec == 0,
	        "and nothing else");
	job_release(&jobs[0]);
	job_release(&jobs[1]);
	jobs[0] = get(store, high.id);
	same(jobs[0].worker, "w1", "it is this worker's");
	long long lease = jobs[0].lease_until.sec - jobs[0].started.sec;
	check(lease >= 29 && lease <= 31, "for as long as was asked");
	job_release(&jobs[0]);
	equal(claim(store, "w2", "order", 8, 30000, jobs), 1, "what is not due yet stays");
	same(jobs[0].id, low2.id, "the last one");
	job_release(&jobs[0]);
	equal(claim(store, "w2", "order", 8, 30000, jobs), 0, "nothing twice");
	equal(state_of(store, late.id), JOB_PENDING, "the later one waits");
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
	equal(D(store)->claim(store, &one, jobs, &err), 2, "two queues of three");
	same(jobs[0].id, a.id, "the first one's job");
	same(jobs[1].id, b.id, "the second one's");
	job_release(&jobs[0]);
	job_release(&jobs[1]);
	equal(state_of(store, c.id), JOB_PENDING, "the third one's is left alone");
	int count = 0, got;
	while ((got = claim(store, "w", NULL, 8, 60000, jobs)) > 0) {
		for (int i = 0; i < got; i++) {
			count += strcmp(jobs[i].id, c.id) == 0;
			job_release(&jobs[i]);
		}
	}
	equal(count, 1, "no queue named means any");
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
	equal(finish_as(store, &leases[2], STORE_COMPLETED, NULL), 0, "finish one");
	equal(D(store)->cancel(store, r[3].id, NULL, &err), 0, "cancel one");
	leases[4] = leases[0];
	leases[4].lease_seq = 0;
	uuid7(leases[5].id);
	leases[5].lease_seq = 1;
	equal(D(store)->heartbeat(store, "w", leases, 6, 300000, &err), 0, "one call for all");
	check(!leases[0].lost && !leases[0].cancel, "held, and wanted");
	check(leases[1].lost, "another's lease is lost");
	check(leases[2].lost, "so is that of an ended job");
	check(!leases[3].lost && leases[3].cancel, "held, but to be cancelled");
	check(leases[4].lost && !leases[4].cancel, "no lease at all");
	check(leases[5].lost, "no such job");
	struct job job = get(store, r[0].id);
	long long left = job.lease_until.sec - job.started.sec;
	check(left >= 299 && left <= 330, "the lease is longer now");
	check(job.progress && strstr(job.progress, "12"), "progress is kept");
	job_release(&job);
	job = get(store, r[1].id);
	left = job.lease_until.sec - job.started.sec;
	check(left <= 31 && !job.progress, "a wrong lease renews and stores nothing");
	job_release(&job);
	leases[0].progress = NULL;
	equal(D(store)->heartbeat(store, "w", leases, 1, 300000, &err), 0, "again");
	job = get(store, r[0].id);
	check(job.progress && strstr(job.progress, "12"), "also when nothing new is said");
	job_release(&job);
	struct store_lease older = leases[0];
	older.lease_seq--;
	equal(D(store)->heartbeat(store, "w", &older, 1, 300000, &err), 0, "an older lease");
	check(older.lost, "by itself is lost, too");
	equal(D(store)->heartbeat(store, "thief", leases, 1, 300000, &err), 0, "by another worker");
	check(leases[0].lost, "who does not hold it");
	equal(D(store)->heartbeat(store, "w", NULL, 0, 300000, &err), 0, "with no leases");
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
	equal(finish_one(store, &lease, &result, &state), 0, "finish with a result");
	equal(state, JOB_COMPLETED, "says where the job went");
	struct job job = get(store, r.id);
	equal(job.state, JOB_COMPLETED, "COMPLETED");
	check(job.summary && strlen(job.summary) >= SIZE, "a summary of a megabyte");
	check(job.summary && strstr(job.summary, "18446744073709551616"), "numbers are exact");
	same(job.records, result.records, "records");
	same(job.records_uri, result.records_uri, "their place");
	equal(job.records_size, 5000000000, "their size");
	same(job.records_digest, "xxh128:00", "their digest");
	same(job.stderr_tail, "warned", "the last words");
	equal(job.exit_code, 3, "the exit code");
	check(job.finished.sec >= job.started.sec && job.finished.sec > 0, "when it ended");
	equal(job.lease_until.sec, 0, "no lease any more");
	check(!job.error, "no error");
	job_release(&job);
	equal(D(store)->get(store, r.id, 0, &job, &err), 0, "get without the result");
	check(!job.summary && !job.records && !job.stderr_tail, "loads none of it");
	job_release(&job);
	equal(D(store)->get(store, r.id, STORE_PART_RECORDS, &job, &err), 0, "only the records");
	check(!job.summary && job.records, "are only the records");
	job_release(&job);
	buf_release(&summary);
}

static void finish_is_fenced(struct store *store)
{
	struct store_request r = submit_to(store, "fence");
	struct store_lease lease = take(store, "fence"), wrong = lease;
	struct store_result result = {.outcome = STORE_COMPLETED, .summary = "{\"forged\":1}"};
	wrong.lease_seq++;
	equal(finish_one(store, &wrong, &result, NULL), VEGA_LEASE_LOST, "wrong lease");
	wrong.lease_seq = 0;
	equal(finish_one(store, &wrong, &result, NULL), VEGA_LEASE_LOST, "no lease");
	uuid7(wrong.id);
	wrong.lease_seq = 1;
	equal(finish_one(store, &wrong, &result, NULL), VEGA_LEASE_LOST, "no job");
	struct job job = get(store, r.id);
	check(job.state == JOB_PROCESSING && !job.summary, "nothing was stored");
	job_release(&job);
	equal(finish_as(store, &lease, STORE_COMPLETED, NULL), 0, "the right one");
	result.outcome = STORE_FAILED;
	enum job_state state = JOB_PENDING;
	equal(finish_one(store, &lease, &result, &state), 0, "repeated, as after a lost reply");
	equal(state, JOB_COMPLETED, "the first word holds");
	job = get(store, r.id);
	check(job.state == JOB_COMPLETED && !job.summary, "and nothing more was stored");
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
	equal(D(store)->commit(store, &leases[COMMITTED], &of_commit, &err), 0, "commit one");
	for (int round = 0; round < 2; round++) {
		equal(D(store)->finish(store, endings, ENDINGS, NULL, NULL, &err), 0,
		        round ? "again, as after a lost reply" : "finish many");
		for (int i = 0; i < ENDINGS; i++) {
			int n = i == TWICE ? 0 : i;
			equal(endings[i].code, n == LOST ? VEGA_LEASE_LOST : 0, "its code");
			check(n == LOST || endings[i].state == states[n], "where it went");
			struct job job = get(store, leases[n].id);
			equal(job.state, n == LOST ? JOB_PROCESSING : states[n], "its state");
			check(n == LOST || outcomes[n] == STORE_RELEASED
			                ? !job.summary
			                : job.summary && strchr(job.summary, '0' + n),
			        "its own summary");
			job_release(&job);
		}
	}
	struct job job = get(store, leases[2].id);
	same(job.error, "a \"quoted\" \xef\xbf\xbd, {error}", "texts come as they are");
	job_release(&job);
	job = get(store, leases[1].id);
	same(job.records, "{\"r\":\"\\\\\"}\n", "and records");
	job_release(&job);
	leases[LOST].lease_seq--;
	equal(finish_as(store, &leases[LOST], STORE_COMPLETED, NULL), 0, "the lost one can end");
	equal(D(store)->finish(store, endings, 0, NULL, NULL, &err), 0, "none at all is none");
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
	equal(finish_and_claim(store, &ending, "next", 3, jobs), 0, "finish, and nothing to claim");
	equal(state_of(store, low.id), JOB_COMPLETED, "is a finish");
	submit_to(store, "other");
	low = submit_to(store, "next");
	struct store_request high = request("next"), third = request("next");
	high.priority = 5;
	submit(store, &high);
	submit(store, &third);
	equal(finish_and_claim(store, &ending, "next", 2, jobs), 2, "again, and two to claim");
	check(ending.code == 0 && ending.state == JOB_COMPLETED, "it tells where the first led");
	same(jobs[0].id, high.id, "the highest priority first");
	same(jobs[1].id, low.id, "then the oldest, of the queues that were named");
	for (int i = 0; i < 2; i++) {
		check(jobs[i].spec && jobs[i].state == JOB_PROCESSING && jobs[i].lease_seq == 1 &&
		                jobs[i].attempt == 1,
		        "under a lease, as claim() does it");
		memcpy(lease.id, jobs[i].id, UUID_TEXT);
		lease.lease_seq = jobs[i].lease_seq;
		job_release(&jobs[i]);
	}
	ending = (struct store_ending){.lease = &wrong, .result = &good};
	wrong.lease_seq += 7;
	equal(finish_and_claim(store, &ending, "next", 3, jobs), 1, "a lost lease, and a claim");
	equal(ending.code, VEGA_LEASE_LOST, "is lost");
	same(jobs[0].id, third.id, "and the claim is good");
	job_release(&jobs[0]);
	equal(finish_as(store, &lease, STORE_COMPLETED, NULL), 0, "what was claimed can be ended");
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
	equal(finish_one(store, &lease, &result, &state), 0, "a failed attempt");
	equal(state, JOB_PENDING, "is tried again");
	equal(finish_one(store, &lease, &result, &state), 0, "also when told twice");
	equal(state, JOB_PENDING, "and once");
	struct job job = get(store, r.id);
	check(job.attempt == 1 && job.lease_until.sec == 0 && job.finished.sec == 0, "one attempt");
	same(job.error, "it broke", "whose error is kept");
	same(job.stderr_tail, "why", "and last words");
	equal(job.exit_code, 9, "and exit code");
	job_release(&job);
	equal(D(store)->next_due(store, &queues, 60000, &due, &err), 0, "next_due");
	check(due > 0 && due <= job_retry_delay_ms(1), "not before the backoff");
	check(claim(store, "w", "retry", 1, 1000, &job) == 0, "so it cannot be claimed");
	check(becomes_due(store, "retry"), "until it is due");
	lease = take(store, "retry");
	equal(lease.lease_seq, 2, "the lease has risen");
	result.stderr_tail = "why again";
	result.exit_code = 8;
	equal(finish_one(store, &lease, &result, &state), 0, "the last attempt fails");
	equal(state, JOB_FAILED, "and the job with it");
	job = get(store, r.id);
	check(job.state == JOB_FAILED, "FAILED");
	same(job.stderr_tail, "why again", "its last words take the place of the first one's");
	equal(job.exit_code, 8, "and so does its exit code");
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
		equal(claim(store, "w", "release", 1, 60000, &job), 1, "released means claimable");
		check(job.attempt == 1 && job.lease_seq == i,
		        "the attempt is not counted, the lease is");
		struct store_lease lease = {.lease_seq = job.lease_seq};
		memcpy(lease.id, job.id, UUID_TEXT);
		job_release(&job);
		equal(finish_as(store, &lease, STORE_RELEASED, &state), 0, "release");
		equal(state, JOB_PENDING, "PENDING at once");
		equal(finish_as(store, &lease, STORE_RELEASED, &state), 0, "release again");
		job = get(store, r.id);
		equal(job.attempt, 0, "does not count down twice");
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
		equal(D(store)->cancel(store, r.id, &state, &err), 0, "ask for cancellation");
		equal(state, JOB_PROCESSING, "of one that runs");
		const struct store_result result = {.outcome = outcomes[i],
		        .summary = "{\"n\":1}",
		        .records = "{\"r\":1}\n",
		        .records_size = 8};
		equal(finish_one(store, &lease, &result, &state), 0, "its attempt ends");
		equal(state, JOB_CANCELLED, "CANCELLED, whatever it had done");
		struct job job = get(store, r.id);
		check(job.state == JOB_CANCELLED && job.finished.sec > 0, "for good");
		check(!job.summary && !job.records, "and its result is not kept");
		job_release(&job);
	}
}

static void expired_leases_are_taken_over(struct store *store)
{
	struct store_request r = submit_to(store, "expired");
	struct store_lease zombie = take_for(store, "expired", 1);
	struct job job;
	check(becomes_due(store, "expired"), "an expired lease is due");
	equal(claim(store, "w2", "expired", 1, 60000, &job), 1, "and is taken over");
	check(job.attempt == 2 && job.lease_seq == 2, "as the second attempt");
	job_release(&job);
	job = get(store, r.id);
	same(job.worker, "w2", "of its new worker");
	check(job.error && strstr(job.error, "worker w was lost"),
	        "which knows of the first's end");
	struct store_lease lease = {.lease_seq = 2};
	memcpy(lease.id, job.id, UUID_TEXT);
	job_release(&job);
	equal(D(store)->heartbeat(store, "w", &zombie, 1, 60000, &err), 0,
	        "the zombie's heartbeat");
	check(zombie.lost, "is told that the lease is lost");
	for (int outcome = STORE_COMPLETED; outcome <= STORE_RELEASED; outcome++) {
		equal(finish_as(store, &zombie, (enum store_outcome)outcome, NULL), VEGA_LEASE_LOST,
		        "its finish is refused");
	}
	check(state_of(store, r.id) == JOB_PROCESSING, "nothing has changed");
	equal(finish_as(store, &lease, STORE_COMPLETED, NULL), 0, "the holder may finish");
	equal(finish_as(store, &zombie, STORE_FAILED, NULL), VEGA_LEASE_LOST,
	        "the zombie still not");
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
	equal(D(store)->cancel(store, unwanted.id, NULL, &err), 0, "cancel one that runs");
	check(becomes_due(store, "buried"), "both leases expire");
	time_t deadline = time(NULL) + WAIT_S;
	do {
		equal(claim(store, "w", "buried", 1, 60000, &job), 0, "nothing is left to run");
	} while (state_of(store, unwanted.id) == JOB_PROCESSING && time(NULL) < deadline);
	job = get(store, worn.id);
	equal(job.state, JOB_FAILED, "attempts used up: FAILED");
	same(job.error, "worker w was lost in attempt 1 of 1", "with the reason");
	check(job.finished.sec > 0 && job.lease_seq == 2, "for good, and fenced");
	job_release(&job);
	equal(state_of(store, unwanted.id), JOB_CANCELLED, "cancelled meanwhile: CANCELLED");
	equal(finish_as(store, &lease, STORE_COMPLETED, NULL), VEGA_LEASE_LOST, "no resurrection");
}

static void cancel_cancels(struct store *store)
{
	enum job_state state = JOB_STATES;
	char none[UUID_TEXT];
	struct job job;
	struct store_request r = submit_to(store, "cancel");
	uuid7(none);
	for (int i = 0; i < 2; i++) {
		equal(D(store)->cancel(store, r.id, &state, &err), 0, "cancel");
		equal(state, JOB_CANCELLED, "a pending job at once");
	}
	job = get(store, r.id);
	check(job.state == JOB_CANCELLED && job.finished.sec > 0, "CANCELLED");
	job_release(&job);
	equal(claim(store, "w", "cancel", 1, 60000, &job), 0, "never to be run");
	r = submit_to(store, "cancel");
	struct store_lease lease = take(store, "cancel");
	finish_as(store, &lease, STORE_COMPLETED, NULL);
	equal(D(store)->cancel(store, r.id, &state, &err), 0, "cancel a completed job");
	equal(state, JOB_COMPLETED, "changes nothing");
	job = get(store, r.id);
	check(!job.cancel_requested, "at all");
	job_release(&job);
	equal(D(store)->cancel(store, none, &state, &err), VEGA_NO, "no such job");
	check(strstr(err.text, none), "which is named");
	equal(D(store)->cancel(store, "x'; DROP TABLE job --", &state, &err), VEGA_USAGE, "no id");
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
	equal(D(store)->get(store, none, 0, &job, &err), VEGA_NO, "get: no such job");
	equal(D(store)->get(store, "", 0, &job, &err), VEGA_USAGE, "get: no id");
	equal(D(store)->get(store, upper, 0, &job, &err), 0, "get: in upper case");
	same(job.id, r.id, "an id has one form");
	job_release(&job);
}

struct listed {
	unsigned count, stop_after;
	bool in_order;
	char last[UUID_TEXT];
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
	equal(D(store)->list(store, &filter, note, &l, &err), 0, "list a queue");
	check(l.count == 3 && l.in_order, "newest first");
	filter.limit = 2;
	equal(list(store, &filter).count, 2, "at most so many");
	filter.limit = 0;
	filter.states = 1u << JOB_FAILED;
	same(list(store, &filter).last, a.id, "by state");
	filter.states = 1u << JOB_FAILED | 1u << JOB_PENDING;
	equal(list(store, &filter).count, 3, "by states");
	filter.states = 1u << JOB_COMPLETED;
	equal(list(store, &filter).count, 0, "in no such state");
	filter.states = 0;
	filter.label = "team=a=b";
	l = list(store, &filter);
	check(l.count == 1 && strcmp(l.last, a.id) == 0, "by label");
	filter.label = "it's=\"q\"";
	equal(list(store, &filter).count, 1, "by a label in need of quotes");
	filter.label = "team=";
	equal(list(store, &filter).count, 0, "by a label of another value");
	filter.label = "team";
	equal(D(store)->list(store, &filter, note, &l, &err), VEGA_USAGE, "by half a label");
	filter.label = NULL;
	filter.submitter = contract_submitter;
	equal(list(store, &filter).count, 3, "by submitter");
	filter.submitter = "nobody";
	equal(list(store, &filter).count, 0, "by another");
	filter.submitter = NULL;
	filter.younger_ms = 3600000;
	equal(list(store, &filter).count, 3, "younger than an hour");
	filter.younger_ms = 0;
	filter.older_ms = 3600000;
	equal(list(store, &filter).count, 0, "older than an hour");
	filter.older_ms = UINT64_MAX;
	equal(list(store, &filter).count, 0, "older than the world");
}

static void list_pages(struct store *store)
{
	enum { COUNT = 1201 };
	struct store_request *many = calloc(COUNT, sizeof *many);
	struct store_filter filter = {.queue = "pages"};
	for (int i = 0; i < COUNT; i++) {
		many[i] = request("pages");
	}
	equal(D(store)->submit(store, many, COUNT, &err), 0, "more jobs than a page holds");
	struct listed l = list(store, &filter);
	check(l.count == COUNT && strcmp(l.last, many[0].id) == 0, "are all listed, once each");
	l = (struct listed){.stop_after = 3};
	equal(D(store)->list(store, &filter, note, &l, &err), 0, "a list that is stopped");
	equal(l.count, 3, "stops");
	filter.limit = 1000;
	l = list(store, &filter);
	check(l.count == 1000 && strcmp(l.last, many[201].id) == 0, "a limit beyond a page");
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
	equal(D(store)->list(store, &filter, add_spec, &s, &err), 0, "list without specs");
	check(s.jobs == COUNT && s.told == 0, "has all jobs, and the specs of none");
	filter.parts = STORE_PART_SPEC;
	s = (struct specs){0};
	equal(D(store)->list(store, &filter, add_spec, &s, &err), 0, "list large specs");
	check(s.jobs == COUNT && s.told == COUNT, "has all, once each");
	equal(s.bytes, (uint64_t)SIZE * 67 + 34 * strlen("{\"v\":1}"), "whole");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they keep what is freed */
	check(peak_kib() - before < 20 * 1024, "and few of them at a time");
#else
	(void)before;
#endif
	filter.limit = 60;
	s = (struct specs){0};
	equal(D(store)->list(store, &filter, add_spec, &s, &err), 0, "a limit beyond small pages");
	equal(s.jobs, 60, "is kept");
}

static void next_due_tells(struct store *store)
{
	struct strlist queues = {0};
	uint64_t due = 0;
	strlist_add(&queues, "due");
	equal(D(store)->next_due(store, &queues, 7000, &due, &err), 0, "next_due of nothing");
	equal(due, 7000, "is the limit");
	struct store_request r = request("due");
	r.not_before = (struct vega_time){.sec = time(NULL) + 100};
	submit(store, &r);
	equal(D(store)->next_due(store, &queues, 7000, &due, &err), 0, "of something far");
	equal(due, 7000, "is the limit too");
	equal(D(store)->next_due(store, &queues, 1000000, &due, &err), 0, "with a later limit");
	check(due > 90000 && due <= 101000, "it is told");
	strlist_add(&queues, "due2");
	struct store_request now = submit_to(store, "due2");
	equal(D(store)->next_due(store, &queues, 7000, &due, &err), 0, "of something due");
	equal(due, 0, "is now");
	take_for(store, "due2", 5000);
	equal(D(store)->next_due(store, &queues, UINT64_MAX, &due, &err), 0, "of a held lease");
	check(due > 0 && due <= 5001, "is its end");
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
