/*
 * The files of a spool directory from outside: finding those that no process holds, and removing
 * one by the URI that a job's row has of it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/uri.h"
#include "child/spool.h"

/* Takes "ID.LEASE_SEQ.ndjson" or "ID.LEASE_SEQ.ndjson.part" apart. */
static bool parse_name(const char *name, struct spool_file *file)
{
	const size_t id = UUID_TEXT - 1;
	char number[24] = "";
	if (strnlen(name, id + 1) <= id || name[id] != '.') {
		return false;
	}
	memcpy(file->id, name, id);
	size_t digits = strspn(name + id + 1, "0123456789");
	if (digits >= sizeof number) {
		return false;
	}
	memcpy(number, name + id + 1, digits);
	const char *suffix = name + id + 1 + digits;
	file->name = name;
	file->part = strcmp(suffix, ".ndjson.part") == 0;
	return uuid_valid(file->id) && parse_u64(number, &file->lease_seq, NULL) == 0 &&
	       (file->part || strcmp(suffix, ".ndjson") == 0);
}

/* The file's name in `dir` when the URI is that of a file of this job there, and of this host. */
static const char *name_in(const char *dir, const char *id, const struct uri *uri)
{
	char host[256] = "localhost";
	struct spool_file file = {.name = NULL};
	size_t len = strlen(dir) - 1; /* the path of the URI has no leading slash */
	gethostname(host, sizeof host - 1);
	if (strcmp(uri->scheme, "file") != 0 || !uri->host || strcmp(uri->host, host) != 0 ||
	        !uri->path || strncmp(uri->path, dir + 1, len) != 0 || uri->path[len] != '/') {
		return NULL;
	}
	const char *name = uri->path + len + 1;
	return parse_name(name, &file) && !file.part && strcmp(file.id, id) == 0 ? name : NULL;
}

int spool_remove(const char *dir, const char *id, const char *uri, bool look_only, uint64_t *bytes,
        struct vega_error *err)
{
	struct uri parts;
	struct stat st;
	int code = uri_parse(uri, &parts, err);
	if (code < 0) {
		return VEGA_NO;
	}
	const char *name = name_in(dir, id, &parts);
	int fd = name ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (!name) {
		code = vega_fail(err, VEGA_NO, "%s is not in %s of this host", uri, dir);
	} else if (fd < 0) {
		code = vega_fail_errno(err, VEGA_FATAL, errno, "cannot open %s", dir);
	} else if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	           (look_only || unlinkat(fd, name, 0) == 0)) {
		*bytes += (uint64_t)st.st_size;
	} else if (errno != ENOENT) {
		code = vega_fail_errno(err, VEGA_FATAL, errno, "cannot remove %s/%s", dir, name);
	}
	if (fd >= 0) {
		close(fd);
	}
	uri_release(&parts);
	return code;
}

/* 0 or errno. */
static int sweep_one(int dir, struct spool_file *file,
        bool (*judge)(const struct spool_file *file, void *context), void *context)
{
	struct stat st;
	int failed = 0;
	int fd = openat(dir, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		return errno == ENOENT || errno == ELOOP ? 0 : errno;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		file->size = (uint64_t)st.st_size;
		file->modified = st.st_mtim.tv_sec;
		if (judge(file, context) && unlinkat(dir, file->name, 0) != 0 && errno != ENOENT) {
			failed = errno;
		}
	}
	close(fd);
	return failed;
}

int spool_sweep(const char *dir, bool (*judge)(const struct spool_file *file, void *context),
        void *context, struct vega_error *err)
{
	DIR *stream = opendir(dir);
	int code = 0;
	if (!stream) {
		return errno == ENOENT
		               ? 0
		               : vega_fail_errno(err, VEGA_FATAL, errno, "cannot read %s", dir);
	}
	for (const struct dirent *entry; (entry = readdir(stream));) {
		struct spool_file file = {.name = NULL};
		int failed = parse_name(entry->d_name, &file)
		                     ? sweep_one(dirfd(stream), &file, judge, context)
		                     : 0;
		if (failed) {
			code = vega_fail_errno(
			        err, VEGA_FATAL, failed, "cannot remove %s/%s", dir, entry->d_name);
		}
	}
	closedir(stream);
	return code;
}
