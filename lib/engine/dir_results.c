#include "engine/dir_results.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/seal.h"

#define KIND 0x44495201u /* raise with every change of struct header or struct record */
#define VALUE_MAX ((size_t)1 << 20)
#define MIN_AGE_S 2
#define UNMET_MAX 3

struct header {
	uint32_t pages; /* of the directory */
	uint32_t record_size;
};

struct record {
	uint64_t ino;
	uint64_t dev; /* 0: the directory's (device numbers change from boot to boot) */
	uint64_t size;
	int64_t mtime, ctime;
	uint32_t ctime_nsec;
	uint32_t mtime_nsec : 30;
	uint32_t unmet : 2; /* how many stores it outlived without being met */
	unsigned char result[];
};

#define CONTENT_AT (SEAL_SIZE + sizeof(struct header))

struct dir_results_thread {
	const struct cache_backend *backend;
	void *connection; /* NULL: no cache */
	const char *name;
	size_t size, record_size, page_records;
	struct buf key, asked; /* asked: the key of the outstanding request, or empty */
	uint64_t dev;          /* of the last directory entered, whose file system is: */
	uint64_t file_system[2];
	int identity; /* what the backend said of it */
	bool entered;
};

/* --- Keys --- */

static unsigned page_of(uint64_t ino, unsigned pages)
{
	return (unsigned)(ino * UINT64_C(0x9e3779b97f4a7c15) >> 58) & (pages - 1);
}

static bool make_key(
        struct dir_results_thread *t, const struct dir_results *d, unsigned page, struct buf *key)
{
	buf_clear(key);
	buf_printf(key, "vega:1:%s:%" PRIx64 "-%" PRIx64 ":%" PRIu64 ":%u", t->name,
	        d->file_system[0], d->file_system[1], d->ino, page);
	return !key->failed;
}

/* --- Records --- */

static struct record *record_at(const struct dir_results_thread *t, const struct buf *b, size_t at)
{
	return (struct record *)(void *)(b->data + at * t->record_size);
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int record_compare(const struct record *a, const struct record *b)
{
	int order = compare(a->ino, b->ino);
	return order ? order : compare(a->dev, b->dev);
}

static void record_fill(
        struct record *record, const struct dir_results *d, const struct file_meta *meta)
{
	*record = (struct record){
	        .ino = meta->ino,
	        .dev = meta->dev == d->dev ? 0 : meta->dev,
	        .size = meta->size,
	        .mtime = meta->mtime.sec,
	        .ctime = meta->ctime.sec,
	        .ctime_nsec = meta->ctime.nsec,
	        .mtime_nsec = meta->mtime.nsec & 0x3fffffff,
	};
}

static bool same_file(const struct record *a, const struct record *b)
{
	return a->size == b->size && a->mtime == b->mtime && a->mtime_nsec == b->mtime_nsec &&
	       a->ctime == b->ctime && a->ctime_nsec == b->ctime_nsec;
}

static bool old_enough(struct vega_time when, struct vega_time now)
{
	when.sec += MIN_AGE_S;
	return vega_time_compare(when, now) <= 0;
}

/* Add to this run's records; false when there is no room. */
static bool keep(struct dir_results_thread *t, struct dir_results *d, const struct record *record,
        const void *result)
{
	static const unsigned char zeros[8];
	if (d->current.len / t->record_size >= t->page_records * DIR_RESULTS_PAGES ||
	        !buf_reserve(&d->current, t->record_size)) {
		return false;
	}
	buf_add(&d->current, record, sizeof *record);
	buf_add(&d->current, result, t->size);
	buf_add(&d->current, zeros, t->record_size - sizeof *record - t->size);
	return true;
}

/* --- Loading --- */

static bool fetch(struct dir_results_thread *t, const struct buf *key, struct buf *value)
{
	bool asked = t->asked.len == key->len && memcmp(t->asked.data, key->data, key->len) == 0;
	if (!asked) {
		t->backend->request(t->connection, key->data, key->len);
	}
	buf_clear(&t->asked);
	return t->backend->answer(t->connection, value);
}

/* The page count of a good value, or 0. Leaves only the records in it. */
static unsigned unpack(const struct dir_results_thread *t, const struct buf *key, struct buf *value)
{
	struct header header;
	if (!seal_good(value, KIND, key->data, key->len) || value->len < CONTENT_AT) {
		return 0;
	}
	memcpy(&header, value->data + SEAL_SIZE, sizeof header);
	size_t len = value->len - CONTENT_AT;
	if (header.record_size != t->record_size || len % t->record_size || header.pages == 0 ||
	        header.pages > DIR_RESULTS_PAGES || (header.pages & (header.pages - 1))) {
		return 0;
	}
	memmove(value->data, value->data + CONTENT_AT, len);
	value->len = len;
	return header.pages;
}

/* Under the lock. Afterwards the page is there, perhaps empty; false only without memory. */
static bool load(struct dir_results_thread *t, struct dir_results *d, unsigned page)
{
	struct buf value = {.max = VALUE_MAX};
	unsigned pages = 0;
	if (make_key(t, d, page, &t->key) && fetch(t, &t->key, &value)) {
		pages = unpack(t, &t->key, &value);
	}
	if (d->pages == 0) {
		d->pages = pages ? pages : 1;
		d->page = calloc(d->pages, sizeof *d->page);
	}
	if (!d->page || pages != d->pages) {
		buf_release(&value);
	}
	if (d->page) {
		d->page[page] = value;
		d->loaded |= UINT64_C(1) << page;
	}
	return d->page != NULL;
}

static const struct record *look_up(
        struct dir_results_thread *t, struct dir_results *d, const struct record *wanted)
{
	if (d->pages == 0 && !load(t, d, 0)) {
		return NULL;
	}
	unsigned page = page_of(wanted->ino, d->pages);
	if (!(d->loaded >> page & 1) && !load(t, d, page)) {
		return NULL;
	}
	size_t from = 0, to = d->page[page].len / t->record_size;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		const struct record *record = record_at(t, &d->page[page], middle);
		int order = record_compare(wanted, record);
		if (order == 0) {
			return same_file(wanted, record) ? record : NULL;
		}
		if (order < 0) {
			to = middle;
		} else {
			from = middle + 1;
		}
	}
	return NULL;
}

