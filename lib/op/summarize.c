/*
 * summarize: how much there is, of what, whose, how old, and where.
 *
 * A directory's total is that of its subtree, its own inode included, as with du. A directory's
 * sums live with the directory while it does; what leaves is folded into the parent, and the
 * largest are kept.
 */
#include "op/op.h"

#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "op/links.h"
#include "op/tables.h"
#include "spec/summarize.h"

#define TOP_DEFAULT 20
#define DEPTH_DEFAULT 0
#define DAY ((int64_t)86400)

/* Sums of a directory and all below it. The low words carry into the high ones, so they never wrap.
 */
struct dir_sums {
	atomic_uint_fast64_t files, directories;
	atomic_uint_fast64_t apparent_low, apparent_high, allocated_low, allocated_high;
};

/* What was seen in one directory, not yet told to its sums: no locked instruction an entry. */
struct pending {
	struct walk_dir *dir;
	struct total total;
};

static const struct age_class {
	const char *name;
	int64_t below; /* seconds */
} ages[] = {
        {"<1d", DAY},
        {"<7d", 7 * DAY},
        {"<30d", 30 * DAY},
        {"<90d", 90 * DAY},
        {"<1y", 365 * DAY},
        {"<3y", 3 * 365 * DAY},
        {">=3y", INT64_MAX},
        {"future", 0},
};
#define AGES (sizeof ages / sizeof *ages)

static const struct size_class {
	const char *name;
	uint64_t below;
} sizes[] = {
        {"0", 1},
        {"<4K", (uint64_t)4 << 10},
        {"<64K", (uint64_t)64 << 10},
        {"<1M", (uint64_t)1 << 20},
        {"<16M", (uint64_t)16 << 20},
        {"<256M", (uint64_t)256 << 20},
        {"<4G", (uint64_t)4 << 30},
        {">=4G", UINT64_MAX},
};
#define SIZES (sizeof sizes / sizeof *sizes)

struct summarizer {
	const struct spec *spec;
	struct links *links;
	struct vega_time now;
	size_t top;
	uint64_t depth;
};

struct summary {
	struct op_thread *thread;
	const struct summarizer *self;
	struct pending pending;
	uint64_t files, directories, links, others;
	struct total all;       /* bytes of everything, directories included */
	struct total directory; /* directories' own */
	uint64_t linked_inodes, linked_names;
	sum128 saved; /* allocated bytes that further names did not cost */
	struct total age[AGES], size[SIZES];
	struct total_table extension, owner;
	struct top files_top, directories_top;
	struct top shallow; /* the directories down to --depth: a list, its limit grows */
	bool failed;        /* memory ended */
};

static unsigned summarize_want(const struct spec *spec)
{
	(void)spec;
	return META_SIZE | META_MTIME | META_OWNER | META_IDENTITY;
}

static int summarize_open(const struct spec *spec, const struct op_output *output, void **self,
        struct vega_error *err)
{
	(void)output;
	const struct summarize_options *own = summarize_options(spec);
	struct summarizer *s = calloc(1, sizeof *s);
	if (!s || !(s->links = links_new())) {
		free(s);
		return vega_fail_nomem(err);
	}
	s->spec = spec;
	s->now = vega_now();
	s->top = own->top.set ? own->top.value : TOP_DEFAULT;
	s->depth = own->depth.set ? own->depth.value : DEPTH_DEFAULT;
	*self = s;
	return 0;
}

static void summarize_close(void *self)
{
	struct summarizer *s = self;
	if (s) {
		links_free(s->links);
		free(s);
	}
}

static void summarize_thread_end(void *accumulator)
{
	struct summary *a = accumulator;
	total_table_release(&a->extension);
	total_table_release(&a->owner);
	top_release(&a->files_top);
	top_release(&a->directories_top);
	top_release(&a->shallow);
	free(a);
}

