/* A command's process: its arguments, its life, its end, and its three streams. */
#include "op/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "op/sparse.h"

#define READ_SIZE ((size_t)64 << 10)
#define TAIL_SIZE 512
#define TURN_MS 100    /* how soon `stop` is seen */
#define TURN_BLIND 10  /* the same, where no descriptor tells that the process ended */
#define GRACE_MS 1000u /* between SIGTERM and SIGKILL */
#define STACK_SIZE ((size_t)64 << 10)
#define TEXT_MAX ((size_t)1 << 20)

struct filter {
	const struct strlist *command;
	uint64_t timeout_ns;
	const atomic_int *stop;
	void (*on_turn)(void *context); /* may be NULL */
	void *turn_context;
	char *stack; /* of the child, until it execs, with a struct start at its end; stack_size
	                bytes */
	size_t stack_size;
	struct buf text; /* the arguments, each with its NUL */
	char **argv;

	pid_t pid;        /* 0: none runs */
	int in, out, err; /* our ends; -1 when closed */
	int pidfd;        /* -1 until it is needed, or where there is none */
	struct sparse to; /* the output file */
	uint64_t started; /* ns, CLOCK_MONOTONIC */
	uint64_t written;
	struct quota *quota; /* may be NULL */
	size_t tail_len;
	bool tail_cut;
	char tail[TAIL_SIZE];
	char buffer[READ_SIZE];
};

size_t filter_stem(const char *name, size_t len)
{
	const char *dot = memrchr(name, '.', len);
	return dot && dot > name ? (size_t)(dot - name) : len;
}

void filter_argument(struct buf *out, const char *token, const char *path, size_t path_len)
{
	const char *slash = memrchr(path, '/', path_len);
	size_t dir_len = slash ? (size_t)(slash - path) + 1 : 0; /* with the slash */
	const char *name = path + dir_len;
	size_t name_len = path_len - dir_len;
	const char *from = token;
	size_t len = strlen(token);
	bool replaced = true;
	if (strcmp(token, "{}") == 0) {
		from = path;
		len = path_len;
	} else if (strcmp(token, "{.}") == 0) {
		from = path;
		len = dir_len + filter_stem(name, name_len);
	} else if (strcmp(token, "{/}") == 0) {
		from = name;
		len = name_len;
	} else if (strcmp(token, "{/.}") == 0) {
		from = name;
		len = filter_stem(name, name_len);
	} else if (strcmp(token, "{//}") == 0) {
		from = slash ? path : ".";
		len = slash && dir_len > 1 ? dir_len - 1 : 1;
	} else {
		replaced = false;
	}
	if (replaced && len && from[0] == '-') {
		buf_add(out, "./", 2);
	}
	buf_add(out, from, len);
	buf_add_char(out, '\0');
}

static bool make_argv(struct filter *filter, const char *path, size_t path_len)
{
	size_t count = filter->command->count;
	buf_clear(&filter->text);
	for (size_t i = 0; i < count; i++) {
		filter_argument(&filter->text, filter->command->items[i], path, path_len);
	}
	if (filter->text.failed) {
		return false;
	}
	char *at = filter->text.data;
	for (size_t i = 0; i < count; i++) {
		filter->argv[i] = at;
		at += strlen(at) + 1;
	}
	filter->argv[count] = NULL;
	return true;
}

int filter_check(const struct strlist *command, struct vega_error *err)
{
	const char *program = command->items[0];
	if (strchr(program, '/')) {
		return access(program, X_OK) == 0
		               ? 0
		               : vega_fail_errno(err, VEGA_FATAL, errno, "filter %s", program);
	}
	const char *path = getenv("PATH");
	struct buf file = BUF_INIT;
	bool found = false;
	for (const char *at = path ? path : "/bin:/usr/bin"; at && !found;) {
		const char *end = strchrnul(at, ':');
		buf_clear(&file);
		buf_add(&file, at, (size_t)(end - at));
		buf_add_str(&file, end > at ? "/" : "./");
		buf_add_str(&file, program);
		const char *name = buf_cstr(&file);
		found = name && access(name, X_OK) == 0;
		at = *end ? end + 1 : NULL;
	}
	buf_release(&file);
	return found ? 0
	             : vega_fail(err, VEGA_FATAL,
	                       "filter %s: not found in PATH; install it or give its path",
	                       program);
}

