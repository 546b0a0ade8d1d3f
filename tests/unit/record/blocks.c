/*
 * A format of blocks through the sink. Its output is "HEAD", then blocks (each its length and its
 * number of records before the records), then a footer that holds the offset, length and count of
 * each block, and its own length last. Paths hold newlines: no write may end at one.
 */
#include "../tap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "record/flat.h"
#include "record/sink.h"

#define HEAD "HEAD"
#define THREADS_MAX 16
#define RECORDS 20000
#define JSON "{\"type\":\"summary\"}"

static const struct format_options options = {.utf8 = true, .width = 80};
static atomic_int builders, footers;

struct builder {
	struct buf records;
	uint64_t count;
};

static void *block_open(const struct format_options *unused)
{
	(void)unused;
	builders++;
	return calloc(1, sizeof(struct builder));
}

static void block_close(void *self)
{
	struct builder *builder = self;
	builders--;
	buf_release(&builder->records);
	free(builder);
}

static bool block_add(void *self, const struct record *record, size_t *size)
{
	struct builder *builder = self;
	struct buf *out = &builder->records;
	uint32_t len = (uint32_t)(record->dir_len + record->name_len);
	if (record->type == RECORD_ENTRY) {
		buf_add(out, &len, sizeof len);
		buf_add(out, record->dir, record->dir_len);
		buf_add(out, record->name, record->name_len);
		builder->count++;
	}
	*size = out->len;
	return !out->failed;
}

static void block_end(void *self, struct buf *out, struct buf *note)
{
	struct builder *builder = self;
	uint64_t head[2] = {builder->records.len, builder->count};
	buf_add(out, head, sizeof head);
	buf_add(out, builder->records.data, builder->records.len);
	buf_add(note, &builder->count, sizeof builder->count);
	buf_clear(&builder->records);
	builder->count = 0;
}

static void block_footer(struct buf *out, const struct format_options *unused,
        const struct format_block *blocks, size_t count, uint64_t offset, const char *json,
        size_t len)
{
	(void)unused;
	footers++;
	for (size_t i = 0; i < count; i++) {
		uint64_t row[3] = {blocks[i].offset, blocks[i].len, 0};
		memcpy(&row[2], blocks[i].note, sizeof row[2]);
		buf_add(out, row, sizeof row);
	}
	buf_add(out, json, len);
	uint64_t tail[3] = {count, offset, out->len};
	buf_add(out, tail, sizeof tail);
}

static void block_begin(struct buf *out, const struct format_options *unused)
{
	(void)unused;
	buf_add_str(out, HEAD);
}

static struct block_format blocks = {.block_size = 50000,
        .open = block_open,
        .add = block_add,
        .end_block = block_end,
        .footer = block_footer,
        .close = block_close};
static const struct format format = {.name = "blocks", .begin = block_begin, .blocks = &blocks};

/* What a reader finds. */
struct found {
	bool whole, nested; /* it has its footer; each block lies where the footer says */
	bool sorted;
	uint64_t blocks, records, twice;
};

static unsigned char seen[THREADS_MAX][RECORDS];

static void read_records(struct found *found, const char *at, const char *end, char before[64])
{
	while (at < end) {
		uint32_t len;
		char path[64] = "";
		unsigned thread, number;
		memcpy(&len, at, sizeof len);
		at += sizeof len;
		memcpy(path, at, len < sizeof path ? len : sizeof path - 1);
		at += len;
		if (sscanf(path, "t%2u/\n%6u", &thread, &number) != 2 || thread >= THREADS_MAX ||
		        number >= RECORDS) {
			found->nested = false;
			return;
		}
		found->twice += seen[thread][number]++;
		found->sorted = found->sorted && strcmp(before, path) < 0;
		memcpy(before, path, sizeof path);
		found->records++;
	}
	found->nested = found->nested && at == end;
}

