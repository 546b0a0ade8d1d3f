/*
 * Writing and reading one record stream: held in memory up to SPOOL_INLINE_MAX, then a file that is
 * locked, synced as it grows, and named only when all of it is on disk.
 */
#include "child/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/killpoint.h"
#include "base/trust.h"
#include "base/uri.h"

#define WRITE_SIZE ((size_t)256 * 1024)
#define NAMES_MAX 64 /* that are tried, before the directory is read instead */
#define SYNC_SIZE ((uint64_t)8 * 1024 * 1024)

static const char part_suffix[] = ".ndjson.part";
static const char whole_suffix[] = ".ndjson";

static int spool_name(
        const struct spool *spool, uint64_t lease_seq, const char *suffix, struct buf *out)
{
	buf_clear(out);
	buf_printf(
	        out, "%s/%s.%llu%s", spool->dir, spool->id, (unsigned long long)lease_seq, suffix);
	return buf_cstr(out) ? 0 : VEGA_NOMEM;
}

static void add_digest(struct buf *out, XXH128_hash_t hash)
{
	XXH128_canonical_t canonical;
	XXH128_canonicalFromHash(&canonical, hash);
	buf_add_str(out, "xxh128:");
	buf_add_hex(out, canonical.digest, sizeof canonical.digest);
}

bool spool_digest(const char *bytes, size_t len, struct buf *out)
{
	add_digest(out, XXH3_128bits(bytes, len));
	return buf_cstr(out) != NULL;
}

/* A .part file without a lock was left by a worker that died. */
static void remove_abandoned(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		return;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		unlinkat(dir_fd, name, 0);
	}
	close(fd);
}

/* Others could take the names of files that jobs need, or exchange the files. */
static bool is_private(int dir)
{
	struct stat st;
	return fstat(dir, &st) == 0 && trust_is_ours(&st);
}

int spool_prepare(const char *dir, struct vega_error *err)
{
	int failed = mkdir_parents(dir, 0700);
	if (failed < 0) {
		return vega_fail_errno(
		        err, VEGA_FATAL, -failed, "cannot make the spool directory %s", dir);
	}
	DIR *stream = opendir(dir);
	if (!stream || access(dir, W_OK | X_OK) != 0) {
		failed = errno;
		if (stream) {
			closedir(stream);
		}
		return vega_fail_errno(
		        err, VEGA_FATAL, failed, "cannot use the spool directory %s", dir);
	}
	if (!is_private(dirfd(stream))) {
		closedir(stream);
		return vega_fail(err, VEGA_FATAL,
		        "the spool directory %s must belong to this user, and nobody else may "
		        "write to it (chmod go-w)",
		        dir);
	}
	for (struct dirent *entry; (entry = readdir(stream));) {
		size_t len = strlen(entry->d_name);
		size_t suffix = sizeof part_suffix - 1;
		if (len > suffix && strcmp(entry->d_name + len - suffix, part_suffix) == 0) {
			remove_abandoned(dirfd(stream), entry->d_name);
		}
	}
	closedir(stream);
	return 0;
}

void spool_init(struct spool *spool, const char *dir, const char *id, uint64_t lease_seq)
{
	*spool = (struct spool){.dir = dir, .lease_seq = lease_seq, .fd = -1};
	snprintf(spool->id, sizeof spool->id, "%s", id);
}

static bool is_earlier(const struct spool_file *file, void *context)
{
	const struct spool *spool = context;
	return strcmp(file->id, spool->id) == 0 && file->lease_seq < spool->lease_seq;
}

/* Files of the job's earlier leases: had one counted, the job would not have run again. They are
 * few and have known names; the number of a lease that is none of ours may be anything. */
static void remove_stale(struct spool *spool)
{
	struct buf path = BUF_INIT;
	struct vega_error err;
	if (spool->lease_seq > NAMES_MAX) {
		spool_sweep(
		        spool->dir, is_earlier, spool, &err); /* what stays is in nobody's way */
		return;
	}
	for (uint64_t seq = spool->lease_seq; seq-- > 1;) {
		if (spool_name(spool, seq, part_suffix, &path) == 0) {
			unlink(path.data);
		}
		if (spool_name(spool, seq, whole_suffix, &path) == 0) {
			unlink(path.data);
		}
	}
	buf_release(&path);
}

