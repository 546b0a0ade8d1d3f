/*
 * Preloaded into a walk: an unfriendly system.
 *
 *  SHIM_UNTYPED     listings do not say what an entry is (DT_UNKNOWN)
 *  SHIM_YIELD       the processor is given away now and then
 *  SHIM_CALL=N      the N-th system call fails, with the error SHIM_ERROR (1…) of its list
 *  SHIM_CALLS=FILE  each call is written there: its site, and how many errors its list has
 *  SHIM_SITES=FILE  where the call that failed was made is added there, with its error
 *  SHIM_FLOOD=N     where there is a .flood, N more entries are listed, each as good as .flood
 *  SHIM_PEAK=FILE   at the end, the most memory that the process had goes there, in KiB
 */
#undef _FILE_OFFSET_BITS
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/statfs.h>
#include <sys/wait.h>

#include "site.h"

#define SHORT 1000 /* no error: half of what was asked for */

static _Thread_local bool inside;
static atomic_ulong calls;
static unsigned long failing, error_wanted, flood;
static bool untyped, yields;
static const char *calls_path, *sites_path;

__attribute__((constructor)) static void begin(void)
{
	char text[SITE_MAX];
	const char *number = getenv("SHIM_CALL"), *which = getenv("SHIM_ERROR");
	failing = number ? strtoul(number, NULL, 10) : 0;
	error_wanted = which ? strtoul(which, NULL, 10) : 1;
	untyped = getenv("SHIM_UNTYPED");
	yields = getenv("SHIM_YIELD");
	flood = getenv("SHIM_FLOOD") ? strtoul(getenv("SHIM_FLOOD"), NULL, 10) : 0;
	calls_path = getenv("SHIM_CALLS");
	sites_path = getenv("SHIM_SITES");
	inside = true;
	site_text(text, "", 0); /* what it loads, it loads now */
	inside = false;
	unsetenv("LD_PRELOAD"); /* not for the commands that it starts */
	atomic_store(&calls, 0);
}

static void tell(const char *path, const char *site, int number)
{
	int fd = open64(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0) {
		dprintf(fd, "%s %d\n", site, number);
		close(fd);
	}
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("SHIM_PEAK");
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	inside = true;
	if (path) {
		tell(path, "peak", (int)usage.ru_maxrss);
	}
}

/* The error that this call is to have, 0 for none. */
static __attribute__((noinline)) int fault(const char *call, const int *errors)
{
	char site[SITE_MAX];
	int error = 0, listed = 0;
	if (inside || (!failing && !calls_path)) {
		return 0;
	}
	unsigned long nth = atomic_fetch_add(&calls, 1) + 1;
	inside = true;
	while (errors[listed]) {
		listed++;
	}
	if (calls_path) {
		site_text(site, call, 2);
		tell(calls_path, site, listed);
	} else if (nth == failing && error_wanted <= (unsigned long)listed) {
		error = errors[error_wanted - 1];
		site_text(site, call, 2);
		tell(sites_path, site, error);
	}
	inside = false;
	return error;
}

#define NAMED(name) \
	static __typeof__(&name) real; \
	if (!real) { \
		real = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name); \
	}

