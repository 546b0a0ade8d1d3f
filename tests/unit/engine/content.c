/* The content pipeline over a real walk: every byte once to every operation, or an error. */
#include "engine/content.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
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
static unsigned padding; /* of the result */
static bool not_mine;    /* what comes from the cache */
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
		ok(false, "operations get all metadata of the open file");
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
        struct buf *result)
{
	struct seen *seen = self;
	(void)meta;
	seen->ended++;
	seen->whole += whole;
	if (self == &first && end_answer) {
		walk_error(entry, "first", 0, "does not like it");
		return end_answer;
	}
	if (result) {
		buf_add(result, &seen->sum, sizeof seen->sum);
		for (unsigned i = 0; i < padding; i++) {
			buf_add_char(result, 'x');
		}
	}
	return 0;
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

static bool file_result(void *self, const struct walk_entry *entry, const struct file_meta *meta,
        const void *result, size_t len, bool cached)
{
	struct seen *seen = self;
	(void)entry;
	(void)meta;
	if (cached && not_mine) {
		return false;
	}
	is_int(len, sizeof seen->last, "a result as long as it was");
	seen->results++;
	seen->cached += cached;
	memcpy(&seen->last, result, sizeof seen->last);
	return true;
}

static const struct op op_first = {.name = "first",
        .content = {.kind = OP_WHOLE},
        .begin_file = begin,
        .chunk = chunk,
        .end_file = end,
        .cache_name = first_name,
        .file_result = file_result};
static const struct op op_second = {.name = "second",
        .content = {.kind = OP_WHOLE},
        .begin_file = begin,
        .chunk = chunk,
        .end_file = end,
        .cache_name = second_name,
        .file_result = file_result};
/* Its results cannot be cached. */
static const struct op op_writer = {.name = "writer",
        .content = {.kind = OP_WHOLE},
        .begin_file = begin,
        .chunk = chunk,
        .end_file = end};

#define HEAD 4096

/* The first bytes only. */
static const struct op op_head = {.name = "head",
        .content = {OP_HEAD, HEAD},
        .begin_file = begin,
        .chunk = chunk,
        .end_file = end,
        .cache_name = second_name,
        .file_result = file_result};

static unsigned char at_random[3][10]; /* the last bytes, the first, and those in the middle */
static ssize_t got_random[4];          /* and of a read behind the end */

static void read_random(void *self, struct content_reader *reader)
{
	struct seen *seen = self;
	uint64_t last = reader->size < 10 ? 0 : reader->size - 10;
	seen->chunks++;
	got_random[0] = content_read_at(reader, at_random[0], 10, last);
	got_random[1] = content_read_at(reader, at_random[1], 10, 0);
	if (during) {
		during();
		during = NULL;
	}
	got_random[2] = content_read_at(reader, at_random[2], 10, reader->size / 2);
	got_random[3] = content_read_at(reader, at_random[0] + 9, 10, reader->size + 5);
	seen->bytes = reader->size;
	seen->sum = 1;
}

static const struct op op_random = {.name = "random",
        .content = {.kind = OP_RANDOM},
        .begin_file = begin,
        .random = read_random,
        .end_file = end,
        .cache_name = second_name,
        .file_result = file_result};

/* A tree that reads from the front only, and counts. */
static uint64_t next_offset;
static unsigned rewinds;

static ssize_t read_on(struct fs_tree *tree, int file, void *bytes, size_t len, uint64_t offset)
{
	rewinds += offset != next_offset && offset != 0;
	ssize_t got = fs_local.read(tree, file, bytes, len < 100000 ? len : 100000, offset);
	next_offset = offset + (got > 0 ? (size_t)got : 0);
	return got;
}

static struct backend front_only;
static struct fs_tree front_only_tree = {
        .backend = &front_only, .caps = FS_FRONT_ONLY, .fields = META_ALL};

static const struct op *first_op = &op_first;
static struct fs_tree *given_tree;

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
	        .op = {first_op, b},
	        .op_count = b ? 2 : 1,
	        .cache = cache,
	        .stop = &stop};
	struct fs_trees *trees = NULL;
	const struct fs_setting setting = {.roots = &spec.roots, .given = given_tree};
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
		        "%llu bytes reach both operations in order", (unsigned long long)cases[i]);
		ok(first.whole == 1 && second.whole == 1 && first.results == 1 &&
		                first.last == first.sum,
		        "each operation gives one result");
		ok(stats.bytes_read == cases[i] && stats.files_read == 1,
		        "a file is read once for both operations");
		is_int(ledger.reported, 1, "a file is reported once");
	}
	ok(first.chunks == 12,
	        "a file is read in pieces of 256 KiB, without a read for its end (%u)",
	        first.chunks);
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
			is_str(message, "read: changed while it was read",
			        "a file that %s at %zu bytes is an error", cases[i].what, size);
			ok(ledger.errors == 1 && first.ended == 1 && first.whole == 0 &&
			                first.results == 0 && second.results == 0,
			        "a file that changed while it was read gives no result");
		}
	}
	is_int(memory_puts, 0, "a file that changed while it was read is not cached");
}

