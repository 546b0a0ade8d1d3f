/* The content pipeline over a real walk: every byte once to every operation, or an error. */
#include "engine/content.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory_cache.h"
#include "../tap.h"

/* What one operation saw. Its result is the sum of the bytes of a file. */
struct seen {
	unsigned begun, ended, whole, results, cached;
	unsigned chunks;
	uint64_t bytes, sum, last;
	unsigned char expected; /* the pattern goes on across chunks */
	bool out_of_order;
};

static struct seen first, second;
static int begin_answer = 1, chunk_answer, end_answer;
static void (*during)(void); /* once, when the first chunk is there */
static char dir[128], path[160];
static atomic_int stop;

static unsigned char pattern(uint64_t at)
{
	return (unsigned char)(at * 7 + at / 251);
}

static int begin(void *self, const struct walk_entry *entry, const struct file_meta *meta)
{
	struct seen *seen = self;
	(void)entry;
	if (meta->have != META_ALL) {
		ok(false, "all metadata of the open file");
	}
	seen->begun++;
	seen->chunks = 0;
	seen->bytes = seen->sum = 0;
	return begin_answer;
}

static int chunk(void *self, const void *bytes, size_t len)
{
	struct seen *seen = self;
	const unsigned char *at = bytes;
	for (size_t i = 0; i < len; i++) {
		seen->out_of_order |= at[i] != pattern(seen->bytes++);
		seen->sum += at[i];
	}
	seen->chunks++;
	if (during) {
		during();
		during = NULL;
	}
	return self == &first ? chunk_answer : 0;
}

static int end(void *self, const struct walk_entry *entry, const struct file_meta *meta, bool whole,
        void *result)
{
	struct seen *seen = self;
	(void)meta;
	seen->ended++;
	seen->whole += whole;
	if (self == &first && end_answer) {
		walk_error(entry, "first", 0, "does not like it");
		return end_answer;
	}
	memcpy(result, &seen->sum, sizeof seen->sum);
	return 0;
}

static size_t result_size(const struct spec *spec)
{
	(void)spec;
	return sizeof first.sum;
}

static const char *first_name(const struct spec *spec)
{
	(void)spec;
	return "first:1";
}

static const char *second_name(const struct spec *spec)
{
	(void)spec;
	return "second:1";
}

static void file_result(void *self, const struct walk_entry *entry, const struct file_meta *meta,
        const void *result, bool cached)
{
	struct seen *seen = self;
	(void)entry;
	(void)meta;
	seen->results++;
	seen->cached += cached;
	memcpy(&seen->last, result, sizeof seen->last);
}

static const struct op op_first = {.name = "first",
        .needs = OP_CONTENT,
        .begin_file = begin,
        .chunk = chunk,
        .end_file = end,
        .cache_name = first_name,
        .result_size = result_size,
        .file_result = file_result};
static const struct op op_second = {.name = "second",
        .needs = OP_CONTENT,
        .begin_file = begin,
        .chunk = chunk,
        .end_file = end,
        .cache_name = second_name,
        .result_size = result_size,
        .file_result = file_result};
/* Its results cannot be cached. */
static const struct op op_writer = {.name = "writer",
        .needs = OP_CONTENT,
        .begin_file = begin,
        .chunk = chunk,
        .end_file = end};

/* --- A walk with nothing but the pipeline in it --- */

static struct content_thread *content;
static struct content_stats stats;
static char message[256];
static unsigned errors;

static void on_enter(void *context, struct walk_dir *walk_dir, int handle)
{
	(void)context;
	content_enter(content, walk_dir, handle);
}

static bool on_entry(void *context, const struct walk_entry *entry)
{
	(void)context;
	return entry->type == FILE_REGULAR && content_file(content, entry);
}

static void on_leave(void *context, struct walk_dir *walk_dir)
{
	(void)context;
	content_leave(content, walk_dir);
}

static void on_error(void *context, const struct record *error)
{
	(void)context;
	errors++;
	snprintf(message, sizeof message, "%s: %s", error->op,
	        error->message ? error->message : strerror(error->errnum));
}

static void on_breathe(void *context)
{
	(void)context;
}

static void *begin_thread(void *shared, struct walk_thread *thread)
{
	(void)thread;
	return shared;
}

