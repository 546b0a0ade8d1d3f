/* Where an output goes: its name, and the directories on the way with their rights. */
#include "op/mirror_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "op/output_name.h"

/* Of each input directory. */
struct mirrored {
	mode_t mode;       /* 0: not known */
	atomic_bool made;  /* what mirrors it is there */
	atomic_bool exact; /* under its very name, and not under one that is taken for the same */
};

_Static_assert(sizeof(struct mirrored) <= MIRROR_DIR_SIZE, "each directory has room for it");

/* Set t->output for an entry. NULL, or why there is none. */
const char *mirror_find_output(struct mirror_thread *t, const struct walk_entry *entry)
{
	size_t len;
	const char *relative = walk_entry_relative(entry, &len);
	if (!relative) {
		return "out of memory";
	}
	const char *slash = memrchr(relative, '/', len);
	size_t dir_len = slash ? (size_t)(slash - relative) + 1 : 0;
	const char *out = t->mirror->spec->out;
	buf_clear(&t->output);
	buf_add_str(&t->output, out);
	if (out[strlen(out) - 1] != '/') {
		buf_add_char(&t->output, '/');
	}
	t->relative = t->output.len;
	buf_add(&t->output, relative, dir_len);
	size_t name = t->output.len;
	t->mirror->kind->name(&t->output, t->mirror->spec, relative + dir_len, len - dir_len);
	if (!buf_cstr(&t->output)) {
		return "out of memory";
	}
	return output_name_fault(t->output.data + name, t->output.len - name);
}

/* Set t->input; false when there is no memory. */
bool mirror_find_input(struct mirror_thread *t, const struct walk_entry *entry)
{
	const char *dir, *name;
	size_t dir_len, name_len;
	buf_clear(&t->input);
	if (!walk_entry_path(entry, &dir, &dir_len, &name, &name_len)) {
		return false;
	}
	buf_add(&t->input, dir, dir_len);
	buf_add(&t->input, name, name_len);
	return buf_cstr(&t->input) != NULL;
}

static struct mirrored *mirrored_of(const struct mirror_thread *t, const struct walk_dir *dir)
{
	return (struct mirrored *)(void *)((char *)walk_dir_data(dir) + t->thread->dir_offset);
}

/* The mode that an output gets: what a list of rights gives to others must not become the owning
 * group's, which the group bits would say. */
static mode_t plain_mode(struct fs_tree *tree, int handle, mode_t mode)
{
	unsigned group = tree->backend->group_rights && (mode & 070)
	                         ? tree->backend->group_rights(tree, handle)
	                         : 7;
	return mode & ~(mode_t)((7 & ~group) << 3);
}

/* Of an input file, as it was opened; without a group's rights when it is not there any more. */
mode_t mirror_mode(const struct walk_entry *entry, const struct file_meta *meta)
{
	struct fs_tree *tree = entry->dir->tree;
	if (!tree->backend->group_rights || !(meta->mode & 070)) {
		return meta->mode;
	}
	struct file_meta again;
	int file = tree->backend->open_file(tree, entry->dir_handle, entry->name, &again);
	bool same = file >= 0 && again.ino == meta->ino && again.dev == meta->dev;
	mode_t mode = same ? plain_mode(tree, file, meta->mode) : meta->mode & ~(mode_t)070;
	if (file >= 0) {
		tree->backend->close(tree, file);
	}
	return mode;
}

void mirror_enter(const struct walk_dir *dir, int dir_handle, void *mine)
{
	struct file_meta meta;
	if (dir->tree->backend->stat_handle(dir->tree, dir_handle, &meta) == 0) {
		((struct mirrored *)mine)->mode = plain_mode(dir->tree, dir_handle, meta.mode);
	}
}

struct mirroring {
	const struct mirror_thread *t;
	const struct walk_dir *dir; /* the last on the way */
};

/* The permissions of the input directory that is mirrored at `relative`. */
static mode_t mode_of_input(void *context, const char *relative)
{
	const struct mirroring *mirroring = context;
	const struct walk_dir *dir = mirroring->dir;
	uint32_t depth = 1;
	while ((relative = strchr(relative, '/'))) {
		relative++;
		depth++;
	}
	while (dir && dir->depth > depth) {
		dir = dir->parent;
	}
	const struct mirrored *mirrored =
	        dir && dir->depth == depth ? mirrored_of(mirroring->t, dir) : NULL;
	return mirrored && mirrored->mode ? mirrored->mode : OUTPUT_UMASK;
}

/* The first of the directories on the way to the output that has another name there: 1, and its
 * path; 0: none; or -errno. */
static int find_folded(struct mirror_thread *t, struct output_root *root, struct buf *path)
{
	const char *relative = mirror_relative(t);
	struct output_listing listing = {.dir = NULL};
	struct file_meta there;
	int own = 1;
	for (const char *end = strchr(relative, '/'); end && own == 1; end = strchr(end + 1, '/')) {
		buf_clear(path);
		buf_add(path, relative, (size_t)(end - relative));
		own = buf_cstr(path) ? output_stat(root, path->data, &there) : -ENOMEM;
		own = own ? own : mirror_is_own(t->mirror, root, path->data, &there, &listing);
	}
	output_listing_release(&listing);
	return own < 0 ? own : !own;
}

enum mirror_existing mirror_look_at_way(struct mirror_thread *t, const struct walk_entry *entry,
        struct output_root *root, struct buf *folded)
{
	struct mirrored *mirrored = mirrored_of(t, entry->dir);
	if (atomic_load_explicit(&mirrored->exact, memory_order_relaxed)) {
		return CURRENT;
	}
	struct file_meta there;
	const char *slash = strrchr(mirror_relative(t), '/');
	if (!slash) {
		return CURRENT;
	}
	buf_clear(folded);
	buf_add(folded, mirror_relative(t), (size_t)(slash - mirror_relative(t)));
	if (!buf_cstr(folded) || output_stat(root, folded->data, &there) != 0) {
		return ABSENT; /* or what keeps it from being there is told later */
	}
	int found = find_folded(t, root, folded);
	if (found == 0) {
		atomic_store_explicit(&mirrored->exact, true, memory_order_relaxed);
	}
	return found == 1 ? FOLDED : CURRENT;
}

/* Make the directory that t->output lies in, like that of the entry. 0 or -errno. */
int mirror_make_directory(struct mirror_thread *t, const struct walk_entry *entry)
{
	struct mirrored *mirrored = mirrored_of(t, entry->dir);
	const char *relative = t->output.data + t->relative, *slash = strrchr(relative, '/');
	if (!slash || atomic_load_explicit(&mirrored->made, memory_order_relaxed)) {
		return 0;
	}
	struct mirroring mirroring = {.t = t, .dir = entry->dir};
	const struct output_modes modes = {.mode = mode_of_input, .context = &mirroring};
	char *dir = strndup(relative, (size_t)(slash - relative));
	int error = dir ? output_directories(t->mirror->target, dir, &modes) : -ENOMEM;
	free(dir);
	atomic_store_explicit(&mirrored->made, error == 0, memory_order_relaxed);
	return error;
}