/* The length of the whole blocks that the bytes begin with. */
static size_t read_blocks(struct found *found, const char *bytes, size_t len)
{
	char before[64] = "";
	size_t at = sizeof HEAD - 1;
	memset(seen, 0, sizeof seen);
	*found = (struct found){.nested = true, .sorted = true};
	while (len - at >= 16) {
		uint64_t head[2], records = found->records;
		memcpy(head, bytes + at, sizeof head);
		if (head[0] > len - at - 16) {
			break;
		}
		read_records(found, bytes + at + 16, bytes + at + 16 + head[0], before);
		if (!found->nested || found->records - records != head[1]) {
			found->nested = false;
			break;
		}
		found->blocks++;
		at += 16 + head[0];
	}
	return at;
}

static struct found read_output(const char *bytes, size_t len)
{
	struct found found = {0};
	uint64_t tail[3];
	memcpy(tail, bytes + len - sizeof tail, sizeof tail);
	uint64_t footer = len - sizeof tail - tail[2];
	if (memcmp(bytes, HEAD, 4) != 0 || tail[2] > len || footer != tail[1]) {
		return found;
	}
	found.whole = read_blocks(&found, bytes, footer) == footer && found.blocks == tail[0];
	for (uint64_t i = 0, at = 4; i < tail[0]; i++) {
		uint64_t row[3], head[2];
		memcpy(row, bytes + footer + i * sizeof row, sizeof row);
		memcpy(head, bytes + row[0], sizeof head);
		found.nested =
		        found.nested && row[0] == at && row[1] == head[0] + 16 && row[2] == head[1];
		at += row[1];
	}
	return found;
}

struct job {
	struct sink *sink;
	unsigned index, records;
};

static void *emit(void *context)
{
	struct job *job = context;
	struct sink_thread *thread = sink_thread_new(job->sink);
	char dir[32], name[32];
	int dir_len = snprintf(dir, sizeof dir, "t%02u/", job->index);
	for (unsigned i = 0; i < job->records && !sink_error(job->sink); i++) {
		unsigned scattered = i * 7919 % RECORDS; /* each once, in no order */
		struct record record = {.type = RECORD_ENTRY,
		        .op = "test",
		        .dir = dir,
		        .dir_len = (size_t)dir_len,
		        .name = name,
		        .name_len = (size_t)snprintf(name, sizeof name, "\n%06u", scattered)};
		struct record progress = {.type = RECORD_PROGRESS};
		sink_record(thread, &record);
		sink_record(thread, &progress);
		if (i % 100 == 0) {
			sink_flush(thread);
			sink_flush_old(thread);
		}
	}
	return NULL;
}

static int run(int fd, unsigned threads, bool sort, const atomic_int *stop, struct quota *quota,
        struct vega_error *err)
{
	struct sink *sink = sink_new(fd, &format, &options, sort);
	pthread_t ids[THREADS_MAX];
	struct job jobs[THREADS_MAX];
	if (stop) {
		sink_stop_on(sink, stop);
	}
	sink_limit(sink, quota);
	for (unsigned i = 0; i < threads; i++) {
		jobs[i] = (struct job){sink, i, RECORDS};
		pthread_create(&ids[i], NULL, emit, &jobs[i]);
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
	}
	return sink_finish(sink, JSON, sizeof JSON - 1, err);
}

static char *content(int fd, size_t *len)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *bytes = malloc((size_t)size + 1);
	*len = (size_t)size;
	if (!bytes || pread(fd, bytes, *len, 0) != size) {
		abort();
	}
	return bytes;
}

static void test_whole(unsigned threads, bool sort)
{
	int fd = memfd_create("blocks", 0);
	size_t len;
	struct vega_error err;
	is_int(run(fd, threads, sort, NULL, NULL, &err), 0, "%u threads, sort %d", threads, sort);
	char *bytes = content(fd, &len);
	struct found found = read_output(bytes, len);
	ok(found.whole && found.nested, "whole blocks, where the footer says, and nothing else");
	is_int(found.records, threads * RECORDS, "every record");
	is_int(found.twice, 0, "each once");
	ok(found.blocks > threads * RECORDS * 14 / 50000 / 2, "in %u blocks",
	        (unsigned)found.blocks);
	ok(!sort || found.sorted, "in the order of paths, if asked for");
	is_int(builders, 0, "every builder was closed");
	free(bytes);
	close(fd);
}

