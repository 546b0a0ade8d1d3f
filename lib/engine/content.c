#include "engine/content.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/dir_results.h"

#define READ_SIZE ((size_t)256 << 10)

struct content_thread {
	const struct content_config *config;
	void *accumulator[CONTENT_OPS_MAX];
	void *context;                      /* for breathe() */
	unsigned char *buffer;              /* READ_SIZE bytes */
	struct dir_results_thread *results; /* NULL: nothing is cached */
	struct buf cache_name;
	uint64_t files_read, cache_hits;
	atomic_uint_fast64_t bytes_read; /* written by its thread only */
};

/* One file on its way through the operations; they are bits. */
struct reading {
	const struct walk_entry *entry;
	struct file_meta meta; /* as opened */
	int file;
	uint32_t begun; /* end_file is due */
	uint32_t fed;   /* those of them that still want bytes */
	bool failed;    /* walk_error() was called */
};

static bool stopping(const struct content_thread *t)
{
	return t->config->stop && atomic_load_explicit(t->config->stop, memory_order_relaxed);
}

/* --- The operations --- */

/* 0: its results cannot be cached. */
static size_t result_size(const struct content_config *config, unsigned op)
{
	return config->op[op]->result_size ? config->op[op]->result_size(config->spec) : 0;
}

/* Those whose results are cached in this run. */
static uint32_t cached_ops(const struct content_config *config)
{
	uint32_t bits = 0;
	for (unsigned i = 0; config->cache && i < config->op_count; i++) {
		bits |= result_size(config, i) ? 1u << i : 0;
	}
	return bits;
}

static struct dir_results *results_of(const struct content_thread *t, const struct walk_dir *dir)
{
	return (struct dir_results *)(void *)((char *)walk_dir_data(dir) + t->config->dir_offset);
}

static void begin_file(struct content_thread *t, struct reading *r, uint32_t which)
{
	for (unsigned i = 0; i < t->config->op_count; i++) {
		if (!(which >> i & 1)) {
			continue;
		}
		int answer = t->config->op[i]->begin_file(t->accumulator[i], r->entry, &r->meta);
		r->begun |= answer > 0 ? 1u << i : 0;
		r->failed |= answer < 0;
	}
	r->fed = r->begun;
}

static void feed(struct content_thread *t, struct reading *r, size_t len)
{
	for (unsigned i = 0; i < t->config->op_count; i++) {
		if ((r->fed >> i & 1) &&
		        t->config->op[i]->chunk(t->accumulator[i], t->buffer, len) < 0) {
			r->fed &= ~(1u << i);
		}
	}
}

/* Ends the file for all that began it. The results of the cacheable ones, end to end, go to
 * `results`; true when all of them are there. */
static bool end_file(
        struct content_thread *t, struct reading *r, bool whole, unsigned char *results)
{
	const struct content_config *config = t->config;
	uint32_t wanted = t->results ? cached_ops(config) : 0, got = 0;
	for (unsigned i = 0; i < config->op_count; i++) {
		if (!(r->begun >> i & 1)) {
			continue;
		}
		unsigned char result[OP_RESULT_MAX];
		const struct op *op = config->op[i];
		bool done = op->end_file(t->accumulator[i], r->entry, &r->meta, whole, result) == 0;
		r->failed |= !done;
		if (!done || !whole) {
			continue;
		}
		if (op->file_result) {
			op->file_result(t->accumulator[i], r->entry, &r->meta, result, false);
		}
		if (wanted >> i & 1) {
			memcpy(results, result, result_size(config, i));
			results += result_size(config, i);
			got |= 1u << i;
		}
	}
	return wanted && got == wanted;
}

/* --- Reading --- */

static void report(struct reading *r, const char *what, int errnum, const char *message)
{
	walk_error(r->entry, what, errnum, message);
	r->failed = true;
}

/* Feeds the whole file; false when it could not be (reported), or need not be (stopping). */
static bool read_whole(struct content_thread *t, struct reading *r)
{
	struct fs_tree *tree = r->entry->dir->tree;
	uint64_t at = 0;
	t->files_read++;
	while (r->fed && (at < r->meta.size || at == 0)) {
		if (stopping(t)) {
			return false;
		}
		ssize_t got = tree->backend->read(tree, r->file, t->buffer, READ_SIZE, at);
		if (got < 0) {
			report(r, "read", (int)-got, NULL);
			return false;
		}
		if (got == 0) {
			break;
		}
		at += (size_t)got;
		atomic_store_explicit(&t->bytes_read,
		        atomic_load_explicit(&t->bytes_read, memory_order_relaxed) + (size_t)got,
		        memory_order_relaxed);
		feed(t, r, (size_t)got);
		if (t->config->breathe) {
			t->config->breathe(t->context);
		}
	}
	if (!r->fed) {
		return true;
	}
	struct file_meta after;
	int error = tree->backend->stat_handle(tree, r->file, &after);
	if (error) {
		report(r, "stat", -error, NULL);
		return false;
	}
	if (after.size != r->meta.size || vega_time_compare(after.mtime, r->meta.mtime) != 0 ||
	        vega_time_compare(after.ctime, r->meta.ctime) != 0) {
		report(r, "read", 0, "changed while it was read");
		return false;
	}
	if (at != r->meta.size) {
		report(r, "read", 0, "its size cannot be trusted: its content has another length");
		return false;
	}
	return true;
}

