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
	ok(fd >= 0 && fd_write_all(fd, "x", 1) == 0, "made a file");
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
	ok(spool.fd < 0 && !spool.uri, "without a file");
	is_int(spool.size, spool.held.len, "its size");
	ok(spool_digest(spool.held.data, spool.held.len, &digest), "its digest");
	is_str(spool.digest, digest.data, "is that of its bytes");
	spool_discard(&spool);
	buf_release(&digest);
}

static void test_empty(void)
{
	struct spool spool;
	struct vega_error err;
	spool_init(&spool, directory, id, 3);
	is_int(spool_finish(&spool, &err), 0, "an empty stream is finished");
	ok(!spool.uri && !spool.digest, "and has nothing to show");
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
	ok(spool_add(&spool, bytes, 1, &err) == 0 && spool.fd >= 0, "one byte more is a file");
	spool_discard(&spool);
	ok(!exists(of_lease(3, ".ndjson.part")), "that is removed when it is discarded");
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
	ok(exists(of_lease(3, ".ndjson.part")), "it grows under a name of its own");
	ok(!exists(of_lease(3, ".ndjson")), "not under the final one");
	ok(!exists(of_lease(1, ".ndjson")) && !exists(of_lease(2, ".ndjson.part")),
	        "what stale leases left is removed");
	ok(spool.held.cap < 1024 * 1024, "memory stays small");
	is_int(spool_finish(&spool, &err), 0, "it is finished");
	ok(!exists(of_lease(3, ".ndjson.part")), "the file has its final name");
	ok(stat(of_lease(3, ".ndjson"), &info) == 0 && (info.st_mode & 0777) == 0600, "mode 0600");
	is_int(info.st_size, spool.size, "and size");
	ok(strncmp(spool.uri, "file://", 7) == 0 && strstr(spool.uri, "vega%20spool%25"),
	        "a URI with escapes: %s", spool.uri);

	is_int(spool_open(spool.uri, spool.size, spool.digest, &fd, &err), 0, "it can be read");
	ok(fd_read_all(fd, &content) == 0 && content.len == spool.size, "whole, from the start");
	ok(memcmp(content.data, "{\"type\":\"entry\",\"n\":0}\n", 23) == 0, "as it was written");
	close(fd);

	is_int(spool_open(spool.uri, spool.size - 1, spool.digest, &fd, &err), VEGA_FATAL,
	        "another size is refused");
	int damage = open(of_lease(3, ".ndjson"), O_WRONLY);
	ok(pwrite(damage, "X", 1, 1000000) == 1, "a byte is changed");
	close(damage);
	is_int(spool_open(spool.uri, spool.size, spool.digest, &fd, &err), VEGA_FATAL, "refused");
	ok(strstr(err.text, "is not what the job stored") != NULL, "saying: %s", err.text);
	unlink(of_lease(3, ".ndjson"));
	is_int(spool_open(spool.uri, spool.size, spool.digest, &fd, &err), VEGA_FATAL, "gone");
	ok(strstr(err.text, "is gone") != NULL, "saying: %s", err.text);
	is_int(spool_open("file://elsewhere.example/x", 1, "", &fd, &err), VEGA_FATAL, "elsewhere");
	ok(strstr(err.text, "on host elsewhere.example") != NULL, "saying: %s", err.text);
	is_int(spool_open("s3://bucket/x", 1, "", &fd, &err), VEGA_FATAL, "of an unknown kind");
	spool_release(&spool);
	buf_release(&content);
}

static void test_discard_published(void)
{
	struct spool spool;
	struct vega_error err;
	spool_init(&spool, directory, id, 4);
	fill(&spool, 10000);
	is_int(spool_finish(&spool, &err), 0, "finished");
	ok(exists(of_lease(4, ".ndjson")), "published");
	spool_discard(&spool);
	ok(!exists(of_lease(4, ".ndjson")), "and removed when the lease is lost");
}