static void *summarize_thread_begin(struct op_thread *thread)
{
	struct summary *a = calloc(1, sizeof *a);
	if (!a) {
		return NULL;
	}
	a->thread = thread;
	a->self = thread->self;
	if (!top_init(&a->files_top, a->self->top) ||
	        !top_init(&a->directories_top, a->self->top) || !top_init(&a->shallow, 0)) {
		summarize_thread_end(a);
		return NULL;
	}
	return a;
}

static struct dir_sums *sums_of(const struct summary *a, struct walk_dir *dir)
{
	return (struct dir_sums *)((char *)walk_dir_data(dir) + a->thread->dir_offset);
}

static void sum_add(atomic_uint_fast64_t *low, atomic_uint_fast64_t *high, sum128 value)
{
	uint64_t add = (uint64_t)value, carry = (uint64_t)(value >> 64);
	if (add) {
		uint64_t was = atomic_fetch_add_explicit(low, add, memory_order_relaxed);
		carry += was + add < was;
	}
	if (carry) {
		atomic_fetch_add_explicit(high, carry, memory_order_relaxed);
	}
}

static sum128 sum_get(atomic_uint_fast64_t *low, atomic_uint_fast64_t *high)
{
	return (sum128)atomic_load_explicit(high, memory_order_relaxed) << 64 |
	       atomic_load_explicit(low, memory_order_relaxed);
}

static void sums_add(struct dir_sums *sums, uint64_t files, uint64_t directories, sum128 apparent,
        sum128 allocated)
{
	if (files) {
		atomic_fetch_add_explicit(&sums->files, files, memory_order_relaxed);
	}
	if (directories) {
		atomic_fetch_add_explicit(&sums->directories, directories, memory_order_relaxed);
	}
	sum_add(&sums->apparent_low, &sums->apparent_high, apparent);
	sum_add(&sums->allocated_low, &sums->allocated_high, allocated);
}

static void tell_pending(struct summary *a)
{
	struct pending *p = &a->pending;
	if (p->dir) {
		sums_add(sums_of(a, p->dir), p->total.files, 0, p->total.apparent,
		        p->total.allocated);
	}
	*p = (struct pending){0};
}

static void summarize_batch_end(void *accumulator)
{
	tell_pending(accumulator);
}

static size_t age_class(const struct summary *a, const struct file_meta *meta)
{
	if (vega_time_compare(meta->mtime, a->self->now) > 0) {
		return AGES - 1;
	}
	/* Unsigned, so that the full range of time stamps cannot overflow. */
	uint64_t age = (uint64_t)a->self->now.sec - (uint64_t)meta->mtime.sec;
	size_t at = 0;
	while (at < AGES - 2 && age >= (uint64_t)ages[at].below) {
		at++;
	}
	return at;
}

static size_t size_class(uint64_t size)
{
	size_t at = 0;
	while (at < SIZES - 1 && size >= sizes[at].below) {
		at++;
	}
	return at;
}

static void offer_file(struct summary *a, const struct walk_entry *entry)
{
	const struct file_meta *meta = entry->meta;
	const char *dir, *name;
	size_t dir_len, name_len;
	struct top_item item = {
	        .allocated = meta->allocated, .apparent = meta->size, .mtime = meta->mtime};
	if (!walk_entry_path(entry, &dir, &dir_len, &name, &name_len) ||
	        !top_offer(&a->files_top, &item, dir, dir_len, name, name_len)) {
		a->failed = true;
	}
}

static void add_directory(struct summary *a, const struct walk_entry *entry)
{
	const struct file_meta *meta = entry->meta;
	struct walk_dir *dir = entry->self ? entry->self : entry->dir;
	a->directories++;
	total_add(&a->all, 0, meta->size, meta->allocated);
	total_add(&a->directory, 0, meta->size, meta->allocated);
	sums_add(sums_of(a, dir), 0, 1, meta->size, meta->allocated);
}

