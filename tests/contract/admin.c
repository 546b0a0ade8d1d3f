/* Housekeeping: who works, what there is, and removing what has ended. */
#include "contract.h"

#define D(store) (store)->driver

static struct vega_error err;

/* --- workers ---------------------------------------------------------------------------------- */

static struct store_worker a_worker(const char *name)
{
	return (struct store_worker){.name = name,
	        .host = "h\xff",
	        .version = "1.2.3",
	        .queues = "[]",
	        .pid = 42,
	        .jobs = 4,
	        .lease_ms = 20000};
}

static void announce(struct store *store, const struct store_worker *worker)
{
	if (D(store)->announce(store, worker, &err)) {
		give_up("announce", &err);
	}
}

struct sighting {
	const char *name; /* wanted */
	struct store_worker worker;
	char names[200], text[200];
};

static int see(const struct store_worker *worker, void *context)
{
	struct sighting *s = context;
	size_t used = strlen(s->names);
	snprintf(s->names + used, sizeof s->names - used, "%s ", worker->name);
	if (strcmp(worker->name, s->name) == 0) {
		s->worker = *worker;
		snprintf(s->text, sizeof s->text, "%s %s %s", worker->host, worker->version,
		        worker->queues);
		return 1;
	}
	return 0;
}

/* What the store says of a worker. */
static struct sighting look_for(struct store *store, const char *name)
{
	struct sighting s = {.name = name};
	if (D(store)->workers(store, see, &s, &err)) {
		give_up("workers", &err);
	}
	return s;
}

static bool dies(struct store *store, const char *name)
{
	time_t deadline = time(NULL) + WAIT_S;
	while (look_for(store, name).worker.alive && time(NULL) < deadline) {
		usleep(10000);
	}
	return !look_for(store, name).worker.alive;
}

static void workers_are_known(struct store *store)
{
	same(look_for(store, "none").names, "", "at first there is no worker");
	struct store_worker b = a_worker("b"), a = a_worker("a"), c = a_worker("c");
	b.queues = "[\"bulk\", \"nightly\"]";
	announce(store, &b);
	announce(store, &c);
	announce(store, &a);
	struct sighting s = look_for(store, "none");
	same(s.names, "a b c ", "workers come by name");
	s = look_for(store, "b");
	same(s.names, "a b ", "until enough were seen");
	same(s.text, "h\xef\xbf\xbd 1.2.3 [\"bulk\", \"nightly\"]", "with what they said");
	check(s.worker.pid == 42 && s.worker.jobs == 4 && s.worker.lease_ms == 20000, "all of it");
	check(s.worker.alive && s.worker.silent_ms < WAIT_S * 1000, "they are alive");
	check(llabs(s.worker.seen.sec - time(NULL)) < WAIT_S, "and were seen now");

	struct vega_time started = s.worker.started;
	usleep(2000);
	b.running = 3;
	b.lease_ms = 30000;
	announce(store, &b);
	s = look_for(store, "b");
	check(s.worker.running == 3 && s.worker.lease_ms == 30000, "an announcement replaces one");
	check(vega_time_compare(s.worker.started, started) == 0, "of a worker that goes on");
	check(vega_time_compare(s.worker.seen, started) > 0, "and was seen again");

	equal(D(store)->leave(store, "b", &err), 0, "leave");
	equal(D(store)->leave(store, "b", &err), 0, "twice");
	same(look_for(store, "none").names, "a c ", "one that left is not there");
}

static void the_silent_are_lost(struct store *store)
{
	struct store_worker busy = a_worker("busy"), idle = a_worker("idle");
	busy.running = 1;
	busy.lease_ms = idle.lease_ms = 1;
	announce(store, &idle);
	announce(store, &busy);
	check(dies(store, "busy"), "one with jobs is lost when their leases are");
	check(look_for(store, "busy").worker.silent_ms > 1, "after that time");
	check(look_for(store, "idle").worker.alive, "one without is given longer");
	D(store)->leave(store, "busy", &err);
	D(store)->leave(store, "idle", &err);
}

