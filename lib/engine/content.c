/* From an opened file to the operations' results: who is fed how far, and who is done when. */
#include "engine/content.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "engine/dir_results.h"
#include "engine/file_copy.h"
#include "engine/inode_results.h"

#define READ_SIZE ((size_t)256 << 10)

struct content_thread {
	const struct content_config *config;
	void *accumulator[CONTENT_OPS_MAX];
	uint64_t limit[CONTENT_OPS_MAX]; /* bytes that each is fed at most */
	/* Which of them are of which kind; answer by results; are found in the cache, too. */
	uint32_t heads, wholes, answering, cached;
	void *context;         /* for breathe() */
	unsigned char *buffer; /* READ_SIZE bytes */
	/* Of those that are cached in the walk (`opened`; `cached` is 0 in rounds), and where its
	 * own state is in a directory's. */
	uint32_t opened;
	struct dir_results_thread *results[CONTENT_OPS_MAX];
	size_t results_at[CONTENT_OPS_MAX];
	struct buf result; /* of the file at hand */
	uint64_t files_read, cache_hits;
	atomic_uint_fast64_t bytes_read; /* written by its thread only */
};

/* One file on its way through the operations; they are bits. */
struct reading {
	struct content_reader reader; /* first: it is what random() is given */
	struct content_thread *thread;
	const struct walk_entry *entry;
	struct file_meta *meta; /* as opened */
	int file;
	uint64_t at;                /* bytes read */
	uint32_t begun;             /* end_file is due */
	uint32_t fed;               /* those of them that still want bytes */
	uint32_t random;            /* those of them that read where they like */
	uint32_t done;              /* have reported it, or took it */
	struct inode_result *inode; /* what they make of it is to be added there; NULL: nowhere */
	struct file_copy *copy;     /* where they read, when the tree cannot; NULL: from the tree */
	bool failed;                /* walk_error() was called */
	bool reader_failed;         /* during random() */
};

/* The lowest of the operations in the bits, which are not 0; it is taken from them. */
static inline unsigned take(uint32_t *bits)
{
	unsigned lowest = (unsigned)__builtin_ctz(*bits);
	*bits &= *bits - 1;
	return lowest;
}

static bool stopping(const struct content_thread *t)
{
	return t->config->stop && atomic_load_explicit(t->config->stop, memory_order_relaxed);
}

static struct op_content content_of(const struct content_config *config, unsigned op)
{
	return config->round.kind ? config->round : config->op[op]->content;
}

/* How many bytes chunk() gets at most. */
static uint64_t limit_of(struct op_content content)
{
	CHECK(content.kind != OP_NO_CONTENT && (content.kind != OP_HEAD || content.head > 0));
	return content.kind == OP_WHOLE ? UINT64_MAX : content.kind == OP_HEAD ? content.head : 0;
}

/* Those whose results are cached in this run. */
static uint32_t cached_ops(const struct content_config *config)
{
	uint32_t bits = 0;
	for (unsigned i = 0; config->cache && !config->round.kind && i < config->op_count; i++) {
		bits |= config->op[i]->cache_name ? 1u << i : 0;
	}
	return bits;
}

static struct dir_results *results_of(
        const struct content_thread *t, unsigned op, const struct walk_dir *dir)
{
	return (struct dir_results *)(void *)((char *)walk_dir_data(dir) + t->results_at[op]);
}

static void report(struct reading *r, const char *what, int errnum, const char *message)
{
	walk_error(r->entry, what, errnum, message);
	r->failed = true;
}

static void begin_file(struct reading *r, uint32_t which)
{
	const struct content_thread *t = r->thread;
	while (which) {
		unsigned i = take(&which);
		int answer = t->config->op[i]->begin_file(t->accumulator[i], r->entry, r->meta);
		if (answer > 0) {
			r->begun |= 1u << i;
		} else {
			r->done |= answer == 0 ? 1u << i : 0;
			r->failed |= answer < 0;
		}
	}
	r->fed = r->begun & (t->heads | t->wholes);
	r->random = r->begun & ~r->fed;
}

/* The next bytes, from r->at on. */
static void feed(struct reading *r, size_t len)
{
	const struct content_thread *t = r->thread;
	for (uint32_t left = r->fed; left;) {
		unsigned i = take(&left);
		uint64_t room = t->limit[i] - r->at;
		CHECK(t->limit[i] > r->at);
		if (t->config->op[i]->chunk(
		            t->accumulator[i], t->buffer, len < room ? len : (size_t)room) < 0) {
			r->fed &= ~(1u << i);
		}
	}
}