static void add_other(struct summary *a, const struct walk_entry *entry)
{
	const struct file_meta *meta = entry->meta;
	sum128 apparent = meta->size, allocated = meta->allocated;
	sum128 placed_apparent = apparent, placed_allocated = allocated;
	a->files += entry->type == FILE_REGULAR;
	a->links += entry->type == FILE_SYMLINK;
	a->others += entry->type != FILE_REGULAR && entry->type != FILE_SYMLINK;
	if (meta->nlink > 1) {
		int first = links_add(a->self->links, entry);
		a->failed = a->failed || first < 0;
		a->linked_names++;
		a->linked_inodes += first > 0;
		if (first <= 0) {
			a->saved += allocated;
			apparent = allocated = 0;
		}
		/* Where it is charged depends on the least of its paths: links_settle() will tell.
		 */
		placed_apparent = placed_allocated = 0;
	} else if (allocated && top_wants(&a->files_top, allocated)) {
		offer_file(a, entry);
	}
	total_add(&a->all, 0, apparent, allocated);
	total_add(&a->age[age_class(a, meta)], 1, apparent, allocated);
	total_add(&a->size[size_class(meta->size)], 1, apparent, allocated);
	total_add(total_table_at(&a->owner, key_of_number(meta->uid)), 1, apparent, allocated);
	total_add(total_table_at(&a->extension, key_of_extension(entry->name, entry->name_len)), 1,
	        placed_apparent, placed_allocated);
	if (a->pending.dir != entry->dir) {
		tell_pending(a);
		a->pending.dir = entry->dir;
	}
	total_add(&a->pending.total, 1, placed_apparent, placed_allocated);
}

/*
 * A mount point shows what is mounted there: with --one-file-system it does not count, as with du.
 * Only directories: overlayfs shows files with the device of their layer.
 */
static bool is_mount_point(const struct summary *a, const struct walk_entry *entry)
{
	return a->self->spec->one_file_system && !entry->is_root &&
	       entry->meta->dev != entry->dir->dev;
}

static void summarize_entry(void *accumulator, const struct walk_entry *entry)
{
	if (entry->type != FILE_DIRECTORY) {
		add_other(accumulator, entry);
	} else if (!is_mount_point(accumulator, entry)) {
		add_directory(accumulator, entry);
	}
}

static void charge_link(void *context, struct walk_thread *first, const struct link *link)
{
	struct summary *a = context;
	sums_add(sums_of(a, link->dir), 0, 0, link->size, link->allocated);
	total_add(total_table_at(&a->extension, key_of_extension(link->name, strlen(link->name))),
	        0, link->size, link->allocated);
	if (!link->allocated || !top_wants(&a->files_top, link->allocated)) {
		return;
	}
	struct top_item item = {
	        .allocated = link->allocated, .apparent = link->size, .mtime = link->mtime};
	struct walk_entry entry = {.thread = first,
	        .dir = link->dir,
	        .is_root = link->dir->is_file_root,
	        .name = link->name,
	        .name_len = (uint32_t)strlen(link->name)};
	const char *dir, *name;
	size_t dir_len, name_len;
	if (!walk_entry_path(&entry, &dir, &dir_len, &name, &name_len) ||
	        !top_offer(&a->files_top, &item, dir, dir_len, name, name_len)) {
		a->failed = true;
	}
}

