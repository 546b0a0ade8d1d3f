/* The record stream of an attempt: in memory, in a file, and what is left of it afterwards. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../tap.h"
#include "base/fd.h"
#include "child/spool.h"

static const char id[] = "0190b5e4-0000-7000-8000-000000000001";
static char directory[] = "/tmp/vega spool%.XXXXXX";
static char path[sizeof directory + 100];

static const char *named(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static const char *of_lease(unsigned lease, const char *suffix)
{
	snprintf(path, sizeof path, "%s/%s.%u%s", directory, id, lease, suffix);
	return path;
}

static bool exists(const char *name)
{
	return access(name, F_OK) == 0;
}

static void create(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ok(fd >= 0 && fd_write_all(fd, "x", 1) == 0, "a file is made");
	close(fd);
}

static void fill(struct spool *spool, size_t lines)
{
	struct vega_error err;
	int code = 0;
	for (size_t i = 0; i < lines; i++) {
		char line[64];
		int len = snprintf(line, sizeof line, "{\"type\":\"entry\",\"n\":%zu}\n", i);
		code |= spool_add(spool, line, (size_t)len, &err);
	}
	ok(code == 0, "%zu records are added", lines);
}

static void test_small(void)
{
	struct spool spool;
	struct vega_error err;
	struct buf digest = BUF_INIT;
	spool_init(&spool, directory, id, 3);
	fill(&spool, 100);
	is_int(spool_finish(&spool, &err), 0, "a small stream is finished");
	ok(spool.fd < 0 && !spool.uri, "a small stream has no file");
	is_int(spool.size, spool.held.len, "a small stream has its size");
	ok(spool_digest(spool.held.data, spool.held.len, &digest), "a small stream is digested");
	is_str(spool.digest, digest.data, "a small stream's digest is that of its bytes");
	spool_discard(&spool);
	buf_release(&digest);
}

static void test_empty(void)
{
	struct spool spool;
	struct vega_error err;
	spool_init(&spool, directory, id, 3);
	is_int(spool_finish(&spool, &err), 0, "an empty stream is finished");
	ok(!spool.uri && !spool.digest, "an empty stream has neither URI nor digest");
	spool_discard(&spool);
}

static void test_boundary(void)
{
	struct spool spool;
	struct vega_error err;
	char *bytes = calloc(1, SPOOL_INLINE_MAX + 1);
	spool_init(&spool, directory, id, 3);
	ok(spool_add(&spool, bytes, SPOOL_INLINE_MAX, &err) == 0 && spool.fd < 0,
	        "64 KiB stay in memory");
	ok(spool_add(&spool, bytes, 1, &err) == 0 && spool.fd >= 0, "one byte more goes to a file");
	spool_discard(&spool);
	ok(!exists(of_lease(3, ".ndjson.part")), "a discarded stream's file is removed");
	free(bytes);
}

static void test_large(void)
{
	struct spool spool;
	struct vega_error err;
	struct stat info;
	struct buf content = BUF_INIT;
	int fd = -1;
	create(of_lease(1, ".ndjson"));
	create(of_lease(2, ".ndjson.part"));
	spool_init(&spool, directory, id, 3);
	fill(&spool, 700000);
	ok(exists(of_lease(3, ".ndjson.part")), "a large stream grows under a temporary name");
	ok(!exists(of_lease(3, ".ndjson")), "a large stream is not yet under its final name");
	ok(!exists(of_lease(1, ".ndjson")) && !exists(of_lease(2, ".ndjson.part")),
	        "files of stale leases are removed");
	ok(spool.held.cap < 1024 * 1024, "a large stream needs little memory");
	is_int(spool_finish(&spool, &err), 0, "a large stream is finished");
	ok(!exists(of_lease(3, ".ndjson.part")), "a finished stream has its final name");
	ok(stat(of_lease(3, ".ndjson"), &info) == 0 && (info.st_mode & 0777) == 0600,
	        "a finished stream has mode 0600");
	is_int(info.st_size, spool.size, "a finished stream has its size");
	ok(strncmp(spool.uri, "file://", 7) == 0 && strstr(spool.uri, "vega%20spool%25"),
	        "a finished stream has a URI with escapes: %s", spool.uri);

	is_int(spool_open(spool.uri, spool.size, spool.digest, &fd, &err), 0,
	        "a finished stream is opened");
	ok(fd_read_all(fd, &content) == 0 && content.len == spool.size,
	        "a finished stream is read whole, from its start");
	ok(memcmp(content.data, "{\"type\":\"entry\",\"n\":0}\n", 23) == 0,
	        "a finished stream is as it was written");
	close(fd);

	is_int(spool_open(spool.uri, spool.size - 1, spool.digest, &fd, &err), VEGA_FATAL,
	        "a stream of another size is rejected");
	int damage = open(of_lease(3, ".ndjson"), O_WRONLY);
	ok(pwrite(damage, "X", 1, 1000000) == 1, "a byte of the stream is changed");
	close(damage);
	is_int(spool_open(spool.uri, spool.size, spool.digest, &fd, &err), VEGA_FATAL,
	        "a changed stream is rejected");
	ok(strstr(err.text, "has changed since the job stored it") != NULL,
	        "a changed stream is named: %s", err.text);
	unlink(of_lease(3, ".ndjson"));
	is_int(spool_open(spool.uri, spool.size, spool.digest, &fd, &err), VEGA_FATAL,
	        "a removed stream is rejected");
	ok(strstr(err.text, "is missing") != NULL, "a removed stream is named: %s", err.text);
	is_int(spool_open("file://elsewhere.example/x", 1, "", &fd, &err), VEGA_FATAL,
	        "a stream on another host is rejected");
	ok(strstr(err.text, "on host elsewhere.example") != NULL,
	        "a stream on another host is named: %s", err.text);
	is_int(spool_open("s3://bucket/x", 1, "", &fd, &err), VEGA_FATAL,
	        "a stream of an unknown scheme is rejected");
	spool_release(&spool);
	buf_release(&content);
}

static void test_discard_published(void)
{
	struct spool spool;
	struct vega_error err;
	spool_init(&spool, directory, id, 4);
	fill(&spool, 10000);
	is_int(spool_finish(&spool, &err), 0, "a stream is finished");
	ok(exists(of_lease(4, ".ndjson")), "a finished stream is in its place");
	spool_discard(&spool);
	ok(!exists(of_lease(4, ".ndjson")), "a finished stream of a lost lease is removed");
}

static void test_abandoned(void)
{
	struct vega_error err;
	create(named("dead.1.ndjson.part"));
	create(named("alive.1.ndjson.part"));
	create(named("dead.1.ndjson"));
	int held = open(named("alive.1.ndjson.part"), O_RDWR);
	ok(flock(held, LOCK_EX) == 0, "a stream is being written");
	is_int(spool_prepare(directory, &err), 0, "the spool directory is prepared");
	ok(!exists(named("dead.1.ndjson.part")),
	        "an incomplete stream that nobody writes is removed");
	ok(exists(named("alive.1.ndjson.part")), "an incomplete stream that somebody writes stays");
	ok(exists(named("dead.1.ndjson")), "a complete stream stays");
	close(held);
	unlink(named("alive.1.ndjson.part"));
	unlink(named("dead.1.ndjson"));
}

static void test_failures(void)
{
	struct vega_error err;
	struct spool spool;
	char *bytes = calloc(1, SPOOL_INLINE_MAX + 1);
	create(named("file"));
	char below[sizeof path + 8];
	snprintf(below, sizeof below, "%s/below", named("file"));
	is_int(spool_prepare(below, &err), VEGA_FATAL,
	        "a spool directory that cannot be made is an error");
	spool_init(&spool, below, id, 1);
	is_int(spool_add(&spool, bytes, SPOOL_INLINE_MAX + 1, &err), VEGA_FATAL,
	        "a spool directory that cannot be written to is an error");
	ok(strstr(err.text, "cannot create") != NULL,
	        "a spool directory that cannot be written to is named: %s", err.text);
	spool_discard(&spool);
	unlink(named("file"));
	free(bytes);
}

/* A finished stream of lease 1, its URI in `uri`. */
static void publish(char *uri, size_t size)
{
	struct spool spool;
	struct vega_error err;
	spool_init(&spool, directory, id, 1);
	fill(&spool, 5000);
	is_int(spool_finish(&spool, &err), 0, "a large stream is written");
	snprintf(uri, size, "%s", spool.uri);
	spool_release(&spool);
}

