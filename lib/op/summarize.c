/*
 * summarize: how much there is, of what, whose, how old, and where.
 *
 * A directory's total is that of its subtree, its own inode included, as with du. A directory's
 * sums live with the directory while it does; what leaves is folded into the parent, and the
 * largest are kept.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "op/summary.h"
#include "spec/summarize.h"

#define TOP_DEFAULT 20
#define DEPTH_DEFAULT 0

/* Sums of a directory and all below it. The low words carry into the high ones, so they never wrap.
 */
struct dir_sums {
	atomic_uint_fast64_t files, directories;
	atomic_uint_fast64_t apparent_low, apparent_high, allocated_low, allocated_high;
	uint64_t uncharged; /* as in struct unfinished_dir; after the walk, by its first thread */
	atomic_bool shared; /* one below it is */
};

static unsigned summarize_want(const struct spec *spec)
{
	(void)spec;
	return META_SIZE | META_MTIME | META_OWNER | META_IDENTITY;
}

static bool measure_roots(struct summarizer *s)
{
	const struct strlist *roots = &s->spec->roots;
	s->root_len = calloc(roots->count + 1, sizeof *s->root_len);
	for (size_t i = 0; s->root_len && i < roots->count; i++) {
		size_t len = strlen(roots->items[i]);
		s->root_len[i] = len + (len == 0 || roots->items[i][len - 1] != '/');
	}
	return s->root_len != NULL;
}

static void summarize_close(void *self)
{
	struct summarizer *s = self;
	if (s) {
		links_free(s->links);
		free(s->root_len);
		free(s);
	}
}

static int summarize_open(const struct spec *spec, const struct op_output *output, void **self,
        struct vega_error *err)
{
	const struct summarize_options *own = summarize_options(spec);
	struct summarizer *s = calloc(1, sizeof *s);
	if (!s) {
		return vega_fail_nomem(err);
	}
	s->spec = spec;
	s->now = output->now;
	s->top = own->top.set ? own->top.value : TOP_DEFAULT;
	s->depth = spec->show_depth.set   ? spec->show_depth.value
	           : spec->list_depth.set ? spec->list_depth.value
	                                  : DEPTH_DEFAULT;
	s->deepest = spec->show_depth.set ? spec->show_depth.value : UINT64_MAX;
	s->part = output->part;
	s->shows_again = spec_descent(spec) != UINT64_MAX && spec->roots.count > 1;
	s->links = links_new(s->part);
	if (!s->links || !measure_roots(s)) {
		summarize_close(s);
		return vega_fail_nomem(err);
	}
	*self = s;
	return 0;
}

static void *summarize_thread_begin(struct op_thread *thread)
{
	return summary_new(thread);
}

