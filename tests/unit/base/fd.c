/* Whole reads and writes, directories, the terminal, and the text of errors. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"

#define BIG ((size_t)3 << 20)

/* Through a non-blocking pipe to a slow reader, more than any pipe holds. */
static void test_pipe(void)
{
	int ends[2];
	ok(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0, "a non-blocking pipe is made");
	char *bytes = malloc(BIG);
	for (size_t i = 0; i < BIG; i++) {
		bytes[i] = (char)(i * 7 >> 3);
	}
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		_exit(fd_write_all(ends[1], bytes, BIG) ? 1 : 0);
	}
	close(ends[1]);
	struct buf out = BUF_INIT;
	is_int(fd_read_all(ends[0], &out), 0, "a non-blocking pipe is read to its end");
	ok(out.len == BIG && memcmp(out.data, bytes, BIG) == 0,
	        "the bytes of a pipe arrive complete and in order");
	int status = -1;
	waitpid(child, &status, 0);
	is_int(status, 0, "the writer wrote everything");
	close(ends[0]);
	buf_release(&out);
	free(bytes);

	is_int(fd_write_all(-1, "x", 1), -EBADF, "writing to a bad descriptor fails");
	is_int(fd_read_all(-1, &out), -EBADF, "reading from a bad descriptor fails");
	buf_release(&out);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	is_int(fd_write_all(full, "x", 1), -ENOSPC, "writing to a full disk fails");
	close(full);
}