/* Reported, and kept; of the file as opened. */
static void use_result(struct reading *r, unsigned op, const void *bytes, size_t len)
{
	struct content_thread *t = r->thread;
	t->config->op[op]->file_result(t->accumulator[op], r->entry, r->meta, bytes, len, false);
	if (t->cached >> op & 1) {
		dir_results_add(
		        t->results[op], results_of(t, op, r->entry->dir), r->meta, bytes, len);
	}
}

/* Of a file just read. */
static void report_result(struct reading *r, unsigned op)
{
	struct content_thread *t = r->thread;
	const struct op *own = t->config->op[op];
	const struct buf *result = &t->result;
	CHECK(!result->failed); /* longer than OP_RESULT_MAX */
	if (result->failed) {
		report(r, own->name, 0, "its result is longer than 4096 bytes");
		return;
	}
	use_result(r, op, result->data, result->len);
	if (r->inode) {
		inode_result_add(r->inode, op, result->data, result->len);
	}
}

/* Ends the file for one operation. */
static inline void end_one(struct reading *r, unsigned op, bool whole)
{
	struct content_thread *t = r->thread;
	const struct op *own = t->config->op[op];
	uint32_t bit = 1u << op;
	struct buf *result = (t->answering & bit) ? &t->result : NULL;
	CHECK(r->begun & bit);
	r->begun &= ~bit;
	r->fed &= ~bit;
	buf_clear(&t->result);
	int failed = own->end_file(t->accumulator[op], r->entry, r->meta, whole, result);
	r->failed |= failed != 0;
	if (failed || !whole) {
		return;
	}
	r->done |= bit;
	if (result) {
		report_result(r, op);
	}
}

static inline void end_file(struct reading *r, uint32_t which, bool whole)
{
	while (which) {
		end_one(r, take(&which), whole);
	}
}

/* Is the file as it was when it was opened? Reports when it is not. */
static inline bool unchanged(struct reading *r)
{
	struct fs_tree *tree = r->entry->dir->tree;
	struct file_meta after;
	int error = tree->backend->stat_handle(tree, r->file, &after);
	if (error) {
		report(r, "stat", -error, NULL);
		return false;
	}
	if (after.size != r->meta->size || vega_time_compare(after.mtime, r->meta->mtime) != 0 ||
	        vega_time_compare(after.ctime, r->meta->ctime) != 0) {
		report(r, "read", 0, "changed while it was read");
		return false;
	}
	return true;
}

/* How far the greediest of `which` reads; 0: nobody wants more. A copy is of all. */
static uint64_t farthest(const struct reading *r, uint32_t which)
{
	const struct content_thread *t = r->thread;
	if ((which & t->wholes) || r->copy) {
		return UINT64_MAX;
	}
	uint64_t far = 0;
	while (which) {
		uint64_t limit = t->limit[take(&which)];
		far = limit > far ? limit : far;
	}
	return far;
}

/* Those that have all of the head that they asked for. */
static uint32_t satisfied(const struct reading *r)
{
	uint32_t heads = r->fed & r->thread->heads, bits = 0;
	while (heads) {
		unsigned i = take(&heads);
		bits |= r->thread->limit[i] <= r->at ? 1u << i : 0;
	}
	return bits;
}

/* Is there more to read? Of a whole file, not past its size, which is not true then; of a head,
 * whatever there is. */
static bool more(const struct reading *r, uint64_t far)
{
	bool left = far == UINT64_MAX ? r->at < r->meta->size : r->at != r->meta->size;
	return r->at < far && (left || r->at == 0);
}

static inline ssize_t read_some(struct reading *r, void *bytes, size_t len, uint64_t at)
{
	struct fs_tree *tree = r->entry->dir->tree;
	struct content_thread *t = r->thread;
	ssize_t got = tree->backend->read(tree, r->file, bytes, len, at);
	if (got > 0) {
		uint64_t sum = atomic_load_explicit(&t->bytes_read, memory_order_relaxed);
		atomic_store_explicit(&t->bytes_read, sum + (size_t)got, memory_order_relaxed);
	}
	return got;
}

/* There is no copy for those that would read where they like. */
static void give_up_random(struct reading *r, int error)
{
	report(r, "copy", -error, NULL);
	end_file(r, r->random, false);
	r->random = 0;
	file_copy_free(r->copy);
	r->copy = NULL;
}

/* Feeds what is to be fed; false when it could not be (reported), or need not be (stopping). Those
 * who are satisfied while others are not are done on the way. */