static void test_abandoned(void)
{
	struct vega_error err;
	create(named("dead.1.ndjson.part"));
	create(named("alive.1.ndjson.part"));
	create(named("dead.1.ndjson"));
	int held = open(named("alive.1.ndjson.part"), O_RDWR);
	ok(flock(held, LOCK_EX) == 0, "one is being written");
	is_int(spool_prepare(directory, &err), 0, "the directory is prepared");
	ok(!exists(named("dead.1.ndjson.part")), "what nobody writes is removed");
	ok(exists(named("alive.1.ndjson.part")), "what somebody writes stays");
	ok(exists(named("dead.1.ndjson")), "and so does what is whole");
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
	is_int(spool_prepare(below, &err), VEGA_FATAL, "a directory that cannot be made");
	spool_init(&spool, below, id, 1);
	is_int(spool_add(&spool, bytes, SPOOL_INLINE_MAX + 1, &err), VEGA_FATAL, "nor written");
	ok(strstr(err.text, "cannot create") != NULL, "saying: %s", err.text);
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
	is_int(spool_finish(&spool, &err), 0, "a large stream");
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
	        "of another job it is not removed");
	is_int(spool_remove("/tmp", id, uri, false, &bytes, &err), VEGA_NO,
	        "nor in another directory");
	is_int(spool_remove(directory, id, "s3://bucket/key", false, &bytes, &err), VEGA_NO,
	        "nor what is no file");
	is_int(spool_remove(directory, id, "nonsense", false, &bytes, &err), VEGA_NO,
	        "nor what is no URI");
	snprintf(wrong, sizeof wrong, "file://elsewhere%s", strchr(uri + 7, '/'));
	is_int(spool_remove(directory, id, wrong, false, &bytes, &err), VEGA_NO,
	        "nor on another host");
	snprintf(wrong, sizeof wrong, "%s/../%s", uri, strrchr(uri, '/') + 1);
	is_int(spool_remove(directory, id, wrong, false, &bytes, &err), VEGA_NO,
	        "nor on a way around");
	ok(exists(of_lease(1, ".ndjson")) && bytes == 0, "it is there");
	is_int(spool_remove(directory, id, uri, true, &bytes, &err), 0, "looked at");
	ok(exists(of_lease(1, ".ndjson")) && bytes > 65536, "it is there, with its size");
	is_int(spool_remove(directory, id, uri, false, &bytes, &err), 0, "removed");
	ok(!exists(of_lease(1, ".ndjson")) && bytes > 2 * 65536, "it is gone");
	is_int(spool_remove(directory, id, uri, false, &bytes, &err), 0, "and again");
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
	ok(symlink("/etc/passwd", of_lease(4, ".ndjson")) == 0, "a link");
	spool_init(&writing, directory, id, 1);
	fill(&writing, 5000);
	is_int(spool_sweep(directory, note, &sweep, &err), 0, "a look");
	ok(sweep.seen == 2 && sweep.parts == 1 && sweep.leases == 12 && sweep.bytes == 2,
	        "sees what nobody holds");
	is_int(spool_finish(&writing, &err), 0, "the stream that is being written is finished");
	sweep = (struct sweep){.remove = true};
	is_int(spool_sweep(directory, note, &sweep, &err), 0, "a sweep");
	ok(sweep.seen == 2, "passes over what is not yet stored");
	ok(!exists(of_lease(2, ".ndjson")) && !exists(of_lease(3, ".ndjson.part")),
	        "and removes the rest");
	spool_release(&writing);
	is_int(spool_sweep(directory, note, &sweep, &err), 0, "one when it is stored");
	ok(sweep.seen == 3 && !exists(of_lease(1, ".ndjson")), "sees it");
	is_int(unlink(of_lease(4, ".ndjson")), 0, "the link is left");
	for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
		is_int(unlink(named(strangers[i])), 0, "%s is left", strangers[i]);
	}
	is_int(spool_sweep("/nonexistent", note, &sweep, &err), 0, "no directory, no files");
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