/* Walks `root` once and returns the ledger; `first` and `second` start anew. */
static struct walk_ledger run(const char *root, const struct op *b, struct cache *cache)
{
	static const struct walk_visitor visitor = {.enter = on_enter,
	        .entry = on_entry,
	        .leave = on_leave,
	        .error = on_error,
	        .breathe = on_breathe};
	void *accumulators[] = {&first, &second};
	struct spec spec;
	struct walk *walk;
	struct walk_ledger ledger = {0};
	struct vega_error err;
	bool complete;
	spec_init(&spec);
	strlist_add(&spec.roots, root);
	struct content_config config = {.spec = &spec,
	        .op = {&op_first, b},
	        .op_count = b ? 2 : 1,
	        .cache = cache,
	        .stop = &stop};
	struct fs_trees *trees = NULL;
	const struct fs_setting setting = {.roots = &spec.roots};
	if (fs_trees_new(&setting, &trees, &err) != 0) {
		printf("Bail out! no trees\n");
		exit(1);
	}
	struct walk_config settings = {.spec = &spec,
	        .trees = trees,
	        .want = content_want(&config),
	        .dir_data_size = content_dir_size(&config),
	        .threads = 1,
	        .visitor = &visitor,
	        .thread_begin = begin_thread,
	        .shared = &config};
	memset(&first, 0, sizeof first);
	memset(&second, 0, sizeof second);
	memset(&stats, 0, sizeof stats);
	errors = 0;
	message[0] = '\0';
	content = content_thread_new(&config, accumulators, NULL);
	if (!content || walk_new(&settings, &walk, &err) != 0) {
		printf("Bail out! no walk\n");
		exit(1);
	}
	walk_run(walk, &complete, &err);
	walk_ledger(walk, &ledger);
	walk_free(walk);
	fs_trees_free(trees);
	content_stats_add(content, &stats);
	content_thread_free(content);
	spec_release(&spec);
	if (ledger.entries != ledger.reported + ledger.filtered + ledger.errors) {
		ok(false, "the ledger adds up");
	}
	return ledger;
}

/* --- Files --- */

static void write_file(uint64_t size)
{
	static unsigned char block[1 << 16];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	uint64_t at = 0;
	while (at < size) {
		size_t len = size - at < sizeof block ? (size_t)(size - at) : sizeof block;
		for (size_t i = 0; i < len; i++) {
			block[i] = pattern(at + i);
		}
		if (write(fd, block, len) != (ssize_t)len) {
			printf("Bail out! cannot write\n");
			exit(1);
		}
		at += len;
	}
	close(fd);
}

static void append(void)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (write(fd, "more", 4) != 4) {
		printf("Bail out! cannot append\n");
	}
	close(fd);
}

static void cut(void)
{
	if (truncate(path, 10) != 0) {
		printf("Bail out! cannot truncate\n");
	}
}

/* The same size and mtime, but other content. */
static void overwrite(void)
{
	struct stat st;
	stat(path, &st);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (pwrite(fd, "x", 1, 5) != 1) {
		printf("Bail out! cannot overwrite\n");
	}
	struct timespec times[2] = {st.st_atim, st.st_mtim};
	futimens(fd, times);
	close(fd);
}

static void replace(void)
{
	char other[200];
	snprintf(other, sizeof other, "%s.new", path);
	int fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	close(fd);
	rename(other, path);
}

static void interrupt(void)
{
	atomic_store(&stop, 15);
}

static void sizes(void)
{
	static const uint64_t cases[] = {0, 1, 4096, 262143, 262144, 262145, 524288, 3000000};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		write_file(cases[i]);
		struct walk_ledger ledger = run(path, &op_second, NULL);
		ok(first.bytes == cases[i] && second.bytes == cases[i] && !first.out_of_order &&
		                !second.out_of_order,
		        "%llu bytes in order to both", (unsigned long long)cases[i]);
		ok(first.whole == 1 && second.whole == 1 && first.results == 1 &&
		                first.last == first.sum,
		        "and a result from each");
		ok(stats.bytes_read == cases[i] && stats.files_read == 1, "read once");
		is_int(ledger.reported, 1, "reported");
	}
	ok(first.chunks == 12, "256 KiB at a time, without a read for the end (%u)", first.chunks);
}