static bool read_in_order(struct reading *r)
{
	struct content_thread *t = r->thread;
	uint64_t far;
	while (more(r, far = farthest(r, r->fed))) {
		if (stopping(t)) {
			return false;
		}
		size_t len = far - r->at < READ_SIZE ? (size_t)(far - r->at) : READ_SIZE;
		ssize_t got = read_some(r, t->buffer, len, r->at);
		if (got < 0) {
			report(r, "read", (int)-got, NULL);
			return false;
		}
		if (got == 0) {
			break;
		}
		feed(r, (size_t)got);
		int error = r->copy ? file_copy_add(r->copy, t->buffer, (size_t)got) : 0;
		if (error) {
			give_up_random(r, error);
		}
		r->at += (size_t)got;
		uint32_t ready = satisfied(r);
		if (ready && more(r, farthest(r, r->fed & ~ready))) {
			if (!unchanged(r)) {
				return false;
			}
			end_file(r, ready, true);
		}
		if (t->config->breathe) {
			t->config->breathe(t->context);
		}
	}
	return true;
}

static ssize_t reader_read_at(struct content_reader *reader, void *bytes, size_t len, uint64_t at)
{
	struct reading *r = (struct reading *)reader;
	size_t done = 0;
	while (done < len) {
		if (stopping(r->thread)) {
			r->reader_failed = true;
			return -ECANCELED;
		}
		char *to = (char *)bytes + done;
		ssize_t got = r->copy ? file_copy_read(r->copy, to, len - done, at + done)
		                      : read_some(r, to, len - done, at + done);
		if (got < 0) {
			if (!r->reader_failed) {
				report(r, "read", (int)-got, NULL);
			}
			r->reader_failed = true;
			return got;
		}
		if (got == 0) {
			break;
		}
		done += (size_t)got;
	}
	return (ssize_t)done;
}

/* Calls all that read where they like; false when reading failed, or the run is stopping. */
static bool read_anywhere(struct reading *r)
{
	const struct content_thread *t = r->thread;
	for (uint32_t left = r->random; left && !r->reader_failed;) {
		unsigned i = take(&left);
		t->config->op[i]->random(t->accumulator[i], &r->reader);
	}
	return !r->reader_failed;
}

/* Ends the file for those that were fed. When none of them wanted its end, it does not matter what
 * became of it. Its size says nothing about a head, but a whole must have it. */
static bool end_fed(struct reading *r, bool good)
{
	bool true_size = farthest(r, r->fed) < UINT64_MAX || r->at == r->meta->size;
	good = good && (!r->fed || unchanged(r));
	if (good && !true_size) {
		end_file(r, r->begun & r->thread->heads, true);
		report(r, "read", 0, "its size cannot be trusted: its content has another length");
		good = false;
	}
	end_file(r, r->begun & ~r->random, good);
	return good;
}

static void read_file(struct reading *r)
{
	bool good = end_fed(r, read_in_order(r));
	if (r->random) {
		end_file(r, r->random, good && read_anywhere(r) && unchanged(r));
	}
	CHECK(r->begun == 0 && r->fed == 0);
}

/* Is that another file than was held, or was it changed, as far as is remembered of it? */
static bool differs(const struct file_meta *held, const struct file_meta *now)
{
	unsigned both = held->have & now->have;
	return ((both & META_SIZE) && held->size != now->size) ||
	       ((both & META_IDENTITY) && (held->dev != now->dev || held->ino != now->ino)) ||
	       ((both & META_MTIME) && vega_time_compare(held->mtime, now->mtime) != 0) ||
	       ((both & META_CTIME) && vega_time_compare(held->ctime, now->ctime) != 0);
}

/* Another name of a file that was read: reports what was made of it for these operations; those
 * that are left. */
static uint32_t report_again(struct reading *r, uint32_t which, const struct inode_result *inode)
{
	for (uint32_t left = which & r->thread->answering; left;) {
		unsigned i = take(&left);
		const void *bytes;
		size_t len;
		if (inode_result_find(inode, i, &bytes, &len)) {
			use_result(r, i, bytes, len);
			r->done |= 1u << i;
			which &= ~(1u << i);
		}
	}
	return which;
}

/* From the opened file to its end, for these operations. */
static void read_opened(struct reading *r, uint32_t which)
{
	struct fs_tree *tree = r->entry->dir->tree;
	begin_file(r, which);
	if (r->random && (tree->caps & FS_FRONT_ONLY)) {
		int error = file_copy_new(r->meta->size, &r->copy);
		if (error) {
			give_up_random(r, error);
		}
	}
	if (r->begun) {
		r->thread->files_read++;
		r->reader = (struct content_reader){r->meta->size, reader_read_at};
		read_file(r);
	}
	if (r->copy) {
		file_copy_free(r->copy);
	}
}

/* The same, once for all names of the file. */
static void read_inode(struct reading *r, uint32_t which)
{
	const struct content_thread *t = r->thread;
	struct inode_results *inodes = which & t->answering ? t->config->inodes : NULL;
	struct inode_result *inode = NULL;
	enum inode_answer answer = inode_results_begin(inodes, r->meta, t->config->stop, &inode);
	if (answer == INODE_KNOWN) {
		which = report_again(r, which, inode);
		inode_result_release(inodes, inode);
	}
	r->inode = answer == INODE_FIRST ? inode : NULL;
	if (which) {
		read_opened(r, which);
	}
	if (r->inode) {
		inode_result_end(inodes, inode, !r->failed && !stopping(t));
	}
}