static void test_files(const char *dir)
{
	char path[128];
	struct vega_error err = {.text = ""};
	struct buf out = {.max = 5};
	snprintf(path, sizeof path, "%s/five", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ok(fd_write_all(fd, "12345", 5) == 0, "a file of five bytes is written");
	is_int(file_read_all(path, &out, &err), 0, "a file of the maximum's size is read");
	buf_clear(&out);
	ok(fd_write_all(fd, "6", 1) == 0, "a sixth byte is written");
	close(fd);
	is_int(file_read_all(path, &out, &err), VEGA_FATAL,
	        "a file larger than the maximum is rejected");
	ok(err.sys == EFBIG && strstr(err.text, path), "%s", err.text);
	buf_release(&out);
	out.max = 0;
	snprintf(path, sizeof path, "%s/none", dir);
	is_int(file_read_all(path, &out, &err), VEGA_FATAL, "reading a missing file fails");
	ok(err.sys == ENOENT && strstr(err.text, path), "%s", err.text);
	is_int(file_read_all(dir, &out, &err), VEGA_FATAL, "reading a directory fails");
	is_int(err.sys, EISDIR, "%s", err.text);
	is_int(file_read_all("/dev/null", &out, &err), 0, "an empty file is read");
	is_int(out.len, 0, "an empty file has no bytes");
	buf_release(&out);
}

static void test_directories(const char *dir)
{
	char path[160];
	struct stat st;
	umask(022);
	snprintf(path, sizeof path, "%s/a//b/../c/d/", dir);
	is_int(mkdir_parents(path, 0700), 0, "mkdir_parents() makes a directory");
	ok(stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0700,
	        "a directory that was made has its mode");
	is_int(mkdir_parents(path, 0755), 0, "mkdir_parents() accepts an existing directory");
	is_int(mkdir_parents("/", 0755), 0, "mkdir_parents() accepts the root directory");
	snprintf(path, sizeof path, "%s/five/x", dir);
	is_int(mkdir_parents(path, 0755), -ENOTDIR, "mkdir_parents() fails below a file");
	snprintf(path, sizeof path, "%s/five", dir);
	is_int(mkdir_parents(path, 0755), -ENOTDIR, "mkdir_parents() fails in the place of a file");
	is_int(mkdir_parents("", 0755), -ENOENT, "mkdir_parents() fails for an empty path");
	if (chdir(dir) == 0) {
		is_int(mkdir_parents("r/s", 0755), 0, "mkdir_parents() takes a relative path");
		ok(stat("r/s", &st) == 0, "a directory of a relative path is made");
	}
}

static void test_terminal(void)
{
	int master, slave;
	struct winsize size = {.ws_row = 25, .ws_col = 132};
	if (!ok(openpty(&master, &slave, NULL, NULL, &size) == 0, "a terminal is opened")) {
		return;
	}
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	setenv("COLUMNS", "66", 1);
	is_int(terminal_width(slave), 132, "the width of a terminal is the kernel's");
	is_int(terminal_width(null), 66, "the width elsewhere is COLUMNS");
	setenv("COLUMNS", "-3", 1);
	is_int(terminal_width(null), 80, "the width without COLUMNS is 80");
	unsetenv("COLUMNS");
	size.ws_col = 0;
	ioctl(slave, TIOCSWINSZ, &size);
	is_int(terminal_width(slave), 80, "the width of a terminal that does not know it is 80");

	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	ok(terminal_color(slave), "a terminal has colour");
	ok(!terminal_color(null), "a file has no colour");
	setenv("NO_COLOR", "", 1);
	ok(terminal_color(slave), "an empty NO_COLOR does not count");
	setenv("NO_COLOR", "1", 1);
	ok(!terminal_color(slave), "NO_COLOR removes colour");
	ok(terminal_moves(slave) && !terminal_moves(null), "the cursor moves without colour");
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	ok(!terminal_color(slave) && !terminal_moves(slave),
	        "a dumb terminal has neither colour nor movements");
	unsetenv("TERM");
	ok(!terminal_color(slave), "an unknown terminal has no colour");
	close(null);
	close(slave);
	close(master);
}

static void test_limit(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 64 ? limit.rlim_max : 64;
	setrlimit(RLIMIT_NOFILE, &limit);
	size_t raised = fd_raise_limit();
	getrlimit(RLIMIT_NOFILE, &limit);
	ok(raised == limit.rlim_cur && raised == limit.rlim_max, "the limit is raised to %zu",
	        raised);
}

static void test_errors(void)
{
	struct vega_error err;
	char longer[3000];
	is_int(vega_fail(&err, VEGA_USAGE, "--x %d: no", 5), VEGA_USAGE,
	        "vega_fail() returns the code");
	is_str(err.text, "--x 5: no", "vega_fail() formats the text");
	is_int(vega_fail(NULL, VEGA_NO, "x"), VEGA_NO, "vega_fail() accepts no error to fill");
	vega_fail_errno(&err, VEGA_FATAL, EACCES, "cannot open %s", "a\nb");
	is_str(err.text, "cannot open a b: Permission denied", "an error's text is one line");
	vega_fail(&err, VEGA_UNAVAILABLE, "server says: no\r\n\n");
	is_str(err.text, "server says: no", "an error's text has no newline at its end");
	memset(longer, 'x', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	vega_fail_errno(&err, VEGA_FATAL, EACCES, "%s", longer);
	is_int(strlen(err.text), sizeof err.text - 1, "a long text of an error is cut");
	is_str(vega_errno_name(ENOSPC), "ENOSPC", "errno numbers have names");
	is_str(vega_errno_name(99999), "E?", "an unknown errno number has a name");
	static const struct {
		int code, status;
	} statuses[] = {{VEGA_OK, 0}, {VEGA_NO, 1}, {VEGA_USAGE, 2}, {VEGA_FATAL, 2},
	        {VEGA_NOMEM, 2}, {VEGA_PARTIAL, 3}, {VEGA_JOB_FAILED, 4}, {VEGA_UNAVAILABLE, 5},
	        {VEGA_LEASE_LOST, 5}, {VEGA_LOCKED, 5}};
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		is_int(vega_exit_status(statuses[i].code), statuses[i].status,
		        "the exit status of %d is right", statuses[i].code);
	}
}

int main(void)
{
	char dir[] = "/tmp/vega-fd-XXXXXX", remove[64];
	ok(mkdtemp(dir) != NULL, "a temporary directory is made");
	test_pipe();
	test_files(dir);
	test_directories(dir);
	test_terminal();
	test_limit();
	test_errors();
	snprintf(remove, sizeof remove, "rm -rf '%s'", dir);
	ok(chdir("/") == 0 && system(remove) == 0, "the temporary directory is removed");
	return done();
}