/* --- stats ------------------------------------------------------------------------------------ */

struct collected {
	char queues[100];
	struct store_stats q; /* of "stats" */
};

static int collect(const struct store_stats *stats, void *context)
{
	struct collected *c = context;
	size_t used = strlen(c->queues);
	snprintf(c->queues + used, sizeof c->queues - used, "%s ", stats->queue);
	if (strcmp(stats->queue, "stats") == 0) {
		c->q = *stats;
	}
	return 0;
}

static struct collected stats(struct store *store)
{
	struct collected c = {.queues = ""};
	if (D(store)->stats(store, collect, &c, &err)) {
		give_up("stats", &err);
	}
	return c;
}

static void end_one(struct store *store, const char *queue, enum store_outcome outcome)
{
	struct store_lease lease = take(store, queue);
	finish_as(store, &lease, outcome, NULL);
}

static void stats_count(struct store *store)
{
	same(stats(store).queues, "", "no jobs, no queues");
	for (int i = 0; i < 4; i++) {
		submit_to(store, "stats");
	}
	end_one(store, "stats", STORE_COMPLETED);
	end_one(store, "stats", STORE_COMPLETED);
	end_one(store, "stats", STORE_FAILED);
	end_one(store, "stats", STORE_CANCELLED);
	struct store_request retried = submit_to(store, "stats");
	end_one(store, "stats", STORE_RETRY);
	check(becomes_due(store, "stats"), "one is tried again");
	take(store, "stats");
	submit_to(store, "stats");
	take_for(store, "stats", 1);
	check(becomes_due(store, "stats"), "another is lost");
	submit_to(store, "stats");
	struct store_request later = request("stats");
	later.not_before = (struct vega_time){.sec = time(NULL) + 1000};
	submit(store, &later);
	submit_to(store, "another");

	struct collected c = stats(store);
	same(c.queues, "another stats ", "queues come by name");
	equal(c.q.jobs[JOB_COMPLETED], 2, "COMPLETED");
	equal(c.q.jobs[JOB_FAILED], 1, "FAILED");
	equal(c.q.jobs[JOB_CANCELLED], 1, "CANCELLED");
	equal(c.q.jobs[JOB_PROCESSING], 2, "PROCESSING");
	equal(c.q.jobs[JOB_PENDING], 2, "PENDING");
	equal(c.q.retried, 1, "one was tried again");
	equal(c.q.due, 1, "one is due");
	check(c.q.oldest_due_ms < WAIT_S * 1000, "since not long ago");
	equal(c.q.leases, 1, "one is held");
	equal(c.q.expired, 1, "one was");
	for (int i = 0; i < STORE_WINDOWS; i++) {
		equal(c.q.last[i].started, 6, "started of late");
		equal(c.q.last[i].ended[JOB_COMPLETED], 2, "completed of late");
		equal(c.q.last[i].ended[JOB_FAILED], 1, "failed of late");
		equal(c.q.last[i].ended[JOB_CANCELLED], 1, "cancelled of late");
		equal(c.q.last[i].ended[JOB_PENDING], 0, "PENDING is no end");
	}
	check(state_of(store, retried.id) == JOB_PROCESSING, "stats changes nothing");
	usleep(20000);
	check(stats(store).q.oldest_due_ms >= 20, "what is due gets older");
}

/* --- prune ------------------------------------------------------------------------------------ */

struct removal {
	char ids[1000], uris[200], keep[UUID_TEXT];
	uint64_t bytes;
	unsigned specs;
};

