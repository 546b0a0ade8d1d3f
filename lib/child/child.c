/*
 * One vega-walk process from its command line to its last words: the argv and environment that all
 * children share, the fork and the change of user, its pipes, its end. Between fork() and execve()
 * only calls that are safe there are made; an errno from there comes back through a pipe of its
 * own.
 */
#include "child/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "child/stream.h"

#define PIPE_SIZE (1024 * 1024) /* the default pipe-max-size of an unprivileged user */

extern char **environ;

/* --- the command ------------------------------------------------------------------------------ */

static bool add_format(struct strlist *list, const char *name, const char *value)
{
	struct buf text = BUF_INIT;
	buf_printf(&text, "%s%s", name, value);
	bool added = buf_cstr(&text) && strlist_add(list, text.data);
	buf_release(&text);
	return added;
}

static bool terminate(struct strlist *list)
{
	if (!strlist_add(list, "")) {
		return false;
	}
	free(list->items[--list->count]);
	list->items[list->count] = NULL;
	return true;
}

static char *find_walk(void)
{
	char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - sizeof "vega-walk");
	char *slash = len > 0 ? memrchr(self, '/', (size_t)len) : NULL;
	if (slash) {
		memcpy(slash + 1, "vega-walk", sizeof "vega-walk");
		if (access(self, X_OK) == 0) {
			return strdup(self);
		}
	}
	const char *path = getenv("PATH");
	struct buf candidate = BUF_INIT;
	while (path && *path) {
		size_t part = strcspn(path, ":");
		buf_clear(&candidate);
		buf_add(&candidate, path, part);
		buf_add_str(&candidate, "/vega-walk");
		if (part && buf_cstr(&candidate) && access(candidate.data, X_OK) == 0) {
			return buf_detach(&candidate);
		}
		path += part + (path[part] == ':');
	}
	buf_release(&candidate);
	return NULL;
}

static bool begins_with(const char *variable, const char *const *names)
{
	while (*names && strncmp(variable, *names, strlen(*names)) != 0) {
		names++;
	}
	return *names;
}

static bool build_environment(struct strlist *envp, const struct child_config *config)
{
	static const char *const private[] = {
	        "PG", "VEGA_STORE=", "VEGA_CACHE=", "NOTIFY_SOCKET=", "WATCHDOG_", NULL};
	static const char *const public[] = {"PATH=", "LANG=", "LC_", "TZ=", NULL};
	bool fine = true, submitters = config->submitters;
	const char *cache = config->cache_url && !submitters ? config->cache_url : "none";
	for (char **variable = environ; *variable && fine; variable++) {
		bool keep = submitters ? begins_with(*variable, public)
		                       : !begins_with(*variable, private);
		fine = !keep || strlist_add(envp, *variable);
	}
	return fine && add_format(envp, "VEGA_CACHE=", cache) && terminate(envp);
}

int child_command_init(
        struct child_command *command, const struct child_config *config, struct vega_error *err)
{
	const char *path = config->walk_path;
	*command = (struct child_command){
	        .path = path ? strdup(path) : find_walk(), .submitters = config->submitters};
	if (!command->path && path) {
		return vega_fail_nomem(err);
	}
	if (!command->path) {
		return vega_fail(err, VEGA_FATAL,
		        "cannot find vega-walk beside this program or in PATH: install it there");
	}
	if (access(command->path, X_OK) != 0) {
		return vega_fail_errno(err, VEGA_FATAL, errno, "cannot run %s", command->path);
	}
	char every[24];
	snprintf(every, sizeof every, "%llu", (unsigned long long)config->progress_ms);
	struct strlist *argv = &command->argv;
	bool fine = strlist_add(argv, "vega-walk") && strlist_add(argv, "--spec-fd=3") &&
	            strlist_add(argv, "--format=ndjson") &&
	            add_format(argv, "--progress-every=", every) &&
	            (!config->refuse_commands || strlist_add(argv, "--refuse-commands"));
	for (size_t i = 0; fine && i < config->roots->count; i++) {
		fine = add_format(argv, "--allow-root=", config->roots->items[i]);
	}
	fine = fine && terminate(argv) && build_environment(&command->envp, config);
	return fine ? 0 : vega_fail_nomem(err);
}

void child_command_release(struct child_command *command)
{
	free(command->path);
	strlist_release(&command->argv);
	strlist_release(&command->envp);
	*command = (struct child_command){.path = NULL};
}

/* --- starting --------------------------------------------------------------------------------- */