/* A call whose failure is the value `failed`, and errno. */
#define WRAP(type, name, parameters, arguments, failed, ...) \
	type name parameters \
	{ \
		NAMED(name) \
		int error = fault(#name, (const int[]){__VA_ARGS__, 0}); \
		if (error) { \
			errno = error; \
			return failed; \
		} \
		return real arguments; \
	}

/* One that moves `count` bytes, perhaps fewer. */
#define WRAP_BYTES(name, parameters, arguments, ...) \
	ssize_t name parameters \
	{ \
		NAMED(name) \
		int error = fault(#name, (const int[]){__VA_ARGS__, 0}); \
		if (error == SHORT) { \
			count = count > 1 ? count / 2 : count; \
		} else if (error) { \
			errno = error; \
			return -1; \
		} \
		return real arguments; \
	}

/* One that returns its error. */
#define WRAP_CODE(name, parameters, arguments, ...) \
	int name parameters \
	{ \
		NAMED(name) \
		int error = fault(#name, (const int[]){__VA_ARGS__, 0}); \
		return error ? error : real arguments; \
	}

#define FLOODED "flood-"
#define FLOODED_INO 1000000000u

static bool drowned(const char *path)
{
	return flood && strncmp(path, FLOODED, strlen(FLOODED)) == 0;
}

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(args, mode_t) : 0;
}

int open64(const char *path, int flags, ...)
{
	NAMED(open64)
	va_list args;
	va_start(args, flags);
	mode_t mode = mode_of(flags, args);
	va_end(args);
	int error = fault("open64", (const int[]){EACCES, EMFILE, EIO, 0});
	errno = error;
	return error ? -1 : real(path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
	NAMED(openat64)
	va_list args;
	va_start(args, flags);
	mode_t mode = mode_of(flags, args);
	va_end(args);
	int error = fault("openat64", (const int[]){EACCES, EMFILE, ENOENT, ELOOP, EIO, ENOSPC, 0});
	errno = error;
	return error ? -1 : real(dir, drowned(path) ? ".flood" : path, flags, mode);
}

int fcntl64(int fd, int command, ...)
{
	NAMED(fcntl64)
	va_list args;
	va_start(args, command);
	long argument = va_arg(args, long);
	va_end(args);
	int error = fault("fcntl64", (const int[]){EINVAL, EMFILE, 0});
	errno = error;
	return error ? -1 : real(fd, command, argument);
}

/* openat2, close_range and the like; the walk's own openat and close are what they are called. */
long syscall(long number, ...)
{
	NAMED(syscall)
	va_list args;
	long a[6];
	va_start(args, number);
	for (int i = 0; i < 6; i++) {
		a[i] = va_arg(args, long);
	}
	va_end(args);
	if (number == SYS_openat) {
		return openat64((int)a[0], (const char *)a[1], (int)a[2]);
	}
	if (number == SYS_close) {
		return close((int)a[0]);
	}
	int error = fault("syscall", (const int[]){EACCES, EMFILE, ENOSYS, EAGAIN, 0});
	errno = error;
	return error ? -1 : real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Without what comes after the argument: the child is as fork() makes it. */
int clone(int (*run)(void *), void *stack, int flags, void *argument, ...)
{
	NAMED(clone)
	int error = fault("clone", (const int[]){EAGAIN, ENOMEM, 0});
	errno = error;
	return error ? -1 : real(run, stack, flags, argument);
}

/* The descriptor is closed all the same. */
int close(int fd)
{
	NAMED(close)
	int error = fault("close", (const int[]){EIO, 0}), result = real(fd);
	errno = error ? error : errno;
	return error ? -1 : result;
}

/* What comes after the last entry that is there. */
static ssize_t more_entries(int fd, char *buffer, size_t length)
{
	static atomic_ulong given[1024]; /* by descriptor */
	const size_t size =
	        (offsetof(struct dirent64, d_name) + sizeof FLOODED + 10 + 7) & ~(size_t)7;
	struct stat64 st;
	ssize_t got = 0;
	inside = true;
	bool here = fd < 1024 && fstatat64(fd, ".flood", &st, AT_SYMLINK_NOFOLLOW) == 0;
	inside = false;
	while (here && given[fd] < flood && (size_t)got + size <= length) {
		struct dirent64 *entry = (struct dirent64 *)(void *)(buffer + got);
		unsigned long number = ++given[fd];
		entry->d_ino = FLOODED_INO + number;
		entry->d_off = (off64_t)number;
		entry->d_reclen = (unsigned short)size;
		entry->d_type = IFTODT(st.st_mode);
		sprintf(entry->d_name, FLOODED "%010lu", number);
		got += (ssize_t)size;
	}
	if (here && got == 0) {
		given[fd] = 0;
	}
	return got;
}

ssize_t getdents64(int fd, void *buffer, size_t length)
{
	NAMED(getdents64)
	int error = fault("getdents64", (const int[]){EIO, ENOENT, 0});
	errno = error;
	ssize_t got = error ? -1 : real(fd, buffer, length);
	if (got == 0 && flood) {
		got = more_entries(fd, buffer, length);
	}
	for (ssize_t at = 0; untyped && at < got;) {
		struct dirent64 *entry = (struct dirent64 *)(void *)((char *)buffer + at);
		entry->d_type = DT_UNKNOWN;
		at += entry->d_reclen;
	}
	if (yields) {
		for (uintptr_t i = (uintptr_t)got % 7; i > 0; i--) {
			sched_yield();
		}
	}
	return got;
}

int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict out)
{
	NAMED(statx)
	int error = fault("statx", (const int[]){EIO, ENOENT, EACCES, 0});
	errno = error;
	int result = error ? -1 : real(dir, drowned(path) ? ".flood" : path, flags, mask, out);
	if (result == 0 && drowned(path)) {
		out->stx_ino = FLOODED_INO + strtoul(path + strlen(FLOODED), NULL, 10);
	}
	return result;
}

WRAP_BYTES(pread64, (int fd, void *buffer, size_t count, off64_t offset),
        (fd, buffer, count, offset), EIO, EINTR, ESTALE, SHORT)
WRAP_BYTES(read, (int fd, void *buffer, size_t count), (fd, buffer, count), EIO, EINTR, SHORT)
WRAP_BYTES(write, (int fd, const void *buffer, size_t count), (fd, buffer, count), ENOSPC, EIO,
        EINTR, SHORT)
WRAP(int, fstat64, (int fd, struct stat64 *out), (fd, out), -1, EIO)
WRAP(int, stat64, (const char *restrict path, struct stat64 *restrict out), (path, out), -1, EACCES)
WRAP(int, fstatat64, (int dir, const char *restrict path, struct stat64 *restrict out, int flags),
        (dir, path, out, flags), -1, EIO, ENOENT)
WRAP(int, fstatfs64, (int fd, struct statfs64 *out), (fd, out), -1, EIO)
WRAP(int, faccessat, (int dir, const char *path, int mode, int flags), (dir, path, mode, flags), -1,
        EACCES)
WRAP(int, fsync, (int fd), (fd), -1, EIO, ENOSPC)
WRAP(int, syncfs, (int fd), (fd), -1, EIO)
WRAP(int, sync_file_range, (int fd, off64_t offset, off64_t count, unsigned flags),
        (fd, offset, count, flags), -1, EIO)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), -1, EPERM)
WRAP(int, futimens, (int fd, const struct timespec times[2]), (fd, times), -1, EPERM, EIO)
WRAP(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), -1, ENOSPC, EACCES)
WRAP(int, linkat, (int from, const char *old, int to, const char *new, int flags),
        (from, old, to, new, flags), -1, ENOSPC, EIO, EXDEV)
WRAP(int, renameat, (int from, const char *old, int to, const char *new), (from, old, to, new), -1,
        ENOSPC, EIO)
WRAP(int, renameat2, (int from, const char *old, int to, const char *new, unsigned flags),
        (from, old, to, new, flags), -1, ENOSPC, EIO, EINVAL)
WRAP(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags), -1, EACCES)
WRAP(int, pipe2, (int pair[2], int flags), (pair, flags), -1, EMFILE)
WRAP(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout), -1, EINTR,
        ENOMEM)
WRAP(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options),
        -1, EINTR)
WRAP(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), -1, EINTR)
WRAP(DIR *, opendir, (const char *path), (path), NULL, EMFILE)
WRAP(DIR *, fdopendir, (int fd), (fd), NULL, ENOMEM)
WRAP(char *, realpath, (const char *restrict path, char *restrict out), (path, out), NULL, EACCES)
WRAP_CODE(posix_fadvise64, (int fd, off64_t offset, off64_t length, int advice),
        (fd, offset, length, advice), EINVAL)
WRAP_CODE(pthread_create,
        (pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
                void *(*run)(void *), void *restrict argument),
        (thread, attributes, run, argument), EAGAIN)