static bool take_away(const struct store_pruned *job, void *context)
{
	struct removal *r = context;
	size_t used = strlen(r->ids);
	snprintf(r->ids + used, sizeof r->ids - used, "%s ", job->id);
	used = strlen(r->uris);
	snprintf(r->uris + used, sizeof r->uris - used, "%s ",
	        job->records_uri ? job->records_uri : "-");
	r->bytes += job->records_size;
	r->specs += job->spec && strstr(job->spec, "\"find\"");
	return strcmp(job->id, r->keep) != 0 && job->lease_seq <= 1;
}

static struct removal removal;

static struct store_prune of_queue(const char *queue)
{
	removal = (struct removal){.bytes = 0};
	return (struct store_prune){
	        .queue = queue, .batch = 100, .remove = take_away, .context = &removal};
}

static int prune(struct store *store, struct store_prune *p)
{
	int count = D(store)->prune(store, p, &err);
	if (count < 0) {
		printf("# prune: %s\n", err.text);
	}
	return count;
}

static bool is_there(struct store *store, const char *id)
{
	struct job job;
	int rc = D(store)->get(store, id, 0, &job, &err);
	if (rc == 0) {
		job_release(&job);
	}
	return rc == 0;
}

/* Ends the next job of a queue with a spooled stream. */
static void spool_one(struct store *store, const char *queue, const char *uri)
{
	struct store_lease lease = take(store, queue);
	const struct store_result result = {.outcome = STORE_COMPLETED,
	        .summary = "{}",
	        .records_uri = uri,
	        .records_size = 1000,
	        .records_digest = "xxh128:00"};
	equal(finish_one(store, &lease, &result, NULL), 0, "a job with a spooled stream");
}

static void prune_removes_what_has_ended(struct store *store)
{
	struct store_request r[6];
	for (int i = 0; i < 6; i++) {
		r[i] = submit_to(store, "prune");
	}
	spool_one(store, "prune", "file://h/1");
	spool_one(store, "prune", "file://h/2");
	end_one(store, "prune", STORE_FAILED);
	take(store, "prune");
	D(store)->cancel(store, r[4].id, NULL, &err);

	struct store_prune p = of_queue("prune");
	p.dry_run = true;
	equal(prune(store, &p), 4, "a dry run looks at those that ended");
	equal(removal.bytes, 2000, "and what they hold");
	equal(removal.specs, 0, "but not what they are");
	check(is_there(store, r[0].id) && is_there(store, r[4].id), "and removes nothing");

	p = of_queue("prune");
	p.states = 1u << JOB_PENDING | 1u << JOB_PROCESSING | 1u << JOB_FAILED;
	equal(prune(store, &p), 1, "only some states");
	check(!is_there(store, r[2].id), "FAILED");
	equal(removal.specs, 1, "with its specification");

	p = of_queue("prune");
	memcpy(removal.keep, r[1].id, UUID_TEXT);
	p.batch = 2;
	equal(prune(store, &p), 2, "a batch");
	same(removal.uris, "file://h/1 file://h/2 ",
	        "the oldest first, and where their records are");
	check(!is_there(store, r[0].id), "one is let go");
	check(is_there(store, r[1].id), "one is not");
	equal(prune(store, &p), 1, "the next batch begins behind it");
	check(!is_there(store, r[4].id), "CANCELLED");
	equal(prune(store, &p), 0, "the end");
	equal(state_of(store, r[3].id), JOB_PROCESSING, "who runs stays");
	equal(state_of(store, r[5].id), JOB_PENDING, "who waits stays");

	struct store_request again = request("prune");
	memcpy(again.id, r[0].id, UUID_TEXT);
	submit(store, &again);
	check(!again.existed && is_there(store, r[0].id), "nothing is left of a removed job");
}

