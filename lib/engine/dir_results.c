/* Keys, pages and records of cached results: found by a binary search, stored by a merge. */
#include "engine/dir_results.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/seal.h"

#define KIND 0x44495202u /* raise with every change of struct header or struct kept */
#define VALUE_MAX ((size_t)1 << 20)
#define MIN_AGE_S 2
#define UNSEEN_MAX 3

struct header {
	uint32_t pages; /* of the directory */
	uint32_t count; /* records; after them, their results */
};

struct kept {
	uint64_t ino;
	uint64_t size;
	int64_t mtime, ctime;
	uint32_t dev; /* 0: the directory's (device numbers change from boot to boot) */
	uint32_t ctime_nsec;
	uint32_t mtime_nsec : 30;
	uint32_t unseen : 2; /* times it was written back although its file was not seen */
	uint32_t end;        /* of its result; it begins where that of the record before ends */
};
_Static_assert(sizeof(struct kept) == 48, "a record has no padding");

/* Of this run: its result is in dir_results.bytes. */
struct seen {
	struct kept record;
	uint32_t at, len;
};

#define CONTENT_AT (SEAL_SIZE + sizeof(struct header))
#define ROOM (VALUE_MAX - CONTENT_AT) /* for records and results of a page */

struct dir_results_thread {
	const struct cache_backend *backend;
	void *connection; /* NULL: no cache */
	const char *name;
	struct buf key, asked; /* asked: the key of the outstanding request, or empty */
	uint64_t dev;          /* of the last directory entered, whose file system is: */
	uint64_t file_system[2];
	int identity; /* what the backend said of it */
	bool entered;
};

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

static struct kept *records(const struct dir_page *page)
{
	return (struct kept *)(void *)(page->value.data + CONTENT_AT);
}

static size_t result_begin(const struct dir_page *page, size_t record)
{
	return record ? records(page)[record - 1].end : 0;
}

static size_t result_len(const struct dir_page *page, size_t record)
{
	return records(page)[record].end - result_begin(page, record);
}

static const char *result_at(const struct dir_page *page, size_t record)
{
	return (const char *)&records(page)[page->count] + result_begin(page, record);
}

static struct seen *seen_at(const struct dir_results *d, size_t at)
{
	return (struct seen *)(void *)d->seen.data + at;
}