/* The same bytes, whatever thread had which record. */
static void test_same_bytes(void)
{
	char *bytes[2];
	size_t len[2];
	struct vega_error err;
	for (unsigned i = 0; i < 2; i++) {
		int fd = memfd_create("blocks", 0);
		run(fd, 16, true, NULL, NULL, &err);
		bytes[i] = content(fd, &len[i]);
		close(fd);
	}
	ok(len[0] == len[1] && memcmp(bytes[0], bytes[1], len[0]) == 0,
	        "sorted blocks are the same in every run");
	free(bytes[0]);
	free(bytes[1]);
}

static void test_empty(void)
{
	int fd = memfd_create("blocks", 0);
	size_t len;
	struct sink *sink = sink_new(fd, &format, &options, false);
	sink_thread_new(sink);
	is_int(sink_finish(sink, JSON, sizeof JSON - 1, NULL), 0, "no record at all");
	char *bytes = content(fd, &len);
	struct found found = read_output(bytes, len);
	ok(found.whole && found.blocks == 0, "a footer of no blocks");
	free(bytes);
	close(fd);

	fd = memfd_create("blocks", 0);
	int before = footers;
	sink = sink_new(fd, &format, &options, false);
	struct job job = {sink, 0, 1};
	emit(&job);
	is_int(sink_finish(sink, NULL, 0, NULL), 0, "a run without its summary");
	is_int(footers, before, "has no footer");
	bytes = content(fd, &len);
	is_int(read_blocks(&found, bytes, len), len, "but its last block");
	is_int(found.records, 1, "with the record in it");
	free(bytes);
	close(fd);
}

static void test_quota(void)
{
	atomic_int stop = 0;
	struct quota quota = {.most = 250000, .stop = &stop};
	int fd = memfd_create("blocks", 0), before = footers;
	size_t len;
	struct vega_error err;
	is_int(run(fd, 4, false, NULL, &quota, &err), VEGA_FATAL, "more than the quota fails");
	is_int(err.sys, EDQUOT, "and says so");
	char *bytes = content(fd, &len);
	struct found found;
	ok(len > 150000 && len <= 250000, "what the quota allows is there");
	is_int(read_blocks(&found, bytes, len), len, "in whole blocks");
	ok(found.nested && found.twice == 0, "that can be read");
	is_int(footers, before, "without a footer");
	free(bytes);
	close(fd);
}

static void *drain(void *context)
{
	int fd = *(int *)context;
	struct buf *out = calloc(1, sizeof *out);
	fd_read_all(fd, out);
	return out;
}

/* Blocks that no pipe holds, while the reader takes them bit by bit. */
static void test_pipe(void)
{
	atomic_int stop = 0;
	int ends[2];
	pthread_t reader;
	struct vega_error err;
	void *got;
	if (pipe(ends)) {
		abort();
	}
	blocks.block_size = 150000;
	pthread_create(&reader, NULL, drain, &ends[0]);
	is_int(run(ends[1], 16, false, &stop, NULL, &err), 0, "into a pipe");
	close(ends[1]);
	pthread_join(reader, &got);
	struct buf *out = got;
	struct found found = read_output(out->data, out->len);
	ok(found.whole && found.nested && found.records == 16 * RECORDS && found.twice == 0,
	        "no block is torn by another");
	blocks.block_size = 50000;
	buf_release(out);
	free(out);
	close(ends[0]);
}

static void test_broken_pipe(bool sort)
{
	int ends[2], before = footers;
	struct vega_error err = {0};
	if (pipe(ends)) {
		abort();
	}
	close(ends[0]);
	is_int(run(ends[1], 16, sort, NULL, NULL, &err), VEGA_FATAL, "a broken pipe, sort %d",
	        sort);
	is_int(err.sys, EPIPE, "is EPIPE");
	is_int(footers, before, "and no footer is made");
	is_int(builders, 0, "every builder was closed");
	close(ends[1]);
}

/* A reader that takes nothing holds nobody up once the run is stopped. */
static void test_stuck(void)
{
	atomic_int stop = 15;
	int ends[2];
	struct vega_error err = {0};
	if (pipe(ends)) {
		abort();
	}
	is_int(run(ends[1], 4, false, &stop, NULL, &err), VEGA_FATAL, "nobody reads");
	is_int(err.sys, EINTR, "given up");
	close(ends[0]);
	close(ends[1]);
}