static void prune_selects(struct store *store)
{
	struct store_request plain = submit_to(store, "select"), labelled = request("select");
	labelled.labels = "{\"team\":\"ops\",\"tier\":\"1\"}";
	submit(store, &labelled);
	end_one(store, "select", STORE_COMPLETED);
	end_one(store, "select", STORE_COMPLETED);
	submit_to(store, "select2");
	end_one(store, "select2", STORE_COMPLETED);

	struct store_prune p = of_queue("select");
	p.older_ms = 3600000;
	equal(prune(store, &p), 0, "those that just ended are not old");
	p = of_queue("select");
	p.older_ms = UINT64_MAX;
	equal(prune(store, &p), 0, "nothing is so old");
	p = of_queue("select");
	p.label = "nonsense";
	equal(D(store)->prune(store, &p, &err), VEGA_USAGE, "a label has a value");
	p = of_queue("select");
	p.label = "team=dev";
	equal(prune(store, &p), 0, "another label");
	p.label = "team=ops";
	equal(prune(store, &p), 1, "a label");
	check(is_there(store, plain.id) && !is_there(store, labelled.id), "the one that has it");
	p = of_queue(NULL);
	p.states = 1u << JOB_COMPLETED;
	check(prune(store, &p) >= 2, "any queue");
	check(!is_there(store, plain.id), "all gone");
}

/* Takes one away, and dies at the next. */
static bool die(const struct store_pruned *job, void *context)
{
	unsigned *taken = context;
	(void)job;
	if ((*taken)++) {
		raise(SIGKILL);
	}
	return true;
}

static void the_killed_remove_nothing(struct store *store)
{
	struct store_request r[3];
	for (int i = 0; i < 3; i++) {
		r[i] = submit_to(store, "killed");
		end_one(store, "killed", STORE_COMPLETED);
	}
	pid_t child = fork();
	if (child == 0) {
		unsigned taken = 0;
		struct store_prune p = {
		        .queue = "killed", .batch = 3, .remove = die, .context = &taken};
		prune(open_store(), &p);
		_exit(0);
	}
	int status;
	waitpid(child, &status, 0);
	check(WIFSIGNALED(status), "one that prunes is killed between two jobs");
	check(is_there(store, r[0].id) && is_there(store, r[2].id), "all are there");
	time_t deadline = time(NULL) + WAIT_S;
	while (is_there(store, r[0].id) && time(NULL) < deadline) {
		struct store_prune p = of_queue("killed"); /* the server may take a moment */
		prune(store, &p);
	}
	check(!is_there(store, r[0].id) && !is_there(store, r[2].id), "the next removes them");
}

struct competition {
	const char *queue;
	int marks; /* a descriptor: a byte for each removal */
};

static bool mark(const struct store_pruned *job, void *context)
{
	const struct competition *c = context;
	(void)job;
	return write(c->marks, "x", 1) == 1;
}

static bool compete(unsigned number, void *context)
{
	struct competition *c = context;
	struct store *store = open_with(60000);
	struct store_prune p = {
	        .queue = c->queue, .batch = 7 + number, .remove = mark, .context = c};
	int count;
	while ((count = D(store)->prune(store, &p, &err)) > 0) {
	}
	close_store(store);
	return count == 0;
}

static void two_do_not_remove_one(struct store *store)
{
	enum { JOBS = 100 };
	char marks[JOBS * 2];
	int ends[2];
	for (int i = 0; i < JOBS; i++) {
		submit_to(store, "race");
		end_one(store, "race", STORE_COMPLETED);
	}
	if (pipe(ends)) {
		give_up("pipe", NULL);
	}
	struct competition c = {.queue = "race", .marks = ends[1]};
	equal(together(4, compete, &c), 4, "four prune at once");
	close(ends[1]);
	equal(read(ends[0], marks, sizeof marks), JOBS, "each job is removed by one of them");
	close(ends[0]);
	equal(strstr(stats(store).queues, "race ") != NULL, 0, "and none is left");
}

static void checks(void)
{
	static void (*const all[])(struct store *) = {workers_are_known, the_silent_are_lost,
	        stats_count, prune_removes_what_has_ended, prune_selects, the_killed_remove_nothing,
	        two_do_not_remove_one};
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
