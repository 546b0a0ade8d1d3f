/*
 * The accumulator of summarize: of a thread, of a part of a walk, or of all of them. Merging is
 * associative and commutative, whether what is merged was counted here or read from elsewhere.
 *
 * An inode with several names counts each name as it comes, and its bytes once, when it is charged:
 * by what was read with its bytewise-least name, so that nothing depends on which came first.
 */
#ifndef VEGA_OP_SUMMARY_H
#define VEGA_OP_SUMMARY_H

#include "op/links.h"
#include "op/op.h"
#include "op/tables.h"
#include "op/uncharged.h"
#include "op/unfinished.h"

#define SUMMARY_AGES 8
#define SUMMARY_SIZES 8

extern const struct summary_age {
	const char *name;
	int64_t below; /* seconds; the last: of time stamps later than the end of the walk */
} summary_ages[SUMMARY_AGES];

extern const struct summary_size {
	const char *name;
	uint64_t below;
} summary_sizes[SUMMARY_SIZES];

/* Of a run, shared by its threads. */
struct summarizer {
	const struct spec *spec;
	struct links *links;
	size_t *root_len; /* of each of spec.roots, with the '/' at its end */
	struct vega_time now;
	size_t top;
	uint64_t depth;   /* of the directories that are listed, each of them */
	uint64_t deepest; /* that the lists of the largest show */
	bool part;        /* the walk is one of several that are merged */
	bool shows_again; /* roots may show a name twice: how many were seen says nothing */
};

/* What was seen in one directory, not yet added to its sums: no atomic operation per entry. */
struct summary_pending {
	struct walk_dir *dir;
	struct total total;
};

struct summary {
	struct op_thread *thread;
	const struct summarizer *self;
	struct summary_pending pending;
	uint64_t files, directories, links, others;
	struct total all;       /* bytes of everything, directories included */
	struct total directory; /* directories' own */
	uint64_t linked_inodes, linked_names;
	sum128 saved; /* allocated bytes of names of inodes with several, without what was charged
	               */
	struct total age[SUMMARY_AGES], size[SUMMARY_SIZES];
	struct total_table late; /* by second: modified after the walk began */
	struct vega_time end;    /* of the walk, or of the part of it that ended last */
	struct total_table extension, owner;
	struct top files_top, directories_top;
	struct top shallow; /* the directories down to summarizer.depth: a list, its limit grows */
	struct uncharged uncharged;
	struct unfinished unfinished;
	bool failed; /* memory ended */
};

struct summary *summary_new(struct op_thread *thread); /* NULL: no memory */
void summary_free(struct summary *a);

/* An inode with several names: how its bytes are charged, but for the directories. */
struct summary_charge {
	uint64_t size, allocated;
	struct vega_time mtime;
	uint32_t uid;
	const char *name;
	size_t name_len;
};

struct total *summary_age_total(struct summary *a, struct vega_time mtime);
size_t summary_size_class(uint64_t size);
void summary_charge(struct summary *a, const struct summary_charge *charge);

/* A file that may be among the largest; its path in two pieces. */
void summary_offer_file(struct summary *a, const struct top_item *item, const char *dir,
        size_t dir_len, const char *name, size_t name_len);

/* Is the directory wanted in a list? Asked before its path is built. */
static inline bool summary_wants_directory(const struct summary *a, const struct top_item *item)
{
	return item->depth <= a->self->depth ||
	       (item->depth <= a->self->deepest && top_wants(&a->directories_top, item->allocated));
}

/* Its path as it is printed, but for the '/' at its end. */
void summary_offer_directory(
        struct summary *a, const struct top_item *item, const char *path, size_t len);

/* In the list of those down to summarizer.depth. False: no memory. */
bool summary_keep_shallow(
        struct summary *a, const struct top_item *item, const char *path, size_t len);

void summary_merge(struct summary *into, struct summary *from);

/* What was modified after the walk began is young, or of the future: later than its end. */
void summary_settle_ages(struct summary *a);

/* All parts are there: charge the inodes that are left, and finish the directories. */
void summary_settle(struct summary *a);

/* op.h's serialize and deserialize. */
bool summary_pack(struct summary *a, struct buf *out);
int summary_unpack(struct summary *a, struct unpack *in);

/* The operation's member of the summary; op.h's finish. */
bool summary_json(struct summary *a, struct json *json);

#endif
