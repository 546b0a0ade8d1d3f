/*
 * A file system in memory behind struct backend, where any call can be made to fail: the n-th of
 * all, each n-th open, or those beyond a number of open handles. It notices what no backend may be
 * asked: a handle that is not open, a listing that goes on with another directory's cursor, and
 * handles that are left open.
 */
#ifndef TESTS_UNIT_WALK_FAKE_H
#define TESTS_UNIT_WALK_FAKE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/backend.h"

#define FAKE_HANDLES 70000
#define FAKE_DEV 77u

struct node {
	struct node *parent;
	uint32_t first, count; /* children: consecutive nodes */
	uint32_t files;        /* and this many more files, which are no nodes */
	uint8_t type;          /* enum file_type */
	uint64_t size;
	char name[12];
	atomic_uint reported, left;
	atomic_bool broken; /* a call about it, or its listing, has failed */
};

/* fake.node[i] has the inode i + 1; the files that are no nodes have 0. */
static struct {
	struct node *node;
	size_t count, cap;
	bool untyped;   /* DT_UNKNOWN */
	unsigned lists; /* meta_fields that list() fills of each second node */
	unsigned batch; /* entries a list() */
	long fail_at;   /* the call that fails, from 1; 0: none */
	int fail_with;
	long emfile_every; /* opens; 0: none */
	long handle_limit; /* 0: none */
	atomic_long calls, opens, failed, open_handles, misuse, stats;
	pthread_mutex_t lock;
	struct {
		struct node *node; /* NULL: closed */
		uint32_t at;
	} handle[FAKE_HANDLES];
	int lowest;
} fake = {.batch = 7, .lock = PTHREAD_MUTEX_INITIALIZER};

static void fake_clear(void)
{
	free(fake.node);
	fake.node = NULL;
	fake.count = fake.cap = 0;
}

static struct node *fake_add(size_t count)
{
	if (fake.count + count > fake.cap) {
		abort(); /* nodes must not move: see fake_begin() */
	}
	struct node *first = &fake.node[fake.count];
	fake.count += count;
	return first;
}

/* An empty tree with room for `cap` nodes; its root. */
static struct node *fake_begin(size_t cap)
{
	fake_clear();
	fake.node = calloc(cap, sizeof *fake.node);
	fake.cap = cap;
	struct node *root = fake_add(1);
	root->type = FILE_DIRECTORY;
	return root;
}

/* Gives a directory its children, all directories or all files. */
static struct node *fake_fill(struct node *dir, unsigned count, enum file_type type)
{
	struct node *first = fake_add(count);
	dir->first = (uint32_t)(first - fake.node);
	dir->count = count;
	for (unsigned i = 0; i < count; i++) {
		first[i].parent = dir;
		first[i].type = (uint8_t)type;
		first[i].size = 100 + i;
		snprintf(first[i].name, sizeof first[i].name, "%c%u",
		        type == FILE_DIRECTORY ? 'd' : 'f', i);
	}
	return first;
}

static inline uint64_t fake_ino(const struct node *node)
{
	return (uint64_t)(node - fake.node) + 1;
}

/* Counts a call; true when it is the one that fails. */
static bool fake_fails(struct node *about)
{
	bool fails = atomic_fetch_add(&fake.calls, 1) + 1 == fake.fail_at;
	if (fails) {
		atomic_fetch_add(&fake.failed, 1);
		if (about) {
			atomic_store(&about->broken, true);
		}
	}
	return fails;
}

static struct node *fake_node(int handle)
{
	struct node *node = NULL;
	if (handle >= 0 && handle < FAKE_HANDLES) {
		pthread_mutex_lock(&fake.lock);
		node = fake.handle[handle].node;
		pthread_mutex_unlock(&fake.lock);
	}
	if (!node) {
		atomic_fetch_add(&fake.misuse, 1);
	}
	return node;
}

static int fake_open(struct node *node)
{
	long nth = atomic_fetch_add(&fake.opens, 1) + 1;
	if (fake.emfile_every && nth % fake.emfile_every == 0) {
		return -EMFILE;
	}
	pthread_mutex_lock(&fake.lock);
	long open = atomic_load(&fake.open_handles);
	int handle = -EMFILE;
	if (!fake.handle_limit || open < fake.handle_limit) {
		handle = fake.lowest;
		while (handle < FAKE_HANDLES && fake.handle[handle].node) {
			handle++;
		}
		fake.lowest = handle + 1;
		fake.handle[handle].node = node;
		fake.handle[handle].at = 0;
		atomic_store(&fake.open_handles, open + 1);
	}
	pthread_mutex_unlock(&fake.lock);
	return handle;
}

static void fake_close(struct fs_tree *tree, int handle)
{
	(void)tree;
	if (!fake_node(handle)) {
		return;
	}
	pthread_mutex_lock(&fake.lock);
	fake.handle[handle].node = NULL;
	atomic_fetch_sub(&fake.open_handles, 1);
	fake.lowest = handle < fake.lowest ? handle : fake.lowest;
	pthread_mutex_unlock(&fake.lock);
}

static void fake_meta(const struct node *node, struct file_meta *meta)
{
	*meta = (struct file_meta){.have = META_ALL,
	        .mode = node->type == FILE_DIRECTORY ? 040755 : 0100644,
	        .nlink = 1,
	        .dev = FAKE_DEV,
	        .ino = fake_ino(node),
	        .size = node->size,
	        .allocated = (node->size + 511) / 512 * 512};
}

static int fake_open_root(struct fs_tree *tree, const char *path, const struct strlist *allowed,
        struct file_meta *meta, char **name)
{
	(void)tree;
	(void)path, (void)allowed;
	*name = NULL;
	if (fake_fails(&fake.node[0])) {
		return -fake.fail_with;
	}
	fake_meta(&fake.node[0], meta);
	return fake_open(&fake.node[0]);
}

