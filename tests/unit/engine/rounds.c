/*
 * Rounds: an operation that finds files of equal content, as duplicates will: round 1 reads the
 * head of files of equal size, round 2 the whole of those whose heads are equal, too.
 */
#include "engine/run_internal.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "../tap.h"

#define HEAD 16
#define DIRS 24
#define FILES_MAX 4000

struct item {
	struct walk_dir *dir; /* NULL: let go of */
	char name[24];
	struct file_meta meta;
	uint64_t digest; /* of what was read in the last round */
	bool read, dropped;
};

/* What the operation keeps; one per process. */
static struct {
	pthread_mutex_t lock;
	struct item item[FILES_MAX];
	unsigned count, at, rounds, asked;
	atomic_uint begun, read[3]; /* by round */
	unsigned pairs, settled;
	bool one_file; /* hold one file, again and again */
} self = {.lock = PTHREAD_MUTEX_INITIALIZER};

static char dir[128];
static atomic_int stop;
static void (*between)(unsigned round); /* called by round() */
static unsigned stop_at;                /* set `stop` when so many files have begun */
static size_t most_memory;
static struct fs_tree *given;

static size_t memory_used(void)
{
	char text[64] = "";
	unsigned long all, resident = 0;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (read(fd, text, sizeof text - 1) > 0) {
		sscanf(text, "%lu %lu", &all, &resident);
	}
	close(fd);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

struct reader {
	struct op_thread *thread;
	struct item *item;
	uint64_t digest, bytes;
};

static unsigned want(const struct spec *spec)
{
	(void)spec;
	return META_SIZE | META_MTIME | META_CTIME | META_IDENTITY;
}

static void *thread_begin(struct op_thread *thread)
{
	struct reader *reader = calloc(1, sizeof *reader);
	reader->thread = thread;
	return reader;
}

static void hold(void *accumulator, const struct walk_entry *entry)
{
	(void)accumulator;
	pthread_mutex_lock(&self.lock);
	struct item *item = &self.item[self.count++];
	*item = (struct item){.dir = entry->dir, .meta = *entry->meta};
	snprintf(item->name, sizeof item->name, "%s", entry->name);
	walk_dir_hold(entry->dir);
	pthread_mutex_unlock(&self.lock);
}

static int begin(void *accumulator, const struct walk_entry *entry, const struct file_meta *meta)
{
	struct reader *reader = accumulator;
	reader->item = entry->tag;
	reader->digest = 14695981039346656037u;
	reader->bytes = 0;
	unsigned begun = atomic_fetch_add(&self.begun, 1) + 1;
	if (strcmp(reader->item->name, entry->name) != 0 || meta->size != entry->meta->size) {
		ok(false, "the entry is the one that was held");
	}
	if (stop_at && begun == stop_at) {
		atomic_store(&stop, 15);
	}
	if (self.one_file && begun % 1000 == 0) {
		size_t now = memory_used();
		most_memory = now > most_memory ? now : most_memory;
	}
	return 1;
}

static int chunk(void *accumulator, const void *bytes, size_t len)
{
	struct reader *reader = accumulator;
	for (size_t i = 0; i < len; i++) { /* FNV-1a */
		reader->digest =
		        (reader->digest ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
	}
	reader->bytes += len;
	return 0;
}

static int end(void *accumulator, const struct walk_entry *entry, const struct file_meta *meta,
        bool whole, struct buf *result)
{
	struct reader *reader = accumulator;
	(void)entry;
	if (result) {
		ok(false, "rounds have no results for a cache");
	}
	if (whole) {
		uint64_t wanted = self.rounds == 1 && meta->size > HEAD ? HEAD : meta->size;
		if (reader->bytes != wanted) {
			ok(false, "as much is read as the round wants");
		}
		if (!self.one_file) { /* which all threads have at once */
			reader->item->digest = reader->digest;
			reader->item->read = true;
		}
		atomic_fetch_add(&self.read[self.rounds], 1);
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	if (x->meta.size != y->meta.size) {
		return x->meta.size < y->meta.size ? -1 : 1;
	}
	return (x->digest > y->digest) - (x->digest < y->digest);
}

/* Lets go of those that are alone, and of those that were not read. */
static void keep_equal(struct walk_thread *first)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < self.count; i++) {
		if (self.rounds && !self.item[i].read) {
			walk_dir_drop(first, self.item[i].dir);
			continue;
		}
		self.item[kept++] = self.item[i];
	}
	qsort(self.item, kept, sizeof *self.item, compare);
	unsigned count = kept;
	kept = 0;
	for (unsigned i = 0, next; i < count; i = next) {
		for (next = i + 1; next < count && compare(&self.item[i], &self.item[next]) == 0;
		        next++) {
		}
		for (unsigned k = i; k < next; k++) {
			if (next - i == 1) {
				walk_dir_drop(first, self.item[k].dir);
			} else {
				self.item[kept] = self.item[k];
				self.item[kept++].read = false;
			}
		}
	}
	self.count = kept;
}

static int next_round(
        void *own, void *accumulator, struct walk_thread *first, struct op_content *content)
{
	(void)own, (void)accumulator;
	if (!self.one_file) {
		keep_equal(first);
	}
	if (between) {
		between(self.rounds);
	}
	if (self.rounds == 2) {
		for (unsigned i = 1; i < self.count; i++) {
			self.pairs += compare(&self.item[i - 1], &self.item[i]) == 0;
		}
		return 0;
	}
	self.at = self.asked = 0;
	*content = self.rounds++ == 0 ? (struct op_content){OP_HEAD, HEAD}
	                              : (struct op_content){OP_WHOLE, 0};
	return 1;
}

static bool next(void *own, struct walk_held *held)
{
	(void)own;
	unsigned count = self.one_file ? 200000 : self.count;
	self.asked++;
	if (self.at == count) {
		return false;
	}
	struct item *item = &self.item[self.one_file ? 0 : self.at];
	self.at++;
	*held = (struct walk_held){
	        .dir = item->dir, .name = item->name, .meta = item->meta, .tag = item};
	return true;
}

static void settle(void *own, void *accumulator, struct walk_thread *first)
{
	(void)own, (void)accumulator;
	for (unsigned i = 0; i < self.count; i++) {
		walk_dir_drop(first, self.item[i].dir);
	}
	self.settled++;
}

static bool finish(void *own, void *accumulator, struct json *json)
{
	(void)own, (void)accumulator;
	json_u64(json, self.pairs);
	return true;
}

static const struct op op_equal = {
        .name = "equal",
        .types = 1u << FILE_REGULAR,
        .want = want,
        .thread_begin = thread_begin,
        .entry = hold,
        .begin_file = begin,
        .chunk = chunk,
        .end_file = end,
        .round = next_round,
        .next = next,
        .settle = settle,
        .finish = finish,
        .thread_end = free,
};
static const struct operation equal = {.name = "equal", .schema = {.name = "equal"}};

/* Directories in directories, and in each: pairs of equal files, files of equal size and head with
 * another end, of equal size with another head, and of a size of their own. */
static void make_file(const char *in, const char *name, size_t size, char head, char tail)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", in, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	for (size_t i = 0; i < size; i++) {
		char byte = i == 0 ? head : i + 1 == size ? tail : 'x';
		if (write(fd, &byte, 1) != 1) {
			printf("Bail out! cannot write\n");
			exit(1);
		}
	}
	close(fd);
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(name);
}

