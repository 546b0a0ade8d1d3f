/* The PostgreSQL store: opening and closing a handle, and the table of its calls. */

#include "store/postgres_internal.h"

#include <stdlib.h>
#include <string.h>

static struct postgres_store *handle(struct store *base)
{
	return (struct postgres_store *)base;
}

static int postgres_open(
        const char *url, unsigned timeout_ms, struct store **out, struct vega_error *err)
{
	PQconninfoOption *options = PQconninfoParse(url, NULL);
	PQconninfoFree(options);
	if (!options) {
		return vega_fail(err, VEGA_USAGE,
		        "the store's URL is not one that libpq understands; see \"Connection "
		        "Strings\" in PostgreSQL's manual");
	}
	struct postgres_store *store = calloc(1, sizeof *store);
	if (!store) {
		return vega_fail_nomem(err);
	}
	store->base.driver = &store_postgres;
	store->timeout_ms = store_timeout(timeout_ms);
	store->url = strdup(url);
	store->label = strdup("the PostgreSQL database");
	int code =
	        store->url && store->label ? postgres_begin_call(store, err) : vega_fail_nomem(err);
	if (code) {
		store_postgres.close(&store->base);
		return code;
	}
	*out = &store->base;
	return 0;
}

static void postgres_close(struct store *base)
{
	struct postgres_store *store = handle(base);
	postgres_disconnect(store);
	free(store->url);
	free(store->label);
	free(store);
}

static int postgres_shared(const char *url, struct buf *culprit, struct vega_error *err)
{
	(void)url;
	(void)culprit;
	(void)err;
	return 1;
}

const struct store_driver store_postgres = {
        .scheme = "postgresql",
        .open = postgres_open,
        .submit = postgres_submit,
        .claim = postgres_claim,
        .heartbeat = postgres_heartbeat,
        .commit = postgres_commit,
        .finish = postgres_finish,
        .cancel = postgres_cancel,
        .get = postgres_get,
        .list = postgres_list,
        .next_due = postgres_next_due,
        .wait = postgres_wait,
        .announce = postgres_announce,
        .leave = postgres_leave,
        .workers = postgres_workers,
        .stats = postgres_stats,
        .prune = postgres_prune,
        .close = postgres_close,
        .shared = postgres_shared,
};
