/* Filters: arguments, streams that cannot deadlock, ends of every kind. */
#include "op/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "../tap.h"

static struct vega_error err;
static struct buf output;
static atomic_int stop;
static struct quota *quota;

static void is_argument(const char *token, const char *path, const char *want)
{
	struct buf out = BUF_INIT;
	filter_argument(&out, token, path, strlen(path));
	is_str(out.len && out.data[out.len - 1] == '\0' ? out.data : NULL, want, "%s of %s", token,
	        path);
	buf_release(&out);
}

static void test_arguments(void)
{
	is_argument("{}", "/data/a.b/c.tar.gz", "/data/a.b/c.tar.gz");
	is_argument("{.}", "/data/a.b/c.tar.gz", "/data/a.b/c.tar");
	is_argument("{/}", "/data/a.b/c.tar.gz", "c.tar.gz");
	is_argument("{/.}", "/data/a.b/c.tar.gz", "c.tar");
	is_argument("{//}", "/data/a.b/c.tar.gz", "/data/a.b");
	is_argument("{.}", "/data/a.b/c", "/data/a.b/c");
	is_argument("{/.}", "/data/.hidden", ".hidden");
	is_argument("{.}", "x.csv", "x");
	is_argument("{//}", "x.csv", ".");
	is_argument("{//}", "/x.csv", "/");
	is_argument("{}", "-rf", "./-rf");
	is_argument("{/}", "/data/-rf", "./-rf");
	is_argument("{//}", "-d/x", "./-d");
	is_argument("{}", "./-rf", "./-rf");
	is_argument("x{}", "/data/a", "x{}");
	is_argument("{}{}", "/data/a", "{}{}");
	is_argument("-rf", "/data/a", "-rf");
	is_argument("", "/data/a", "");
	is_argument("{}", "a\nb;$(c)'\"\xff", "a\nb;$(c)'\"\xff");
}

static struct strlist words(const char *const *argv)
{
	struct strlist list = {0};
	for (; *argv; argv++) {
		strlist_add(&list, *argv);
	}
	return list;
}

/* Run one command over len bytes; `output` is what it wrote. */
static int run(const char *const *argv, const void *bytes, size_t len, uint64_t timeout_ns)
{
	struct strlist command = words(argv);
	struct filter *filter = filter_new(&command, timeout_ns, &stop);
	int fd = memfd_create("filter", MFD_CLOEXEC);
	filter_limit(filter, quota);
	err = (struct vega_error){0};
	int rc = filter_begin(filter, "some/file.csv", 13, fd, &err);
	if (rc == 0) {
		rc = filter_feed(filter, bytes, len, &err);
	}
	if (rc >= 0) {
		rc = filter_end(filter, &err);
	}
	lseek(fd, 0, SEEK_SET);
	buf_clear(&output);
	fd_read_all(fd, &output);
	if (rc == 0 && filter_written(filter) != output.len) {
		rc = 99;
	}
	close(fd);
	filter_free(filter);
	strlist_release(&command);
	return rc;
}

#define RUN(bytes, len, timeout, ...) \
	run((const char *const[]){__VA_ARGS__, NULL}, bytes, len, timeout)
#define SH(bytes, len, script) RUN(bytes, len, 0, "sh", "-c", script)

