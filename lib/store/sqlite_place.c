/*
 * Where the file of the SQLite store is: its path, whether its file system has locks that hold,
 * whether only we can change it, and its creation.
 */
#include "store/sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/network.h"
#include "base/trust.h"

bool sqlite_no_space(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT;
}

int sqlite_path(const char *url, const char **path, struct vega_error *err)
{
	*path = url + strlen("sqlite:");
	return **path ? 0 : vega_fail(err, VEGA_USAGE, "'sqlite:' names no file; say sqlite:PATH");
}

static int refuse_network(const char *directory, const char *path, struct vega_error *err)
{
	struct statfs fs;
	if (statfs(directory, &fs) != 0) {
		return vega_fail_errno(err, VEGA_FATAL, errno, "cannot examine '%s'", directory);
	}
	const struct network_system *system = network_system((uint32_t)fs.f_type);
	if (system && !system->locks) {
		return vega_fail(err, VEGA_FATAL,
		        "sqlite:%s is on a network file system (%s), where its locks do not hold; "
		        "use PostgreSQL, or a local path",
		        path, system->name);
	}
	return 0;
}

/*
 * SQLite keeps what is not yet, or no longer, in the file beside it, and would take it into a new
 * one. An empty file of ours is what our own journal becomes after each transaction.
 */
static int refuse_leftovers(const char *path, struct vega_error *err)
{
	static const char *const suffixes[] = {"-journal", "-wal", "-shm"};
	struct buf beside = BUF_INIT;
	struct stat st;
	int code = 0;
	for (size_t i = 0; code == 0 && i < sizeof suffixes / sizeof *suffixes; i++) {
		buf_clear(&beside);
		buf_printf(&beside, "%s%s", path, suffixes[i]);
		if (!buf_cstr(&beside)) {
			code = vega_fail_nomem(err);
		} else if (lstat(beside.data, &st) == 0 &&
		           !(S_ISREG(st.st_mode) && st.st_size == 0 && trust_is_ours(&st)) &&
		           access(path, F_OK) != 0) { /* else somebody has just created the store */
			code = vega_fail(err, VEGA_FATAL,
			        "'%s' is left of another store, and would be taken into a new "
			        "sqlite:%s; remove it, or restore the store that it belongs to",
			        beside.data, path);
		}
	}
	buf_release(&beside);
	return code;
}

/* An empty store as the bytes of a database file; sqlite3_free() them. */
static unsigned char *empty_store(size_t *size)
{
	sqlite3 *memory = NULL;
	unsigned char *bytes = NULL;
	char marks[96];
	snprintf(marks, sizeof marks, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
	        SQLITE_APPLICATION_ID, SQLITE_SCHEMA_VERSION);
	if (sqlite3_open(":memory:", &memory) == SQLITE_OK &&
	        sqlite3_exec(memory, marks, NULL, NULL, NULL) == SQLITE_OK &&
	        sqlite3_exec(memory, sqlite_schema, NULL, NULL, NULL) == SQLITE_OK) {
		sqlite3_int64 len = 0;
		bytes = sqlite3_serialize(memory, "main", &len, 0);
		*size = (size_t)len;
	}
	sqlite3_close(memory);
	return bytes;
}

static int sync_directory(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	int code = fsync(fd) == 0 ? 0 : -errno;
	close(fd);
	return code;
}

/* Never replaces: of two that create the same store, one wins and both go on. */
static int move_into_place(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
		return 0;
	}
	if (errno == EINVAL && link(from, to) == 0) {
		unlink(from);
		return 0;
	}
	return -errno;
}

/*
 * The file appears whole or not at all: an existing empty file is then never one that is still
 * being created, but one that was truncated.
 */
static int create(const char *path, const char *directory, struct vega_error *err)
{
	char *temporary = NULL;
	size_t size = 0;
	int fd = -1, error = 0, code = refuse_leftovers(path, err);
	if (code) {
		return code;
	}
	unsigned char *bytes = empty_store(&size);
	if (!bytes || asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		temporary = NULL;
		error = -ENOMEM;
		goto out;
	}
	fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		error = -errno;
		goto out;
	}
	error = fd_write_all(fd, bytes, size);
	if (error == 0 && fsync(fd) != 0) {
		error = -errno;
	}
	if (error == 0) {
		error = move_into_place(temporary, path);
	}
	if (error == 0) {
		error = sync_directory(directory);
	} else {
		unlink(temporary);
	}
out:
	if (fd >= 0) {
		close(fd);
	}
	free(temporary);
	sqlite3_free(bytes);
	if (error && error != -EEXIST) {
		code = sqlite_no_space(-error) ? VEGA_UNAVAILABLE : VEGA_FATAL;
		return vega_fail_errno(err, code, -error, "cannot create the job store '%s'", path);
	}
	return 0;
}

/* The absolute path of a file that may not exist yet, in a directory that is made when missing. */
static int resolve(const char *path, char **out, struct vega_error *err)
{
	char *directory = NULL, *whole = NULL;
	char *copy = strdup(path), *name = strdup(path);
	int code = 0;
	if (!copy || !name) {
		code = vega_fail_nomem(err);
		goto done;
	}
	const char *parent = dirname(copy);
	int errnum = -mkdir_parents(parent, 0700);
	directory = errnum ? NULL : realpath(parent, NULL);
	if (!directory) {
		errnum = errnum ? errnum : errno;
		code = vega_fail_errno(err, sqlite_no_space(errnum) ? VEGA_UNAVAILABLE : VEGA_FATAL,
		        errnum, "cannot make the directory '%s' for the job store", parent);
		goto done;
	}
	const char *root = strcmp(directory, "/") == 0 ? "" : directory;
	if (asprintf(&whole, "%s/%s", root, basename(name)) < 0) {
		whole = NULL;
		code = vega_fail_nomem(err);
		goto done;
	}
	struct stat st;
	*out = realpath(whole, NULL);
	if (!*out && errno == ENOENT && lstat(whole, &st) != 0) {
		*out = whole;
		whole = NULL;
	} else if (!*out) {
		code = vega_fail_errno(
		        err, VEGA_FATAL, errno, "cannot follow '%s' to a job store", path);
	}
done:
	free(copy);
	free(name);
	free(directory);
	free(whole);
	return code;
}

int sqlite_place(const char *path, char **whole, struct vega_error *err)
{
	int code = resolve(path, whole, err);
	if (code) {
		return code;
	}
	char *copy = strdup(*whole);
	if (!copy) {
		return vega_fail_nomem(err);
	}
	const char *directory = dirname(copy);
	code = refuse_network(directory, *whole, err);
	if (code == 0 && access(*whole, F_OK) != 0 && errno == ENOENT) {
		code = create(*whole, directory, err);
	}
	if (code == 0 && faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) != 0) {
		code = vega_fail_errno(err, VEGA_FATAL, errno,
		        "cannot write beside sqlite:%s, where its journal must be", *whole);
	}
	free(copy);
	return code;
}

/* What cannot be opened at all is left to open(), which says why. */
int sqlite_shared(const char *url, struct buf *culprit, struct vega_error *err)
{
	const char *path;
	char *whole = NULL;
	int code = sqlite_path(url, &path, err);
	code = code ? code : resolve(path, &whole, err);
	if (code == 0) {
		int fd = trust_open(path, culprit);
		if (fd >= 0) {
			close(fd);
		}
		int trusted = fd == -EPERM ? fd : trust_directory(dirname(whole), culprit);
		code = trusted == -EPERM;
	}
	free(whole);
	return code;
}