static int spool_create(struct spool *spool, struct vega_error *err)
{
	struct buf path = BUF_INIT;
	int code = 0;
	remove_stale(spool);
	if (spool_name(spool, spool->lease_seq, part_suffix, &path) != 0) {
		code = vega_fail_nomem(err);
		goto out;
	}
	spool->fd =
	        open(path.data, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)0600);
	if (spool->fd < 0) {
		code = vega_fail_errno(err, VEGA_FATAL, errno, "cannot create %s", path.data);
		goto out;
	}
	/* Loses only to a worker that starts this instant and takes the file for abandoned. */
	if (flock(spool->fd, LOCK_EX | LOCK_NB) != 0) {
		code = vega_fail_errno(err, VEGA_FATAL, errno, "cannot lock %s", path.data);
	}
	KILL_POINT(spool_created);
out:
	buf_release(&path);
	return code;
}

/*
 * Begin to write the newest stretch to disk and wait for the one before: whatever the size of the
 * stream, the final fsync() finds little left.
 */
static void sync_behind(struct spool *spool, uint64_t written)
{
	while (written - spool->synced >= SYNC_SIZE) {
		uint64_t from = spool->synced;
		sync_file_range(spool->fd, (off_t)from, (off_t)SYNC_SIZE, SYNC_FILE_RANGE_WRITE);
		if (from >= SYNC_SIZE) {
			sync_file_range(spool->fd, (off_t)(from - SYNC_SIZE), (off_t)SYNC_SIZE,
			        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			                SYNC_FILE_RANGE_WAIT_AFTER);
		}
		spool->synced += SYNC_SIZE;
	}
}

static int spool_write(struct spool *spool, struct vega_error *err)
{
	CHECK(spool->fd >= 0 && spool->held.len <= spool->size);
	int failed = fd_write_all(spool->fd, spool->held.data, spool->held.len);
	if (failed < 0) {
		return vega_fail_errno(err, VEGA_FATAL, -failed,
		        "cannot write the records to the spool directory %s", spool->dir);
	}
	buf_clear(&spool->held);
	KILL_POINT(spool_written);
	sync_behind(spool, spool->size);
	CHECK(spool->synced <= spool->size);
	return 0;
}

int spool_add(struct spool *spool, const char *bytes, size_t len, struct vega_error *err)
{
	if (!spool->hash) {
		spool->hash = XXH3_createState();
		if (!spool->hash) {
			return vega_fail_nomem(err);
		}
		XXH3_128bits_reset(spool->hash);
	}
	XXH3_128bits_update(spool->hash, bytes, len);
	buf_add(&spool->held, bytes, len);
	if (spool->held.failed) {
		return vega_fail_nomem(err);
	}
	spool->size += len;
	CHECK(!spool->published && (spool->fd >= 0 || spool->held.len == spool->size));
	if (spool->fd < 0 && spool->size > SPOOL_INLINE_MAX) {
		int code = spool_create(spool, err);
		if (code < 0) {
			return code;
		}
	}
	return spool->fd >= 0 && spool->held.len >= WRITE_SIZE ? spool_write(spool, err) : 0;
}

static int sync_directory(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed = fd < 0 || fsync(fd) != 0 ? errno : 0;
	if (fd >= 0) {
		close(fd);
	}
	return failed;
}

static int spool_publish(struct spool *spool, struct vega_error *err)
{
	struct buf part = BUF_INIT, whole = BUF_INIT;
	int code = spool_write(spool, err);
	if (code < 0) {
		goto out;
	}
	if (spool_name(spool, spool->lease_seq, part_suffix, &part) != 0 ||
	        spool_name(spool, spool->lease_seq, whole_suffix, &whole) != 0) {
		code = vega_fail_nomem(err);
		goto out;
	}
	CHECK(lseek(spool->fd, 0, SEEK_CUR) == (off_t)spool->size);
	int failed = fsync(spool->fd) != 0 ? errno : 0;
	KILL_POINT(spool_synced);
	if (!failed && rename(part.data, whole.data) != 0) {
		failed = errno;
	}
	KILL_POINT(spool_named);
	spool->published = failed == 0;
	if (!failed) {
		failed = sync_directory(spool->dir);
	}
	KILL_POINT(spool_durable);
	if (failed) {
		code = vega_fail_errno(err, VEGA_FATAL, failed, "cannot store %s", whole.data);
	}
out:
	buf_release(&part);
	buf_release(&whole);
	return code;
}

/* "file://HOST/PATH" */
static char *spool_uri(const struct spool *spool)
{
	struct buf path = BUF_INIT, uri = BUF_INIT;
	char host[256] = "localhost";
	gethostname(host, sizeof host - 1);
	buf_printf(&uri, "file://%s", host);
	if (spool_name(spool, spool->lease_seq, whole_suffix, &path) == 0) {
		for (const char *at = path.data; *at; at++) {
			if ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
			        (*at >= '0' && *at <= '9') || strchr("/-._~", *at)) {
				buf_add_char(&uri, *at);
			} else {
				buf_printf(&uri, "%%%02X", (unsigned char)*at);
			}
		}
	}
	uri.failed |= path.failed;
	buf_release(&path);
	return buf_detach(&uri);
}