struct filter *filter_new(
        const struct strlist *command, uint64_t timeout_ns, const atomic_int *stop)
{
	struct filter *filter = calloc(1, sizeof *filter);
	char **argv = calloc(command->count + 1, sizeof *argv);
	/* execvp puts PATH's directories there, and for a script without "#!" the arguments. */
	size_t stack_size = STACK_SIZE + command->count * 16;
	char *stack =
	        mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!filter || !argv || stack == MAP_FAILED) {
		free(filter);
		free(argv);
		if (stack != MAP_FAILED) {
			munmap(stack, stack_size);
		}
		return NULL;
	}
	filter->stack = stack;
	filter->stack_size = stack_size;
	filter->command = command;
	filter->timeout_ns = timeout_ns;
	filter->stop = stop;
	filter->argv = argv;
	filter->text.max = TEXT_MAX;
	filter->in = filter->out = filter->err = filter->pidfd = -1;
	return filter;
}

void filter_free(struct filter *filter)
{
	if (!filter) {
		return;
	}
	filter_abort(filter);
	buf_release(&filter->text);
	free(filter->argv);
	munmap(filter->stack, filter->stack_size);
	free(filter);
}

void filter_on_turn(struct filter *filter, void (*turn)(void *context), void *context)
{
	filter->on_turn = turn;
	filter->turn_context = context;
}

void filter_limit(struct filter *filter, struct quota *quota)
{
	filter->quota = quota;
}

uint64_t filter_written(const struct filter *filter)
{
	return filter->written;
}

static void shut(int *fd)
{
	if (*fd >= 0) {
		close(*fd);
		*fd = -1;
	}
}

/* A pipe whose ends are not 0, 1 or 2, which the child's are put on. */
static int make_pipe(int ends[2])
{
	ends[0] = ends[1] = -1;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		return -errno;
	}
	for (int i = 0; i < 2; i++) {
		if (ends[i] > 2) {
			continue;
		}
		int higher = fcntl(ends[i], F_DUPFD_CLOEXEC, 3);
		if (higher < 0) {
			int error = -errno;
			shut(&ends[0]);
			shut(&ends[1]);
			return error;
		}
		close(ends[i]);
		ends[i] = higher;
	}
	return 0;
}

/* Of the child: no descriptor but 0, 1 and 2 goes through exec. */
static void keep_three(void)
{
	if (close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0) {
		return;
	}
	for (int fd = 3, end = (int)sysconf(_SC_OPEN_MAX); fd < end; fd++) { /* before Linux 5.11 */
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
}

/* ThreadSanitizer takes every clone for a fork, and must not share the memory with it. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define CLONE_FLAGS (CLONE_VFORK | SIGCHLD)
#endif
#endif
#ifndef CLONE_FLAGS
#define CLONE_FLAGS (CLONE_VM | CLONE_VFORK | SIGCHLD)
#endif

struct start {
	const struct filter *filter;
	int ends[3];
	pid_t parent;
	sigset_t none;
	int error; /* errno, where exec failed */
};

/* The child, with all signals blocked; the parent waits, and lends its memory, until it execs. */
static int become(void *context)
{
	struct start *start = context;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != start->parent) {
		return 127;
	}
	for (int number = 1; number < NSIG; number++) {
		signal(number, SIG_DFL);
	}
	keep_three();
	if (dup2(start->ends[0], 0) >= 0 && dup2(start->ends[1], 1) >= 0 &&
	        dup2(start->ends[2], 2) >= 0) {
		sigprocmask(SIG_SETMASK, &start->none, NULL);
		execvp(start->filter->argv[0], start->filter->argv);
	}
	start->error = errno;
	return 127;
}

/*
 * As posix_spawn does it, which cannot ask for a signal at the parent's death: a filter should not
 * outlive a killed run. That death is the one of the thread that calls; it is in here, or waits for
 * the filter, until that has ended.
 */