static size_t seen_count(const struct dir_results *d)
{
	return d->seen.len / sizeof(struct seen);
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int record_compare(const struct kept *a, const struct kept *b)
{
	int order = compare(a->ino, b->ino);
	return order ? order : compare(a->dev, b->dev);
}

/* False: a file whose device number has no room in a record. */
static bool record_fill(
        struct kept *record, const struct dir_results *d, const struct file_meta *meta)
{
	uint64_t dev = meta->dev == d->dev ? 0 : meta->dev;
	*record = (struct kept){
	        .ino = meta->ino,
	        .dev = (uint32_t)dev,
	        .size = meta->size,
	        .mtime = meta->mtime.sec,
	        .ctime = meta->ctime.sec,
	        .ctime_nsec = meta->ctime.nsec,
	        .mtime_nsec = meta->mtime.nsec & 0x3fffffff,
	};
	return dev <= UINT32_MAX;
}

static bool same_file(const struct kept *a, const struct kept *b)
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
static bool keep(struct dir_results *d, const struct kept *record, const void *result, size_t len)
{
	size_t used = seen_count(d) * sizeof *record + d->bytes.len;
	struct seen seen = {.record = *record, .at = (uint32_t)d->bytes.len, .len = (uint32_t)len};
	if (used + sizeof *record + len > ROOM * DIR_RESULTS_PAGES ||
	        !buf_reserve(&d->seen, sizeof seen) ||
	        !buf_reserve(&d->bytes, len + 1)) { /* never NULL */
		return false;
	}
	buf_add(&d->seen, &seen, sizeof seen);
	buf_add(&d->bytes, result, len);
	return true;
}

static bool fetch(struct dir_results_thread *t, const struct buf *key, struct buf *value)
{
	bool asked = t->asked.len == key->len && memcmp(t->asked.data, key->data, key->len) == 0;
	if (!asked) {
		t->backend->request(t->connection, key->data, key->len);
	}
	buf_clear(&t->asked);
	return t->backend->answer(t->connection, value);
}

/* Does each result lie within the value, after the one before? */
static bool results_good(const struct dir_page *page, size_t len)
{
	size_t begin = 0;
	for (size_t i = 0; i < page->count; i++) {
		size_t end = records(page)[i].end;
		if (end < begin || end - begin > OP_RESULT_MAX || end > len) {
			return false;
		}
		begin = end;
	}
	return begin == len;
}

/* The directory's page count according to a good value, or 0. Sets page->count. */
static unsigned unpack(const struct buf *key, struct dir_page *page)
{
	const struct buf *value = &page->value;
	struct header header;
	if (!seal_good(value, KIND, key->data, key->len) || value->len < CONTENT_AT) {
		return 0;
	}
	memcpy(&header, value->data + SEAL_SIZE, sizeof header);
	size_t len = value->len - CONTENT_AT;
	if (header.count > len / sizeof(struct kept) || header.pages == 0 ||
	        header.pages > DIR_RESULTS_PAGES || (header.pages & (header.pages - 1))) {
		return 0;
	}
	page->count = header.count;
	return results_good(page, len - header.count * sizeof(struct kept)) ? header.pages : 0;
}

/* Under the lock. Afterwards the page is there, perhaps empty; false only without memory. */
static bool load(struct dir_results_thread *t, struct dir_results *d, unsigned index)
{
	struct dir_page page = {.value = {.max = VALUE_MAX}};
	unsigned pages = 0;
	if (make_key(t, d, index, &t->key) && fetch(t, &t->key, &page.value)) {
		pages = unpack(&t->key, &page);
	}
	if (d->pages == 0) {
		d->pages = pages ? pages : 1;
		d->page = calloc(d->pages, sizeof *d->page);
	}
	if (!d->page || pages != d->pages) {
		buf_release(&page.value);
		page.count = 0;
	}
	if (d->page) {
		CHECK(index < d->pages && !(d->loaded >> index & 1));
		d->page[index] = page;
		d->loaded |= UINT64_C(1) << index;
	}
	return d->page != NULL;
}

/* Stores the page that has the record; returns its place in there, or SIZE_MAX. */
static size_t look_up(struct dir_results_thread *t, struct dir_results *d,
        const struct kept *wanted, const struct dir_page **in)
{
	if (d->pages == 0 && !load(t, d, 0)) {
		return SIZE_MAX;
	}
	unsigned index = page_of(wanted->ino, d->pages);
	if (!(d->loaded >> index & 1) && !load(t, d, index)) {
		return SIZE_MAX;
	}
	const struct dir_page *page = *in = &d->page[index];
	size_t from = 0, to = page->count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		const struct kept *record = &records(page)[middle];
		int order = record_compare(wanted, record);
		if (order == 0) {
			return same_file(wanted, record) ? middle : SIZE_MAX;
		}
		if (order < 0) {
			to = middle;
		} else {
			from = middle + 1;
		}
	}
	return SIZE_MAX;
}

bool dir_results_find(struct dir_results_thread *t, struct dir_results *d,
        const struct file_meta *meta, struct buf *result)
{
	struct kept wanted;
	if (!d->open || !t->connection || (meta->have & DIR_RESULTS_META) != DIR_RESULTS_META ||
	        !record_fill(&wanted, d, meta)) {
		return false;
	}
	const struct dir_page *page;
	pthread_mutex_lock(&d->lock);
	size_t found = look_up(t, d, &wanted, &page);
	if (found != SIZE_MAX) {
		buf_clear(result);
		buf_add(result, result_at(page, found), result_len(page, found));
		keep(d, &wanted, result_at(page, found), result_len(page, found));
	}
	pthread_mutex_unlock(&d->lock);
	return found != SIZE_MAX && !result->failed;
}

void dir_results_add(struct dir_results_thread *t, struct dir_results *d,
        const struct file_meta *meta, const void *result, size_t len)
{
	CHECK(len <= OP_RESULT_MAX);
	struct vega_time now = vega_now();
	struct kept record;
	if (!d->open || !t->connection || len > OP_RESULT_MAX ||
	        (d->only_fractions && meta->ctime.nsec == 0) || !old_enough(meta->mtime, now) ||
	        !old_enough(meta->ctime, now) || !record_fill(&record, d, meta)) {
		return;
	}
	pthread_mutex_lock(&d->lock);
	if (d->pages && keep(d, &record, result, len)) {
		d->changed |= UINT64_C(1) << page_of(record.ino, d->pages);
		d->added = true;
	}
	pthread_mutex_unlock(&d->lock);
}

static int order_compare(const void *a, const void *b, void *context)
{
	const struct seen *left = a, *right = b;
	const unsigned *pages = context;
	int by_page =
	        compare(page_of(left->record.ino, *pages), page_of(right->record.ino, *pages));
	return by_page ? by_page : record_compare(&left->record, &right->record);
}