static void untrusted(void)
{
	memory_clear();
	struct walk_ledger ledger = run("/proc/self/status", NULL, &memory_cache);
	ok(strstr(message, "size cannot be trusted"), "a file of /proc: %s", message);
	ok(ledger.errors == 1 && first.results == 0, "a file of /proc has no result");
	is_int(memory_requests, 0, "the file system of /proc is not cached");
}

static void two_operations(void)
{
	struct walk_ledger ledger;
	write_file(1000000);
	chunk_answer = -1;
	ledger = run(path, &op_second, NULL);
	ok(first.chunks == 1 && second.chunks == 4 && second.results == 1,
	        "an operation that wants no more does not stop the other");
	ok(first.ended == 1 && first.whole == 1,
	        "an operation that wants no more is told of the end");
	run(path, NULL, NULL);
	ok(first.chunks == 1 && stats.bytes_read == 262144,
	        "a file is not read on when no operation wants more");
	chunk_answer = 0;

	end_answer = -1;
	ledger = run(path, &op_second, NULL);
	ok(first.results == 0 && second.results == 1 && ledger.errors == 1,
	        "an operation that fails at the end does not spoil the other");
	end_answer = 0;

	begin_answer = 0;
	ledger = run(path, &op_second, NULL);
	ok(first.ended == 0 && stats.files_read == 0 && ledger.reported == 1,
	        "a file that needs no operation is not read");
	begin_answer = 1;

	during = interrupt;
	ledger = run(path, &op_second, NULL);
	ok(first.chunks == 1 && first.ended == 1 && first.whole == 0 && ledger.reported == 0 &&
	                errors == 0,
	        "a stopping run discards files without an error");
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
	ok(first.results == 1 && memory_puts == 0, "a file that was just written is not cached");
	age();
	run(path, NULL, &memory_cache);
	ok(first.results == 1 && first.cached == 0 && memory_puts == 1, "an old file is cached");
	uint64_t sum = first.last;
	run(dir, NULL, &memory_cache);
	ok(first.cached == 1 && first.begun == 0 && first.last == sum && stats.files_read == 0 &&
	                stats.cache_hits == 1,
	        "a cached file is not opened again, under another root either");
	run(path, &op_second, &memory_cache);
	ok(first.cached == 1 && first.begun == 0 && second.results == 1 && second.cached == 0,
	        "beside another operation, too, which has a value of its own");
	run(path, &op_second, &memory_cache);
	ok(first.cached == 1 && second.cached == 1 && first.last == sum && second.last == sum &&
	                stats.cache_hits == 2 && stats.files_read == 0,
	        "in which it finds its result");
	first_op = &op_second;
	run(path, NULL, &memory_cache);
	ok(first.cached == 1 && stats.files_read == 0, "when it is alone as well");
	first_op = &op_first;
	unsigned before = memory_requests;
	run(path, NULL, &memory_cache);
	is_int(memory_requests, before + 1, "one operation asks once per directory");
	not_mine = true;
	run(path, NULL, &memory_cache);
	not_mine = false;
	ok(first.cached == 0 && first.results == 1 && first.last == sum && stats.files_read == 1 &&
	                stats.cache_hits == 0,
	        "a result that the operation does not know is read anew");
	run(path, &op_writer, &memory_cache);
	ok(first.cached == 1 && first.begun == 0 && second.bytes == 500000 && second.whole == 1 &&
	                stats.files_read == 1,
	        "a cached operation is not fed beside one that must read");

	overwrite();
	run(path, NULL, &memory_cache);
	ok(first.cached == 0 && first.last != sum && stats.files_read == 1,
	        "a file rewritten with its mtime restored is read again");

	memory_clear();
	age();
	end_answer = -1;
	run(path, &op_second, &memory_cache);
	is_int(memory_puts, 1, "an operation that fails keeps nothing, the other its result");
	end_answer = 0;
	run(path, &op_second, &memory_cache);
	ok(first.cached == 0 && first.results == 1 && second.cached == 1, "which is found again");
}

