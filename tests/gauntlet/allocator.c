/*
 * Preloaded into a walk: memory ends.
 *
 *  SHIM_ALLOC=N     the N-th allocation fails (and, with SHIM_FROM, all after it)
 *  SHIM_COUNT=FILE  at the end, the number of allocations goes there
 *  SHIM_SITES=FILE  where the allocation that failed was made is added there
 */
#undef _FILE_OFFSET_BITS
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "site.h"

static _Thread_local bool spared;
static atomic_ulong allocations;
static unsigned long failing;
static bool from;

__attribute__((constructor)) static void begin(void)
{
	char text[SITE_MAX];
	const char *number = getenv("SHIM_ALLOC");
	failing = number ? strtoul(number, NULL, 10) : 0;
	from = getenv("SHIM_FROM");
	spared = true;
	site_text(text, "", 0); /* what it loads, it loads now */
	spared = false;
	unsetenv("LD_PRELOAD"); /* not for the commands that it starts */
	atomic_store(&allocations, 0);
}

static void tell(const char *variable, int flags, const char *text)
{
	const char *path = getenv(variable);
	int fd = path ? open(path, O_WRONLY | O_CREAT | flags, 0600) : -1;
	if (fd >= 0) {
		dprintf(fd, "%s\n", text);
		close(fd);
	}
}

__attribute__((destructor)) static void end(void)
{
	char text[32];
	snprintf(text, sizeof text, "%lu", atomic_load(&allocations));
	tell("SHIM_COUNT", O_TRUNC, text);
}

static __attribute__((noinline)) bool fails(const char *call)
{
	if (spared) {
		return false;
	}
	unsigned long nth = atomic_fetch_add(&allocations, 1) + 1;
	if (!failing || (from ? nth < failing : nth != failing)) {
		return false;
	}
	if (nth == failing) {
		char text[SITE_MAX];
		spared = true;
		site_text(text, call, 2);
		tell("SHIM_SITES", O_APPEND, text);
		spared = false;
	}
	errno = ENOMEM;
	return true;
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
	return fails("malloc") ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails("calloc") ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return fails("realloc") ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails("aligned_alloc") ? NULL : __libc_memalign(alignment, size);
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