static int fake_opened(struct node *node, struct file_meta *meta)
{
	if (fake_fails(node)) {
		return -fake.fail_with;
	}
	if (!node || node->type != FILE_DIRECTORY) {
		return node ? -ENOTDIR : -ENOENT;
	}
	if (meta) {
		fake_meta(node, meta);
	}
	return fake_open(node);
}

static int fake_open_dir(struct fs_tree *tree, int parent, const char *name, struct file_meta *meta)
{
	(void)tree;
	struct node *dir = fake_node(parent), *node = NULL;
	if (!dir) {
		return -EBADF;
	}
	uint32_t index = (uint32_t)strtoul(name + 1, NULL, 10); /* see fake_fill() */
	if (strcmp(name, ".") == 0) {
		node = dir;
	} else if (index < dir->count && strcmp(fake.node[dir->first + index].name, name) == 0) {
		node = &fake.node[dir->first + index];
	}
	return fake_opened(node, meta);
}

static int fake_open_parent(struct fs_tree *tree, int handle, struct file_meta *meta)
{
	(void)tree;
	struct node *dir = fake_node(handle);
	return dir ? fake_opened(dir->parent, meta) : -EBADF;
}

/* Every second call pretends that its read left entries for the next, as getdents does. */
static int fake_list(
        struct fs_tree *tree, int handle, struct fs_cursor *cursor, struct fs_batch *batch)
{
	(void)tree;
	struct node *dir = fake_node(handle);
	batch->count = 0;
	batch->end = false;
	if (!dir) {
		return -EBADF;
	}
	bool rest = cursor->at != cursor->filled;
	if (rest && *(int *)(void *)cursor->buffer != handle) {
		atomic_fetch_add(&fake.misuse, 1);
	}
	if (fake_fails(dir)) {
		return -fake.fail_with;
	}
	char *name = cursor->buffer + 16;
	uint32_t at = fake.handle[handle].at, all = dir->count + dir->files;
	for (; batch->count < fake.batch && at < all; at++) {
		struct fs_entry *e = &batch->entry[batch->count++];
		struct file_meta *meta = &batch->meta[batch->count - 1];
		*e = (struct fs_entry){.type = FILE_REGULAR};
		meta->have = 0;
		if (at < dir->count) {
			const struct node *child = &fake.node[dir->first + at];
			e->type = child->type;
			e->ino = fake_ino(child);
			strcpy(name, child->name);
			if (fake.lists && e->ino % 2) {
				fake_meta(child, meta);
				meta->have = fake.lists;
			}
		} else {
			snprintf(name, 16, "v%u", at - dir->count);
		}
		e->type = fake.untyped ? FILE_UNKNOWN : e->type;
		e->name = name;
		e->name_len = (uint16_t)strlen(name);
		name += e->name_len + 1;
	}
	fake.handle[handle].at = at;
	batch->end = batch->count == 0;
	*(int *)(void *)cursor->buffer = handle;
	cursor->at = 0;
	cursor->filled = batch->count && !rest ? 1 : 0;
	return 0;
}

static void fake_stat(struct fs_tree *tree, int handle, struct fs_entry *entry,
        struct file_meta *meta, unsigned from, unsigned to, unsigned want)
{
	(void)tree;
	struct node *dir = fake_node(handle);
	for (unsigned i = from; i < to; i++) {
		struct fs_entry *e = &entry[i];
		if (e->error == FS_SKIP_STAT) {
			continue;
		}
		atomic_fetch_add(&fake.stats, 1);
		struct node *node = e->ino ? &fake.node[e->ino - 1] : NULL;
		struct node plain = {.type = FILE_REGULAR};
		bool known = !fake.untyped && !(want & ~meta[i].have);
		if (!dir || (node && node->parent != dir) || known || want & ~(unsigned)META_ALL) {
			atomic_fetch_add(&fake.misuse, 1);
		}
		if (fake_fails(node)) {
			e->error = fake.fail_with;
			continue;
		}
		unsigned have = meta[i].have | want;
		fake_meta(node ? node : &plain, &meta[i]);
		meta[i].have = have;
		e->error = 0;
		e->type = node ? node->type : FILE_REGULAR;
	}
}

static int fake_open_file(struct fs_tree *tree, int dir, const char *name, struct file_meta *meta)
{
	(void)tree;
	(void)dir, (void)name, (void)meta;
	return -ENOENT;
}

static ssize_t fake_read(struct fs_tree *tree, int file, void *bytes, size_t len, uint64_t offset)
{
	(void)tree;
	(void)file, (void)bytes, (void)len, (void)offset;
	return -EBADF;
}

static int fake_stat_handle(struct fs_tree *tree, int handle, struct file_meta *meta)
{
	(void)tree;
	struct node *node = fake_node(handle);
	if (!node || fake_fails(NULL)) {
		return -EIO;
	}
	fake_meta(node, meta);
	return 0;
}

static char *fake_resolve(struct fs_tree *tree, const char *root)
{
	(void)tree;
	char *path = NULL;
	return asprintf(&path, "%s/", root) < 0 ? NULL : path;
}

static const struct backend fake_backend = {
        .scheme = "fake",
        .resolve = fake_resolve,
        .open_root = fake_open_root,
        .open_dir = fake_open_dir,
        .open_parent = fake_open_parent,
        .list = fake_list,
        .stat = fake_stat,
        .open_file = fake_open_file,
        .read = fake_read,
        .stat_handle = fake_stat_handle,
        .close = fake_close,
};

static struct fs_tree fake_tree = {.backend = &fake_backend, .fields = META_ALL};

#endif
