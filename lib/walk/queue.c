/* Queued work: items, chunks of entries, and telling idle threads of them. */
#include "walk/walk_internal.h"

#include <errno.h>
#include <stdlib.h>

void queue_wake(struct walk *walk)
{
	if (atomic_load(&walk->idle) == 0 || atomic_load(&walk->waking) ||
	        atomic_exchange(&walk->waking, true)) {
		return;
	}
	pthread_mutex_lock(&walk->park_lock);
	pthread_cond_signal(&walk->park);
	pthread_mutex_unlock(&walk->park_lock);
}

void queue_offer(struct walk_thread *t)
{
	if (deque_len(&t->deque) > 1) {
		queue_wake(t->walk);
	}
}

void queue_added(struct walk_thread *t, size_t count)
{
	size_t own = t->finished < count ? t->finished : count;
	t->finished -= own;
	if (count > own) {
		atomic_fetch_add(&t->walk->outstanding, count - own);
	}
}

void queue_settle(struct walk_thread *t)
{
	struct walk *walk = t->walk;
	size_t finished = t->finished;
	t->finished = 0;
	size_t before = finished ? atomic_fetch_sub(&walk->outstanding, finished) : 1;
	CHECK(before >= finished);
	if (before == finished) {
		pthread_mutex_lock(&walk->park_lock);
		pthread_cond_broadcast(&walk->park);
		pthread_mutex_unlock(&walk->park_lock);
	}
}

void queue_abandon(struct walk_thread *t, struct walk_dir *dir)
{
	dir_unneed(t, dir);
	if (dir->parent) {
		dir_unneed(t, dir->parent);
	}
	walk_dir_drop(t, dir);
}

void queue_children(struct walk_thread *t, size_t count)
{
	CHECK(count <= FS_BATCH);
	if (count == 0) {
		return;
	}
	queue_added(t, count);
	if (!deque_push(&t->deque, t->children, count)) {
		for (size_t i = 0; i < count; i++) {
			walk_unlisted(t, t->children[i], "list", ENOMEM);
			queue_abandon(t, t->children[i]);
		}
		t->finished += count;
		return;
	}
	queue_offer(t);
}

static struct chunk *chunk_new(struct walk_dir *dir, const struct fs_entry *entry,
        const struct file_meta *meta, unsigned count)
{
	size_t names = 0;
	CHECK(count > 0 && atomic_load(&dir->needed) > 0);
	for (unsigned i = 0; i < count; i++) {
		names += entry[i].name_len + 1u;
	}
	struct chunk *chunk =
	        malloc(sizeof *chunk + count * sizeof *entry + count * sizeof *meta + names);
	if (!chunk) {
		return NULL;
	}
	chunk->dir = dir;
	chunk->count = count;
	chunk->meta = (struct file_meta *)(chunk->entry + count);
	char *at = (char *)(chunk->meta + count);
	for (unsigned i = 0; i < count; i++) {
		chunk->entry[i] = entry[i];
		chunk->entry[i].name = memcpy(at, entry[i].name, entry[i].name_len + 1u);
		at += entry[i].name_len + 1u;
		if (meta[i].have) {
			chunk->meta[i] = meta[i];
		} else {
			chunk->meta[i].have = 0;
		}
	}
	return chunk;
}

bool queue_chunk(struct walk_thread *t, struct walk_dir *dir, const struct fs_entry *entry,
        const struct file_meta *meta, unsigned count)
{
	struct chunk *chunk = chunk_new(dir, entry, meta, count);
	if (!chunk) {
		return false;
	}
	atomic_fetch_add(&dir->refs, 1);
	atomic_fetch_add(&dir->needed, 1);
	queue_added(t, 1);
	void *item = item_tagged(chunk, ITEM_CHUNK);
	if (!deque_push(&t->deque, &item, 1)) {
		queue_finished(t);
		atomic_fetch_sub(&dir->needed, 1);
		atomic_fetch_sub(&dir->refs, 1);
		free(chunk);
		return false;
	}
	return true;
}