static void make_tree(void)
{
	char at[512];
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	mkdir(dir, 0755);
	int len = snprintf(at, sizeof at, "%s", dir);
	for (unsigned i = 0; i < DIRS; i++) {
		if (i % 6 == 0) {
			at[len = (int)strlen(dir)] = '\0';
		}
		len += snprintf(at + len, sizeof at - (size_t)len, "/d%u", i);
		mkdir(at, 0755);
		make_file(at, "equal", 100, 'a', 'z');
		make_file(at, "twin", 100, 'a', 'z');
		make_file(at, "tail", 100, 'a', (char)('A' + i)); /* read whole, and alone */
		make_file(at, "head", 100, (char)(1 + i), 'z');   /* its head is alone */
		make_file(at, "alone", 200 + i, 'a', 'z');        /* its size is */
	}
}

/* The run, as run_spec() would do it. Returns its code; the summary is in `out`. */
static int run(unsigned threads, struct buf *out)
{
	struct spec spec;
	struct vega_error err = {0};
	struct run run;
	spec_init(&spec);
	strlist_add(&spec.roots, dir);
	spec.threads.set = true;
	spec.threads.value = threads;
	int fd = memfd_create("summary", MFD_CLOEXEC);
	const struct engine_config config = {
	        .format = format_find("json"), .fd = fd, .tree = given, .stop = &stop};
	atomic_store(&stop, 0);
	self.count = self.rounds = self.pairs = self.settled = 0;
	for (unsigned i = 0; i < 3; i++) {
		atomic_store(&self.read[i], 0);
	}
	atomic_store(&self.begun, 0);
	int code = run_begin(&run, &spec, &config, &err);
	if (code) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	run_add_op(&run, &op_equal, &equal);
	code = run_ops(&run, &err);
	spec_release(&spec);
	lseek(fd, 0, SEEK_SET);
	buf_clear(out);
	fd_read_all(fd, out);
	close(fd);
	return code;
}