static void test_streams(void)
{
	size_t len = 8 << 20;
	char *big = malloc(len);
	for (size_t i = 0; i < len; i++) {
		big[i] = (char)(i * 7 + i / 251);
	}
	is_int(RUN("abc", 3, 0, "cat"), 0, "cat ends well");
	is_str(buf_cstr(&output), "abc", "cat's output is its input");
	is_int(RUN("", 0, 0, "cat"), 0, "cat ends well for an empty file");
	is_int(output.len, 0, "cat's output for an empty file is empty");
	is_int(RUN(big, len, 0, "cat"), 0, "cat ends well for 8 MiB");
	ok(output.len == len && memcmp(output.data, big, len) == 0,
	        "cat's output of 8 MiB is its input");
	is_int(RUN(big, len, 0, "tac", "-s", "\377"), 0,
	        "a filter that reads all before it writes ends well");
	is_int(output.len, len, "a filter that reads all before it writes gives everything");
	is_int(SH(big, len, "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero; cat"), 0,
	        "a filter that writes much before it reads ends well");
	is_int(output.len, 3000000 + len,
	        "a filter that writes much before it reads gives everything");
	is_int(RUN(big, len, 0, "true"), 0, "a filter that reads nothing ends well");
	is_int(output.len, 0, "a filter that reads nothing gives nothing");
	is_int(RUN(big, len, 0, "head", "-c", "10"), 0, "a filter that reads a little ends well");
	is_int(output.len, 10, "a filter that reads a little gives it");
	is_int(RUN("x", 1, 0, "echo", "{}", "{/.}", "x{}"), 0, "a filter with arguments ends well");
	is_str(buf_cstr(&output), "some/file.csv file x{}\n", "a filter's arguments are replaced");
	is_int(SH("", 0, "(sleep 0.2; echo late) & echo early"), 0,
	        "a filter with a background process ends well");
	is_str(buf_cstr(&output), "early\nlate\n",
	        "a background process is waited for while it can write");
	is_int(SH("", 0, "exec >&-; sleep 0.1; exit 4"), VEGA_FATAL,
	        "a filter that closes its output early fails by its status");
	is_str(err.text, "sh: exit status 4",
	        "a filter that closes its output early has its status reported");

	struct strlist command = words((const char *const[]){"cat", NULL});
	struct filter *filter = filter_new(&command, 0, &stop);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	is_int(filter_begin(filter, "x", 1, full, &err), 0,
	        "a filter begins to write to a full disk");
	int rc = filter_feed(filter, big, len, &err);
	is_int(rc, VEGA_FATAL, "a filter that writes to a full disk fails");
	is_int(err.sys, ENOSPC, "a filter that writes to a full disk reports: %s", err.text);
	int fd = memfd_create("filter", MFD_CLOEXEC);
	is_int(filter_begin(filter, "x", 1, fd, &err), 0, "the next filter begins");
	is_int(filter_feed(filter, "y", 1, &err), 0, "the next filter is fed");
	is_int(filter_end(filter, &err), 0, "the next filter ends well");
	is_int(filter_written(filter), 1, "the next filter has its own count of bytes");
	close(fd);
	close(full);
	filter_free(filter);
	strlist_release(&command);
	free(big);
}

static void test_failures(void)
{
	is_int(SH("", 0, "exit 3"), VEGA_FATAL, "a filter that exits with a status fails");
	is_str(err.text, "sh: exit status 3", "a filter's exit status is reported");
	is_int(SH("", 0, "echo bad line >&2; echo >&2; echo 'worse one' >&2; exit 1"), VEGA_FATAL,
	        "a filter that exits with a status after messages fails");
	is_str(err.text, "sh: exit status 1: bad line; worse one",
	        "a filter's messages are reported in one line");
	is_int(SH("", 0, "seq 1 100000 >&2; exit 7"), VEGA_FATAL,
	        "a filter that fails after many messages fails");
	size_t len = strlen(err.text);
	ok(len < 700 && strcmp(err.text + len - 15, "; 99999; 100000") == 0,
	        "a filter's last messages are reported: %s", err.text);
	ok(strncmp(err.text, "sh: exit status 7: 99", 21) == 0,
	        "a filter's last messages begin with a whole line");
	is_int(SH("", 0, "kill -SEGV $$"), VEGA_FATAL, "a filter that is killed by a signal fails");
	is_str(err.text, "sh: ended by SIGSEGV", "a filter's signal is reported");
	is_int(SH("", 0, "echo fine >&2"), 0, "standard error alone is no failure");
	is_int(RUN("", 0, 0, "/nonexistent/program"), VEGA_FATAL, "a missing program fails");
	ok(strstr(err.text, "/nonexistent/program") != NULL, "a missing program is named: %s",
	        err.text);

	struct strlist none = words((const char *const[]){"no-such-program-here", NULL});
	struct strlist some = words((const char *const[]){"cat", NULL});
	struct strlist plain = words((const char *const[]){"/etc/passwd", NULL});
	is_int(filter_check(&none, &err), VEGA_FATAL,
	        "a program that is not in PATH is rejected: %s", err.text);
	is_int(filter_check(&some, &err), 0, "a program in PATH is accepted");
	is_int(filter_check(&plain, &err), VEGA_FATAL,
	        "a file that is not executable is rejected: %s", err.text);
	strlist_release(&none);
	strlist_release(&some);
	strlist_release(&plain);
}

/* Does the process not run any more? A zombie that nobody reaps does not. */
static void test_quota(void)
{
	static struct quota small = {.most = 100000, .stop = &stop};
	quota = &small;
	is_int(SH("", 0, "head -c 100000 /dev/zero"), 0, "a filter may write its quota");
	ok(SH("", 0, "exec yes") < 0, "a filter that writes more than its quota fails");
	is_int(err.sys, EDQUOT, "a filter that writes more than its quota reports EDQUOT");
	is_int(output.len, 0, "a filter that writes more than its quota writes nothing");
	is_int(stop, -1, "a filter that writes more than its quota ends the run");
	stop = 0;
	quota = NULL;
}

