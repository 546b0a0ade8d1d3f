/*
 * Two handles on one PostgreSQL that look like one store: a login of vega_submitter submits,
 * cancels and looks, and a login of vega_worker does the rest. What a suite asks of it is allowed
 * to either role alone.
 */
#ifndef TESTS_CONTRACT_PAIR_H
#define TESTS_CONTRACT_PAIR_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

#define PAIR_SUBMITTER "alice"
#define PAIR_WORKER "wally"
#define PAIR_READER "rita"
#define PAIR_ADMIN "adam"
#define PAIR_ROLES \
	"CREATE ROLE " PAIR_SUBMITTER " LOGIN IN ROLE vega_submitter;" \
	" CREATE ROLE " PAIR_WORKER " LOGIN IN ROLE vega_worker;" \
	" CREATE ROLE " PAIR_READER " LOGIN IN ROLE vega_reader;" \
	" CREATE ROLE " PAIR_ADMIN " LOGIN IN ROLE vega_admin"

enum pair_role { SUBMITTER, WORKER, READER, ADMIN, PAIR_COUNT };

struct pair {
	struct store base;
	char url[512];
	unsigned timeout_ms;
	struct store *stores[PAIR_COUNT]; /* NULL: not needed yet */
	bool claims;                      /* it has called claim() or next_due() */
};

/* The store's URL with another role in it than tester. */
static inline void url_as(const char *url, const char *role, char *out, size_t size)
{
	const char *at = strchr(url, '@');
	snprintf(out, size, "postgresql://%s%s", role, at ? at : "");
}

static inline struct store *pair_store(struct store *base, enum pair_role role)
{
	static const char *const names[] = {PAIR_SUBMITTER, PAIR_WORKER, PAIR_READER, PAIR_ADMIN};
	struct pair *pair = (struct pair *)base;
	struct vega_error error;
	char url[600];
	url_as(pair->url, names[role], url, sizeof url);
	if (!pair->stores[role] && store_open(url, pair->timeout_ms, &pair->stores[role], &error)) {
		printf("Bail out! %s: %s\n", names[role], error.text);
		exit(1);
	}
	return pair->stores[role];
}

static inline int pair_submit(
        struct store *base, struct store_request *requests, size_t count, struct vega_error *error)
{
	struct store *store = pair_store(base, SUBMITTER);
	return store->driver->submit(store, requests, count, error);
}

static inline int pair_claim(struct store *base, const struct store_claim *claim, struct job *jobs,
        struct vega_error *error)
{
	struct store *store = pair_store(base, WORKER);
	((struct pair *)base)->claims = true;
	return store->driver->claim(store, claim, jobs, error);
}

static inline int pair_heartbeat(struct store *base, const char *worker, struct store_lease *leases,
        size_t count, uint64_t lease_ms, struct vega_error *error)
{
	struct store *store = pair_store(base, WORKER);
	return store->driver->heartbeat(store, worker, leases, count, lease_ms, error);
}

static inline int pair_commit(struct store *base, const struct store_lease *lease,
        const struct store_result *result, struct vega_error *error)
{
	struct store *store = pair_store(base, WORKER);
	return store->driver->commit(store, lease, result, error);
}

static inline int pair_finish(struct store *base, struct store_ending *endings, size_t count,
        const struct store_claim *claim, struct job *jobs, struct vega_error *error)
{
	struct store *store = pair_store(base, WORKER);
	return store->driver->finish(store, endings, count, claim, jobs, error);
}

static inline int pair_cancel(
        struct store *base, const char *id, enum job_state *state, struct vega_error *error)
{
	struct store *store = pair_store(base, SUBMITTER);
	return store->driver->cancel(store, id, state, error);
}

static inline int pair_get(struct store *base, const char *id, unsigned parts, struct job *job,
        struct vega_error *error)
{
	struct store *store = pair_store(base, SUBMITTER);
	return store->driver->get(store, id, parts, job, error);
}

static inline int pair_list(struct store *base, const struct store_filter *filter,
        int (*each)(const struct job *job, void *context), void *context, struct vega_error *error)
{
	struct store *store = pair_store(base, SUBMITTER);
	return store->driver->list(store, filter, each, context, error);
}

static inline int pair_next_due(struct store *base, const struct strlist *queues, uint64_t limit_ms,
        uint64_t *due_ms, struct vega_error *error)
{
	struct store *store = pair_store(base, WORKER);
	((struct pair *)base)->claims = true;
	return store->driver->next_due(store, queues, limit_ms, due_ms, error);
}

static inline int pair_wait(
        struct store *base, uint64_t timeout_ms, int wake_fd, struct vega_error *error)
{
	bool claims = ((struct pair *)base)->claims;
	struct store *store = claims ? pair_store(base, WORKER) : pair_store(base, SUBMITTER);
	return store->driver->wait(store, timeout_ms, wake_fd, error);
}

static inline int pair_announce(
        struct store *base, const struct store_worker *worker, struct vega_error *error)
{
	struct store *store = pair_store(base, WORKER);
	return store->driver->announce(store, worker, error);
}

static inline int pair_leave(struct store *base, const char *name, struct vega_error *error)
{
	struct store *store = pair_store(base, WORKER);
	return store->driver->leave(store, name, error);
}

static inline int pair_workers(struct store *base,
        int (*each)(const struct store_worker *worker, void *context), void *context,
        struct vega_error *error)
{
	struct store *store = pair_store(base, READER);
	return store->driver->workers(store, each, context, error);
}

static inline int pair_stats(struct store *base,
        int (*each)(const struct store_stats *stats, void *context), void *context,
        struct vega_error *error)
{
	struct store *store = pair_store(base, READER);
	return store->driver->stats(store, each, context, error);
}

static inline int pair_prune(
        struct store *base, struct store_prune *prune, struct vega_error *error)
{
	struct store *store = pair_store(base, ADMIN);
	return store->driver->prune(store, prune, error);
}

static inline void pair_close(struct store *base)
{
	struct pair *pair = (struct pair *)base;
	for (int i = 0; i < PAIR_COUNT; i++) {
		if (pair->stores[i]) {
			pair->stores[i]->driver->close(pair->stores[i]);
		}
	}
	free(pair);
}

static const struct store_driver pair_driver = {
        .scheme = "pair",
        .submit = pair_submit,
        .claim = pair_claim,
        .heartbeat = pair_heartbeat,
        .commit = pair_commit,
        .finish = pair_finish,
        .cancel = pair_cancel,
        .get = pair_get,
        .list = pair_list,
        .next_due = pair_next_due,
        .wait = pair_wait,
        .announce = pair_announce,
        .leave = pair_leave,
        .workers = pair_workers,
        .stats = pair_stats,
        .prune = pair_prune,
        .close = pair_close,
};

/* Nobody logs in before the first call that needs it. */
static inline struct store *pair_open(const char *url, unsigned timeout_ms)
{
	struct pair *pair = calloc(1, sizeof *pair);
	pair->base.driver = &pair_driver;
	pair->timeout_ms = timeout_ms;
	snprintf(pair->url, sizeof pair->url, "%s", url);
	return &pair->base;
}

#endif