static void summarize_settle(void *self, void *accumulator, struct walk_thread *first)
{
	links_settle(((struct summarizer *)self)->links, first, charge_link, accumulator);
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

static void offer_directory(struct summary *a, struct walk_dir *dir, const struct top_item *item)
{
	bool large = top_wants(&a->directories_top, item->allocated);
	bool shallow = dir->depth <= a->self->depth;
	if (!large && !shallow) {
		return;
	}
	size_t len;
	const char *path = walk_dir_path(a->thread->walk, dir, &len);
	if (!path || (shallow && !shallow_room(a))) {
		a->failed = true;
		return;
	}
	if (!dir->parent) {
		len = dir->name_len; /* a root: as it was given */
	} else {
		len--;
	}
	bool kept = !large || top_offer(&a->directories_top, item, path, len, "", 0);
	kept = kept && (!shallow || top_offer(&a->shallow, item, path, len, "", 0));
	a->failed = a->failed || !kept;
}

static void summarize_leave(void *accumulator, struct walk_dir *dir, void *mine, void *parents)
{
	struct summary *a = accumulator;
	struct dir_sums *sums = mine;
	struct top_item item = {
	        .files = atomic_load_explicit(&sums->files, memory_order_relaxed),
	        .directories = atomic_load_explicit(&sums->directories, memory_order_relaxed),
	        .apparent = sum_get(&sums->apparent_low, &sums->apparent_high),
	        .allocated = sum_get(&sums->allocated_low, &sums->allocated_high),
	        .depth = dir->depth,
	};
	if (!dir->is_file_root && (item.files || item.directories)) {
		offer_directory(a, dir, &item);
	}
	if (parents) {
		sums_add(parents, item.files, item.directories, item.apparent, item.allocated);
	}
}

static void summarize_merge(void *into, void *from)
{
	struct summary *a = into, *b = from;
	a->files += b->files;
	a->directories += b->directories;
	a->links += b->links;
	a->others += b->others;
	a->linked_inodes += b->linked_inodes;
	a->linked_names += b->linked_names;
	a->saved += b->saved;
	total_add(&a->all, 0, b->all.apparent, b->all.allocated);
	total_add(&a->directory, 0, b->directory.apparent, b->directory.allocated);
	for (size_t i = 0; i < AGES; i++) {
		total_add(&a->age[i], b->age[i].files, b->age[i].apparent, b->age[i].allocated);
	}
	for (size_t i = 0; i < SIZES; i++) {
		total_add(&a->size[i], b->size[i].files, b->size[i].apparent, b->size[i].allocated);
	}
	total_table_merge(&a->extension, &b->extension);
	total_table_merge(&a->owner, &b->owner);
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
	a->failed = a->failed || b->failed;
}

static void classes_json(struct json *json, const char *table, const char *key,
        const char *const *names, const struct total *totals, size_t count)
{
	json_key(json, table);
	json_array_begin(json);
	for (size_t i = 0; i < count; i++) {
		json_object_begin(json);
		json_member_str(json, key, names[i]);
		total_json(&totals[i], json);
		json_object_end(json);
	}
	json_array_end(json);
}

static void extension_json(struct json *json, const struct total_slot *slot)
{
	char text[16];
	memcpy(text, &slot->key, sizeof text);
	json_member_path(json, "extension", text, strnlen(text, sizeof text));
}

static void owner_json(struct json *json, const struct total_slot *slot)
{
	uint64_t uid = slot->key.word[0];
	const struct passwd *entry = getpwuid((uid_t)uid);
	json_member_u64(json, "uid", uid);
	json_key(json, "owner");
	if (entry) {
		json_str(json, entry->pw_name);
	} else {
		char text[24]; /* as ls does */
		snprintf(text, sizeof text, "%llu", (unsigned long long)uid);
		json_str(json, text);
	}
}

static void table_json(struct json *json, const char *name, struct total_table *table,
        void (*key)(struct json *, const struct total_slot *))
{
	struct total_slot *slots = total_table_sorted(table);
	json_key(json, name);
	json_array_begin(json);
	for (size_t i = 0; slots && i < table->count; i++) {
		json_object_begin(json);
		key(json, &slots[i]);
		total_json(&slots[i].total, json);
		json_object_end(json);
	}
	json_array_end(json);
	table->failed = table->failed || !slots;
	free(slots);
}

static void files_json(struct json *json, struct top *top)
{
	top_sort(top);
	json_key(json, "largest_files");
	json_array_begin(json);
	for (size_t i = 0; i < top->count; i++) {
		const struct top_item *item = &top->items[i];
		json_object_begin(json);
		json_member_path(json, "path", item->path, item->path_len);
		json_member_u128(json, "apparent_bytes", item->apparent);
		json_member_u128(json, "allocated_bytes", item->allocated);
		json_key(json, "mtime");
		json_time(json, item->mtime.sec, item->mtime.nsec);
		json_object_end(json);
	}
	json_array_end(json);
}

static void directories_json(struct json *json, const char *key, const struct top *top)
{
	json_key(json, key);
	json_array_begin(json);
	for (size_t i = 0; i < top->count; i++) {
		const struct top_item *item = &top->items[i];
		json_object_begin(json);
		json_member_path(json, "path", item->path, item->path_len);
		json_member_u64(json, "depth", item->depth);
		json_member_u64(json, "files", item->files);
		json_member_u64(json, "directories", item->directories);
		json_member_u128(json, "apparent_bytes", item->apparent);
		json_member_u128(json, "allocated_bytes", item->allocated);
		json_object_end(json);
	}
	json_array_end(json);
}

static int by_path(const void *a, const void *b)
{
	const struct top_item *x = a, *y = b;
	size_t len = x->path_len < y->path_len ? x->path_len : y->path_len;
	int order = memcmp(x->path, y->path, len);
	return order ? order : (x->path_len > y->path_len) - (x->path_len < y->path_len);
}

static void totals_json(struct json *json, const struct summary *a)
{
	json_member_u64(json, "files", a->files);
	json_member_u64(json, "directories", a->directories);
	json_member_u64(json, "links", a->links);
	json_member_u64(json, "others", a->others);
	json_member_u128(json, "apparent_bytes", a->all.apparent);
	json_member_u128(json, "allocated_bytes", a->all.allocated);
	json_key(json, "directory_bytes");
	json_object_begin(json);
	json_member_u128(json, "apparent", a->directory.apparent);
	json_member_u128(json, "allocated", a->directory.allocated);
	json_object_end(json);
	json_key(json, "hard_links");
	json_object_begin(json);
	json_member_u64(json, "inodes", a->linked_inodes);
	json_member_u64(json, "names", a->linked_names);
	json_member_u128(json, "saved_bytes", a->saved);
	json_object_end(json);
}

static bool summarize_finish(void *self, void *accumulator, struct json *json)
{
	(void)self;
	struct summary *a = accumulator;
	const char *age_names[AGES], *size_names[SIZES];
	for (size_t i = 0; i < AGES; i++) {
		age_names[i] = ages[i].name;
	}
	for (size_t i = 0; i < SIZES; i++) {
		size_names[i] = sizes[i].name;
	}
	json_object_begin(json);
	totals_json(json, a);
	table_json(json, "by_extension", &a->extension, extension_json);
	table_json(json, "by_owner", &a->owner, owner_json);
	classes_json(json, "by_age", "age", age_names, a->age, AGES);
	classes_json(json, "by_size", "size", size_names, a->size, SIZES);
	files_json(json, &a->files_top);
	top_sort(&a->directories_top);
	directories_json(json, "largest_directories", &a->directories_top);
	qsort(a->shallow.items, a->shallow.count, sizeof *a->shallow.items, by_path);
	directories_json(json, "by_directory", &a->shallow);
	bool whole = !a->failed && !a->extension.failed && !a->owner.failed;
	if (!whole) {
		json_member_str(json, "incomplete", "out of memory");
	}
	json_object_end(json);
	return whole;
}

const struct op op_summarize = {
        .name = "summarize",
        .types = UINT32_MAX,
        .dir_size = sizeof(struct dir_sums),
        .want = summarize_want,
        .open = summarize_open,
        .thread_begin = summarize_thread_begin,
        .entry = summarize_entry,
        .batch_end = summarize_batch_end,
        .leave = summarize_leave,
        .settle = summarize_settle,
        .merge = summarize_merge,
        .finish = summarize_finish,
        .thread_end = summarize_thread_end,
        .close = summarize_close,
};
