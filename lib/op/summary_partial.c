/* summarize's part of a partial result: written out, read back, and settled once all parts are in.
 */
#include "op/summary.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define VERSION 2

static void pack_totals(const struct total *totals, size_t count, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		total_pack(&totals[i], out);
	}
}

static void unpack_totals(struct total *totals, size_t count, struct unpack *in)
{
	for (size_t i = 0; i < count; i++) {
		totals[i] = total_unpack(in);
	}
}

bool summary_pack(struct summary *a, struct buf *out)
{
	CHECK(!a->pending.dir);
	unfinished_prune(&a->unfinished, &a->directories_top, a->self->depth);
	pack_u64(out, VERSION);
	pack_u64(out, a->files);
	pack_u64(out, a->directories);
	pack_u64(out, a->links);
	pack_u64(out, a->others);
	pack_u64(out, a->linked_inodes);
	pack_u64(out, a->linked_names);
	pack_u128(out, a->saved);
	total_pack(&a->all, out);
	total_pack(&a->directory, out);
	pack_totals(a->age, SUMMARY_AGES, out);
	pack_totals(a->size, SUMMARY_SIZES, out);
	pack_time(out, a->end);
	total_table_pack(&a->late, out);
	total_table_pack(&a->extension, out);
	total_table_pack(&a->owner, out);
	top_pack(&a->files_top, out);
	top_pack(&a->directories_top, out);
	top_pack(&a->shallow, out);
	uncharged_pack(&a->uncharged, out);
	unfinished_pack(&a->unfinished, out);
	return !out->failed && !a->failed && !a->late.failed && !a->extension.failed &&
	       !a->owner.failed;
}

static void unpack_shallow(struct summary *a, struct unpack *in)
{
	for (size_t count = unpack_count(in); count > 0 && !a->failed; count--) {
		struct top_item item;
		if (!top_unpack_item(in, &item)) {
			return;
		}
		a->failed = !summary_keep_shallow(a, &item, item.path, item.path_len);
	}
}

int summary_unpack(struct summary *a, struct unpack *in)
{
	in->failed = unpack_u64(in) != VERSION || in->failed;
	a->files = unpack_u64(in);
	a->directories = unpack_u64(in);
	a->links = unpack_u64(in);
	a->others = unpack_u64(in);
	a->linked_inodes = unpack_u64(in);
	a->linked_names = unpack_u64(in);
	a->saved = unpack_u128(in);
	a->all = total_unpack(in);
	a->directory = total_unpack(in);
	unpack_totals(a->age, SUMMARY_AGES, in);
	unpack_totals(a->size, SUMMARY_SIZES, in);
	a->end = unpack_time(in);
	total_table_unpack(&a->late, in);
	total_table_unpack(&a->extension, in);
	total_table_unpack(&a->owner, in);
	bool kept = top_unpack(&a->files_top, in);
	kept = top_unpack(&a->directories_top, in) && kept;
	unpack_shallow(a, in);
	const struct summarizer *s = a->self;
	size_t roots = s->spec->roots.count;
	kept = uncharged_unpack(&a->uncharged, in, roots) && kept;
	kept = unfinished_unpack(&a->unfinished, in, s->root_len, roots) && kept;
	a->failed = a->failed || !kept;
	if (a->failed || a->late.failed || a->extension.failed || a->owner.failed) {
		return VEGA_NOMEM;
	}
	return in->failed ? VEGA_FATAL : 0;
}

/* Add what is charged to the totals of the directories above; those that are not there can be in no
 * list. */
static void charge_above(struct summary *a, const struct uncharged_inode *inode)
{
	size_t root_len = a->self->root_len[inode->root];
	for (size_t len = inode->path_len - inode->name_len; !inode->is_root && len >= root_len;) {
		struct unfinished_dir *dir =
		        unfinished_find(&a->unfinished, inode->root, inode->path, len);
		if (dir) {
			dir->sums.apparent += inode->size;
			dir->sums.allocated += inode->allocated;
		}
		do {
			len--;
		} while (len > 0 && inode->path[len - 1] != '/');
	}
}

/* Levels below its root. */
static uint64_t depth_of(const struct summary *a, const struct uncharged_inode *inode)
{
	uint64_t depth = !inode->is_root;
	for (size_t at = a->self->root_len[inode->root]; !inode->is_root && at < inode->path_len;) {
		depth += inode->path[at++] == '/';
	}
	return depth;
}

static void charge_inode(struct summary *a, const struct uncharged_inode *inode)
{
	const struct summary_charge charge = {inode->size, inode->allocated, inode->mtime,
	        inode->uid, inode->name, inode->name_len};
	struct top_item item = {
	        .allocated = inode->allocated, .apparent = inode->size, .mtime = inode->mtime};
	summary_charge(a, &charge);
	charge_above(a, inode);
	if (inode->allocated && depth_of(a, inode) <= a->self->deepest) {
		summary_offer_file(a, &item, inode->path, inode->path_len, "", 0);
	}
}

static void finish_directory(struct summary *a, const struct unfinished_dir *dir)
{
	const struct top_item item = {
	        .files = dir->sums.files,
	        .directories = dir->sums.directories,
	        .apparent = dir->sums.apparent,
	        .allocated = dir->sums.allocated,
	        .depth = dir->depth,
	};
	if ((item.files || item.directories) && summary_wants_directory(a, &item)) {
		const char *root = a->self->spec->roots.items[dir->root];
		size_t len = dir->depth ? dir->path_len - 1 : strlen(root);
		summary_offer_directory(a, &item, dir->path, len);
	}
}

void summary_settle(struct summary *a)
{
	a->failed = !unfinished_fold(&a->unfinished) || a->failed;
	for (size_t i = 0; i < a->uncharged.count; i++) {
		charge_inode(a, &a->uncharged.inodes[i]);
	}
	for (size_t i = 0; i < a->unfinished.count; i++) {
		finish_directory(a, &a->unfinished.dirs[i]);
	}
	summary_settle_ages(a);
	uncharged_release(&a->uncharged);
	unfinished_release(&a->unfinished);
}
