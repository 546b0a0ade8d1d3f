/*
 * The counters of summarize: sums that never wrap, by extension, owner, age and size class, and the
 * largest of something. All belong to one thread; merging them is associative and commutative.
 */
#ifndef VEGA_OP_TABLES_H
#define VEGA_OP_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/pack.h"
#include "base/parse.h"

typedef unsigned __int128 sum128;

/* Names, and the bytes charged to them (an inode's only once). */
struct total {
	uint64_t files;
	sum128 apparent, allocated;
};

static inline void total_add(struct total *t, uint64_t files, sum128 apparent, sum128 allocated)
{
	t->files += files;
	t->apparent += apparent;
	t->allocated += allocated;
}

void total_pack(const struct total *t, struct buf *out);
struct total total_unpack(struct unpack *in);

/* The members files, apparent_bytes, allocated_bytes of an open object. */
void total_json(const struct total *t, struct json *json);

/*
 * A hash table from 16-byte keys to totals, with open addressing. An extension is the part after
 * the last dot of a name that does not begin with it, of 1 to 15 bytes, in lower case; the rest
 * have none (""). Owners are keyed by number.
 */
struct total_key {
	uint64_t word[2];
};

struct total_slot {
	struct total_key key;
	bool used;
	struct total total;
};

struct total_table {
	struct total_slot *slots;
	size_t count, cap;
	size_t last; /* where the last key was found: files of a kind come together */
	bool failed; /* memory ended: the table is not complete */
};

struct total_key key_of_extension(const char *name, size_t len);
struct total_key key_of_number(uint64_t number);
uint64_t number_of_key(struct total_key key);

/* Never NULL: without memory, a slot that is thrown away, and `failed`. */
struct total *total_table_at(struct total_table *table, struct total_key key);
void total_table_merge(struct total_table *into, const struct total_table *from);

/* A copy of the used slots, the largest allocated first, then by key; freed by the caller. NULL: no
 * memory. */
struct total_slot *total_table_sorted(const struct total_table *table);
void total_table_release(struct total_table *table);

/* unpack adds to what is there; a failure is the reader's, or the table's (memory). */
void total_table_pack(const struct total_table *table, struct buf *out);
void total_table_unpack(struct total_table *table, struct unpack *in);

/* One of the largest, with its path. */
struct top_item {
	char *path;
	size_t path_len;
	sum128 allocated, apparent;
	uint64_t files, directories;
	uint32_t depth;
	struct vega_time mtime;
};

/* Keeps the `limit` largest by allocated bytes; among equals the bytewise-least paths (and of one
 * that several roots show, the one that is the least deep). */
struct top {
	struct top_item *items; /* a heap with the least of them at its root */
	size_t count, limit;
};

bool top_init(struct top *top, size_t limit); /* false: no memory */

/* Could something this large be kept? Asked before its path is built. */
static inline bool top_wants(const struct top *top, sum128 allocated)
{
	return top->count < top->limit || (top->limit && allocated >= top->items[0].allocated);
}

/* Copies dir and name. False: no memory. */
bool top_offer(struct top *top, const struct top_item *item, const char *dir, size_t dir_len,
        const char *name, size_t name_len);
void top_merge(struct top *into, struct top *from);
void top_sort(struct top *top); /* the largest first; no more offers after it */
void top_release(struct top *top);

/* unpack_item: a view, whose path is the reader's; false when that failed. */
void top_pack(const struct top *top, struct buf *out);
bool top_unpack_item(struct unpack *in, struct top_item *item);
/* Offers what it reads. False: no memory. */
bool top_unpack(struct top *top, struct unpack *in);

#endif