static void test_remove(void)
{
	static const char other[] = "0190b5e4-0000-7000-8000-000000000002";
	char uri[400], wrong[900];
	uint64_t bytes = 0;
	struct vega_error err;
	publish(uri, sizeof uri);
	is_int(spool_remove(directory, other, uri, false, &bytes, &err), VEGA_NO,
	        "a stream of another job is not removed");
	is_int(spool_remove("/tmp", id, uri, false, &bytes, &err), VEGA_NO,
	        "a stream in another directory is not removed");
	is_int(spool_remove(directory, id, "s3://bucket/key", false, &bytes, &err), VEGA_NO,
	        "a stream that is no file is not removed");
	is_int(spool_remove(directory, id, "nonsense", false, &bytes, &err), VEGA_NO,
	        "a place that is no URI is not removed");
	snprintf(wrong, sizeof wrong, "file://elsewhere%s", strchr(uri + 7, '/'));
	is_int(spool_remove(directory, id, wrong, false, &bytes, &err), VEGA_NO,
	        "a stream on another host is not removed");
	snprintf(wrong, sizeof wrong, "%s/../%s", uri, strrchr(uri, '/') + 1);
	is_int(spool_remove(directory, id, wrong, false, &bytes, &err), VEGA_NO,
	        "a stream behind .. is not removed");
	ok(exists(of_lease(1, ".ndjson")) && bytes == 0, "a stream that was not removed is there");
	is_int(spool_remove(directory, id, uri, true, &bytes, &err), 0,
	        "a stream is looked at without removing it");
	ok(exists(of_lease(1, ".ndjson")) && bytes > 65536,
	        "a stream that was looked at is there, with its size");
	is_int(spool_remove(directory, id, uri, false, &bytes, &err), 0, "a stream is removed");
	ok(!exists(of_lease(1, ".ndjson")) && bytes > 2 * 65536, "a removed stream is gone");
	is_int(spool_remove(directory, id, uri, false, &bytes, &err), 0,
	        "removing a stream again succeeds");
}

