/* The SQLite store: opening and closing a handle, and the table of its calls. */

#include "store/sqlite_internal.h"

#include <stdlib.h>
#include <string.h>

static struct sqlite_store *handle(struct store *base)
{
	return (struct sqlite_store *)base;
}

static int sqlite_open(
        const char *url, unsigned timeout_ms, struct store **out, struct vega_error *err)
{
	const char *path = url + strlen("sqlite:");
	if (!*path) {
		return vega_fail(err, VEGA_USAGE, "'sqlite:' names no file; say sqlite:PATH");
	}
	struct sqlite_store *store = calloc(1, sizeof *store);
	if (!store) {
		return vega_fail_nomem(err);
	}
	store->base.driver = &store_sqlite;
	store->timeout_ms = store_timeout(timeout_ms);
	store->inotify = -1;
	store->deadline = monotonic_ms() + store->timeout_ms;
	int code = sqlite_file_open(store, path, err);
	if (code == 0) {
		code = sqlite_integer(store, "PRAGMA data_version", &store->data_version, err);
	}
	if (code) {
		store_sqlite.close(&store->base);
		return code;
	}
	*out = &store->base;
	return 0;
}

static void sqlite_close(struct store *base)
{
	struct sqlite_store *store = handle(base);
	sqlite_file_close(store);
	free(store->path);
	free(store);
}

const struct store_driver store_sqlite = {
        .scheme = "sqlite",
        .open = sqlite_open,
        .submit = sqlite_submit,
        .claim = sqlite_claim,
        .heartbeat = sqlite_heartbeat,
        .commit = sqlite_commit,
        .finish = sqlite_finish,
        .cancel = sqlite_cancel,
        .get = sqlite_get,
        .list = sqlite_list,
        .next_due = sqlite_next_due,
        .wait = sqlite_wait,
        .announce = sqlite_announce,
        .leave = sqlite_leave,
        .workers = sqlite_workers,
        .stats = sqlite_stats,
        .prune = sqlite_prune,
        .close = sqlite_close,
};