int spool_finish(struct spool *spool, struct vega_error *err)
{
	if (!spool->hash) {
		return 0; /* no records at all */
	}
	struct buf digest = BUF_INIT;
	add_digest(&digest, XXH3_128bits_digest(spool->hash));
	spool->digest = buf_detach(&digest);
	if (!spool->digest) {
		return vega_fail_nomem(err);
	}
	if (spool->fd < 0) {
		CHECK(spool->size <= SPOOL_INLINE_MAX);
		return buf_cstr(&spool->held) ? 0 : vega_fail_nomem(err);
	}
	int code = spool_publish(spool, err);
	if (code == 0 && !(spool->uri = spool_uri(spool))) {
		code = vega_fail_nomem(err);
	}
	return code;
}

void spool_discard(struct spool *spool)
{
	struct buf path = BUF_INIT;
	if (spool->fd >= 0 && spool_name(spool, spool->lease_seq,
	                              spool->published ? whole_suffix : part_suffix, &path) == 0) {
		unlink(path.data);
	}
	buf_release(&path);
	spool_release(spool);
}

void spool_release(struct spool *spool)
{
	if (spool->fd >= 0) {
		close(spool->fd);
	}
	XXH3_freeState(spool->hash);
	free(spool->uri);
	free(spool->digest);
	buf_release(&spool->held);
	*spool = (struct spool){.fd = -1};
}

static int check_content(
        int fd, const char *path, uint64_t size, const char *digest, struct vega_error *err)
{
	int code = VEGA_OK;
	struct buf found = BUF_INIT;
	uint64_t total = 0;
	char *block = malloc(WRITE_SIZE);
	XXH3_state_t *hash = XXH3_createState();
	if (!block || !hash) {
		code = vega_fail_nomem(err);
		goto out;
	}
	XXH3_128bits_reset(hash);
	for (;;) {
		ssize_t got = read(fd, block, WRITE_SIZE);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			code = vega_fail_errno(err, VEGA_FATAL, errno, "cannot read %s", path);
			goto out;
		}
		if (got == 0) {
			break;
		}
		total += (uint64_t)got;
		XXH3_128bits_update(hash, block, (size_t)got);
	}
	add_digest(&found, XXH3_128bits_digest(hash));
	if (!buf_cstr(&found)) {
		code = vega_fail_nomem(err);
	} else if (total != size || strcmp(found.data, digest) != 0) {
		code = vega_fail(err, VEGA_FATAL,
		        "%s has changed since the job stored it (%llu bytes, %s; expected %llu "
		        "bytes, %s); run the job again",
		        path, (unsigned long long)total, found.data, (unsigned long long)size,
		        digest);
	} else if (lseek(fd, 0, SEEK_SET) != 0) {
		code = vega_fail_errno(err, VEGA_FATAL, errno, "cannot read %s", path);
	}
out:
	XXH3_freeState(hash);
	free(block);
	buf_release(&found);
	return code;
}

int spool_open(const char *uri, uint64_t size, const char *digest, int *fd, struct vega_error *err)
{
	struct uri parts;
	struct buf path = BUF_INIT;
	char host[256] = "";
	int code = uri_parse(uri, &parts, err);
	if (code < 0) {
		return code;
	}
	*fd = -1;
	gethostname(host, sizeof host - 1);
	if (strcmp(parts.scheme, "file") != 0 || !parts.host || !parts.path) {
		code = vega_fail(err, VEGA_FATAL,
		        "the records are at %s, which this version cannot read", uri);
		goto out;
	}
	if (strcmp(parts.host, host) != 0) {
		code = vega_fail(err, VEGA_FATAL,
		        "the records are on host %s (%s): run vega-status there", parts.host, uri);
		goto out;
	}
	buf_printf(&path, "/%s", parts.path);
	if (!buf_cstr(&path)) {
		code = vega_fail_nomem(err);
		goto out;
	}
	*fd = open(path.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (*fd < 0) {
		code = errno == ENOENT ? vega_fail(err, VEGA_FATAL,
		                                 "%s is missing: the records were removed; run the "
		                                 "job again",
		                                 path.data)
		                       : vega_fail_errno(err, VEGA_FATAL, errno, "cannot open %s",
		                                 path.data);
		goto out;
	}
	code = check_content(*fd, path.data, size, digest ? digest : "", err);
	if (code < 0) {
		close(*fd);
		*fd = -1;
	}
out:
	buf_release(&path);
	uri_release(&parts);
	return code;
}
