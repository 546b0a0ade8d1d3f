/* vega-admin prune: remove what has ended, and what workers that were lost left behind. */
#ifndef VEGA_CMD_PRUNE_H
#define VEGA_CMD_PRUNE_H

#include "worker/prune.h"

struct prune_request {
	struct prune_options options; /* its spool, stages and callback are ours to set */
	const char *spool;            /* NULL: the default */
	const struct strlist *roots;  /* stages are looked for beneath these; empty: anywhere */
	bool stages;                  /* look for them at all */
	bool json;
};

/* What cannot be removed is told on stderr, and left; then VEGA_PARTIAL. Prints what was removed,
 * also when it fails on the way. */
int prune(struct store *store, const struct prune_request *request, struct vega_error *err);

#endif