static void summarize_thread_end(void *accumulator)
{
	summary_free(accumulator);
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

static void add_pending(struct summary *a)
{
	struct summary_pending *p = &a->pending;
	if (p->dir) {
		sums_add(sums_of(a, p->dir), p->total.files, 0, p->total.apparent,
		        p->total.allocated);
	}
	*p = (struct summary_pending){0};
}

static void summarize_batch_end(void *accumulator)
{
	add_pending(accumulator);
}

static void offer_file(
        struct summary *a, const struct walk_entry *entry, const struct top_item *item)
{
	const char *dir, *name;
	size_t dir_len, name_len;
	if (walk_entry_path(entry, &dir, &dir_len, &name, &name_len)) {
		summary_offer_file(a, item, dir, dir_len, name, name_len);
	} else {
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
	a->files += entry->type == FILE_REGULAR;
	a->links += entry->type == FILE_SYMLINK;
	a->others += entry->type != FILE_REGULAR && entry->type != FILE_SYMLINK;
	if (meta->nlink > 1) {
		/* Its bytes wait for summary_charge(). */
		a->failed = links_add(a->self->links, entry) < 0 || a->failed;
		a->linked_names++;
		a->saved += allocated;
		apparent = allocated = 0;
	} else if (allocated && top_wants(&a->files_top, allocated) &&
	           entry->depth <= a->self->deepest) {
		struct top_item item = {
		        .allocated = meta->allocated, .apparent = meta->size, .mtime = meta->mtime};
		offer_file(a, entry, &item);
	}
	total_add(&a->all, 0, apparent, allocated);
	total_add(summary_age_total(a, meta->mtime), 1, apparent, allocated);
	total_add(&a->size[summary_size_class(meta->size)], 1, apparent, allocated);
	total_add(total_table_at(&a->owner, key_of_number(meta->uid)), 1, apparent, allocated);
	total_add(total_table_at(&a->extension, key_of_extension(entry->name, entry->name_len)), 1,
	        apparent, allocated);
	if (a->pending.dir != entry->dir) {
		add_pending(a);
		a->pending.dir = entry->dir;
	}
	total_add(&a->pending.total, 1, apparent, allocated);
}

/*
 * A mount point shows what is mounted there: with --one-file-system it does not count, as with du.
 * Only directories: overlayfs shows files with the device of their layer.
 */
static bool is_mount_point(const struct summary *a, const struct walk_entry *entry)
{
	return a->self->spec->one_file_system && !entry->is_root &&
	       (entry->meta->have & META_IDENTITY) && entry->meta->dev != entry->dir->dev;
}

static void summarize_entry(void *accumulator, const struct walk_entry *entry)
{
	if (entry->type != FILE_DIRECTORY) {
		add_other(accumulator, entry);
	} else if (!is_mount_point(accumulator, entry)) {
		add_directory(accumulator, entry);
	}
}

/* The entry that a link is a name of. */
static struct walk_entry entry_of(struct walk_thread *first, const struct link *link)
{
	return (struct walk_entry){.thread = first,
	        .dir = link->dir,
	        .is_root = link->dir->is_file_root,
	        .depth = link->dir->is_file_root ? 0 : link->dir->depth + 1,
	        .name = link->name,
	        .name_len = (uint32_t)strlen(link->name)};
}

static void charge_link(struct summary *a, struct walk_thread *first, const struct link *link)
{
	const struct walk_entry entry = entry_of(first, link);
	const struct summary_charge charge = {
	        link->size, link->allocated, link->mtime, link->uid, entry.name, entry.name_len};
	summary_charge(a, &charge);
	sums_add(sums_of(a, link->dir), 0, 0, link->size, link->allocated);
	if (link->allocated && top_wants(&a->files_top, link->allocated) &&
	        entry.depth <= a->self->deepest) {
		struct top_item item = {
		        .allocated = link->allocated, .apparent = link->size, .mtime = link->mtime};
		offer_file(a, &entry, &item);
	}
}

static uint64_t saturated(uint64_t a, uint64_t b)
{
	return a + b < b ? UINT64_MAX : a + b;
}

static bool keep_inode(
        struct summary *a, const struct link *link, struct uncharged_inode *inode, struct buf *path)
{
	struct buf key = BUF_INIT;
	file_system_key(link->dev, &key);
	int64_t file_system =
	        key.failed ? -1 : uncharged_file_system(&a->uncharged, key.data, key.len);
	buf_release(&key);
	inode->file_system = (uint32_t)file_system;
	inode->path = path->data;
	inode->path_len = path->len;
	return file_system >= 0 && !path->failed && uncharged_add(&a->uncharged, inode);
}

/* Further names of it may lie in other parts: it is charged when they are merged. */
static void leave_uncharged(struct summary *a, struct walk_thread *first, const struct link *link)
{
	const struct walk_entry entry = entry_of(first, link);
	struct dir_sums *sums = sums_of(a, link->dir);
	struct uncharged_inode inode = {
	        .ino = link->ino,
	        .nlink = link->nlink,
	        .seen = link->seen,
	        .size = link->size,
	        .allocated = link->allocated,
	        .mtime = link->mtime,
	        .uid = link->uid,
	        .root = link->dir->root,
	        .is_root = entry.is_root,
	        .name = (char *)(uintptr_t)entry.name,
	        .name_len = entry.name_len,
	};
	const char *dir, *name;
	size_t dir_len, name_len;
	struct buf path = BUF_INIT;
	if (walk_entry_path(&entry, &dir, &dir_len, &name, &name_len)) {
		buf_add(&path, dir, dir_len);
		buf_add(&path, name, name_len);
		a->failed = !keep_inode(a, link, &inode, &path) || a->failed;
	} else {
		a->failed = true;
	}
	buf_release(&path);
	sums->uncharged = saturated(sums->uncharged, saturated(link->allocated, 1));
}

static void settle_link(void *context, struct walk_thread *first, const struct link *link)
{
	struct summary *a = context;
	if (a->self->part && (a->self->shows_again || link->seen < link->nlink)) {
		leave_uncharged(a, first, link);
	} else {
		charge_link(a, first, link);
	}
}

static void summarize_settle(void *self, void *accumulator, struct walk_thread *first)
{
	((struct summary *)accumulator)->end = vega_now();
	links_settle(((struct summarizer *)self)->links, first, settle_link, accumulator);
}

static void offer_directory(struct summary *a, struct walk_dir *dir, const struct top_item *item)
{
	size_t len;
	const char *path = walk_dir_path(a->thread->walk, dir, &len);
	if (!path) {
		a->failed = true;
		return;
	}
	/* A root as it was given. */
	summary_offer_directory(a, item, path, dir->parent ? len - 1 : dir->name_len);
}

static void keep_unfinished(struct summary *a, struct walk_dir *dir, const struct top_item *item,
        uint64_t uncharged, bool shared)
{
	struct unfinished_dir unfinished = {
	        .root = dir->root,
	        .depth = dir->depth,
	        .shared = shared,
	        .sums = {item->files, item->directories, item->apparent, item->allocated},
	        .uncharged = uncharged,
	};
	if (!unfinished_wanted(&unfinished, &a->directories_top, a->self->depth)) {
		return;
	}
	const char *path = walk_dir_path(a->thread->walk, dir, &unfinished.path_len);
	unfinished.path = (char *)(uintptr_t)path;
	a->failed = !path || !unfinished_add(&a->unfinished, &unfinished) || a->failed;
}

static void summarize_leave(void *accumulator, struct walk_dir *dir, void *mine, void *parents)
{
	struct summary *a = accumulator;
	struct dir_sums *sums = mine, *above = parents;
	struct top_item item = {
	        .files = atomic_load_explicit(&sums->files, memory_order_relaxed),
	        .directories = atomic_load_explicit(&sums->directories, memory_order_relaxed),
	        .apparent = sum_get(&sums->apparent_low, &sums->apparent_high),
	        .allocated = sum_get(&sums->allocated_low, &sums->allocated_high),
	        .depth = dir->depth,
	};
	bool shared = dir->is_shared || atomic_load_explicit(&sums->shared, memory_order_relaxed);
	CHECK(a->self->part || (!shared && !sums->uncharged));
	if (dir->is_file_root) {
		return;
	}
	if (shared || sums->uncharged) {
		keep_unfinished(a, dir, &item, sums->uncharged, shared);
	} else if ((item.files || item.directories) && summary_wants_directory(a, &item)) {
		offer_directory(a, dir, &item);
	}
	if (above && sums->uncharged) {
		above->uncharged = saturated(above->uncharged, sums->uncharged);
	}
	if (above && shared) {
		atomic_store_explicit(&above->shared, true, memory_order_relaxed);
	} else if (above) {
		sums_add(above, item.files, item.directories, item.apparent, item.allocated);
	}
}

static void summarize_merge(void *into, void *from)
{
	summary_merge(into, from);
}

static bool summarize_serialize(void *accumulator, struct buf *out)
{
	return summary_pack(accumulator, out);
}

static int summarize_deserialize(void *accumulator, struct unpack *in)
{
	return summary_unpack(accumulator, in);
}

static bool summarize_finish(void *self, void *accumulator, struct json *json)
{
	const struct summarizer *s = self;
	const struct summary *a = accumulator;
	summary_settle(accumulator);
	CHECK(s->part || a->linked_names >= a->linked_inodes);
	return summary_json(accumulator, json);
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
        .serialize = summarize_serialize,
        .deserialize = summarize_deserialize,
        .finish = summarize_finish,
        .thread_end = summarize_thread_end,
        .close = summarize_close,
};
