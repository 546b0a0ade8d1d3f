/* Blocks of zeros are stepped over, and the end of the file is set behind them. */
#include "op/sparse.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"

#define BLOCK ((size_t)4096)

struct sparse sparse_begin(int fd)
{
	struct stat st;
	struct statfs fs;
	bool holes = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 &&
	             fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type != FUSE_SUPER_MAGIC;
	return (struct sparse){.fd = fd, .holes = holes};
}

static int write_at(int fd, const char *bytes, size_t len, uint64_t at)
{
	while (len) {
		ssize_t put = pwrite(fd, bytes, len, (off_t)at);
		if (put < 0 && errno != EINTR) {
			return -errno;
		}
		size_t done = put < 0 ? 0 : (size_t)put;
		bytes += done;
		at += done;
		len -= done;
	}
	return 0;
}

static bool is_zero(const char *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

int sparse_write(struct sparse *sparse, const void *bytes, size_t len)
{
	const char *from = bytes, *end = from + len;
	if (!sparse->holes) {
		return fd_write_all(sparse->fd, bytes, len);
	}
	while (from < end) {
		/* As many blocks as there are with something in them, and one without. */
		const char *to = from, *next = from;
		bool zero = false;
		while (next < end && !zero) {
			to = next;
			size_t left = (size_t)(end - next);
			size_t in_block = BLOCK - (sparse->at + (size_t)(next - from)) % BLOCK;
			size_t step = in_block < left ? in_block : left;
			zero = is_zero(next, step);
			next += step;
		}
		to = zero ? to : next;
		int error = write_at(sparse->fd, from, (size_t)(to - from), sparse->at);
		if (error) {
			return error;
		}
		sparse->at += (size_t)(next - from);
		sparse->open = zero;
		from = next;
	}
	return 0;
}

int sparse_end(struct sparse *sparse)
{
	bool extend = sparse->open;
	sparse->open = false;
	return extend && ftruncate(sparse->fd, (off_t)sparse->at) != 0 ? -errno : 0;
}
