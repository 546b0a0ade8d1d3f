/*
 * What the job store does in a second, at its contract's level. Clients are processes, each with a
 * handle of its own; they begin together, and what they print is read by tests/bench/store.
 *
 * - store submit URL CLIENTS BATCH SECONDS: jobs submitted a second, BATCH a call
 * - store work URL CLIENTS BATCH JOBS: JOBS jobs claimed and finished, BATCH a call: jobs a second
 * - store wait URL JOBS: ms from submit() to claim() in another process: median, p99
 * - store run URL JOBS FIFO: the same until the child of a vega-run has started
 *
 * As vega-walk it is that child: it tells the FIFO, which is the job's root, when it has started.
 */
#include <cjson/cJSON.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "store/store.h"

#define BATCH_MAX 10000
#define LEASE_MS 60000
#define SPEC "{\"v\":1,\"operations\":[\"summarize\"],\"roots\":[\"%s\"]}"
#define SUMMARY \
	"{\"type\":\"summary\",\"v\":1,\"complete\":true,\"roots\":[\"/data\"],\"ledger\":" \
	"{\"entries\":0,\"reported\":0,\"filtered\":0,\"errors\":0}}"

/* Shared by the processes of a run. */
struct shared {
	uint64_t done;     /* jobs */
	uint64_t moment[]; /* ns of the submission of each job */
};

static struct shared *shared;
static const char *url;
static char spec[512];

static _Noreturn void give_up(const char *what, const struct vega_error *err)
{
	fprintf(stderr, "store: %s: %s\n", what, err ? err->text : "failed");
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct store *open_it(void)
{
	struct vega_error err;
	struct store *store;
	if (store_open(url, 60000, &store, &err)) {
		give_up("open", &err);
	}
	return store;
}

static void submit(struct store *store, size_t count)
{
	static struct store_request requests[BATCH_MAX];
	struct vega_error err;
	for (size_t i = 0; i < count; i++) {
		requests[i] = (struct store_request){.spec = spec, .submitter = "bench"};
		uuid7(requests[i].id);
	}
	if (store->driver->submit(store, requests, count, &err)) {
		give_up("submit", &err);
	}
}

static struct job jobs[BATCH_MAX];

static struct store_claim wanted(size_t most)
{
	return (struct store_claim){.worker = "bench", .max = (unsigned)most, .lease_ms = LEASE_MS};
}

/* The leases of so many in jobs[]. */
static size_t take(int count, struct store_lease *leases)
{
	for (int i = 0; i < count; i++) {
		leases[i] = (struct store_lease){.lease_seq = jobs[i].lease_seq};
		memcpy(leases[i].id, jobs[i].id, UUID_TEXT);
		job_release(&jobs[i]);
	}
	return (size_t)count;
}

/* Claims up to `most` jobs; their leases are in leases[]. */
static size_t claim(struct store *store, size_t most, struct store_lease *leases)
{
	struct vega_error err;
	const struct store_claim claim = wanted(most);
	int count = store->driver->claim(store, &claim, jobs, &err);
	if (count < 0) {
		give_up("claim", &err);
	}
	return take(count, leases);
}

/* Ends `count` jobs, and claims up to `most` more, as claim() does. */
static size_t finish(struct store *store, struct store_lease *leases, size_t count, size_t most)
{
	static const struct store_result result = {.outcome = STORE_COMPLETED, .summary = SUMMARY};
	static struct store_ending endings[BATCH_MAX];
	struct vega_error err;
	const struct store_claim claim = wanted(most);
	for (size_t i = 0; i < count; i++) {
		endings[i] = (struct store_ending){.lease = &leases[i], .result = &result};
	}
	int claimed =
	        store->driver->finish(store, endings, count, most ? &claim : NULL, jobs, &err);
	if (claimed < 0) {
		give_up("finish", &err);
	}
	for (size_t i = 0; i < count; i++) {
		if (endings[i].code) {
			give_up("finish: a lease was lost", NULL);
		}
	}
	return take(claimed, leases);
}

static void submit_for(struct store *store, size_t batch, uint64_t seconds)
{
	uint64_t end = now_ns() + seconds * 1000000000;
	while (now_ns() < end) {
		submit(store, batch);
		__atomic_add_fetch(&shared->done, batch, __ATOMIC_RELAXED);
	}
}

static void work_off(struct store *store, size_t batch, uint64_t amount)
{
	static struct store_lease leases[BATCH_MAX];
	size_t held;
	(void)amount; /* to the last one */
	while ((held = claim(store, batch, leases)) > 0) {
		while (held > 0) {
			size_t ended = held;
			held = finish(store, leases, ended, batch);
			__atomic_add_fetch(&shared->done, ended, __ATOMIC_RELAXED);
		}
	}
}

/* Jobs a second of clients that begin at once. */
static void measure(void (*body)(struct store *, size_t, uint64_t), unsigned clients, size_t batch,
        uint64_t amount)
{
	int ready[2], go[2], status;
	char byte = 0;
	if (pipe(ready) || pipe(go)) {
		give_up("pipe", NULL);
	}
	for (unsigned i = 0; i < clients; i++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(go[1]);
			struct store *store = open_it();
			if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 0) {
				_exit(1);
			}
			body(store, batch, amount);
			store->driver->close(store);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < clients; i++) {
		if (read(ready[0], &byte, 1) != 1) {
			give_up("a client", NULL);
		}
	}
	uint64_t began = now_ns();
	close(go[0]);
	close(go[1]);
	for (unsigned i = 0; i < clients; i++) {
		if (wait(&status) < 0 || status) {
			give_up("a client", NULL);
		}
	}
	printf("%.1f\n", (double)shared->done * 1e9 / (double)(now_ns() - began));
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void print_latencies(uint64_t *ns, size_t count)
{
	qsort(ns, count, sizeof *ns, by_value);
	printf("%.2f %.2f\n", (double)ns[count / 2] / 1e6, (double)ns[count * 99 / 100] / 1e6);
}

/* Not in step with anything. */
static void pause_between(void)
{
	usleep(80000 + (useconds_t)(random() % 40000));
}

static void measure_waiting(size_t amount)
{
	struct vega_error err;
	struct store_lease lease;
	uint64_t *ns = calloc(amount, sizeof *ns);
	struct store *store = open_it();
	if (claim(store, 1, &lease)) {
		give_up("there are jobs already", NULL);
	}
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		struct store *other = open_it();
		for (size_t i = 0; i < amount; i++) {
			pause_between();
			shared->moment[i] = now_ns();
			submit(other, 1);
		}
		_exit(0);
	}
	for (size_t done = 0; done < amount;) {
		if (claim(store, 1, &lease)) {
			ns[done] = now_ns() - shared->moment[done];
			finish(store, &lease, 1, 0);
			done++;
		} else if (store->driver->wait(store, 10000, -1, &err)) {
			give_up("wait", &err);
		}
	}
	store->driver->close(store);
	print_latencies(ns, amount);
	free(ns);
}

