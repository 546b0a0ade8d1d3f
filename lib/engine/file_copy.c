/* A memfd, or a file without a name. */
#include "engine/file_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct file_copy {
	int fd;
};

static int open_unnamed(uint64_t size)
{
	if (size <= FILE_COPY_IN_MEMORY) {
		return memfd_create("vega-copy", MFD_CLOEXEC);
	}
	const char *dir = getenv("TMPDIR");
	return open(dir && *dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

int file_copy_new(uint64_t size, struct file_copy **out)
{
	struct file_copy *copy = malloc(sizeof *copy);
	*out = NULL;
	if (!copy) {
		return -ENOMEM;
	}
	copy->fd = open_unnamed(size);
	if (copy->fd < 0) {
		int error = -errno;
		free(copy);
		return error;
	}
	*out = copy;
	return 0;
}

void file_copy_free(struct file_copy *copy)
{
	if (copy) {
		close(copy->fd);
		free(copy);
	}
}

int file_copy_add(struct file_copy *copy, const void *bytes, size_t len)
{
	for (const char *at = bytes; len > 0;) {
		ssize_t written = write(copy->fd, at, len);
		if (written < 0 && errno != EINTR) {
			return -errno;
		}
		at += written > 0 ? written : 0;
		len -= written > 0 ? (size_t)written : 0;
	}
	return 0;
}

ssize_t file_copy_read(struct file_copy *copy, void *bytes, size_t len, uint64_t at)
{
	ssize_t got;
	do {
		got = pread(copy->fd, bytes, len, (off_t)at);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}
