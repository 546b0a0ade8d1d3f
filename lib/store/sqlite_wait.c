/*
 * wait() of the SQLite store: inotify on the directory wakes it, and PRAGMA data_version says
 * whether another connection has committed. The version is the truth, the event only a reason to
 * look: events are looked behind every DISTRUST_MS, and where there is no inotify, every POLL_MS.
 */
#include "store/sqlite_internal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SETTLE_MS 3 /* from the first write of a commit to its end, as a rule */
#define BUSY_MS 20  /* how long to stand in line for a look */
#define POLL_MS 100 /* where inotify is not to be had */
#define DISTRUST_MS 2000

/* Watches the file's directory, because the journal beside it comes and goes. */
static int watch(const char *path)
{
	char *directory = strdup(path);
	int fd = directory ? inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : -1;
	if (fd >= 0) {
		char *slash = strrchr(directory, '/');
		slash[slash == directory] = '\0';
		const unsigned events = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE;
		if (inotify_add_watch(fd, directory, events) < 0) {
			close(fd);
			fd = -1;
		}
	}
	free(directory);
	return fd;
}

static void drain(int fd)
{
	char events[4096];
	while (read(fd, events, sizeof events) > 0) {
	}
}

/* 1: another connection committed since the last look; 0: none did, or one is about to. */
static int look(struct sqlite_store *store, struct vega_error *err)
{
	int64_t version;
	int code = sqlite_begin_call(store, err);
	if (code) {
		return code;
	}
	store->deadline = monotonic_ms() + BUSY_MS;
	code = sqlite_integer(store, "PRAGMA data_version", &version, err);
	if (code) {
		return (sqlite3_errcode(store->db) & 0xff) == SQLITE_BUSY ? 0 : code;
	}
	bool changed = version != store->data_version;
	store->data_version = version;
	return changed;
}

int sqlite_wait(struct store *base, uint64_t timeout_ms, int wake_fd, struct vega_error *err)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	uint64_t now = monotonic_ms();
	uint64_t until = timeout_ms < UINT64_MAX - now ? now + timeout_ms : UINT64_MAX;
	for (;;) {
		int code = look(store, err);
		int left = store_left_ms(until);
		if (code || left == 0) {
			return code < 0 ? code : 0;
		}
		if (store->inotify < 0) {
			store->inotify = watch(store->path);
		}
		unsigned usual = store->inotify >= 0 ? DISTRUST_MS : POLL_MS;
		int nap = (int)store_jitter(usual / 2, usual);
		struct pollfd fds[2] = {
		        {.fd = wake_fd, .events = POLLIN},
		        {.fd = store->inotify, .events = POLLIN},
		};
		int events = poll(fds, 2, nap < left ? nap : left);
		if (events < 0 || fds[0].revents) {
			return 0;
		}
		if (fds[1].revents) {
			poll(fds, 1, SETTLE_MS);
			drain(store->inotify);
		}
	}
}
