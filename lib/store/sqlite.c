/*
 * The SQLite store: opening and closing a handle, and the table of its calls.
 *
 * One writer at a time. Each call that writes is one transaction, begun with BEGIN IMMEDIATE, so
 * that nobody else writes between what it reads and what it changes. That is what lets rules.c
 * decide in C: read the job (find_job() in sqlite_finish.c), ask the rule, write its answer. The
 * fence is the comparison of lease_seq in the rule, not in the WHERE; but heartbeat(), which asks
 * no rule, has it there. No row is ever locked by itself, so VEGA_LOCKED does not occur. A claim
 * looks before it begins, since idle workers would keep others from writing.
 *
 * Doubt does not arise as with a server: COMMIT returns, or the process is gone. One killed in
 * between leaves a lease to expire, or a result that is stored; a repeated finish() finds
 * finished_seq and changes nothing.
 *
 * Others wait in busy() (sqlite_file.c), in short, uneven naps until the deadline of their call.
 * Time is the host's clock, the same for all processes that share the file.
 *
 * The file may be replaced while it is open (a backup that is restored): each call compares device
 * and inode with those of the path, and opens the new one (sqlite_begin_call()).
 */

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
	const char *path;
	int code = sqlite_path(url, &path, err);
	if (code) {
		return code;
	}
	struct sqlite_store *store = calloc(1, sizeof *store);
	if (!store) {
		return vega_fail_nomem(err);
	}
	store->base.driver = &store_sqlite;
	store->timeout_ms = store_timeout(timeout_ms);
	store->inotify = -1;
	store->deadline = monotonic_ms() + store->timeout_ms;
	code = sqlite_file_open(store, path, err);
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
        .shared = sqlite_shared,
};