static int spawn(struct filter *filter, int in, int out, int err)
{
	struct start *start = (struct start *)(void *)filter->stack;
	*start = (struct start){.filter = filter, .ends = {in, out, err}, .parent = getpid()};
	sigset_t all, before;
	sigemptyset(&start->none);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of ours runs in the child */
	pid_t pid = clone(become, filter->stack + filter->stack_size, CLONE_FLAGS, start);
	int error = pid < 0 ? -errno : -start->error;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	while (pid > 0 && error && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
	filter->pid = error ? 0 : pid;
	return error;
}

int filter_begin(
        struct filter *filter, const char *path, size_t path_len, int fd, struct vega_error *err)
{
	filter_abort(filter);
	CHECK(filter->pid == 0 && filter->in < 0 && filter->out < 0 && fd >= 0);
	filter->to = sparse_begin(fd);
	filter->written = 0;
	filter->tail_len = 0;
	filter->tail_cut = false;
	if (!make_argv(filter, path, path_len)) {
		return vega_fail_nomem(err);
	}
	int in[2] = {-1, -1}, out[2] = {-1, -1}, errors[2] = {-1, -1};
	int error = make_pipe(in);
	error = error ? error : make_pipe(out);
	error = error ? error : make_pipe(errors);
	if (!error && (fcntl(in[1], F_SETFL, O_NONBLOCK) != 0 ||
	                      fcntl(out[0], F_SETFL, O_NONBLOCK) != 0 ||
	                      fcntl(errors[0], F_SETFL, O_NONBLOCK) != 0)) {
		error = -errno;
	}
	error = error ? error : spawn(filter, in[0], out[1], errors[1]);
	shut(&in[0]);
	shut(&out[1]);
	shut(&errors[1]);
	filter->in = in[1];
	filter->out = out[0];
	filter->err = errors[0];
	filter->started = monotonic_ns();
	if (error) {
		filter_abort(filter);
		return vega_fail_errno(
		        err, VEGA_FATAL, -error, "cannot run %s", filter->command->items[0]);
	}
	return 0;
}

/* Has it exited? It stays a zombie, so that its number and its group's are still its own. */
static bool exited(const struct filter *filter)
{
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)filter->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
	       info.si_pid != 0;
}

static void watch_exit(struct filter *filter)
{
	if (filter->pidfd < 0) {
		filter->pidfd = (int)syscall(SYS_pidfd_open, filter->pid, 0);
	}
}

/* Kill what is left of the group and reap the leader; its wait status. */
static int reap(struct filter *filter)
{
	int status = 0;
	kill(-filter->pid, SIGKILL);
	while (waitpid(filter->pid, &status, 0) < 0 && errno == EINTR) {
	}
	filter->pid = 0;
	shut(&filter->in);
	shut(&filter->out);
	shut(&filter->err);
	shut(&filter->pidfd);
	return status;
}

void filter_abort(struct filter *filter)
{
	shut(&filter->in);
	shut(&filter->out);
	shut(&filter->err);
	if (filter->pid == 0) {
		return;
	}
	kill(-filter->pid, SIGTERM);
	watch_exit(filter);
	uint64_t end = monotonic_ns() + GRACE_MS * 1000000u;
	while (!exited(filter) && monotonic_ns() < end) {
		struct pollfd gone = {.fd = filter->pidfd, .events = POLLIN};
		poll(&gone, 1, TURN_BLIND);
	}
	reap(filter);
}

/* The tail of its standard error in one line: whole lines, if it holds a line's end. */
static void add_tail(struct buf *text, const struct filter *filter)
{
	const char *at = filter->tail, *end = at + filter->tail_len;
	while (end > at && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == ' ')) {
		end--;
	}
	const char *first = memchr(at, '\n', (size_t)(end - at));
	if (filter->tail_cut && first) {
		at = first + 1;
	}
	const char *joint = ": ";
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop ? stop : end;
		if (stop > at) {
			buf_add_str(text, joint);
			buf_add(text, at, (size_t)(stop - at));
			joint = "; ";
		}
		at = stop + (stop < end);
	}
}

/* Fill err with what happened and the tail; sys as in the header. */
static int failed(const struct filter *filter, int sys, const char *what, struct vega_error *err)
{
	struct buf text = BUF_INIT;
	buf_add_str(&text, filter->command->items[0]);
	buf_add_str(&text, what);
	add_tail(&text, filter);
	const char *line = buf_cstr(&text);
	int code = vega_fail(err, VEGA_FATAL, "%s", line ? line : what);
	if (err) {
		err->sys = sys;
	}
	buf_release(&text);
	return code;
}

static int judge(const struct filter *filter, int status, struct vega_error *err)
{
	char what[64];
	if (WIFSIGNALED(status)) {
		const char *name = sigabbrev_np(WTERMSIG(status));
		snprintf(what, sizeof what, ": ended by SIG%s", name ? name : "?");
	} else if (WEXITSTATUS(status) != 0) {
		snprintf(what, sizeof what, ": exit status %d", WEXITSTATUS(status));
	} else {
		return 0;
	}
	return failed(filter, 0, what, err);
}

static bool take_errors(struct filter *filter)
{
	char bytes[4096];
	ssize_t got = read(filter->err, bytes, sizeof bytes);
	if (got <= 0) {
		if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
			shut(&filter->err);
		}
		return false;
	}
	size_t len = (size_t)got;
	const char *from = bytes;
	if (len > TAIL_SIZE) {
		from += len - TAIL_SIZE;
		len = TAIL_SIZE;
	}
	size_t keep = TAIL_SIZE - len < filter->tail_len ? TAIL_SIZE - len : filter->tail_len;
	filter->tail_cut |= keep < filter->tail_len || len < (size_t)got;
	memmove(filter->tail, filter->tail + filter->tail_len - keep, keep);
	memcpy(filter->tail + keep, from, len);
	filter->tail_len = keep + len;
	return true;
}

