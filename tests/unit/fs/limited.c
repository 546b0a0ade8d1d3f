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
static void each_call(struct fs_tree *tree)
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
	int root = tree->backend->open_root(tree, dir, NULL, &meta, &name);
	int again = tree->backend->open_dir(tree, root, ".", NULL);
	tree->backend->list(tree, again, &cursor, batch);
	while (cursor.at < cursor.filled) {
		tree->backend->list(tree, again, &cursor, batch);
	}
	tree->backend->list(tree, again, &cursor, batch);
	tree->backend->stat(tree, root, entry, metas, 0, 4, META_ALL);
	int file = tree->backend->open_file(tree, root, "a", &meta);
	tree->backend->read(tree, file, &byte, 1, 0);
	tree->backend->stat_handle(tree, file, &meta);
	tree->backend->identity(tree, root, id);
	tree->backend->open_file(tree, root, "nowhere", &meta);
	tree->backend->close(tree, file);
	tree->backend->close(tree, again);
	tree->backend->close(tree, root);
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

/* The trees of one or both roots. */
static struct fs_trees *limited_trees(uint64_t max_iops, size_t roots)
{
	static char file[] = "file://x", *root[] = {dir, file};
	struct strlist list = {.items = root, .count = roots};
	const struct fs_setting setting = {.roots = &list, .max_iops = max_iops, .stop = &stop};
	struct fs_trees *trees = NULL;
	struct vega_error err;
	if (fs_trees_new(&setting, &trees, &err) != 0) {
		printf("Bail out! no trees\n");
		exit(1);
	}
	return trees;
}

static void test_ceiling(void)
{
	struct fs_trees *trees = limited_trees(RATE, 2);
	struct fs_tree *tree = fs_tree_at(trees, 0);
	pthread_t thread[THREADS];
	uint64_t calls = (uint64_t)THREADS * ROUNDS * (CALLS + 1); /* "nowhere": the open alone */
	ok(tree->backend != &fs_local && fs_limited_behind(tree) == &fs_local_tree &&
	                tree->fields == fs_local_tree.fields,
	        "a limit stands in front of the backend");
	ok(fs_tree_at(trees, 1) == tree, "two roots of one tree share it");
	uint64_t start = monotonic_ns();
	for (int i = 0; i < THREADS; i++) {
		pthread_create(&thread[i], NULL, rounds, tree);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
	}
	/* A busy machine may take longer; whatever it is, not less. */
	double least = (double)calls / RATE - (double)RATE_BURST_NS / 1e9 - 0.01;
	double took = seconds_since(start);
	ok(took >= least,
	        "%d calls of %d threads at %d per second take the time that they must: %.2f s, at "
	        "least %.2f",
	        (int)calls, THREADS, RATE, took, least);
	fs_trees_free(trees);
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
	struct fs_trees *trees = limited_trees(1, 1);
	struct fs_tree *tree = fs_tree_at(trees, 0);
	atomic_store(&stop, 0);
	uint64_t start = monotonic_ns();
	struct file_meta meta;
	tree->backend->stat_handle(tree, AT_FDCWD, &meta);
	pthread_create(&thread, NULL, stop_soon, NULL);
	for (int i = 0; i < 1000; i++) {
		tree->backend->stat_handle(tree, AT_FDCWD, &meta);
	}
	pthread_join(thread, NULL);
	ok(seconds_since(start) < 100,
	        "a stopped run does not wait for 1000 calls at one per second");
	fs_trees_free(trees);
}

static void test_none(void)
{
	struct fs_trees *trees = limited_trees(0, 2);
	ok(fs_tree_at(trees, 0) == &fs_local_tree, "without a ceiling, the tree itself");
	ok(fs_tree_at(trees, 1) == &fs_local_tree,
	        "without a limit, a URL of its scheme has the backend itself");
	fs_trees_free(trees);
}

/* Two runs in one process: the ceiling of one does not hold up the other. */
static void test_two(void)
{
	atomic_store(&stop, 0);
	struct fs_trees *slow = limited_trees(1, 1), *fast = limited_trees(1000000, 1);
	struct fs_tree *tree = fs_tree_at(fast, 0);
	struct file_meta meta;
	uint64_t start = monotonic_ns();
	for (int i = 0; i < 1000; i++) {
		tree->backend->stat_handle(tree, AT_FDCWD, &meta);
	}
	ok(seconds_since(start) < 100, "a fast run is not held up by the ceiling of a slow one");
	fs_trees_free(slow);
	fs_trees_free(fast);
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
	test_two();
	unlink("a");
	rmdir(dir);
	return done();
}
