/* The ceiling: what counts, that it holds for threads together, and that a stop ends the waiting.
 */
#include "../tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rate.h"
#include "fs/limited.h"

#define RATE 2000u

static char dir[] = "/tmp/vega-limited-XXXXXX";
static atomic_int stop;

static double seconds_since(uint64_t start)
{
	return (double)(monotonic_ns() - start) / 1e9;
}

/* One of each call: open_root 2, open_dir 1 or 2, list 2, stat 3 of 4, open_file 2, read 1,
 * stat_handle 1, identity 2: 15 in all. */
#define CALLS 15
static void each_call(const struct backend *fs)
{
	static char names[4][2] = {"a", "b", "c", "d"};
	_Alignas(16) static _Thread_local char buffer[FS_CURSOR_BUFFER];
	struct fs_cursor cursor = {.buffer = buffer};
	struct file_meta meta, metas[4];
	struct fs_entry entry[4];
	struct fs_batch *batch = malloc(sizeof *batch);
	char *name, byte;
	uint64_t id[2];
	for (int i = 0; i < 4; i++) {
		entry[i] = (struct fs_entry){
		        .name = names[i], .name_len = 1, .error = i == 2 ? FS_SKIP_STAT : 0};
	}
	int root = fs->open_root(dir, NULL, &meta, &name);
	int again = fs->open_dir(root, ".", NULL);
	fs->list(again, &cursor, batch);
	while (cursor.at < cursor.filled) {
		fs->list(again, &cursor, batch);
	}
	fs->list(again, &cursor, batch);
	fs->stat(root, entry, metas, 0, 4, META_ALL);
	int file = fs->open_file(root, "a", &meta);
	fs->read(file, &byte, 1, 0);
	fs->stat_handle(file, &meta);
	fs->identity(root, id);
	fs->open_file(root, "nowhere", &meta);
	fs->close(file);
	fs->close(again);
	fs->close(root);
	free(batch);
}

#define THREADS 8
#define ROUNDS 20

static void *rounds(void *context)
{
	for (int i = 0; i < ROUNDS; i++) {
		each_call(context);
	}
	return NULL;
}

static void test_ceiling(void)
{
	const struct backend *fs;
	pthread_t thread[THREADS];
	uint64_t calls = (uint64_t)THREADS * ROUNDS * (CALLS + 1); /* "nowhere": the open alone */
	fs_limit(RATE, &stop);
	ok(backend_for(dir, &fs, NULL) == 0 && fs == &fs_limited,
	        "a ceiling stands before the backend");
	uint64_t start = monotonic_ns();
	for (int i = 0; i < THREADS; i++) {
		pthread_create(&thread[i], NULL, rounds, (void *)(uintptr_t)fs);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
	}
	/* A busy machine may take longer; whatever it is, not less. */
	double least = (double)calls / RATE - (double)RATE_BURST_NS / 1e9 - 0.01;
	double took = seconds_since(start);
	ok(took >= least, "%d calls of %d threads at %d a second: %.2f s, at least %.2f",
	        (int)calls, THREADS, RATE, took, least);
}

static void *stop_soon(void *context)
{
	(void)context;
	atomic_store(&stop, 1);
	return NULL;
}

static void test_stop(void)
{
	pthread_t thread;
	fs_limit(1, &stop);
	atomic_store(&stop, 0);
	uint64_t start = monotonic_ns();
	struct file_meta meta;
	fs_limited.stat_handle(AT_FDCWD, &meta);
	pthread_create(&thread, NULL, stop_soon, NULL);
	for (int i = 0; i < 1000; i++) {
		fs_limited.stat_handle(AT_FDCWD, &meta);
	}
	pthread_join(thread, NULL);
	ok(seconds_since(start) < 100,
	        "1000 calls at one a second do not wait once the run is stopped");
}

static void test_none(void)
{
	const struct backend *fs;
	fs_limit(0, NULL);
	ok(backend_for(dir, &fs, NULL) == 0 && fs == &fs_local,
	        "without a ceiling, the backend itself");
	ok(backend_for("file://x", &fs, NULL) == 0 && fs == &fs_local, "for its scheme, too");
}

int main(void)
{
	if (!mkdtemp(dir) || chdir(dir) != 0) {
		return 1;
	}
	close(open("a", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	test_ceiling();
	test_stop();
	test_none();
	unlink("a");
	rmdir(dir);
	return done();
}
