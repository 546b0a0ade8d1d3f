/*
 * wait() of the PostgreSQL store: LISTEN on its channels, and a look now and then behind it.
 *
 *      a handle that has                  hears of               told by
 *      called claim() or next_due()       READY_CHANNEL          submit, retries, cancel requests
 *      called get() for one job           the end of that job    DONE_CHANNEL, payload: its id
 *      called list(), or get() for more   both, of any job       both channels
 *
 * A look although nothing was heard is needed twice. A job may have ended while its watcher began
 * to listen. And a submitter whose jobs can be claimed is not followed by a NOTIFY for further ones
 * (TOLD_READY in postgres_submit.c), though those may all be gone when the new one is there. So the
 * pause is short (FIRST_NAP_MS) after every claim and every notification, and doubles up to
 * LAST_NAP_MS.
 *
 * Finishing a job notifies DONE_CHANNEL only while somebody watches (WATCHED in postgres_sql.h),
 * because NOTIFY takes a global lock at COMMIT. A watcher holds WATCHER_LOCK shared to say so,
 * taken after LISTEN: a job that ends in between is seen by the look that follows.
 *
 * The handle listens on the connection that it claims on. A process listens and claims by turns,
 * libpq keeps what comes while it claims, and a second connection would be one more to be refused,
 * cut or forgotten. Behind a pooler it has no session to listen in: it only looks, each second.
 */
#include "store/postgres_internal.h"

#include <poll.h>
#include <string.h>

#define FIRST_NAP_MS 50
#define LAST_NAP_MS 5000
#define LONGEST_UNHEARD_MS 1000 /* where nothing can be heard */

void postgres_watch(struct postgres_store *store, const char *id)
{
	if (!id || (store->watched[0] && strcmp(store->watched, id) != 0)) {
		store->watch_all = true;
	} else {
		memcpy(store->watched, id, UUID_TEXT);
	}
}

/* Where somebody else keeps the lock, each end of a job is told of anyway. */
static void watch_ends(struct postgres_store *store)
{
	struct vega_error ignored;
	postgres_run(store,
	        "SET LOCAL lock_timeout = 200; SELECT pg_advisory_lock_shared(" WATCHER_LOCK ")",
	        &ignored);
}

static int listen_now(struct postgres_store *store, struct vega_error *err)
{
	if (store->pooled) { /* a session that listens would not be ours for long */
		store->listening = true;
		store->nap_ms = FIRST_NAP_MS;
		return 0;
	}
	int code = postgres_run(store,
	        store->claims ? "LISTEN " READY_CHANNEL
	                      : "LISTEN " READY_CHANNEL "; LISTEN " DONE_CHANNEL,
	        err);
	if (code == 0 && !store->claims) {
		watch_ends(store);
	}
	store->listening = code == 0 && store->conn;
	store->nap_ms = store->claims ? LAST_NAP_MS : FIRST_NAP_MS;
	return code;
}

/* Takes what has arrived; was there anything that the caller looks for? */
static bool heard(struct postgres_store *store)
{
	bool any = false;
	PGnotify *notify;
	while ((notify = PQnotifies(store->conn))) {
		any = any || store->claims || store->watch_all || !store->watched[0] ||
		      strcmp(notify->extra, store->watched) == 0;
		PQfreemem(notify);
	}
	store->look_again = store->look_again || (any && store->claims);
	return any;
}

/* 1: the caller should look; 0: nothing yet. */
static int listen_for(struct postgres_store *store, int wake_fd, int left, struct vega_error *err)
{
	unsigned longest = store->pooled ? LONGEST_UNHEARD_MS : LAST_NAP_MS;
	int nap = (int)store_jitter(store->nap_ms / 2, store->nap_ms);
	struct pollfd fds[2] = {
	        {.fd = wake_fd, .events = POLLIN},
	        {.fd = PQsocket(store->conn), .events = POLLIN},
	};
	int events = poll(fds, 2, nap < left ? nap : left);
	if (events < 0 || fds[0].revents) {
		return 1;
	}
	if (events == 0) {
		store->nap_ms = store->nap_ms * 2 < longest ? store->nap_ms * 2 : longest;
		return 1;
	}
	if (fds[1].revents && !PQconsumeInput(store->conn)) {
		int code = postgres_lost(store, err);
		postgres_disconnect(store);
		return code;
	}
	return heard(store);
}

int postgres_wait(struct store *base, uint64_t timeout_ms, int wake_fd, struct vega_error *err)
{
	struct postgres_store *store = (struct postgres_store *)base;
	uint64_t now = monotonic_ms();
	uint64_t until = timeout_ms < UINT64_MAX - now ? now + timeout_ms : UINT64_MAX;
	int code = postgres_begin_call(store, err);
	if (code == 0 && store->denied) {
		code = vega_fail(err, VEGA_FATAL, "%s: %s", store->label, store->denied);
	} else if (code == 0 && !store->listening) {
		/* What changed before this cannot be heard: the caller looks once more. */
		code = listen_now(store, err);
	} else if (code == 0) {
		store->nap_ms = store->look_again ? FIRST_NAP_MS : store->nap_ms;
		store->look_again = false;
		code = heard(store);
		int left;
		while (code == 0 && (left = store_left_ms(until)) > 0) {
			code = listen_for(store, wake_fd, left, err);
		}
	}
	store->watch_all = false;
	store->watched[0] = '\0';
	return code < 0 ? code : 0;
}