/* The first operation here, the second one `b`, over a file of that size. */
static struct walk_ledger run_ops(const struct op *a, const struct op *b, uint64_t size)
{
	first_op = a;
	write_file(size);
	struct walk_ledger ledger = run(path, b, NULL);
	first_op = &op_first;
	return ledger;
}

static void only_heads(void)
{
	static const uint64_t cases[] = {0, 1, HEAD - 1, HEAD, HEAD + 1, 3000000};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t head = cases[i] < HEAD ? cases[i] : HEAD;
		struct walk_ledger ledger = run_ops(&op_head, NULL, cases[i]);
		ok(first.bytes == head && first.whole == 1 && first.results == 1 &&
		                ledger.reported == 1 && stats.bytes_read == head,
		        "of %llu bytes, the head is read and no more",
		        (unsigned long long)cases[i]);
		run_ops(&op_head, &op_second, cases[i]);
		ok(first.bytes == head && second.bytes == cases[i] && first.results == 1 &&
		                second.results == 1 && stats.bytes_read == cases[i] &&
		                stats.files_read == 1 && !second.out_of_order,
		        "beside one that wants all, all is read, once");
	}
	during = append;
	run_ops(&op_head, NULL, 1000000);
	is_str(message, "read: changed while it was read",
	        "a file that grows while a head is read");
	ok(first.whole == 0 && first.results == 0, "a file that grows has no result");
	during = append;
	struct walk_ledger ledger = run_ops(&op_head, &op_second, 1000000);
	ok(errors == 1 && first.results == 0 && second.results == 0 && ledger.errors == 1,
	        "nor one of an operation that wants all, and one error");

	given_tree = NULL;
	first_op = &op_head;
	ledger = run("/proc/self/status", NULL, NULL);
	ok(first.bytes > 100 && first.results == 1 && ledger.reported == 1,
	        "a head says nothing about the size");
	ledger = run("/proc/self/status", &op_second, NULL);
	ok(first.results == 1 && second.results == 0 && ledger.errors == 1,
	        "but a whole does, and that costs the head nothing");
	first_op = &op_first;
}

static bool random_right(uint64_t size)
{
	bool right = got_random[0] == 10 && got_random[1] == 10 && got_random[3] == 0;
	for (unsigned i = 0; i < 9; i++) {
		right = right && at_random[0][i] == pattern(size - 10 + i) &&
		        at_random[1][i] == pattern(i) && at_random[2][i] == pattern(size / 2 + i);
	}
	return right;
}

static void random_access(void)
{
	static const uint64_t cases[] = {20, 300000, 20000000};
	for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
		uint64_t size = cases[i / 2];
		given_tree = i % 2 ? &front_only_tree : NULL;
		rewinds = 0;
		struct walk_ledger ledger = run_ops(&op_random, NULL, size);
		ok(random_right(size) && first.whole == 1 && first.results == 1 &&
		                ledger.reported == 1,
		        "%llu bytes are read anywhere%s", (unsigned long long)size,
		        i % 2 ? ", from a tree that cannot" : "");
		ok(i % 2 ? stats.bytes_read == size && rewinds == 0 : stats.bytes_read == 30,
		        "as few as can be");
		run_ops(&op_random, &op_second, size);
		ok(random_right(size) && second.bytes == size && !second.out_of_order &&
		                second.results == 1 && first.results == 1 && rewinds == 0,
		        "and in order, too");
		during = append;
		ledger = run_ops(&op_random, NULL, size);
		ok(errors == 1 && ledger.errors == 1 && first.results == 0,
		        "not when it changes meanwhile");
	}
	given_tree = NULL;
	during = interrupt;
	run_ops(&op_random, NULL, 1000);
	ok(got_random[2] == -ECANCELED && first.ended == 1 && first.whole == 0 && errors == 0,
	        "a stop ends it, without an error");
	atomic_store(&stop, 0);
}

/* Asserted where that is on, an error where it is not: never reported, never kept. */
static void too_long(void)
{
	write_file(10);
	padding = OP_RESULT_MAX;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		run(path, NULL, &memory_cache);
		_exit(first.results == 0 && errors == 1 && memory_puts == 0 ? 0 : 1);
	}
	int status;
	waitpid(child, &status, 0);
	ok((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) ||
	                (WIFEXITED(status) && WEXITSTATUS(status) == 0),
	        "a result longer than 4096 bytes is refused");
	padding = 0;
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
	front_only = fs_local;
	front_only.read = read_on;
	only_heads();
	random_access();
	memory_clear();
	too_long();
	memory_clear();
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return done();
}