static bool gone(long pid)
{
	for (int i = 0; i < 500; i++) {
		char path[64], state = 'Z';
		snprintf(path, sizeof path, "/proc/%ld/stat", pid);
		FILE *file = fopen(path, "r");
		bool zombie = !file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1 || state == 'Z';
		if (file) {
			fclose(file);
		}
		if (zombie) {
			return true;
		}
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	return false;
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *stop_soon(void *context)
{
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	stop = SIGTERM;
	return context;
}

static void test_ends(void)
{
	long pids[2] = {0, 0};
	double begun = seconds();
	is_int(RUN("", 0, 300000000, "sh", "-c", "sleep 1000 & echo $$ $!; wait"), VEGA_FATAL,
	        "a filter that runs too long fails");
	is_int(err.sys, ETIMEDOUT, "a filter's timeout is reported: %s", err.text);
	ok(seconds() - begun < 5, "a filter that runs too long is ended in time");
	sscanf(buf_cstr(&output), "%ld %ld", &pids[0], &pids[1]);
	ok(pids[0] > 0 && gone(pids[0]), "a filter that runs too long is gone");
	ok(pids[1] > 0 && gone(pids[1]), "the child of a filter that runs too long is gone");

	begun = seconds();
	is_int(RUN("", 0, 300000000, "sh", "-c",
	               "trap '' TERM; echo $$; while :; do sleep 1; done"),
	        VEGA_FATAL, "a filter that ignores SIGTERM fails");
	sscanf(buf_cstr(&output), "%ld", &pids[0]);
	ok(pids[0] > 0 && gone(pids[0]) && seconds() - begun < 5,
	        "a filter that ignores SIGTERM is killed");

	char *big = calloc(1, 1 << 20);
	is_int(RUN(big, 1 << 20, 300000000, "sleep", "1000"), VEGA_FATAL,
	        "a filter that does not read fails by its timeout");
	is_int(err.sys, ETIMEDOUT, "the timeout of a filter that does not read is reported");
	free(big);

	pthread_t thread;
	pthread_create(&thread, NULL, stop_soon, NULL);
	is_int(SH("", 0, "echo $$; sleep 1000"), VEGA_FATAL,
	        "a filter fails when the run is stopped");
	is_int(err.sys, EINTR, "a stopped run is reported: %s", err.text);
	sscanf(buf_cstr(&output), "%ld", &pids[0]);
	ok(pids[0] > 0 && gone(pids[0]), "a stopped run's filter is gone");
	pthread_join(thread, NULL);
	stop = 0;

	is_int(SH("", 0, "sleep 1000 >/dev/null 2>&1 & echo $!"), 0,
	        "a filter that leaves a process ends well");
	sscanf(buf_cstr(&output), "%ld", &pids[0]);
	ok(pids[0] > 0 && gone(pids[0]), "a process that a filter leaves is ended");
	is_int(waitpid(-1, NULL, WNOHANG), -1, "no child remains unreaped");
}

/* What the process inherits, with a caller whose signals and descriptors are in a bad state. */
static void test_inheritance(void)
{
	int leak = dup(1);
	sigset_t set, old;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGUSR1, SIG_IGN);
	is_int(RUN("", 0, 0, "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"), 0,
	        "a filter reads its signal masks");
	unsigned long long blocked = 1, ignored = 1;
	sscanf(buf_cstr(&output), "SigBlk: %llx SigIgn: %llx", &blocked, &ignored);
	is_int(blocked, 0, "a filter has no signal blocked");
	is_int(ignored & 0x7fffffff, 0, "a filter has no signal ignored (except glibc's own two)");
	signal(SIGUSR1, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	is_int(SH("", 0, "ls /proc/$$/fd"), 0, "a filter lists its descriptors");
	is_str(buf_cstr(&output), "0\n1\n2\n", "a filter has only three descriptors");
	close(leak);
	is_int(SH("", 0, "read pid a b c group d < /proc/$$/stat; test $pid = $group"), 0,
	        "a filter has a process group of its own");

	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		close(0), close(1), close(2);
		int rc = SH("in", 2, "cat; echo err >&2; exit 9");
		_exit(rc == VEGA_FATAL && strcmp(buf_cstr(&output), "in") == 0 &&
		                        strcmp(err.text, "sh: exit status 9: err") == 0
		                ? 0
		                : 1);
	}
	int status = 0;
	waitpid(child, &status, 0);
	is_int(status, 0, "a filter runs with 0, 1 and 2 closed in the caller");
}

static unsigned highest_fd(void)
{
	int fd = dup(0);
	close(fd);
	return (unsigned)fd;
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	unsigned before = highest_fd();
	test_arguments();
	test_streams();
	test_failures();
	test_quota();
	test_ends();
	test_inheritance();
	is_int(highest_fd(), before, "the test leaks no descriptor");
	buf_release(&output);
	return done();
}