bool dir_results_find(struct dir_results_thread *t, struct dir_results *d,
        const struct file_meta *meta, void *result)
{
	if (!d->open || !t->connection || (meta->have & DIR_RESULTS_META) != DIR_RESULTS_META) {
		return false;
	}
	struct record wanted;
	record_fill(&wanted, d, meta);
	pthread_mutex_lock(&d->lock);
	const struct record *found = look_up(t, d, &wanted);
	if (found) {
		memcpy(result, found->result, t->size);
		keep(t, d, &wanted, result);
	}
	pthread_mutex_unlock(&d->lock);
	return found != NULL;
}

void dir_results_add(struct dir_results_thread *t, struct dir_results *d,
        const struct file_meta *meta, const void *result)
{
	struct vega_time now = vega_now();
	if (!d->open || !t->connection || (d->only_fractions && meta->ctime.nsec == 0) ||
	        !old_enough(meta->mtime, now) || !old_enough(meta->ctime, now)) {
		return;
	}
	struct record record;
	record_fill(&record, d, meta);
	pthread_mutex_lock(&d->lock);
	if (d->pages && keep(t, d, &record, result)) {
		d->changed |= UINT64_C(1) << page_of(record.ino, d->pages);
		d->added = true;
	}
	pthread_mutex_unlock(&d->lock);
}

/* --- Storing --- */

static int order_compare(const void *a, const void *b, void *context)
{
	const struct record *left = a, *right = b;
	const unsigned *pages = context;
	int by_page = compare(page_of(left->ino, *pages), page_of(right->ino, *pages));
	return by_page ? by_page : record_compare(left, right);
}

/* Sorts this run's records by page; of a file met twice (two names of one inode) the first stays.
 */
static void sort_current(const struct dir_results_thread *t, struct dir_results *d, unsigned pages)
{
	size_t count = d->current.len / t->record_size, kept = 0;
	qsort_r(d->current.data, count, t->record_size, order_compare, &pages);
	for (size_t i = 0; i < count; i++) {
		struct record *record = record_at(t, &d->current, i);
		if (kept && record_compare(record_at(t, &d->current, kept - 1), record) == 0) {
			continue;
		}
		memmove(record_at(t, &d->current, kept++), record, t->record_size);
	}
	d->current.len = kept * t->record_size;
}

/* The new content of a page: current records [from, to), and among them the old ones that were not
 * met, as far as there is room. */