static bool has(struct buf *out, const char *text)
{
	bool there = strstr(buf_cstr(out), text) != NULL;
	if (!there) {
		printf("# %s\n", out->data);
	}
	return there;
}

static const unsigned teams[] = {1, 2, 16};

TEST(answers, "right answers with any number of threads")
{
	struct buf out = BUF_INIT;
	make_tree();
	for (size_t i = 0; i < 3; i++) {
		is_int(run(teams[i], &out), 0, "%u threads", teams[i]);
		is_int(self.pairs, 2 * DIRS - 1, "all equal files are found");
		is_int(self.read[1], 4 * DIRS, "heads are read of files of equal size");
		is_int(self.read[2], 3 * DIRS, "and files whose heads are equal, whole");
		is_int(self.settled, 1, "settle() comes once");
		ok(has(&out, "\"complete\":true") && has(&out, "\"errors\":0") &&
		                has(&out, "\"equal\":47"),
		        "and the summary says so");
	}
	buf_release(&out);
}

/* Before round 2. */
static void spoil(unsigned round)
{
	char path[512];
	if (round != 1) {
		return;
	}
	snprintf(path, sizeof path, "%s/d0/equal", dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/d0/d1/twin", dir);
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (write(fd, "more", 4) != 4) {
		printf("Bail out! cannot append\n");
	}
	close(fd);
	snprintf(path, sizeof path, "%s/d0/d1/d2/twin", dir);
	unlink(path);
	mkdir(path, 0755); /* no file any more */
	char moved[sizeof dir + 8];
	snprintf(path, sizeof path, "%s/d6", dir); /* with d7 … d11 in it: 18 files held */
	snprintf(moved, sizeof moved, "%s/moved", dir);
	rename(path, moved);
}

TEST(failures, "files that vanish or change between two rounds are errors, each but once")
{
	struct buf out = BUF_INIT;
	between = spoil;
	for (size_t i = 0; i < 3; i++) {
		make_tree();
		is_int(run(teams[i], &out), VEGA_PARTIAL, "%u threads", teams[i]);
		is_int(self.pairs, 2 * DIRS - 1 - 3 - 12, "those that are left are found");
		ok(has(&out, "\"entries\":145,\"reported\":99,\"filtered\":25,\"errors\":21"),
		        "and the ledger adds up");
	}
	between = NULL;
	buf_release(&out);
}

TEST(stopped, "a stop in the middle of a round")
{
	struct buf out = BUF_INIT;
	make_tree();
	for (size_t i = 0; i < 3; i++) {
		stop_at = 4 * DIRS + 10; /* in round 2 */
		is_int(run(teams[i], &out), VEGA_INTERRUPTED, "%u threads", teams[i]);
		ok(has(&out, "\"complete\":false"), "the summary is not complete");
		ok(self.settled == 1 && self.rounds == 2 && self.read[2] < 3 * DIRS,
		        "no further round begins, and settle() lets go of what is held");
		ok(has(&out, "\"entries\":145,\"reported\":120,\"filtered\":25,\"errors\":0"),
		        "it is no error");
		stop_at = 3; /* in round 1 */
		is_int(run(teams[i], &out), VEGA_INTERRUPTED, "and in the first");
		is_int(self.rounds, 1, "of which it is the last");
	}
	stop_at = 0;
	buf_release(&out);
}

TEST(once, "files of a tree that gives content only once")
{
	struct buf out = BUF_INIT;
	static struct fs_tree tree = {.backend = &fs_local, .caps = FS_ONCE, .fields = META_ALL};
	make_tree();
	given = &tree;
	is_int(run(2, &out), VEGA_PARTIAL, "cannot be read in a round");
	ok(has(&out, "\"entries\":145,\"reported\":24,\"filtered\":25,\"errors\":96"),
	        "and are an error each");
	given = NULL;
	buf_release(&out);
}

TEST(memory, "the engine keeps nothing of what it went over")
{
	struct buf out = BUF_INIT;
	char only[256];
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	mkdir(dir, 0755);
	snprintf(only, sizeof only, "%s", dir);
	make_file(only, "only", 10, 'a', 'z');
	self.one_file = true;
	run(1, &out); /* what libraries keep */
	for (size_t i = 0; i < 2; i++) {
		most_memory = 0;
		size_t before = memory_used();
		is_int(run(teams[i], &out), 0, "200,000 entries, twice, %u threads", teams[i]);
		is_int(self.read[1] + self.read[2], 400000, "are read");
		ok(most_memory && most_memory < before + (8 << 20), "in %zu KiB",
		        (most_memory - before) >> 10);
	}
	self.one_file = false;
	buf_release(&out);
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%s/roundsXXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		printf("Bail out! no directory\n");
		return 1;
	}
	int code = run_tests(argc, argv);
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return code;
}
