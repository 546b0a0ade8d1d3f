/*
 * The file system of fake.h, but whole directories are listed by threads of its own: a page is made
 * when its time has come, of whichever directory chance picks among those asked for, so pages come
 * out of order. It takes only so many requests at once, notices a second one for one directory, and
 * counts the pages that nobody has freed.
 */
#ifndef TESTS_UNIT_WALK_LATER_H
#define TESTS_UNIT_WALK_LATER_H

#include <unistd.h>

#include "fake.h"

#define LATER_THREADS 3
#define LATER_JOBS 100

struct later_page {
	struct fs_page page;
	struct fs_entry entry[FS_BATCH];
	struct file_meta meta[FS_BATCH];
	char names[FS_BATCH][16];
};

static struct {
	unsigned room;     /* requests at once, at most LATER_JOBS */
	unsigned delay_us; /* at most so long, by chance */
	bool at_once;      /* sometimes a page comes before list_start() returns */
	pthread_mutex_t lock;
	pthread_cond_t asked;
	struct {
		int handle;
		struct fs_sink *sink;
	} job[LATER_JOBS];
	unsigned jobs, working;
	unsigned random;
	bool cancelled, ending;
	atomic_long pages, peak_pages, busy;
	pthread_t thread[LATER_THREADS];
} later = {.room = 20,
        .delay_us = 100,
        .random = 1,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .asked = PTHREAD_COND_INITIALIZER};

static unsigned later_random(void)
{
	later.random = later.random * 1664525u + 1013904223u;
	return later.random >> 8;
}

static struct fs_page *later_page(struct fs_tree *tree, int handle, bool cancelled)
{
	struct later_page *p = malloc(sizeof *p);
	struct fs_batch *batch = malloc(sizeof *batch);
	_Alignas(16) char buffer[FS_BATCH * 16 + 64];
	struct fs_cursor cursor = {.buffer = buffer};
	p->page = (struct fs_page){.entry = p->entry, .meta = p->meta};
	long pages = atomic_fetch_add(&later.pages, 1) + 1;
	if (pages > atomic_load(&later.peak_pages)) {
		atomic_store(&later.peak_pages, pages);
	}
	if (cancelled) {
		p->page.error = -ECANCELED;
	} else {
		p->page.error = fake_list(tree, handle, &cursor, batch);
		p->page.count = batch->count;
		p->page.end = batch->end;
		for (unsigned i = 0; i < batch->count; i++) {
			p->entry[i] = batch->entry[i];
			p->meta[i] = batch->meta[i];
			p->entry[i].name = strcpy(p->names[i], batch->entry[i].name);
		}
	}
	free(batch);
	return &p->page;
}

static struct fs_tree later_tree;

static void *later_work(void *context)
{
	(void)context;
	pthread_mutex_lock(&later.lock);
	for (;;) {
		while (later.jobs == 0 && !later.ending) {
			pthread_cond_wait(&later.asked, &later.lock);
		}
		if (later.jobs == 0) {
			break;
		}
		unsigned pick = later_random() % later.jobs;
		unsigned delay = later.delay_us ? later_random() % later.delay_us : 0;
		int handle = later.job[pick].handle;
		struct fs_sink *sink = later.job[pick].sink;
		bool cancelled = later.cancelled;
		later.job[pick] = later.job[--later.jobs];
		later.working++;
		pthread_mutex_unlock(&later.lock);
		if (delay && !cancelled) {
			usleep(delay);
		}
		struct fs_page *page = later_page(&later_tree, handle, cancelled);
		pthread_mutex_lock(&later.lock);
		later.working--;
		pthread_mutex_unlock(&later.lock);
		sink->deliver(sink, page);
		pthread_mutex_lock(&later.lock);
	}
	pthread_mutex_unlock(&later.lock);
	return NULL;
}

static int later_list_start(struct fs_tree *tree, int dir, struct fs_sink *sink)
{
	if (!fake_node(dir)) {
		return -EBADF;
	}
	pthread_mutex_lock(&later.lock);
	for (unsigned i = 0; i < later.jobs; i++) {
		if (later.job[i].handle == dir) {
			atomic_fetch_add(&fake.misuse, 1);
		}
	}
	bool busy = later.jobs + later.working >= later.room;
	bool at_once = later.at_once && later_random() % 4 == 0;
	if (!busy && !at_once) {
		later.job[later.jobs].handle = dir;
		later.job[later.jobs++].sink = sink;
		pthread_cond_signal(&later.asked);
	}
	pthread_mutex_unlock(&later.lock);
	if (busy) {
		atomic_fetch_add(&later.busy, 1);
		return -EBUSY;
	}
	if (at_once) {
		sink->deliver(sink, later_page(tree, dir, false));
	}
	return 0;
}

static void later_list_cancel(struct fs_tree *tree)
{
	(void)tree;
	pthread_mutex_lock(&later.lock);
	later.cancelled = true;
	pthread_mutex_unlock(&later.lock);
}

static void later_page_free(struct fs_tree *tree, struct fs_page *page)
{
	(void)tree;
	atomic_fetch_sub(&later.pages, 1);
	free(page);
}

static struct backend later_backend;
static struct fs_tree later_tree = {
        .backend = &later_backend, .caps = FS_ASYNC, .fields = META_ALL};

static void later_begin(void)
{
	later_backend = fake_backend;
	later_backend.list_start = later_list_start;
	later_backend.list_cancel = later_list_cancel;
	later_backend.page_free = later_page_free;
	later.ending = later.cancelled = false;
	atomic_store(&later.peak_pages, 0);
	atomic_store(&later.busy, 0);
	for (unsigned i = 0; i < LATER_THREADS; i++) {
		pthread_create(&later.thread[i], NULL, later_work, NULL);
	}
}

static void later_end(void)
{
	pthread_mutex_lock(&later.lock);
	later.ending = true;
	pthread_cond_broadcast(&later.asked);
	pthread_mutex_unlock(&later.lock);
	for (unsigned i = 0; i < LATER_THREADS; i++) {
		pthread_join(later.thread[i], NULL);
	}
}

#endif