struct sweep {
	unsigned seen, parts;
	uint64_t leases, bytes;
	bool remove;
};

static bool note(const struct spool_file *found, void *context)
{
	struct sweep *sweep = context;
	sweep->seen++;
	sweep->parts += found->part;
	sweep->leases |= (uint64_t)1 << found->lease_seq;
	sweep->bytes += found->size;
	ok(strcmp(found->id, id) == 0 && found->modified > 0, "a file of the job is seen");
	return sweep->remove;
}

static void test_sweep(void)
{
	static const char *const strangers[] = {"notes.ndjson", "0190b5e4.1.ndjson",
	        "0190b5e4-0000-7000-8000-000000000001.x.ndjson",
	        "0190b5e4-0000-7000-8000-000000000001.1.txt",
	        "0190b5e4-0000-7000-8000-000000000001.99999999999999999999999.ndjson"};
	struct sweep sweep = {.seen = 0};
	struct vega_error err;
	struct spool writing;
	create(of_lease(2, ".ndjson"));
	create(of_lease(3, ".ndjson.part"));
	for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
		create(named(strangers[i]));
	}
	ok(symlink("/etc/passwd", of_lease(4, ".ndjson")) == 0, "a link is in the spool directory");
	spool_init(&writing, directory, id, 1);
	fill(&writing, 5000);
	is_int(spool_sweep(directory, note, &sweep, &err), 0, "a sweep without removing succeeds");
	ok(sweep.seen == 2 && sweep.parts == 1 && sweep.leases == 12 && sweep.bytes == 2,
	        "a sweep sees the files that nobody holds");
	is_int(spool_finish(&writing, &err), 0, "the stream that is being written is finished");
	sweep = (struct sweep){.remove = true};
	is_int(spool_sweep(directory, note, &sweep, &err), 0, "a sweep succeeds");
	ok(sweep.seen == 2, "a sweep keeps a stream that is not yet stored");
	ok(!exists(of_lease(2, ".ndjson")) && !exists(of_lease(3, ".ndjson.part")),
	        "a sweep removes the other files");
	spool_release(&writing);
	is_int(spool_sweep(directory, note, &sweep, &err), 0,
	        "a sweep succeeds after the stream is stored");
	ok(sweep.seen == 3 && !exists(of_lease(1, ".ndjson")), "a sweep removes a stored stream");
	is_int(unlink(of_lease(4, ".ndjson")), 0, "a sweep leaves a link");
	for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
		is_int(unlink(named(strangers[i])), 0, "a sweep leaves %s", strangers[i]);
	}
	is_int(spool_sweep("/nonexistent", note, &sweep, &err), 0,
	        "a sweep of a missing directory succeeds");
}

/* A number that a worker's role has written into the row: trying all smaller ones takes a minute.
 */
static void test_large_lease(void)
{
	struct spool spool;
	struct vega_error err;
	const uint64_t lease = 9000000000000000000u;
	struct timespec before, after;
	create(of_lease(7, ".ndjson"));
	create(of_lease(8, ".ndjson.part"));
	clock_gettime(CLOCK_MONOTONIC, &before);
	spool_init(&spool, directory, id, lease);
	fill(&spool, 700000);
	clock_gettime(CLOCK_MONOTONIC, &after);
	ok(after.tv_sec - before.tv_sec < 10, "a large lease number costs no time");
	ok(!exists(of_lease(7, ".ndjson")) && !exists(of_lease(8, ".ndjson.part")),
	        "files of earlier leases are removed");
	is_int(spool_finish(&spool, &err), 0, "the stream is finished");
	spool_discard(&spool);
}

static void test_foreign_directory(void)
{
	struct vega_error err;
	is_int(chmod(directory, 0770), 0, "a spool directory that a group may write to");
	is_int(spool_prepare(directory, &err), VEGA_FATAL, "is refused");
	ok(strstr(err.text, "nobody else may write to it") != NULL, "the error says why: %s",
	        err.text);
	chmod(directory, 01777);
	is_int(spool_prepare(directory, &err), VEGA_FATAL, "one that all may write to is refused");
	chmod(directory, 0700);
	if (geteuid() == 0) {
		is_int(chown(directory, 1, 1), 0, "a spool directory is given away");
		is_int(spool_prepare(directory, &err), VEGA_FATAL, "another user's is refused");
		is_int(chown(directory, 0, 0), 0, "it is taken back");
	}
	is_int(spool_prepare(directory, &err), 0, "one of our own is used");
}

int main(void)
{
	if (!mkdtemp(directory)) {
		return 1;
	}
	test_small();
	test_empty();
	test_boundary();
	test_large_lease();
	test_foreign_directory();
	test_large();
	test_discard_published();
	test_abandoned();
	test_failures();
	test_remove();
	test_sweep();
	ok(rmdir(directory) == 0, "no file was left");
	return done();
}
