/*
 * The predicates of a spec, compiled. Cheap ones (name, type) are asked before anything is stat'ed.
 * A compiled set is read-only and shared; what is written while matching is in the thread's
 * scratch.
 */
#ifndef VEGA_WALK_PREDICATE_H
#define VEGA_WALK_PREDICATE_H

#include <stdbool.h>

#include "base/error.h"
#include "record/meta.h"
#include "spec/spec.h"

struct predicates;
struct predicate_scratch; /* one a thread */

int predicates_new(const struct spec *spec, struct predicates **out, struct vega_error *err);
void predicates_free(struct predicates *p);

/* NULL: no memory. */
struct predicate_scratch *predicate_scratch_new(const struct predicates *p);
void predicate_scratch_free(struct predicate_scratch *scratch);

/* What must be stat'ed to decide; 0: names and types suffice. */
unsigned predicates_want(const struct predicates *p);
bool predicates_need_path(const struct predicates *p);
bool predicates_none(const struct predicates *p);

/* Has it --not or --or? Then the answers below are a first sieve, and predicates_match_groups()
 * decides. */
bool predicates_grouped(const struct predicates *p);

struct predicate_entry {
	const char *name, *path;
	size_t name_len, path_len;
	enum file_type type;
	const struct file_meta *meta;
	struct predicate_scratch *scratch;
	bool (*is_empty)(struct predicate_entry *entry); /* is this directory? */
	void *context;                                   /* for it */
};
bool predicates_match_groups(const struct predicates *p, struct predicate_entry *entry);

/* By name, and by type where it is known (FILE_UNKNOWN passes; ask again after stat). */
bool predicates_match_name(
        const struct predicates *p, const char *name, size_t len, enum file_type type);

/* By the whole path as it is printed. */
bool predicates_match_path(const struct predicates *p, struct predicate_scratch *scratch,
        const char *path, size_t len);

/* By metadata. A predicate on what is not known of the entry does not hold. --empty is judged here
 * for files only. */
bool predicates_match_meta(
        const struct predicates *p, const struct file_meta *meta, enum file_type type);

#endif