static void read_entry(struct reading *r, uint32_t which)
{
	const struct content_thread *t = r->thread;
	struct fs_tree *tree = r->entry->dir->tree;
	r->file = tree->backend->open_file(tree, r->entry->dir_handle, r->entry->name, r->meta);
	if (r->file < 0) {
		bool other = r->file == -EINVAL;
		report(r, "open", other ? 0 : -r->file, other ? "no longer a regular file" : NULL);
		return;
	}
	if (t->config->round.kind && differs(r->entry->meta, r->meta)) {
		report(r, "open", 0, "changed since it was seen");
		tree->backend->close(tree, r->file);
		return;
	}
	read_inode(r, which);
	tree->backend->close(tree, r->file);
}

/* Reports what the cache knows of the file; the operations that are done with it. */
static uint32_t recall(struct content_thread *t, const struct walk_entry *entry)
{
	const struct content_config *config = t->config;
	uint32_t done = 0;
	for (uint32_t left = t->cached; left;) {
		unsigned i = take(&left);
		if (dir_results_find(
		            t->results[i], results_of(t, i, entry->dir), entry->meta, &t->result) &&
		        config->op[i]->file_result(t->accumulator[i], entry, entry->meta,
		                t->result.data, t->result.len, true)) {
			done |= 1u << i;
			t->cache_hits++;
		}
	}
	return done;
}

bool content_file(struct content_thread *t, const struct walk_entry *entry)
{
	uint32_t all = (1u << t->config->op_count) - 1;
	uint32_t done = recall(t, entry);
	if (done == all) {
		return true;
	}
	struct file_meta opened;
	struct reading r = {.thread = t, .entry = entry, .meta = &opened, .done = done};
	read_entry(&r, all & ~done);
	return r.done && !r.failed;
}

void content_enter(struct content_thread *t, struct walk_dir *dir, int dir_handle)
{
	for (uint32_t left = t->cached; left;) {
		unsigned i = take(&left);
		dir_results_enter(t->results[i], results_of(t, i, dir), dir->tree, dir_handle);
	}
}

void content_leave(struct content_thread *t, struct walk_dir *dir)
{
	for (uint32_t left = t->opened; left;) {
		unsigned i = take(&left);
		dir_results_leave(t->results[i], results_of(t, i, dir));
	}
}

unsigned content_want(const struct content_config *config)
{
	return cached_ops(config) ? DIR_RESULTS_META : 0;
}

size_t content_dir_size(const struct content_config *config)
{
	return (size_t)__builtin_popcount(cached_ops(config)) * sizeof(struct dir_results);
}

static bool open_results(struct content_thread *t)
{
	const struct content_config *config = t->config;
	size_t at = config->dir_offset;
	for (uint32_t left = t->cached; left;) {
		unsigned i = take(&left);
		t->results[i] = dir_results_thread_new(
		        config->cache, config->op[i]->cache_name(config->spec));
		if (!t->results[i]) {
			return false;
		}
		t->opened |= 1u << i;
		t->results_at[i] = at;
		at += sizeof(struct dir_results);
	}
	return true;
}

void content_thread_set(
        struct content_thread *t, const struct content_config *config, void *const *accumulators)
{
	t->config = config;
	t->heads = t->wholes = t->answering = 0;
	t->cached = cached_ops(config);
	memcpy(t->accumulator, accumulators, config->op_count * sizeof *accumulators);
	for (unsigned i = 0; i < config->op_count; i++) {
		t->limit[i] = limit_of(content_of(config, i));
		t->heads |= t->limit[i] > 0 && t->limit[i] < UINT64_MAX ? 1u << i : 0;
		t->wholes |= t->limit[i] == UINT64_MAX ? 1u << i : 0;
		t->answering |= config->op[i]->cache_name && !config->round.kind ? 1u << i : 0;
	}
}

struct content_thread *content_thread_new(
        const struct content_config *config, void *const *accumulators, void *context)
{
	struct content_thread *t = calloc(1, sizeof *t);
	if (!t) {
		return NULL;
	}
	t->context = context;
	content_thread_set(t, config, accumulators);
	t->result.max = OP_RESULT_MAX;
	t->buffer = aligned_alloc(4096, READ_SIZE);
	if (!t->buffer || !buf_reserve(&t->result, OP_RESULT_MAX) || !open_results(t)) {
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
		for (unsigned i = 0; i < CONTENT_OPS_MAX; i++) {
			dir_results_thread_free(t->results[i]);
		}
		buf_release(&t->result);
		free(t->buffer);
		free(t);
	}
}