static void measure_running(size_t amount, const char *fifo)
{
	uint64_t started, *ns = calloc(amount, sizeof *ns);
	struct store *store = open_it();
	snprintf(spec, sizeof spec, SPEC, fifo);
	int fd = mkfifo(fifo, 0600) == 0 ? open(fifo, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0) {
		give_up(fifo, NULL);
	}
	for (size_t i = 0; i < amount; i++) {
		pause_between();
		uint64_t moment = now_ns();
		submit(store, 1);
		struct pollfd wanted = {.fd = fd, .events = POLLIN};
		if (poll(&wanted, 1, 60000) != 1 ||
		        read(fd, &started, sizeof started) != sizeof started) {
			give_up("no child has started", NULL);
		}
		ns[i] = started - moment;
	}
	store->driver->close(store);
	unlink(fifo);
	print_latencies(ns, amount);
	free(ns);
}

static int be_vega_walk(void)
{
	uint64_t now = now_ns();
	char text[65536];
	ssize_t len = read(3, text, sizeof text);
	cJSON *json = len > 0 ? cJSON_ParseWithLength(text, (size_t)len) : NULL;
	const char *fifo = cJSON_GetStringValue(
	        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "roots"), 0));
	int fd = fifo ? open(fifo, O_WRONLY) : -1;
	bool told = fd >= 0 && write(fd, &now, sizeof now) == sizeof now;
	puts(SUMMARY);
	cJSON_Delete(json);
	return told ? 0 : 2;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	if (strcmp(name ? name + 1 : argv[0], "vega-walk") == 0) {
		return be_vega_walk();
	}
	unsigned long numbers[4] = {0};
	for (int i = 3; i < argc && i < 6; i++) {
		numbers[i - 3] = strtoul(argv[i], NULL, 10);
	}
	const char *what = argc > 3 ? argv[1] : "";
	url = argc > 2 ? argv[2] : NULL;
	shared = mmap(
	        NULL, (size_t)1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		return 2;
	}
	snprintf(spec, sizeof spec, SPEC, "/data/project-x");
	if (strcmp(what, "submit") == 0 && numbers[1] - 1 < BATCH_MAX) {
		measure(submit_for, (unsigned)numbers[0], numbers[1], numbers[2]);
	} else if (strcmp(what, "work") == 0 && numbers[1] - 1 < BATCH_MAX) {
		struct store *store = open_it();
		for (unsigned long left = numbers[2]; left > 0;) {
			unsigned long part = left < 1000 ? left : 1000;
			submit(store, part);
			left -= part;
		}
		store->driver->close(store);
		measure(work_off, (unsigned)numbers[0], numbers[1], numbers[2]);
		if (shared->done != numbers[2]) {
			give_up("jobs are left", NULL);
		}
	} else if (strcmp(what, "wait") == 0) {
		measure_waiting(numbers[0]);
	} else if (strcmp(what, "run") == 0 && argc > 4) {
		measure_running(numbers[0], argv[4]);
	} else {
		fputs("see tests/bench/store.c\n", stderr);
		return 2;
	}
	return 0;
}
