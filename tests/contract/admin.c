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
	same(s.names, "a b c ", "workers are listed by name");
	s = look_for(store, "b");
	same(s.names, "a b ", "a list of workers stops when asked");
	same(s.text, "h\xef\xbf\xbd 1.2.3 [\"bulk\", \"nightly\"]",
	        "a worker has its host, version and queues");
	check(s.worker.pid == 42 && s.worker.jobs == 4 && s.worker.lease_ms == 20000,
	        "a worker has its numbers");
	check(s.worker.alive && s.worker.silent_ms < WAIT_S * 1000, "announced workers are alive");
	check(llabs(s.worker.seen.sec - time(NULL)) < WAIT_S, "announced workers were seen now");

	struct vega_time started = s.worker.started;
	usleep(2000);
	b.running = 3;
	b.lease_ms = 30000;
	announce(store, &b);
	s = look_for(store, "b");
	check(s.worker.running == 3 && s.worker.lease_ms == 30000,
	        "an announcement replaces the one before");
	check(vega_time_compare(s.worker.started, started) == 0,
	        "a second announcement keeps the start");
	check(vega_time_compare(s.worker.seen, started) > 0,
	        "a second announcement moves the heartbeat");

	equal(D(store)->leave(store, "b", &err), 0, "a worker signs off");
	equal(D(store)->leave(store, "b", &err), 0, "a worker signs off twice");
	same(look_for(store, "none").names, "a c ", "a worker that signed off is not listed");
}