static bool read_file(struct content_thread *t, const struct walk_entry *entry, uint32_t which)
{
	struct fs_tree *tree = entry->dir->tree;
	struct reading r = {.entry = entry};
	unsigned char results[CONTENT_OPS_MAX * OP_RESULT_MAX];
	r.file = tree->backend->open_file(tree, entry->dir_handle, entry->name, &r.meta);
	if (r.file < 0) {
		bool other = r.file == -EINVAL;
		report(&r, "open", other ? 0 : -r.file, other ? "no longer a regular file" : NULL);
		return false;
	}
	begin_file(t, &r, which);
	bool whole = r.begun && read_whole(t, &r);
	tree->backend->close(tree, r.file);
	if (end_file(t, &r, whole, results)) {
		dir_results_add(t->results, results_of(t, entry->dir), &r.meta, results);
	}
	return !r.failed && (whole || !r.begun);
}

/* --- From the cache --- */

/* Reports what the cache knows of the file; the operations that are done with it. */
static uint32_t recall(struct content_thread *t, const struct walk_entry *entry)
{
	const struct content_config *config = t->config;
	unsigned char results[CONTENT_OPS_MAX * OP_RESULT_MAX], *at = results;
	if (!t->results ||
	        !dir_results_find(t->results, results_of(t, entry->dir), entry->meta, results)) {
		return 0;
	}
	uint32_t cached = cached_ops(config);
	for (unsigned i = 0; i < config->op_count; i++) {
		if (cached >> i & 1) {
			config->op[i]->file_result(t->accumulator[i], entry, entry->meta, at, true);
			at += result_size(config, i);
			t->cache_hits++;
		}
	}
	return cached;
}

bool content_file(struct content_thread *t, const struct walk_entry *entry)
{
	uint32_t all = (1u << t->config->op_count) - 1;
	uint32_t left = all & ~recall(t, entry);
	return left == 0 || read_file(t, entry, left);
}

void content_enter(struct content_thread *t, struct walk_dir *dir, int dir_handle)
{
	if (t->results) {
		dir_results_enter(t->results, results_of(t, dir), dir->tree, dir_handle);
	}
}

void content_leave(struct content_thread *t, struct walk_dir *dir)
{
	if (t->results) {
		dir_results_leave(t->results, results_of(t, dir));
	}
}

/* --- Life --- */

unsigned content_want(const struct content_config *config)
{
	return cached_ops(config) ? DIR_RESULTS_META : 0;
}

size_t content_dir_size(const struct content_config *config)
{
	return cached_ops(config) ? sizeof(struct dir_results) : 0;
}

/* One value holds the results of all cached operations of the run: their names make the key. */
static bool open_results(struct content_thread *t)
{
	const struct content_config *config = t->config;
	uint32_t cached = cached_ops(config);
	size_t size = 0;
	for (unsigned i = 0; i < config->op_count; i++) {
		if (cached >> i & 1) {
			buf_printf(&t->cache_name, "%s%s", size ? "+" : "",
			        config->op[i]->cache_name(config->spec));
			size += result_size(config, i);
		}
	}
	const char *name = buf_cstr(&t->cache_name);
	t->results = cached && name ? dir_results_thread_new(config->cache, name, size) : NULL;
	return !cached || t->results;
}

struct content_thread *content_thread_new(
        const struct content_config *config, void *const *accumulators, void *context)
{
	struct content_thread *t = calloc(1, sizeof *t);
	if (!t) {
		return NULL;
	}
	t->config = config;
	t->context = context;
	memcpy(t->accumulator, accumulators, config->op_count * sizeof *accumulators);
	t->buffer = aligned_alloc(4096, READ_SIZE);
	if (!t->buffer || !open_results(t)) {
		content_thread_free(t);
		return NULL;
	}
	return t;
}

void content_stats_add(const struct content_thread *t, struct content_stats *sum)
{
	sum->files_read += t->files_read;
	sum->bytes_read += content_bytes(t);
	sum->cache_hits += t->cache_hits;
}

uint64_t content_bytes(const struct content_thread *t)
{
	return atomic_load_explicit(&t->bytes_read, memory_order_relaxed);
}

void content_thread_free(struct content_thread *t)
{
	if (t) {
		dir_results_thread_free(t->results);
		buf_release(&t->cache_name);
		free(t->buffer);
		free(t);
	}
}
