/*
 * Listings whose pages come later, from threads of their tree's (FS_ASYNC): asking for pages,
 * taking those that came, and keeping aside the directories that there is no room for.
 *
 * A directory is in one of these places, and counted in `listings` in the last two:
 *
 *   a deque ──► waiting ──► asked for ──► come ──► a thread looks at the page
 *                  ▲           ▲                      │ more follows
 *                  └───────────┴──────────────────────┘
 *
 * No more than `most` are listed at once, each with one page on its way and one being looked at, so
 * memory is bounded by that; and what a tree calls too many (-EBUSY) is what `most` is from then
 * on. A waiting directory is taken by the thread that made room for it when it next runs dry, so
 * nobody needs to be woken for it.
 *
 * A page is an item of work that is in walk->outstanding from the request on, so the walk does not
 * end before it has come. Then the tree's thread may still be on its way out of deliver(): as long
 * as it is, it is in `delivering`, and the walk is not freed.
 */
#include "walk/walk_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

/* Listings at once: as many requests as a server takes from one client, at some 200 KB a page. */
#define LISTINGS_MOST 64u

struct page_request {
	struct fs_sink sink;
	struct walk *walk;
	struct walk_dir *dir;
	struct fs_page *page; /* once it has come */
	struct page_request *next;
};

int inbox_init(struct inbox *inbox)
{
	inbox->last = &inbox->first;
	pthread_mutex_init(&inbox->lock, NULL);
	atomic_init(&inbox->most, LISTINGS_MOST);
	return deque_init(&inbox->waiting);
}

void inbox_release(struct inbox *inbox)
{
	CHECK(atomic_load(&inbox->listings) == 0);
	CHECK(atomic_load(&inbox->asked) == 0 && inbox->first == NULL);
	deque_release(&inbox->waiting);
	pthread_mutex_destroy(&inbox->lock);
}

/* By a thread of the tree's. */
static void deliver(struct fs_sink *sink, struct fs_page *page)
{
	struct page_request *request = (struct page_request *)(void *)sink;
	struct walk *walk = request->walk;
	struct inbox *inbox = &walk->inbox;
	CHECK(request->page == NULL);
	atomic_fetch_add(&inbox->delivering, 1);
	request->page = page;
	pthread_mutex_lock(&inbox->lock);
	*inbox->last = request;
	inbox->last = &request->next;
	atomic_fetch_add(&inbox->came, 1);
	atomic_fetch_sub(&inbox->asked, 1);
	pthread_mutex_unlock(&inbox->lock);
	queue_wake(walk);
	atomic_fetch_sub(&inbox->delivering, 1); /* the last that is touched of the walk */
}

bool inbox_begin(struct inbox *inbox)
{
	if (atomic_fetch_add(&inbox->listings, 1) < atomic_load(&inbox->most)) {
		return true;
	}
	atomic_fetch_sub(&inbox->listings, 1);
	return false;
}

void inbox_end(struct inbox *inbox)
{
	size_t before = atomic_fetch_sub(&inbox->listings, 1);
	CHECK(before > 0);
	(void)before;
}

/* As many as there are without the one that was refused are enough. */
static void take_fewer(struct inbox *inbox)
{
	size_t listings = atomic_load(&inbox->listings);
	atomic_store(&inbox->most, listings > 2 ? listings - 1 : 1);
}

int inbox_ask(struct walk_thread *t, struct walk_dir *dir, int handle)
{
	struct walk *walk = t->walk;
	struct page_request *request = malloc(sizeof *request);
	if (!request) {
		return -ENOMEM;
	}
	*request = (struct page_request){.sink = {deliver}, .walk = walk, .dir = dir};
	atomic_fetch_add(&dir->refs, 1);
	atomic_fetch_add(&dir->needed, 1);
	atomic_fetch_add(&walk->inbox.asked, 1);
	queue_added(t, 1);
	int error = dir->tree->backend->list_start(dir->tree, handle, &request->sink);
	if (error) {
		queue_finished(t);
		atomic_fetch_sub(&walk->inbox.asked, 1);
		atomic_fetch_sub(&dir->needed, 1);
		atomic_fetch_sub(&dir->refs, 1);
		free(request);
	}
	if (error == -EBUSY) {
		take_fewer(&walk->inbox);
	}
	return error;
}

bool inbox_wait(struct walk_thread *t, void *item, bool last)
{
	struct deque *waiting = &t->walk->inbox.waiting;
	queue_added(t, 1);
	if (last ? deque_push_oldest(waiting, item) : deque_push(waiting, &item, 1)) {
		return true;
	}
	queue_finished(t);
	return false;
}

void *inbox_next_waiting(struct inbox *inbox)
{
	bool room = deque_len(&inbox->waiting) > 0 &&
	            atomic_load(&inbox->listings) < atomic_load(&inbox->most);
	return room ? deque_pop(&inbox->waiting) : NULL;
}

void *inbox_take(struct walk *walk)
{
	struct inbox *inbox = &walk->inbox;
	if (!inbox_filled(inbox)) {
		return NULL;
	}
	pthread_mutex_lock(&inbox->lock);
	struct page_request *request = inbox->first;
	if (request) {
		inbox->first = request->next;
		inbox->last = inbox->first ? inbox->last : &inbox->first;
		atomic_fetch_sub(&inbox->came, 1);
	}
	pthread_mutex_unlock(&inbox->lock);
	if (request && inbox_filled(inbox)) {
		queue_wake(walk);
	}
	return request ? item_tagged(request, ITEM_PAGE) : NULL;
}

struct fs_page *inbox_open(void *item, struct walk_dir **dir)
{
	struct page_request *request = item;
	struct fs_page *page = request->page;
	*dir = request->dir;
	free(request);
	return page;
}

void inbox_cancel(struct walk *walk)
{
	const struct fs_tree *last = NULL;
	size_t count = walk->spec->roots.count;
	for (size_t i = 0; i < count && atomic_load(&walk->inbox.asked) > 0; i++) {
		struct fs_tree *tree = fs_tree_at(walk->config.trees, i);
		if (tree != last && (tree->caps & FS_ASYNC)) {
			tree->backend->list_cancel(tree);
		}
		last = tree;
	}
	while (atomic_load(&walk->inbox.asked) > 0) {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

void inbox_settle(struct inbox *inbox)
{
	while (atomic_load(&inbox->delivering) > 0) {
		sched_yield();
	}
}