static void merge(const struct dir_results_thread *t, const struct buf *current, size_t from,
        size_t to, const struct buf *old, struct buf *value)
{
	if (to - from > t->page_records) {
		to = from + t->page_records;
	}
	size_t room = t->page_records - (to - from);
	size_t at = 0, count = old ? old->len / t->record_size : 0;
	while (from < to || at < count) {
		int order = from == to    ? 1
		            : at == count ? -1
		                          : record_compare(record_at(t, current, from),
		                                    record_at(t, old, at));
		if (order <= 0) {
			buf_add(value, record_at(t, current, from++), t->record_size);
			at += order == 0;
			continue;
		}
		struct record *unmet = record_at(t, old, at++);
		if (room && unmet->unmet < UNMET_MAX) {
			unmet->unmet = (unmet->unmet + 1u) & 3u;
			buf_add(value, unmet, t->record_size);
			room--;
		}
	}
}

static void store_page(struct dir_results_thread *t, const struct dir_results *d, unsigned page,
        unsigned pages, size_t from, size_t to, const struct buf *old)
{
	struct buf value = BUF_INIT;
	struct header header = {pages, (uint32_t)t->record_size};
	seal_begin(&value, KIND);
	buf_add(&value, &header, sizeof header);
	merge(t, &d->current, from, to, old, &value);
	if (make_key(t, d, page, &t->key)) {
		seal_end(&value, t->key.data, t->key.len);
		if (!value.failed) {
			t->backend->put(
			        t->connection, t->key.data, t->key.len, value.data, value.len);
		}
	}
	buf_release(&value);
}

static void store(struct dir_results_thread *t, struct dir_results *d)
{
	size_t count = d->current.len / t->record_size;
	unsigned pages = d->pages;
	while (count > t->page_records / 4 * 3 * pages && pages < DIR_RESULTS_PAGES) {
		pages *= 2;
	}
	sort_current(t, d, pages);
	count = d->current.len / t->record_size;
	bool same = pages == d->pages;
	size_t from = 0;
	for (unsigned page = 0; page < pages; page++) {
		size_t to = from;
		while (to < count && page_of(record_at(t, &d->current, to)->ino, pages) == page) {
			to++;
		}
		if (!same || (d->changed >> page & 1)) {
			store_page(t, d, page, pages, from, to, same ? &d->page[page] : NULL);
		}
		from = to;
	}
}

void dir_results_leave(struct dir_results_thread *t, struct dir_results *d)
{
	if (!d->open) {
		return;
	}
	if (d->added && !d->current.failed && t->connection) {
		store(t, d);
	}
	for (unsigned page = 0; d->page && page < d->pages; page++) {
		buf_release(&d->page[page]);
	}
	free(d->page);
	buf_release(&d->current);
	pthread_mutex_destroy(&d->lock);
	d->open = false;
}

/* --- Entering --- */

/* What the key and the records need to know of the directory. */
static bool identify(
        struct dir_results_thread *t, struct dir_results *d, struct fs_tree *tree, int handle)
{
	struct file_meta meta;
	if (!tree->backend->identity || tree->backend->stat_handle(tree, handle, &meta) != 0) {
		return false;
	}
	if (!t->entered || t->dev != meta.dev) {
		t->entered = true;
		t->dev = meta.dev;
		t->identity = tree->backend->identity(tree, handle, t->file_system);
	}
	d->dev = meta.dev;
	d->ino = meta.ino;
	d->only_fractions = t->identity > 0;
	memcpy(d->file_system, t->file_system, sizeof d->file_system);
	return t->identity >= 0;
}

void dir_results_enter(
        struct dir_results_thread *t, struct dir_results *d, struct fs_tree *tree, int handle)
{
	if (!t->connection || !identify(t, d, tree, handle) ||
	        pthread_mutex_init(&d->lock, NULL) != 0) {
		return;
	}
	d->current = (struct buf)BUF_INIT;
	d->open = true;
	buf_clear(&t->asked);
	if (make_key(t, d, 0, &t->key)) {
		t->backend->request(t->connection, t->key.data, t->key.len);
		buf_add(&t->asked, t->key.data, t->key.len);
	}
}

struct dir_results_thread *dir_results_thread_new(
        struct cache *cache, const char *name, size_t size)
{
	struct dir_results_thread *t = calloc(1, sizeof *t);
	if (!t) {
		return NULL;
	}
	t->backend = cache->backend;
	t->connection = cache->backend->thread_begin(cache);
	t->name = name;
	t->size = size;
	t->record_size = sizeof(struct record) + (size + 7) / 8 * 8;
	t->page_records = (VALUE_MAX - CONTENT_AT) / t->record_size;
	return t;
}

void dir_results_thread_free(struct dir_results_thread *t)
{
	if (t) {
		t->backend->thread_end(t->connection);
		buf_release(&t->key);
		buf_release(&t->asked);
		free(t);
	}
}
