/* Reads and writes that are whole in spite of EINTR and EAGAIN, and small questions about
 * descriptors and terminals. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#define READ_STEP ((size_t)64 << 10)

#define PATIENCE_NS ((uint64_t)1000000000)
#define TURN_MS 50 /* how soon a stop is seen */

/* After a failed read or write: 0 when it is to be tried again, after wait_ms at most (-1: when it
 * can be), else -errno. */
static int wait_for(int fd, short events, int wait_ms)
{
	if (errno == EINTR) {
		return 0;
	}
	if (errno != EAGAIN && errno != EWOULDBLOCK) {
		return -errno;
	}
	struct pollfd ready = {.fd = fd, .events = events};
	return poll(&ready, 1, wait_ms) < 0 && errno != EINTR ? -errno : 0;
}

/* How much to write in one call: lines that together fit into PIPE_BUF, else one. */
static size_t whole_lines(const char *from, size_t len, int end)
{
	if (len <= PIPE_BUF || end == FD_NO_END) {
		return len;
	}
	const char *last = memrchr(from, end, PIPE_BUF);
	last = last ? last : memchr(from + PIPE_BUF, end, len - PIPE_BUF);
	return last ? (size_t)(last - from) + 1 : len;
}

int fd_write_until(int fd, const void *bytes, size_t len, int end, const atomic_int *stop)
{
	const char *from = bytes;
	uint64_t stopped = 0; /* since when nothing was taken after a stop */
	while (len) {
		ssize_t done = write(fd, from, stop ? whole_lines(from, len, end) : len);
		if (done >= 0) {
			CHECK((size_t)done <= len);
			from += done;
			len -= (size_t)done;
			stopped = 0;
			continue;
		}
		int code = wait_for(fd, POLLOUT, stop ? TURN_MS : -1);
		if (code) {
			return code;
		}
		if (stop && atomic_load_explicit(stop, memory_order_relaxed)) {
			uint64_t now = monotonic_ns();
			stopped = stopped ? stopped : now;
			if (now - stopped >= PATIENCE_NS) {
				return -EINTR;
			}
		}
	}
	return 0;
}

int fd_write_all(int fd, const void *bytes, size_t len)
{
	return fd_write_until(fd, bytes, len, '\n', NULL);
}

int fd_reopen_pipe(int fd)
{
	struct stat st;
	char path[32];
	if (fstat(fd, &st) != 0) {
		return -errno;
	}
	if (!S_ISFIFO(st.st_mode)) {
		return -EINVAL;
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int again = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

int fd_read_all(int fd, struct buf *out)
{
	size_t max = out->max ? out->max : BUF_MAX;
	for (;;) {
		/* At the maximum, one more byte tells the end from too much. */
		char extra;
		char *into = &extra;
		size_t want = max - out->len < READ_STEP ? max - out->len : READ_STEP;
		if (want && !buf_reserve(out, want)) {
			return -ENOMEM;
		}
		if (want) {
			into = out->data + out->len;
		}
		ssize_t got = read(fd, into, want ? want : 1);
		if (got == 0) {
			return 0;
		}
		if (got < 0) {
			int code = wait_for(fd, POLLIN, -1);
			if (code) {
				return code;
			}
		} else if (want == 0) {
			out->failed = true;
			return -EFBIG;
		} else {
			out->len += (size_t)got;
		}
	}
}

int file_read_all(const char *path, struct buf *out, struct vega_error *err)
{
	if (strcmp(path, "-") == 0) {
		int code = fd_read_all(STDIN_FILENO, out);
		return code ? vega_fail_errno(err, VEGA_FATAL, -code, "cannot read standard input")
		            : 0;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return vega_fail_errno(err, VEGA_FATAL, errno, "cannot open %s", path);
	}
	int code = fd_read_all(fd, out);
	close(fd);
	return code ? vega_fail_errno(err, VEGA_FATAL, -code, "cannot read %s", path) : 0;
}

static int make_directory(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0) {
		return 0;
	}
	int cause = errno;
	struct stat st;
	if (stat(path, &st) < 0) {
		return -cause;
	}
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int mkdir_parents(const char *path, mode_t mode)
{
	char *copy = strdup(path);
	if (!copy) {
		return -ENOMEM;
	}
	int code = *copy ? 0 : -ENOENT;
	for (char *end = copy; code == 0 && *end;) {
		end += strspn(end, "/");
		end += strcspn(end, "/");
		char kept = *end;
		*end = '\0';
		code = make_directory(copy, mode);
		*end = kept;
	}
	free(copy);
	return code;
}

unsigned terminal_width(int fd)
{
	struct winsize size;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
		return size.ws_col;
	}
	const char *columns = getenv("COLUMNS");
	unsigned long value = columns ? strtoul(columns, NULL, 10) : 0;
	return value > 0 && value <= 10000 ? (unsigned)value : 80;
}

unsigned terminal_height(int fd)
{
	struct winsize size;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

bool terminal_moves(int fd)
{
	const char *term = getenv("TERM");
	return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

bool terminal_color(int fd)
{
	const char *no_color = getenv("NO_COLOR");
	return terminal_moves(fd) && (!no_color || !*no_color);
}

bool terminal_utf8(void)
{
	locale_t users = newlocale(LC_CTYPE_MASK, "", NULL);
	bool utf8 = users && strcmp(nl_langinfo_l(CODESET, users), "UTF-8") == 0;
	if (users) {
		freelocale(users);
	}
	return utf8;
}

size_t fd_raise_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return 256;
	}
	struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
	if (raised.rlim_cur != limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &raised) == 0) {
		limit = raised;
	}
	return (size_t)limit.rlim_cur;
}