/* Sorts this run's records by page; of a file seen twice (two names of one inode) one stays. */
static void sort_seen(struct dir_results *d, unsigned pages)
{
	size_t count = seen_count(d), kept = 0;
	qsort_r(d->seen.data, count, sizeof(struct seen), order_compare, &pages);
	for (size_t i = 0; i < count; i++) {
		struct seen *seen = seen_at(d, i);
		if (kept && record_compare(&seen_at(d, kept - 1)->record, &seen->record) == 0) {
			continue;
		}
		*seen_at(d, kept++) = *seen;
	}
	d->seen.len = kept * sizeof(struct seen);
}

/* A page on its way into the cache. */
struct new_page {
	struct buf value, results; /* header and records; what will follow them */
	uint32_t count;
};

static void add_record(
        struct new_page *page, const struct kept *record, const void *result, size_t len)
{
	struct kept copy = *record;
	buf_add(&page->results, result, len);
	copy.end = (uint32_t)page->results.len;
	buf_add(&page->value, &copy, sizeof copy);
	page->count++;
}

/* The new content of a page: this run's records [from, to), and among them the old ones that were
 * not seen, as far as there is room. */
static void merge(const struct dir_results *d, size_t from, size_t to, const struct dir_page *old,
        struct new_page *page)
{
	size_t used = 0, last = from, at = 0, count = old ? old->count : 0;
	for (; last < to && used + sizeof(struct kept) + seen_at(d, last)->len <= ROOM; last++) {
		used += sizeof(struct kept) + seen_at(d, last)->len;
	}
	while (from < last || at < count) {
		const struct seen *seen = from < last ? seen_at(d, from) : NULL;
		int order = !seen         ? 1
		            : at == count ? -1
		                          : record_compare(&seen->record, &records(old)[at]);
		if (order <= 0) {
			add_record(page, &seen->record, d->bytes.data + seen->at, seen->len);
			from++;
			at += order == 0;
			continue;
		}
		struct kept unseen = records(old)[at];
		size_t len = result_len(old, at);
		if (used + sizeof unseen + len <= ROOM && unseen.unseen < UNSEEN_MAX) {
			unseen.unseen = (unseen.unseen + 1u) & 3u;
			add_record(page, &unseen, result_at(old, at), len);
			used += sizeof unseen + len;
		}
		at++;
	}
}

static void store_page(struct dir_results_thread *t, const struct dir_results *d, unsigned index,
        unsigned pages, size_t from, size_t to, const struct dir_page *old)
{
	struct new_page page = {BUF_INIT, BUF_INIT, 0};
	struct header header = {.pages = pages};
	seal_begin(&page.value, KIND);
	buf_add(&page.value, &header, sizeof header);
	merge(d, from, to, old, &page);
	header.count = page.count;
	buf_add(&page.value, page.results.data, page.results.len);
	if (make_key(t, d, index, &t->key) && !page.value.failed && !page.results.failed) {
		CHECK(page.value.len <= VALUE_MAX);
		memcpy(page.value.data + SEAL_SIZE, &header, sizeof header);
		seal_end(&page.value, t->key.data, t->key.len);
		t->backend->put(
		        t->connection, t->key.data, t->key.len, page.value.data, page.value.len);
	}
	buf_release(&page.value);
	buf_release(&page.results);
}

static void store(struct dir_results_thread *t, struct dir_results *d)
{
	size_t size = seen_count(d) * sizeof(struct kept) + d->bytes.len;
	unsigned pages = d->pages;
	while (size > ROOM / 4 * 3 * pages && pages < DIR_RESULTS_PAGES) {
		pages *= 2;
	}
	sort_seen(d, pages);
	size_t count = seen_count(d);
	bool same = pages == d->pages;
	size_t from = 0;
	for (unsigned page = 0; page < pages; page++) {
		size_t to = from;
		while (to < count && page_of(seen_at(d, to)->record.ino, pages) == page) {
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
	if (d->added && !d->seen.failed && !d->bytes.failed && t->connection) {
		store(t, d);
	}
	for (unsigned page = 0; d->page && page < d->pages; page++) {
		buf_release(&d->page[page].value);
	}
	free(d->page);
	buf_release(&d->seen);
	buf_release(&d->bytes);
	pthread_mutex_destroy(&d->lock);
	d->open = false;
}

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
	d->seen = d->bytes = (struct buf)BUF_INIT;
	d->open = true;
	buf_clear(&t->asked);
	if (make_key(t, d, 0, &t->key)) {
		t->backend->request(t->connection, t->key.data, t->key.len);
		buf_add(&t->asked, t->key.data, t->key.len);
	}
}

struct dir_results_thread *dir_results_thread_new(struct cache *cache, const char *name)
{
	struct dir_results_thread *t = calloc(1, sizeof *t);
	if (!t) {
		return NULL;
	}
	t->backend = cache->backend;
	t->connection = cache->backend->thread_begin(cache);
	t->name = name;
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