static void take_last_errors(struct filter *filter)
{
	for (int turns = 16; turns && filter->err >= 0 && take_errors(filter); turns--) {
	}
}

/* End it because of `sys`; `what` for the message. */
static int give_up(struct filter *filter, int sys, const char *what, struct vega_error *err)
{
	take_last_errors(filter);
	filter_abort(filter);
	return failed(filter, sys, what, err);
}

/* What came through is not all: it must not be taken for the whole. */
static int give_up_pipe(
        struct filter *filter, const char *direction, int errnum, struct vega_error *err)
{
	char what[128];
	snprintf(what, sizeof what, ": cannot be %s: %s", direction, vega_errno_text(errnum));
	return give_up(filter, 0, what, err);
}

/* Take what it has written. */
static int take_output(struct filter *filter, struct vega_error *err)
{
	ssize_t got = read(filter->out, filter->buffer, READ_SIZE);
	if (got < 0) {
		bool again = errno == EAGAIN || errno == EINTR;
		return again ? 0 : give_up_pipe(filter, "read", errno, err);
	}
	if (got == 0) {
		shut(&filter->out);
		return 0;
	}
	filter->written += (uint64_t)got;
	bool may = quota_take(filter->quota, got);
	int error = may ? sparse_write(&filter->to, filter->buffer, (size_t)got) : -EDQUOT;
	if (error) {
		filter_abort(filter);
		return vega_fail_errno(err, VEGA_FATAL, -error, "writing");
	}
	return 0;
}

/* Wait until something can be done, or a turn is over, and take what it has written. */
static int turn(struct filter *filter, bool writing, struct vega_error *err)
{
	if (filter->stop && atomic_load_explicit(filter->stop, memory_order_relaxed)) {
		return give_up(filter, EINTR, ": ended, the run was stopped", err);
	}
	if (filter->on_turn) {
		filter->on_turn(filter->turn_context);
	}
	int wait_ms = filter->out < 0 && filter->pidfd < 0 ? TURN_BLIND : TURN_MS;
	if (filter->timeout_ns) {
		uint64_t spent = monotonic_ns() - filter->started;
		if (spent >= filter->timeout_ns) {
			return give_up(
			        filter, ETIMEDOUT, ": ended, it ran longer than --timeout", err);
		}
		uint64_t left_ms = (filter->timeout_ns - spent) / 1000000u + 1;
		wait_ms = left_ms < (uint64_t)wait_ms ? (int)left_ms : wait_ms;
	}
	struct pollfd ready[4] = {
	        {.fd = writing ? filter->in : -1, .events = POLLOUT},
	        {.fd = filter->out, .events = POLLIN},
	        {.fd = filter->err, .events = POLLIN},
	        {.fd = filter->pidfd, .events = POLLIN},
	};
	if (poll(ready, 4, wait_ms) <= 0) {
		return 0;
	}
	if (ready[2].revents) {
		take_errors(filter);
	}
	return ready[1].revents ? take_output(filter, err) : 0;
}

int filter_feed(struct filter *filter, const void *bytes, size_t len, struct vega_error *err)
{
	const char *from = bytes;
	while (len && filter->in >= 0) {
		ssize_t put = write(filter->in, from, len);
		if (put >= 0) {
			from += put;
			len -= (size_t)put;
		} else if (errno == EAGAIN) {
			int code = turn(filter, true, err);
			if (code) {
				return code;
			}
		} else if (errno == EPIPE) {
			shut(&filter->in);
		} else if (errno != EINTR) {
			return give_up_pipe(filter, "fed", errno, err);
		}
	}
	return filter->in < 0;
}

int filter_end(struct filter *filter, struct vega_error *err)
{
	int code = 0;
	shut(&filter->in);
	while (code == 0 && filter->out >= 0) {
		code = turn(filter, false, err);
	}
	while (code == 0 && !exited(filter)) {
		watch_exit(filter);
		code = turn(filter, false, err);
	}
	if (code) {
		return code;
	}
	take_last_errors(filter);
	code = judge(filter, reap(filter), err);
	int error = code ? 0 : sparse_end(&filter->to);
	return error ? vega_fail_errno(err, VEGA_FATAL, -error, "writing") : code;
}
