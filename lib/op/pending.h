/*
 * Output files that are written and sealed, and wait to be published together: making one durable
 * costs as much as making many so. All threads of a run add to one batch; whoever finds it full or
 * old takes it, and publishes it.
 */
#ifndef VEGA_OP_PENDING_H
#define VEGA_OP_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/output.h"

#define PENDING_MAX 64 /* fewer where few descriptors may be open: a file takes two */
#define PENDING_BYTES ((uint64_t)64 << 20) /* of output: more is not delayed */
#define PENDING_NS \
	((uint64_t)500 * 1000000) /* nor is any for longer than this, while work goes on */

struct pending_file {
	struct output_file file;
	struct file_meta meta; /* of the input */
	uint64_t bytes;        /* of the output */
	char *input, *output;  /* paths; owned */
	size_t relative;       /* offset in output of what is below the output root */
};

void pending_file_release(struct pending_file *file); /* discards what is not published */

struct pending_batch {
	size_t count;
	struct pending_file file[PENDING_MAX];
};

struct pending;

struct pending *pending_new(void);          /* NULL: no memory */
void pending_free(struct pending *pending); /* discards what is in it */

/*
 * Add a file (taken over on success). false: no memory. *full is set to a batch that is to be
 * published now, at once if `now`, and freed by the caller; or NULL.
 */
bool pending_add(struct pending *pending, const struct pending_file *file, bool now,
        struct pending_batch **full);

/* The batch, if it is older than PENDING_NS, or in any case if `now`; or NULL. Cheap. */
struct pending_batch *pending_take(struct pending *pending, bool now);

#endif
