/* The accumulator of summarize: how it is charged, offered to the lists, and merged. */
#include "op/summary.h"

#include <stdlib.h>

#include "base/check.h"

#define DAY ((int64_t)86400)

const struct summary_age summary_ages[] = {
        {"<1d", DAY},
        {"<7d", 7 * DAY},
        {"<30d", 30 * DAY},
        {"<90d", 90 * DAY},
        {"<1y", 365 * DAY},
        {"<3y", 3 * 365 * DAY},
        {">=3y", INT64_MAX},
        {"future", 0},
};

const struct summary_size summary_sizes[] = {
        {"0", 1},
        {"<4K", (uint64_t)4 << 10},
        {"<64K", (uint64_t)64 << 10},
        {"<1M", (uint64_t)1 << 20},
        {"<16M", (uint64_t)16 << 20},
        {"<256M", (uint64_t)256 << 20},
        {"<4G", (uint64_t)4 << 30},
        {">=4G", UINT64_MAX},
};

void summary_free(struct summary *a)
{
	total_table_release(&a->extension);
	total_table_release(&a->owner);
	total_table_release(&a->late);
	top_release(&a->files_top);
	top_release(&a->directories_top);
	top_release(&a->shallow);
	uncharged_release(&a->uncharged);
	unfinished_release(&a->unfinished);
	free(a);
}

struct summary *summary_new(struct op_thread *thread)
{
	struct summary *a = calloc(1, sizeof *a);
	if (!a) {
		return NULL;
	}
	a->thread = thread;
	a->self = thread->self;
	if (!top_init(&a->files_top, a->self->top) ||
	        !top_init(&a->directories_top, a->self->top) || !top_init(&a->shallow, 0)) {
		summary_free(a);
		return NULL;
	}
	return a;
}

#define FAR (366 * DAY) /* no walk takes so long: what is that late is of the future */

/* Later than the walk began: whether it was later than its end, too, is known after that. */
static struct total *late_total(struct summary *a, int64_t second)
{
	int64_t begun = a->self->now.sec;
	int64_t latest = begun > INT64_MAX - FAR ? INT64_MAX : begun + FAR;
	uint64_t key = (uint64_t)(second < latest ? second : latest);
	return total_table_at(&a->late, key_of_number(key));
}

struct total *summary_age_total(struct summary *a, struct vega_time mtime)
{
	if (vega_time_compare(mtime, a->self->now) > 0) {
		return late_total(a, mtime.sec);
	}
	/* Unsigned, so that the full range of time stamps cannot overflow. */
	uint64_t age = (uint64_t)a->self->now.sec - (uint64_t)mtime.sec;
	size_t at = 0;
	while (at < SUMMARY_AGES - 2 && age >= (uint64_t)summary_ages[at].below) {
		at++;
	}
	return &a->age[at];
}

void summary_settle_ages(struct summary *a)
{
	for (size_t i = 0; i < a->late.cap; i++) {
		const struct total_slot *slot = &a->late.slots[i];
		bool future = slot->used && (int64_t)number_of_key(slot->key) > a->end.sec;
		total_add(&a->age[future ? SUMMARY_AGES - 1 : 0], slot->total.files,
		        slot->total.apparent, slot->total.allocated);
	}
	a->failed = a->failed || a->late.failed;
	total_table_release(&a->late);
}

size_t summary_size_class(uint64_t size)
{
	size_t at = 0;
	while (at < SUMMARY_SIZES - 1 && size >= summary_sizes[at].below) {
		at++;
	}
	return at;
}

void summary_charge(struct summary *a, const struct summary_charge *charge)
{
	sum128 size = charge->size, allocated = charge->allocated;
	struct total_key extension = key_of_extension(charge->name, charge->name_len);
	a->linked_inodes++;
	a->saved -= allocated;
	total_add(&a->all, 0, size, allocated);
	total_add(summary_age_total(a, charge->mtime), 0, size, allocated);
	total_add(&a->size[summary_size_class(charge->size)], 0, size, allocated);
	total_add(total_table_at(&a->owner, key_of_number(charge->uid)), 0, size, allocated);
	total_add(total_table_at(&a->extension, extension), 0, size, allocated);
}

void summary_offer_file(struct summary *a, const struct top_item *item, const char *dir,
        size_t dir_len, const char *name, size_t name_len)
{
	if (!top_offer(&a->files_top, item, dir, dir_len, name, name_len)) {
		a->failed = true;
	}
}

/* Room for one more in the list of shallow directories, which keeps all that it is offered. */
static bool shallow_room(struct summary *a)
{
	if (a->shallow.count < a->shallow.limit) {
		return true;
	}
	size_t limit = a->shallow.limit ? a->shallow.limit * 2 : 64;
	struct top_item *items = reallocarray(a->shallow.items, limit, sizeof *items);
	if (items) {
		a->shallow.items = items;
		a->shallow.limit = limit;
	}
	return items != NULL;
}

bool summary_keep_shallow(
        struct summary *a, const struct top_item *item, const char *path, size_t len)
{
	return shallow_room(a) && top_offer(&a->shallow, item, path, len, "", 0);
}

void summary_offer_directory(
        struct summary *a, const struct top_item *item, const char *path, size_t len)
{
	bool kept = item->depth > a->self->deepest ||
	            top_offer(&a->directories_top, item, path, len, "", 0);
	if (item->depth <= a->self->depth) {
		kept = kept && summary_keep_shallow(a, item, path, len);
	}
	a->failed = a->failed || !kept;
}

/* All but the lists. */
static void merge_sums(struct summary *a, const struct summary *b)
{
	a->files += b->files;
	a->directories += b->directories;
	a->links += b->links;
	a->others += b->others;
	a->linked_inodes += b->linked_inodes;
	a->linked_names += b->linked_names;
	a->saved += b->saved;
	total_add(&a->all, 0, b->all.apparent, b->all.allocated);
	total_add(&a->directory, 0, b->directory.apparent, b->directory.allocated);
	for (size_t i = 0; i < SUMMARY_AGES; i++) {
		total_add(&a->age[i], b->age[i].files, b->age[i].apparent, b->age[i].allocated);
	}
	for (size_t i = 0; i < SUMMARY_SIZES; i++) {
		total_add(&a->size[i], b->size[i].files, b->size[i].apparent, b->size[i].allocated);
	}
	total_table_merge(&a->extension, &b->extension);
	total_table_merge(&a->owner, &b->owner);
	total_table_merge(&a->late, &b->late);
	a->end = vega_time_compare(b->end, a->end) > 0 ? b->end : a->end;
}

void summary_merge(struct summary *a, struct summary *b)
{
	CHECK(!a->pending.dir && !b->pending.dir);
	merge_sums(a, b);
	top_merge(&a->files_top, &b->files_top);
	top_merge(&a->directories_top, &b->directories_top);
	for (size_t i = 0; i < b->shallow.count; i++) {
		if (shallow_room(a)) {
			a->shallow.items[a->shallow.count++] = b->shallow.items[i];
		} else {
			free(b->shallow.items[i].path);
			a->failed = true;
		}
	}
	b->shallow.count = 0;
	bool whole = uncharged_merge(&a->uncharged, &b->uncharged);
	whole = unfinished_merge(&a->unfinished, &b->unfinished) && whole;
	a->failed = a->failed || b->failed || !whole;
}