static bool no_memory(void *self, const struct record *record, size_t *size)
{
	(void)self, (void)record;
	*size = 0;
	return false;
}

static void test_memory(void)
{
	int fd = memfd_create("blocks", 0);
	struct vega_error err = {0};
	blocks.add = no_memory;
	is_int(run(fd, 2, false, NULL, NULL, &err), VEGA_FATAL, "a builder without memory");
	is_int(err.sys, ENOMEM, "ends the run");
	blocks.add = block_add;
	close(fd);
}

/* Records that are kept come back as they were. */
static void test_flat(void)
{
	const struct file_meta meta = {.have = META_ALL,
	        .mode = 0100644,
	        .uid = 1,
	        .gid = 2,
	        .nlink = 3,
	        .dev = 4,
	        .ino = UINT64_MAX,
	        .size = 5,
	        .allocated = 6,
	        .mtime = {-7, 8},
	        .ctime = {9, 10},
	        .atime = {11, 12}};
	const struct record_field fields[] = {
	        {.key = "text", .type = VALUE_TEXT, .text = "t\xc3\xa9xt"},
	        {.key = "bytes", .type = VALUE_BYTES, .text = "a\0b", .len = 3},
	        {.key = "number", .type = VALUE_U64, .number = UINT64_MAX},
	};
	const struct record found = {.type = RECORD_ENTRY,
	        .op = "o",
	        .dir = "d/",
	        .dir_len = 2,
	        .name = "n\n",
	        .name_len = 2,
	        .file_type = FILE_FIFO,
	        .meta = &meta,
	        .fields = fields,
	        .field_count = 3,
	        .text = RECORD_TEXT_SUM,
	        .lead = "ab  ",
	        .lead_len = 4};
	const struct record error = {.type = RECORD_ERROR,
	        .op = "open",
	        .dir = "",
	        .name = "x",
	        .name_len = 1,
	        .errnum = EACCES,
	        .message = "no"};
	struct buf out = BUF_INIT, again = BUF_INIT;
	struct flat_record flat;
	record_flatten(&out, &found);
	record_unflatten(out.data, out.len, &flat);
	const struct record *r = &flat.record;
	ok(r->type == RECORD_ENTRY && r->name_len == 4 && memcmp(r->name, "d/n\n", 4) == 0 &&
	                r->dir_len == 0 && r->file_type == FILE_FIFO,
	        "the path, whole, and the type");
	ok(r->meta && r->meta->ino == UINT64_MAX && r->meta->mtime.sec == -7 &&
	                r->meta->atime.nsec == 12 && r->meta->allocated == 6,
	        "the metadata");
	ok(r->field_count == 3 && strcmp(r->fields[0].text, fields[0].text) == 0 &&
	                memcmp(r->fields[1].text, "a\0b", 4) == 0 && r->fields[1].len == 3 &&
	                r->fields[2].number == UINT64_MAX && !r->fields[2].text,
	        "the fields");
	ok(r->lead_len == 4 && memcmp(r->lead, "ab  ", 4) == 0 && r->text == RECORD_TEXT_SUM,
	        "the text before the path");
	record_flatten(&again, r);
	ok(out.len == again.len && memcmp(out.data, again.data, out.len) == 0,
	        "flattened again, the same bytes");
	buf_clear(&out);
	record_flatten(&out, &error);
	record_unflatten(out.data, out.len, &flat);
	ok(r->type == RECORD_ERROR && strcmp(r->op, "open") == 0 && r->errnum == EACCES &&
	                strcmp(r->message, "no") == 0 && !r->meta && !r->lead,
	        "an error");
	buf_release(&out);
	buf_release(&again);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_whole(1, false);
	test_whole(16, false);
	test_whole(1, true);
	test_whole(16, true);
	test_same_bytes();
	test_empty();
	test_quota();
	test_pipe();
	test_broken_pipe(false);
	test_broken_pipe(true);
	test_stuck();
	test_memory();
	test_flat();
	return done();
}
