/*
 * Preloaded into a walk: an unfriendly system.
 *
 *  SHIM_UNTYPED    listings do not say what an entry is (DT_UNKNOWN)
 *  SHIM_ALLOC=N    the N-th allocation fails (and, with SHIM_FROM, all after it)
 *  SHIM_YIELD      the processor is given away now and then
 *  SHIM_COUNT=FILE at the end, the number of allocations goes there
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static _Thread_local bool spared;
static atomic_ulong allocations;
static unsigned long failing;
static bool from, untyped, yields;

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("SHIM_ALLOC");
	failing = text ? strtoul(text, NULL, 10) : 0;
	from = getenv("SHIM_FROM");
	untyped = getenv("SHIM_UNTYPED");
	yields = getenv("SHIM_YIELD");
	atomic_store(&allocations, 0);
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("SHIM_COUNT");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
	if (fd >= 0) {
		dprintf(fd, "%lu\n", atomic_load(&allocations));
		close(fd);
	}
}

static bool fails(void)
{
	if (spared) {
		return false;
	}
	unsigned long nth = atomic_fetch_add(&allocations, 1) + 1;
	if (failing && (from ? nth >= failing : nth == failing)) {
		errno = ENOMEM;
		return true;
	}
	return false;
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

/* glibc's own code behind it (2.36) crashes when it finds no memory. */
struct passwd *getpwuid(uid_t uid)
{
	struct passwd *(*real)(uid_t) =
	        (struct passwd * (*)(uid_t))(uintptr_t)dlsym(RTLD_NEXT, "getpwuid");
	spared = true;
	struct passwd *entry = real(uid);
	spared = false;
	return entry;
}

ssize_t getdents64(int fd, void *buffer, size_t length)
{
	static ssize_t (*real)(int, void *, size_t);
	if (!real) {
		real = (ssize_t(*)(int, void *, size_t))(uintptr_t)dlsym(RTLD_NEXT, "getdents64");
	}
	ssize_t got = real(fd, buffer, length);
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