static void changes(void)
{
	static const struct {
		void (*change)(void);
		const char *what;
		bool noticed;
	} cases[] = {
	        {append, "growing", true},
	        {cut, "shrinking", true},
	        {overwrite, "overwriting with the mtime restored", true},
	        {replace, "replacing it: the open file is as it was but for its ctime", true},
	};
	for (size_t size = 1000; size <= 1000000; size += 999000) {
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
			write_file(size);
			usleep(10000); /* past the grain of ctime, which a real change may share */
			during = cases[i].change;
			struct walk_ledger ledger = run(path, &op_second, &memory_cache);
			is_str(message, "read: changed while it was read", "%s at %zu bytes",
			        cases[i].what, size);
			ok(ledger.errors == 1 && first.ended == 1 && first.whole == 0 &&
			                first.results == 0 && second.results == 0,
			        "gives no result");
		}
	}
	is_int(memory_puts, 0, "nor puts one into the cache");
}

static void untrusted(void)
{
	memory_clear();
	struct walk_ledger ledger = run("/proc/self/status", NULL, &memory_cache);
	ok(strstr(message, "size cannot be trusted"), "a file of /proc: %s", message);
	ok(ledger.errors == 1 && first.results == 0, "has no result");
	is_int(memory_requests, 0, "and its file system no cache");
}

static void two_operations(void)
{
	struct walk_ledger ledger;
	write_file(1000000);
	chunk_answer = -1;
	ledger = run(path, &op_second, NULL);
	ok(first.chunks == 1 && second.chunks == 4 && second.results == 1,
	        "one that wants no more does not stop the other");
	ok(first.ended == 1 && first.whole == 1, "and is told of the end");
	run(path, NULL, NULL);
	ok(first.chunks == 1 && stats.bytes_read == 262144,
	        "when nobody wants more, nothing is read");
	chunk_answer = 0;

	end_answer = -1;
	ledger = run(path, &op_second, NULL);
	ok(first.results == 0 && second.results == 1 && ledger.errors == 1,
	        "one that fails in the end does not spoil the other");
	end_answer = 0;

	begin_answer = 0;
	ledger = run(path, &op_second, NULL);
	ok(first.ended == 0 && stats.files_read == 0 && ledger.reported == 1,
	        "a file that everybody took is not read");
	begin_answer = 1;

	during = interrupt;
	ledger = run(path, &op_second, NULL);
	ok(first.chunks == 1 && first.ended == 1 && first.whole == 0 && ledger.reported == 0 &&
	                errors == 0,
	        "a stopping run discards without an error");
	atomic_store(&stop, 0);
}

/* Makes the file old enough to be kept. */
static void age(void)
{
	struct stat st;
	do {
		usleep(50000);
		stat(path, &st);
	} while (vega_now().sec - st.st_ctim.tv_sec < 3);
}

static void cached(void)
{
	memory_clear();
	write_file(500000);
	run(path, NULL, &memory_cache);
	ok(first.results == 1 && memory_puts == 0, "what was just written is not kept");
	age();
	run(path, NULL, &memory_cache);
	ok(first.results == 1 && first.cached == 0 && memory_puts == 1, "what is old is");
	uint64_t sum = first.last;
	run(dir, NULL, &memory_cache);
	ok(first.cached == 1 && first.begun == 0 && first.last == sum && stats.files_read == 0 &&
	                stats.cache_hits == 1,
	        "and not opened again, by another root either");
	run(path, &op_second, &memory_cache);
	ok(first.cached == 0 && second.results == 1, "two operations have values of their own");
	run(path, &op_second, &memory_cache);
	ok(first.cached == 1 && second.cached == 1 && first.last == sum && second.last == sum &&
	                stats.cache_hits == 2 && stats.files_read == 0,
	        "in which each finds its result");
	run(path, &op_writer, &memory_cache);
	ok(first.cached == 1 && first.begun == 0 && second.bytes == 500000 && second.whole == 1 &&
	                stats.files_read == 1,
	        "beside one that must read, the cached one is not fed");

	overwrite();
	run(path, NULL, &memory_cache);
	ok(first.cached == 0 && first.last != sum && stats.files_read == 1,
	        "rewritten in place with its mtime restored, it is read again");

	memory_clear();
	age();
	end_answer = -1;
	run(path, &op_second, &memory_cache);
	is_int(memory_puts, 0, "a result that is missing one part is not kept");
	end_answer = 0;
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(name);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%s/contentXXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		printf("Bail out! no directory\n");
		return 1;
	}
	snprintf(path, sizeof path, "%s/file", dir);
	sizes();
	changes();
	untrusted();
	two_operations();
	cached();
	memory_clear();
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return done();
}