/* The descriptors of a child on their way to 0, 1, 2 and 3, all above those; -1: not open. */
enum { FD_NULL, FD_OUT, FD_ERR, FD_SPEC, FD_REPORT, FD_COUNT };

static int move_high(int fd)
{
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);
	if (fd >= 0) {
		close(fd);
	}
	return high;
}

/* A pipe whose reading end is *reader and non-blocking; returns the writing end, or -1. */
static int open_pipe(int *reader, int flags)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0) {
		return -1;
	}
	*reader = ends[0];
	fcntl(ends[0], F_SETFL, flags);
	return move_high(ends[1]);
}

static int open_spec(const char *spec)
{
	int fd = move_high(memfd_create("vega-spec", MFD_CLOEXEC));
	if (fd >= 0 && (fd_write_all(fd, spec, strlen(spec)) < 0 || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* What the new process needs besides its descriptors. */
struct start {
	const char *path;
	char **argv, **envp;
	const struct identity *identity; /* NULL: as the worker */
	pid_t worker;
};

/* In the new process: only calls that are safe after fork(). A change of user ends what was set
 * about the death of the parent, so that comes later. */
static _Noreturn void become(const struct start *start, const int fds[])
{
	sigset_t none;
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	bool fine = (start->identity ? identity_assume(start->identity) : setpgid(0, 0) == 0) &&
	            prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == start->worker;
	for (int target = 0; target <= 3; target++) {
		fine = fine && dup2(fds[target], target) == target;
	}
	if (fine) {
		close_range(4, ~0U, CLOSE_RANGE_CLOEXEC);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execve(start->path, start->argv, start->envp);
	}
	int failed = errno;
	ssize_t told = write(fds[FD_REPORT], &failed, sizeof failed);
	_exit(told == (ssize_t)sizeof failed ? 126 : 127);
}

/* 0, or the errno with which the new process could not become vega-walk. */
static int await_exec(int report)
{
	int failed = 0;
	ssize_t got;
	while ((got = read(report, &failed, sizeof failed)) < 0 && errno == EINTR) {
	}
	return got == (ssize_t)sizeof failed ? failed : 0;
}

/* The command's arguments, borrowed, and the options; NULL: no memory. */
static char **join_arguments(const struct child_command *command, const char *const *options)
{
	size_t count = command->argv.count;
	char **argv = calloc(count + CHILD_OPTIONS_MAX + 1, sizeof *argv);
	if (argv) {
		memcpy(argv, command->argv.items, count * sizeof *argv);
	}
	for (size_t i = 0; argv && options[i]; i++) {
		CHECK(i < CHILD_OPTIONS_MAX);
		argv[count + i] = (char *)(uintptr_t)options[i];
	}
	return argv;
}

/* The command's environment, and that of whom the process runs as. */
static bool personal_environment(
        struct strlist *envp, const struct child_command *command, const struct identity *identity)
{
	bool fine = true;
	for (size_t i = 0; fine && i < command->envp.count; i++) {
		fine = strlist_add(envp, command->envp.items[i]);
	}
	return fine && add_format(envp, "HOME=", identity->home) &&
	       add_format(envp, "SHELL=", identity->shell) &&
	       add_format(envp, "USER=", identity->user) &&
	       add_format(envp, "LOGNAME=", identity->user) && terminate(envp);
}

/* The descriptors of a new child; 0 or errno. */
static int open_all(struct child *child, int fds[FD_COUNT], int *report, const char *spec)
{
	fds[FD_NULL] = move_high(open("/dev/null", O_RDWR | O_CLOEXEC));
	fds[FD_OUT] = open_pipe(&child->out, O_NONBLOCK);
	fds[FD_ERR] = open_pipe(&child->err, O_NONBLOCK);
	fds[FD_SPEC] = open_spec(spec);
	fds[FD_REPORT] = open_pipe(report, 0);
	for (int i = 0; i < FD_COUNT; i++) {
		if (fds[i] < 0) {
			return errno ? errno : EIO;
		}
	}
	fcntl(fds[FD_OUT], F_SETPIPE_SZ, PIPE_SIZE);
	return 0;
}

/* 0, or the errno with which the process could not be made, or (*became false) could not become
 * vega-walk. */
static int spawn(struct child *child, const struct start *start, const char *spec, bool *became)
{
	int fds[FD_COUNT] = {-1, -1, -1, -1, -1}, report = -1;
	int failed = open_all(child, fds, &report, spec);
	pid_t pid = failed ? -1 : fork();
	if (pid == 0) {
		become(start, fds);
	}
	if (pid > 0) {
		child->pid = pid;
		close(fds[FD_REPORT]);
		fds[FD_REPORT] = -1;
		failed = await_exec(report);
		*became = !failed;
	} else if (!failed) {
		failed = errno;
	}
	for (int i = 0; i < FD_COUNT; i++) {
		if (fds[i] >= 0) {
			close(fds[i]);
		}
	}
	if (report >= 0) {
		close(report);
	}
	return failed;
}

int child_start(struct child *child, const struct child_command *command,
        const char *const *options, const struct identity *identity, const char *spec,
        struct vega_error *err)
{
	struct strlist personal = {0};
	struct start start = {.path = command->path,
	        .argv = join_arguments(command, options),
	        .envp = command->envp.items,
	        .identity = identity,
	        .worker = getpid()};
	bool fine = start.argv, became = true;
	*child = (struct child){.out = -1, .err = -1};
	if (fine && identity) {
		fine = personal_environment(&personal, command, identity);
		start.envp = personal.items;
	}
	int failed = fine ? spawn(child, &start, spec, &became) : ENOMEM;
	free(start.argv);
	strlist_release(&personal);
	if (failed) {
		child_release(child);
	}
	if (failed && identity && !became) {
		return vega_fail_errno(err, VEGA_NO, failed, "cannot run %s as the user %s",
		        command->path, identity->user);
	}
	return failed ? vega_fail_errno(err, VEGA_FATAL, failed, "cannot run %s", command->path)
	              : 0;
}

/* --- running ---------------------------------------------------------------------------------- */

ssize_t child_read(int *fd, char *block, size_t size)
{
	ssize_t got = read(*fd, block, size);
	if (got > 0) {
		return got;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return -1;
	}
	close(*fd);
	*fd = -1;
	return 0;
}

ssize_t child_read_err(struct child *child, char *block, size_t size)
{
	ssize_t got = child_read(&child->err, block, size);
	if (got <= 0) {
		return got;
	}
	size_t keep = CHILD_TAIL_MAX;
	if (child->tail.len > keep) {
		memmove(child->tail.data, child->tail.data + child->tail.len - keep, keep);
		child->tail.len = keep;
	}
	buf_add(&child->tail, block, (size_t)got);
	return got;
}

void child_signal(const struct child *child, int number)
{
	if (child->pid > 0) {
		kill(-child->pid, number);
	}
}

bool child_ended(const struct child *child)
{
	siginfo_t info = {.si_pid = 0};
	if (child->pid <= 0 ||
	        waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
	        info.si_pid == 0) {
		return false;
	}
	kill(-child->pid, SIGKILL);
	return true;
}

static void child_close(struct child *child)
{
	if (child->out >= 0) {
		close(child->out);
	}
	if (child->err >= 0) {
		close(child->err);
	}
	child->out = child->err = -1;
}

void child_reap(struct child *child)
{
	CHECK(child->pid > 0);
	while (waitpid(child->pid, &child->status, 0) < 0 && errno == EINTR) {
	}
	child->pid = 0;
	child_close(child);
}

void child_release(struct child *child)
{
	if (child->pid > 0) {
		kill(child->pid, SIGKILL);
		child_signal(child, SIGKILL);
		child_reap(child);
	}
	child_close(child);
	buf_release(&child->tail);
	*child = (struct child){.out = -1, .err = -1};
}

char *child_stderr_tail(const struct child *child)
{
	if (!child->tail.len) {
		return NULL;
	}
	size_t skip = child->tail.len > CHILD_TAIL_MAX ? child->tail.len - CHILD_TAIL_MAX : 0;
	struct buf text = BUF_INIT;
	stream_clean(&text, child->tail.data + skip, child->tail.len - skip);
	return buf_detach(&text);
}

char *child_last_message(const struct child *child)
{
	static const char speaker[] = "vega-walk: ";
	char *tail = child_stderr_tail(child), *best = NULL;
	char *rest = tail;
	for (char *line; (line = strsep(&rest, "\n"));) {
		bool spoken = strncmp(line, speaker, sizeof speaker - 1) == 0;
		if (*line && (spoken || !best || strncmp(best, speaker, sizeof speaker - 1) != 0)) {
			best = line;
		}
	}
	best = best ? strdup(best) : NULL;
	free(tail);
	return best;
}
