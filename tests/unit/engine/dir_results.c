/* Cached results of a directory: only what surely did not change is found again. */
#include "engine/dir_results.h"

#include <errno.h>
#include <stdlib.h>

#include "base/seal.h"
#include "memory_cache.h"
#include "../tap.h"

#define SIZE 16

/* A file system of the test's making: one directory, which is its own handle's number. */
static int identity_answer;
static uint64_t identity_name = 7;
static uint64_t dir_dev = 1;

static int fake_identity(struct fs_tree *tree, int dir, uint64_t id[2])
{
	(void)tree;
	(void)dir;
	id[0] = 0xef53;
	id[1] = identity_name;
	return identity_answer;
}

static int fake_stat_handle(struct fs_tree *tree, int handle, struct file_meta *meta)
{
	(void)tree;
	*meta = (struct file_meta){.have = META_ALL, .dev = dir_dev, .ino = (uint64_t)handle};
	return 0;
}

static const struct backend fake = {.identity = fake_identity, .stat_handle = fake_stat_handle};
static struct fs_tree fake_tree = {.backend = &fake};

static struct dir_results_thread *thread;
static struct dir_results results;

static void renew(const char *name)
{
	dir_results_thread_free(thread);
	thread = dir_results_thread_new(&memory_cache, name);
}

static void enter(int handle)
{
	memset(&results, 0, sizeof results);
	dir_results_enter(thread, &results, &fake_tree, handle);
}

static void leave(void)
{
	dir_results_leave(thread, &results);
}

static struct file_meta file(uint64_t ino)
{
	return (struct file_meta){
	        .have = DIR_RESULTS_META,
	        .dev = dir_dev,
	        .ino = ino,
	        .size = ino * 3,
	        .mtime = {-5, (uint32_t)(ino % 1000)},
	        .ctime = {1000000, 999999999},
	};
}

static void result_of(uint64_t ino, unsigned char result[SIZE])
{
	memset(result, 0xa5, SIZE);
	memcpy(result, &ino, sizeof ino);
}

static void add(const struct file_meta *meta)
{
	unsigned char result[SIZE];
	result_of(meta->ino, result);
	dir_results_add(thread, &results, meta, result, sizeof result);
}

/* Found, and with the right result? A wrong one is never right. */
static bool found(const struct file_meta *meta)
{
	unsigned char wanted[SIZE];
	struct buf result = BUF_INIT;
	result_of(meta->ino, wanted);
	bool there = dir_results_find(thread, &results, meta, &result);
	if (there && (result.len != SIZE || memcmp(result.data, wanted, SIZE) != 0)) {
		printf("Bail out! a wrong result was found\n");
		exit(1);
	}
	buf_release(&result);
	return there;
}

/* What a run does with a file. */
static bool run_file(const struct file_meta *meta)
{
	bool hit = found(meta);
	if (!hit) {
		add(meta);
	}
	return hit;
}

static unsigned run_files(int handle, uint64_t from, uint64_t to)
{
	unsigned hits = 0;
	enter(handle);
	for (uint64_t ino = from; ino < to; ino++) {
		struct file_meta meta = file(ino);
		hits += run_file(&meta);
	}
	leave();
	return hits;
}

static void unchanged_and_changed(void)
{
	struct file_meta meta = file(5), other;
	is_int(run_files(1, 1, 11), 0, "a first run finds nothing");
	is_int(memory_puts, 1, "a first run stores one value");
	is_int(run_files(1, 1, 11), 10, "a second run finds everything");
	ok(memory_puts == 1 && memory_requests == 2, "a second run stores nothing and asks once");
	is_int(run_files(2, 1, 11), 0, "another directory has a separate value");

	enter(1);
	other = meta, other.size++;
	ok(!found(&other), "a file of another size is not found");
	other = meta, other.mtime.nsec++;
	ok(!found(&other), "a file whose mtime differs by a nanosecond is not found");
	other = meta, other.mtime.sec--;
	ok(!found(&other), "a file whose mtime differs by a second is not found");
	other = meta, other.ctime.nsec--;
	ok(!found(&other), "a file rewritten with its mtime restored is not found");
	other = meta, other.ctime.sec++;
	ok(!found(&other), "a file whose ctime differs by a second is not found");
	other = meta, other.dev++;
	ok(!found(&other), "a file of another file system mounted here is not found");
	other = meta, other.ino = 500;
	ok(!found(&other), "a file of another inode is not found");
	other = meta, other.have &= ~(unsigned)META_CTIME;
	ok(!found(&other), "a file without a ctime is not found");
	ok(found(&meta), "an unchanged file is still found");
	leave();

	dir_dev = 99;
	is_int(run_files(1, 1, 11), 10, "a new device number changes nothing");
	dir_dev = 1;
	identity_name = 8;
	renew("test:1");
	is_int(run_files(1, 1, 11), 0, "another file system finds nothing");
	identity_name = 7;
	renew("test:2");
	is_int(run_files(1, 1, 11), 0, "another operation finds nothing");
	renew("test:1");
	is_int(run_files(1, 1, 11), 10, "the first operation finds everything again");
}