static void the_silent_are_lost(struct store *store)
{
	struct store_worker busy = a_worker("busy"), idle = a_worker("idle");
	busy.running = 1;
	busy.lease_ms = idle.lease_ms = 1;
	announce(store, &idle);
	announce(store, &busy);
	check(dies(store, "busy"), "a worker with jobs is lost when their leases are");
	check(look_for(store, "busy").worker.silent_ms > 1,
	        "a worker with jobs is lost after a lease");
	check(look_for(store, "idle").worker.alive, "a worker without jobs is given longer");
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
	same(stats(store).queues, "", "stats without jobs has no queues");
	for (int i = 0; i < 4; i++) {
		submit_to(store, "stats");
	}
	end_one(store, "stats", STORE_COMPLETED);
	end_one(store, "stats", STORE_COMPLETED);
	end_one(store, "stats", STORE_FAILED);
	end_one(store, "stats", STORE_CANCELLED);
	struct store_request retried = submit_to(store, "stats");
	end_one(store, "stats", STORE_RETRY);
	check(becomes_due(store, "stats"), "a job becomes due for a retry");
	take(store, "stats");
	submit_to(store, "stats");
	take_for(store, "stats", 1);
	check(becomes_due(store, "stats"), "a lease expires");
	submit_to(store, "stats");
	struct store_request later = request("stats");
	later.not_before = (struct vega_time){.sec = time(NULL) + 1000};
	submit(store, &later);
	submit_to(store, "another");

	struct collected c = stats(store);
	same(c.queues, "another stats ", "stats has the queues by name");
	equal(c.q.jobs[JOB_COMPLETED], 2, "stats counts the COMPLETED jobs");
	equal(c.q.jobs[JOB_FAILED], 1, "stats counts the FAILED jobs");
	equal(c.q.jobs[JOB_CANCELLED], 1, "stats counts the CANCELLED jobs");
	equal(c.q.jobs[JOB_PROCESSING], 2, "stats counts the PROCESSING jobs");
	equal(c.q.jobs[JOB_PENDING], 2, "stats counts the PENDING jobs");
	equal(c.q.retried, 1, "stats counts the retried jobs");
	equal(c.q.due, 1, "stats counts the due jobs");
	check(c.q.oldest_due_ms < WAIT_S * 1000, "stats has a short waiting time");
	equal(c.q.leases, 1, "stats counts the held leases");
	equal(c.q.expired, 1, "stats counts the expired leases");
	for (int i = 0; i < STORE_WINDOWS; i++) {
		equal(c.q.last[i].started, 6, "stats counts the jobs started of late");
		equal(c.q.last[i].ended[JOB_COMPLETED], 2,
		        "stats counts the jobs completed of late");
		equal(c.q.last[i].ended[JOB_FAILED], 1, "stats counts the jobs failed of late");
		equal(c.q.last[i].ended[JOB_CANCELLED], 1,
		        "stats counts the jobs cancelled of late");
		equal(c.q.last[i].ended[JOB_PENDING], 0, "stats counts no ends in PENDING");
	}
	check(state_of(store, retried.id) == JOB_PROCESSING, "stats changes nothing");
	usleep(20000);
	check(stats(store).q.oldest_due_ms >= 20, "the waiting time of a due job grows");
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
	equal(finish_one(store, &lease, &result, NULL), 0,
	        "a job with a spooled stream is finished");
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
	equal(prune(store, &p), 4, "a dry run looks at the ended jobs");
	equal(removal.bytes, 2000, "a dry run counts the bytes of records");
	equal(removal.specs, 0, "a dry run gives no specifications");
	check(is_there(store, r[0].id) && is_there(store, r[4].id), "a dry run removes nothing");

	p = of_queue("prune");
	p.states = 1u << JOB_PENDING | 1u << JOB_PROCESSING | 1u << JOB_FAILED;
	equal(prune(store, &p), 1, "prune removes the jobs of one state");
	check(!is_there(store, r[2].id), "prune removed the FAILED job");
	equal(removal.specs, 1, "prune gives the specification of a removed job");

	p = of_queue("prune");
	memcpy(removal.keep, r[1].id, UUID_TEXT);
	p.batch = 2;
	equal(prune(store, &p), 2, "prune takes a batch");
	same(removal.uris, "file://h/1 file://h/2 ",
	        "prune takes the oldest first, with the places of their records");
	check(!is_there(store, r[0].id), "prune removes a job of the batch");
	check(is_there(store, r[1].id), "prune keeps a job of the batch on request");
	equal(prune(store, &p), 1, "the next batch begins after the kept job");
	check(!is_there(store, r[4].id), "prune removed the CANCELLED job");
	equal(prune(store, &p), 0, "prune ends with an empty batch");
	equal(state_of(store, r[3].id), JOB_PROCESSING, "prune keeps a PROCESSING job");
	equal(state_of(store, r[5].id), JOB_PENDING, "prune keeps a PENDING job");

	struct store_request again = request("prune");
	memcpy(again.id, r[0].id, UUID_TEXT);
	submit(store, &again);
	check(!again.existed && is_there(store, r[0].id),
	        "the id and key of a removed job are free");
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
	equal(prune(store, &p), 0, "prune keeps jobs that just ended");
	p = of_queue("select");
	p.older_ms = UINT64_MAX;
	equal(prune(store, &p), 0, "prune keeps jobs younger than any age");
	p = of_queue("select");
	p.label = "nonsense";
	equal(D(store)->prune(store, &p, &err), VEGA_USAGE,
	        "prune rejects a label without a value");
	p = of_queue("select");
	p.label = "team=dev";
	equal(prune(store, &p), 0, "prune keeps jobs of another label");
	p.label = "team=ops";
	equal(prune(store, &p), 1, "prune removes the jobs of a label");
	check(is_there(store, plain.id) && !is_there(store, labelled.id),
	        "prune removed only the job with the label");
	p = of_queue(NULL);
	p.states = 1u << JOB_COMPLETED;
	check(prune(store, &p) >= 2, "prune takes any queue");
	check(!is_there(store, plain.id), "prune removed the other jobs");
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
	check(WIFSIGNALED(status), "a prune is killed between two jobs");
	check(is_there(store, r[0].id) && is_there(store, r[2].id),
	        "a killed prune removed nothing");
	time_t deadline = time(NULL) + WAIT_S;
	while (is_there(store, r[0].id) && time(NULL) < deadline) {
		struct store_prune p = of_queue("killed"); /* the server may take a moment */
		prune(store, &p);
	}
	check(!is_there(store, r[0].id) && !is_there(store, r[2].id),
	        "the next prune removes the jobs");
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
	equal(together(4, compete, &c), 4, "four prunes succeed at once");
	close(ends[1]);
	equal(read(ends[0], marks, sizeof marks), JOBS,
	        "each job is removed by one of four prunes");
	close(ends[0]);
	equal(strstr(stats(store).queues, "race ") != NULL, 0, "four prunes leave no job");
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
