/* What a submitter may say besides the specification, judged before any store sees it. */
#ifndef VEGA_STORE_REQUEST_H
#define VEGA_STORE_REQUEST_H

#include "base/buf.h"
#include "base/error.h"
#include "base/option.h"
#include "base/strlist.h"
#include "store/store.h"

#define REQUEST_TEXT_MAX 255 /* bytes of a queue, a key, a label: what every store can index */
#define REQUEST_ATTEMPTS_MAX 1000
#define REQUEST_MEMORY_MIN (UINT64_C(16) << 20) /* vega-walk does not come far with less */

/* VEGA_USAGE for a queue or key that is not short UTF-8 text, for more attempts than there may be,
 * and for a not_before that some store cannot hold. */
int request_check(const struct store_request *request, struct vega_error *err);

/* --max-time, --max-memory and --max-output, as far as they are set. VEGA_USAGE for limits that no
 * job could keep. */
int request_limits(const struct option_number *time, const struct option_number *memory,
        const struct option_number *output, struct job_limits *limits, struct vega_error *err);

/* Adds the JSON object of labels "K=V". VEGA_USAGE for one that is not short UTF-8 text of that
 * form, and for a K that comes twice. */
int request_labels(const struct strlist *labels, struct buf *out, struct vega_error *err);

/* --priority: a whole number, negative ones too; 0 when it is NULL. */
int request_priority(const char *text, int *priority, struct vega_error *err);

/* --after: a point in time, or a length of time that counts forward, unlike the ages of
 * --newer-than. Left alone when it is NULL. */
int request_after(const char *text, struct vega_time *when, struct vega_error *err);

/*
 * The jobs of one call: requests[i] is `pattern` with the specification texts[i] and an id of its
 * own. With `keys` (else NULL), and a key in the pattern, request N has the key KEY/N, so that each
 * can be told from the others when all are submitted again; `keys` owns them.
 */
int request_each(const struct store_request *pattern, const struct strlist *texts,
        struct strlist *keys, struct store_request *requests, struct vega_error *err);

#endif