/* Not stored: what may still change within the grain of its time stamps. */
static void too_young(void)
{
	struct vega_time now = vega_now();
	const struct {
		int64_t mtime, ctime;
		bool kept;
		const char *what;
	} cases[] = {
	        {-10, -10, true, "ten seconds old"},
	        {-10, 0, false, "changed just now"},
	        {0, -10, false, "modified just now"},
	        {-10, -1, false, "changed a second ago"},
	        {3600, -10, false, "modified in the future"},
	        {-10, 3600, false, "changed in the future"},
	        {-4000000000, -10, true, "modified before 1970"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct file_meta meta = file(1000 + i);
		meta.mtime = (struct vega_time){now.sec + cases[i].mtime, 5};
		meta.ctime = (struct vega_time){now.sec + cases[i].ctime, 5};
		enter(3);
		run_file(&meta);
		leave();
		enter(3);
		ok(found(&meta) == cases[i].kept, "%s: %s", cases[i].what,
		        cases[i].kept ? "kept" : "not kept");
		leave();
	}
}

static void file_systems(void)
{
	struct file_meta whole = file(1), fraction = file(2);
	whole.ctime.nsec = 0;
	for (int answer = 0; answer <= 1; answer++) {
		identity_answer = answer;
		renew("test:1");
		for (int run = 0; run < 2; run++) {
			enter(10 + answer);
			run_file(&whole);
			run_file(&fraction);
			leave();
		}
		enter(10 + answer);
		ok(found(&whole) == !answer,
		        "a ctime of whole seconds is trusted as identity %d allows", answer);
		ok(found(&fraction), "a ctime with a fraction is trusted");
		leave();
	}
	identity_answer = -ENOTSUP;
	renew("test:1");
	unsigned before = memory_requests;
	is_int(run_files(12, 1, 5) + run_files(12, 1, 5), 0,
	        "a file system without a trusted ctime has no cache");
	is_int(memory_requests, before, "a file system without a trusted ctime asks no cache");
	identity_answer = 0;
	renew("test:1");
}

static void damage(void)
{
	memory_clear();
	run_files(1, 1, 6);
	struct buf *value = &memory_values[0].value, copy = BUF_INIT;
	unsigned believed = 0;
	buf_add(&copy, value->data, value->len);
	for (size_t bit = 0; bit < copy.len * 8; bit++) {
		value->data[bit / 8] ^= (char)(1 << bit % 8);
		enter(1);
		struct file_meta meta = file(1 + bit % 5);
		believed += found(&meta);
		leave();
		value->data[bit / 8] ^= (char)(1 << bit % 8);
	}
	is_int(believed, 0, "a value with any one bit flipped is ignored");
	for (size_t len = 0; len < copy.len; len++) {
		value->len = len;
		enter(1);
		struct file_meta meta = file(1);
		believed += found(&meta);
		leave();
	}
	is_int(believed, 0, "a value truncated at any length is ignored");
	value->len = copy.len;
	is_int(run_files(1, 1, 6), 5, "an undamaged value is found");

	run_files(2, 1, 6);
	buf_clear(value);
	buf_add(value, memory_values[1].value.data, memory_values[1].value.len);
	is_int(run_files(1, 1, 6), 0, "the value of another directory is ignored");
	is_int(run_files(1, 1, 6), 5, "the value of another directory is replaced");
	buf_clear(value);
	for (unsigned i = 0; i < 100000; i++) {
		buf_add_char(value, (char)rand());
	}
	is_int(run_files(1, 1, 6), 0, "a value of random bytes is ignored");
	is_int(run_files(1, 1, 6), 5, "a value of random bytes is replaced");
	buf_release(&copy);
}

static void merging(void)
{
	memory_clear();
	run_files(1, 1, 11);
	run_files(1, 11, 21);
	is_int(run_files(1, 1, 21), 20, "runs over different files keep each other's results");

	memory_clear();
	run_files(1, 1, 11);
	for (uint64_t i = 0; i < 3; i++) {
		is_int(run_files(1, 100 + i, 101 + i), 0, "a run over other files finds nothing");
	}
	is_int(run_files(1, 1, 2), 1, "results of unseen files survive three runs");
	run_files(1, 200, 201);
	is_int(run_files(1, 2, 11), 0, "results of unseen files are dropped with the fourth run");

	struct file_meta twice = file(300);
	enter(1);
	run_file(&twice);
	run_file(&twice);
	leave();
	enter(1);
	ok(found(&twice) && found(&twice), "two names of one inode are both found");
	leave();
}

static void huge_directory(void)
{
	memory_clear();
	is_int(run_files(1, 1, 50001), 0, "a first run over 50,000 files finds nothing");
	ok(memory_count > 1 && memory_largest <= 1 << 20,
	        "50,000 files go to %u values of at most %zu bytes", memory_count, memory_largest);
	unsigned values = memory_count, puts = memory_puts;
	is_int(run_files(1, 1, 50001), 50000, "50,000 files are found again");
	is_int(memory_puts, puts, "a second run over 50,000 files stores nothing");
	is_int(run_files(1, 1, 50002), 50000, "one more file leaves the others found");
	is_int(memory_puts, puts + 1, "one more file stores one page again");
	is_int(run_files(1, 1, 50002), 50001, "all files are found after one more");
	buf_clear(&memory_values[values - 1].value);
	unsigned hits = run_files(1, 1, 50002);
	ok(hits > 0 && hits < 50001, "a lost page costs only its own files (%u found)", hits);
	is_int(run_files(1, 1, 50002), 50001, "a lost page is stored again");

	memory_clear();
	run_files(1, 1, 1000001);
	ok(memory_count == DIR_RESULTS_PAGES && memory_largest <= 1 << 20,
	        "a million files go to %u values of at most %zu bytes", memory_count,
	        memory_largest);
	hits = run_files(1, 1, 1000001);
	ok(hits > 800000 && hits <= DIR_RESULTS_PAGES * 16384u,
	        "most of a million files are kept (%u)", hits);
}

/* A result of another length for each file: 0 to OP_RESULT_MAX bytes. */
static size_t long_result(uint64_t ino, char *bytes)
{
	size_t len = ino * 4096 / 97 % (OP_RESULT_MAX + 1);
	for (size_t i = 0; i < len; i++) {
		bytes[i] = (char)(ino * 31 + i);
	}
	return ino == 1 ? 0 : ino == 2 ? OP_RESULT_MAX : len;
}

/* How many of the files [1, to) are found, each with its own bytes; those that are not, added. */
static unsigned run_long(uint64_t to)
{
	char bytes[OP_RESULT_MAX] = {2, 2};
	struct buf result = BUF_INIT;
	unsigned hits = 0, wrong = 0;
	enter(1);
	for (uint64_t ino = 1; ino < to; ino++) {
		struct file_meta meta = file(ino);
		size_t len = long_result(ino, bytes);
		if (dir_results_find(thread, &results, &meta, &result)) {
			wrong += result.len != len || (len && memcmp(result.data, bytes, len) != 0);
			hits++;
		} else {
			dir_results_add(thread, &results, &meta, bytes, len);
		}
	}
	leave();
	buf_release(&result);
	is_int(wrong, 0, "each of %llu files has its own result or none",
	        (unsigned long long)to - 1);
	return hits;
}

static void lengths(void)
{
	memory_clear();
	is_int(run_long(101), 0, "results of 0 to 4096 bytes");
	is_int(run_long(101), 100, "are all found again");
	ok(memory_count == 1 && memory_puts == 1, "in one value");

	/* Seals are right: what is wrong is the layout within. */
	struct buf *value = &memory_values[0].value, copy = BUF_INIT;
	const struct buf *key = &memory_values[0].key;
	uint32_t kind;
	unsigned believed = 0;
	buf_add(&copy, value->data, value->len);
	memcpy(&kind, copy.data + 4, sizeof kind);
	for (size_t at = SEAL_SIZE; at < SEAL_SIZE + 8 + 100 * 48; at += 4) {
		uint32_t word;
		memcpy(value->data, copy.data, copy.len);
		memcpy(&word, value->data + at, sizeof word);
		word += 5000;
		memcpy(value->data + at, &word, sizeof word);
		seal_end(value, key->data, key->len);
		bool header = at < SEAL_SIZE + 8;
		bool end = (at - SEAL_SIZE - 8) % 48 == 44;
		struct file_meta meta = file(50);
		struct buf result = BUF_INIT;
		enter(1);
		believed += (header || end) && dir_results_find(thread, &results, &meta, &result);
		leave();
		buf_release(&result);
	}
	is_int(believed, 0, "a value whose header or ends are wrong has no result");
	for (size_t len = SEAL_SIZE; len < copy.len; len += 997) {
		value->len = SEAL_SIZE;
		memcpy(value->data, copy.data, SEAL_SIZE);
		buf_add(value, copy.data + SEAL_SIZE, len - SEAL_SIZE);
		seal_end(value, key->data, key->len);
		struct file_meta meta = file(2);
		struct buf result = BUF_INIT;
		enter(1);
		believed += dir_results_find(thread, &results, &meta, &result);
		leave();
		buf_release(&result);
	}
	is_int(believed, 0, "nor has one that was cut and sealed again");
	buf_clear(value);
	seal_begin(value, kind - 1);
	buf_add(value, copy.data + SEAL_SIZE, copy.len - SEAL_SIZE);
	seal_end(value, key->data, key->len);
	is_int(run_long(101), 0, "a value of the layout before this one is none");
	is_int(run_long(101), 100, "a value of an older layout is replaced");
	buf_release(&copy);

	memory_clear();
	run_long(20001);
	ok(memory_largest <= 1 << 20 && memory_count > 32, "40 MB go to %u values of at most %zu",
	        memory_count, memory_largest);
	unsigned hits = run_long(20001);
	ok(hits > 18000, "nearly all are found (%u)", hits);
}

#define CROWD 4

static void *crowd(void *number)
{
	struct dir_results_thread *own = dir_results_thread_new(&memory_cache, "test:1");
	unsigned char result[SIZE];
	struct buf got = BUF_INIT;
	unsigned long hits = 0;
	for (uint64_t ino = 1 + (uint64_t)(uintptr_t)number; ino <= 20000; ino += CROWD) {
		struct file_meta meta = file(ino);
		result_of(ino, result);
		if (dir_results_find(own, &results, &meta, &got)) {
			hits += got.len == SIZE && memcmp(got.data, result, SIZE) == 0;
		} else {
			dir_results_add(own, &results, &meta, result, sizeof result);
		}
	}
	buf_release(&got);
	dir_results_thread_free(own);
	return (void *)hits;
}

static unsigned long run_crowd(void)
{
	pthread_t member[CROWD];
	unsigned long hits = 0;
	enter(1);
	for (uintptr_t i = 0; i < CROWD; i++) {
		pthread_create(&member[i], NULL, crowd, (void *)i);
	}
	for (unsigned i = 0; i < CROWD; i++) {
		void *part;
		pthread_join(member[i], &part);
		hits += (unsigned long)part;
	}
	leave();
	return hits;
}

int main(void)
{
	renew("test:1");
	unchanged_and_changed();
	too_young();
	file_systems();
	damage();
	merging();
	huge_directory();
	lengths();
	memory_clear();
	is_int(run_crowd(), 0, "threads share a directory");
	is_int(run_crowd(), 20000, "results of all threads are found by all");
	memory_clear();
	dir_results_thread_free(thread);
	return done();
}
