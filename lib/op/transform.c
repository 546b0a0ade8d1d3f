/*
 * transform: each selected file goes through a codec or a filter into a mirrored tree below --out.
 *
 * An entry record's path is the input, as with every operation; its fields are `output` (the path
 * written), `status` ("written", or "current": it was there, with the input's mtime to the
 * nanosecond), `input_bytes` and `output_bytes`. The text format prints the output's path, so that
 * the next tool of a pipe finds what there is now.
 *
 * The summary: {"written":N,"current":N,"failed":N,"input_bytes":N,"output_bytes":N}, the bytes
 * being those of the files written in this run.
 */
#include "op/op.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/output.h"
#include "op/claims.h"
#include "op/codec.h"
#include "op/filter.h"

struct transform {
	const struct spec *spec;
	struct output_root *root;
	struct claims *claims; /* while planning */
	pthread_mutex_t lock;  /* of what follows: the collision with the least output path */
	bool no_memory;
	uint64_t collisions, holder; /* holder: the inode of the input that came first */
	char *output, *input;
};

/* A thread's accumulator, and the file that it is at. */
struct transform_thread {
	struct op_thread *thread;
	struct transform *transform;
	struct codec *codec;
	struct filter *filter;   /* one of the two */
	struct buf output;       /* where it is written, with --out */
	size_t relative;         /* offset in it of what follows --out and '/' */
	struct buf input;        /* its path as printed */
	struct output_file file; /* open: fd >= 0 */
	int state;               /* of codec and filter: negative when it failed, see err */
	struct vega_error err;
	uint64_t written, current, failed, input_bytes, output_bytes;
};

/* --- Names ------------------------------------------------------------------------------------ */

static void add_codec_name(enum spec_codec codec, const char *name, size_t len, struct buf *out)
{
	static const char *const endings[] = {".gz", ".zst", ".zstd"};
	if (codec == SPEC_NONE) {
		for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
			size_t cut = strlen(endings[i]);
			if (len > cut && memcmp(name + len - cut, endings[i], cut) == 0) {
				len -= cut;
				break;
			}
		}
	}
	buf_add(out, name, len);
	if (codec != SPEC_NONE) {
		buf_add_str(out, codec == SPEC_ZSTD ? ".zst" : ".gz");
	}
}

static void add_template_name(const char *template, const char *name, size_t len, struct buf *out)
{
	for (const char *at = template; *at;) {
		if (strncmp(at, "{/}", 3) == 0) {
			buf_add(out, name, len);
			at += 3;
		} else if (strncmp(at, "{/.}", 4) == 0) {
			buf_add(out, name, filter_stem(name, len));
			at += 4;
		} else {
			buf_add_char(out, *at++);
		}
	}
}

/* Add the name of the output of a file of that name. */
static void add_output_name(const struct spec *spec, const char *name, size_t len, struct buf *out)
{
	if (spec->command.count == 0) {
		add_codec_name((enum spec_codec)spec->to, name, len, out);
	} else {
		add_template_name(spec->output_name ? spec->output_name : "{/}", name, len, out);
	}
}

/* May the output have this name? NULL, or why not. */
static const char *name_fault(const char *name, size_t len)
{
	if (len > NAME_MAX) {
		return "the output's name would be longer than 255 bytes";
	}
	bool dots = len <= 2 && memcmp(name, "..", len) == 0; /* "", "." and ".." */
	return dots || memchr(name, '/', len) ? "the output's name would be no plain name" : NULL;
}

/* Set t->output for an entry. NULL, or why there is none. */
static const char *find_output(struct transform_thread *t, const struct walk_entry *entry)
{
	size_t len;
	const char *relative = walk_entry_relative(entry, &len);
	if (!relative) {
		return "out of memory";
	}
	const char *slash = memrchr(relative, '/', len);
	size_t dir_len = slash ? (size_t)(slash - relative) + 1 : 0;
	const char *out = t->transform->spec->out;
	buf_clear(&t->output);
	buf_add_str(&t->output, out);
	if (out[strlen(out) - 1] != '/') {
		buf_add_char(&t->output, '/');
	}
	t->relative = t->output.len;
	buf_add(&t->output, relative, dir_len);
	size_t name = t->output.len;
	add_output_name(t->transform->spec, relative + dir_len, len - dir_len, &t->output);
	if (!buf_cstr(&t->output)) {
		return "out of memory";
	}
	return name_fault(t->output.data + name, t->output.len - name);
}

static const char *relative_output(const struct transform_thread *t)
{
	return t->output.data + t->relative;
}

/* Set t->input; false when there is no memory. */
static bool find_input(struct transform_thread *t, const struct walk_entry *entry)
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

/* --- Before the run --------------------------------------------------------------------------- */

static unsigned transform_want(const struct spec *spec)
{
	(void)spec;
	return 0;
}

static void transform_close(void *self)
{
	struct transform *transform = self;
	if (!transform) {
		return;
	}
	output_root_close(transform->root);
	claims_free(transform->claims);
	pthread_mutex_destroy(&transform->lock);
	free(transform->output);
	free(transform->input);
	free(transform);
}

/* What is written must not be found by the walk that it is written by. */
static int check_apart(const struct transform *transform, struct vega_error *err)
{
	const struct spec *spec = transform->spec;
	for (size_t i = 0; i < spec->roots.count; i++) {
		const char *root = spec->roots.items[i];
		int inside = output_root_inside(transform->root, root);
		int contains = inside ? 0 : output_root_contains(transform->root, root);
		if (inside == 1) {
			return vega_fail(err, VEGA_USAGE,
			        "--out %s lies inside the input %s; choose a directory outside it",
			        spec->out, root);
		}
		if (contains == 1) {
			return vega_fail(err, VEGA_USAGE,
			        "--out %s contains the input %s; choose a directory beside it",
			        spec->out, root);
		}
		int error = inside < 0 ? -inside : contains < 0 ? -contains : 0;
		if (error && error != ENOENT && error != ENOTDIR && error != ELOOP) {
			return vega_fail_errno(err, VEGA_FATAL, error,
			        "cannot tell whether --out %s lies inside %s", spec->out, root);
		}
	}
	return 0;
}

static int transform_open(
        const struct spec *spec, const struct strlist *allowed, void **self, struct vega_error *err)
{
	struct transform *transform = calloc(1, sizeof *transform);
	if (!transform) {
		return vega_fail_nomem(err);
	}
	transform->spec = spec;
	pthread_mutex_init(&transform->lock, NULL);
	int rc = spec->command.count ? filter_check(&spec->command, err) : 0;
	if (rc == 0) {
		rc = output_root_open(spec->out, allowed, &transform->root, err);
	}
	if (rc == 0) {
		rc = check_apart(transform, err);
	}
	if (rc == 0 && !(transform->claims = claims_new())) {
		rc = vega_fail_nomem(err);
	}
	if (rc) {
		transform_close(transform);
		return rc;
	}
	*self = transform;
	return 0;
}

static void transform_thread_end(void *accumulator)
{
	struct transform_thread *t = accumulator;
	if (!t) {
		return;
	}
	output_discard(&t->file);
	codec_free(t->codec);
	filter_free(t->filter);
	buf_release(&t->output);
	buf_release(&t->input);
	free(t);
}

static void *transform_thread_begin(struct op_thread *thread)
{
	const struct spec *spec = thread->spec;
	struct transform_thread *t = calloc(1, sizeof *t);
	if (!t) {
		return NULL;
	}
	t->thread = thread;
	t->transform = thread->self;
	t->file = (struct output_file){.fd = -1, .dir = -1};
	if (spec->command.count) {
		t->filter = filter_new(&spec->command, spec->timeout.value, thread->stop);
	} else {
		t->codec = codec_new((enum spec_codec)spec->to, (int)spec->level.value);
	}
	if (!t->codec && !t->filter) {
		transform_thread_end(t);
		return NULL;
	}
	return t;
}

/* --- Collisions ------------------------------------------------------------------------------- */

/* One root, and no part of a name lost: then no two outputs can be the same. */
static bool transform_plan_needed(const void *self)
{
	const struct spec *spec = ((const struct transform *)self)->spec;
	bool keeps_name = spec->command.count
	                          ? !spec->output_name || !strstr(spec->output_name, "{/.}")
	                          : spec->to != SPEC_NONE;
	return spec->roots.count > 1 || !keeps_name;
}

/* Remember a collision, if it is the first in the order of outputs. */
static void note_collision(struct transform_thread *t, uint64_t holder)
{
	struct transform *transform = t->transform;
	char *output = strdup(relative_output(t)), *input = strdup(t->input.data);
	pthread_mutex_lock(&transform->lock);
	transform->collisions++;
	transform->no_memory |= !output || !input;
	if (output && input && (!transform->output || strcmp(output, transform->output) < 0)) {
		char *old_output = transform->output, *old_input = transform->input;
		transform->output = output;
		transform->input = input;
		transform->holder = holder;
		output = old_output;
		input = old_input;
	}
	pthread_mutex_unlock(&transform->lock);
	free(output);
	free(input);
}

static void transform_plan(void *accumulator, const struct walk_entry *entry)
{
	struct transform_thread *t = accumulator;
	uint64_t holder = 0;
	if (find_output(t, entry)) {
		return; /* told when its turn comes */
	}
	int taken = claims_add(t->transform->claims, relative_output(t),
	        t->output.len - t->relative, entry->ino, &holder);
	if (taken > 0 && find_input(t, entry)) {
		note_collision(t, holder);
	} else if (taken) {
		pthread_mutex_lock(&t->transform->lock);
		t->transform->no_memory = true;
		pthread_mutex_unlock(&t->transform->lock);
	}
}

/* In the directory dir_len bytes of `path` long: the file of that inode whose output is called
 * `output`; its name is put behind them. */
static bool look_in(const struct spec *spec, struct buf *path, const char *output, uint64_t inode)
{
	struct buf name = BUF_INIT;
	size_t dir_len = path->len;
	DIR *dir = opendir(buf_cstr(path) ? path->data : "");
	bool found = false;
	for (struct dirent *d; dir && !found && (d = readdir(dir));) {
		if (d->d_ino != inode) {
			continue;
		}
		buf_clear(&name);
		add_output_name(spec, d->d_name, strlen(d->d_name), &name);
		path->len = dir_len;
		buf_add_str(path, d->d_name);
		found = buf_cstr(&name) && strcmp(name.data, output) == 0;
	}
	if (dir) {
		closedir(dir);
	}
	buf_release(&name);
	return found;
}

/* Find the path of the input that came first: only its inode is known, and where its output goes.
 */
static bool find_holder(const struct transform *transform, struct buf *path)
{
	const struct strlist *roots = &transform->spec->roots;
	const char *slash = strrchr(transform->output, '/');
	const char *name = slash ? slash + 1 : transform->output;
	for (size_t i = 0; i < roots->count; i++) {
		struct stat st;
		const char *root = roots->items[i];
		buf_clear(path);
		buf_add_str(path, root);
		if (stat(root, &st) == 0 && !S_ISDIR(st.st_mode)) {
			if (st.st_ino == transform->holder && !slash &&
			        strcmp(root, transform->input) != 0) {
				return true;
			}
			continue;
		}
		if (!*root || root[strlen(root) - 1] != '/') {
			buf_add_char(path, '/');
		}
		buf_add(path, transform->output, (size_t)(name - transform->output));
		if (look_in(transform->spec, path, name, transform->holder) && buf_cstr(path) &&
		        strcmp(path->data, transform->input) != 0) {
			return true;
		}
	}
	return false;
}

static int transform_plan_end(void *self, struct vega_error *err)
{
	struct transform *transform = self;
	claims_free(transform->claims);
	transform->claims = NULL;
	if (transform->no_memory) {
		return vega_fail_nomem(err);
	}
	if (transform->collisions == 0) {
		return 0;
	}
	struct buf other = BUF_INIT;
	bool known = find_holder(transform, &other) && buf_cstr(&other);
	const char *first = known ? other.data : "another input", *second = transform->input;
	if (known && strcmp(first, second) > 0) {
		first = transform->input;
		second = other.data;
	}
	int rc = vega_fail(err, VEGA_USAGE,
	        "%s and %s would both be written to %s/%s (collisions: %llu); nothing was written",
	        first, second, transform->spec->out, transform->output,
	        (unsigned long long)transform->collisions);
	buf_release(&other);
	return rc;
}

/* --- One file --------------------------------------------------------------------------------- */

/* Report why this file is not written; errnum as in a record. Returns -1. */
static int refuse(
        struct transform_thread *t, const struct walk_entry *entry, int errnum, const char *message)
{
	t->failed++;
	walk_error(entry, "transform", errnum, message);
	return -1;
}

/* The same, when it is about the output: its path goes before the text. */
static int refuse_output(
        struct transform_thread *t, const struct walk_entry *entry, int errnum, const char *text)
{
	struct buf message = BUF_INIT;
	buf_add(&message, t->output.data, t->output.len);
	buf_add_str(&message, text ? text : ": ");
	if (!text) {
		buf_add_str(&message, strerrordesc_np(errnum));
	}
	refuse(t, entry, errnum, buf_cstr(&message));
	buf_release(&message);
	return -1;
}

static void report(struct transform_thread *t, const struct walk_entry *entry, const char *status,
        uint64_t input_bytes, uint64_t output_bytes)
{
	const struct record_field fields[] = {
	        {.key = "output",
	                .type = VALUE_BYTES,
	                .text = t->output.data,
	                .len = t->output.len},
	        {.key = "status", .type = VALUE_TEXT, .text = status},
	        {.key = "input_bytes", .type = VALUE_U64, .number = input_bytes},
	        {.key = "output_bytes", .type = VALUE_U64, .number = output_bytes},
	};
	struct record record = {
	        .type = RECORD_ENTRY,
	        .op = "transform",
	        .file_type = FILE_REGULAR,
	        .fields = fields,
	        .field_count = sizeof fields / sizeof *fields,
	        .text = RECORD_TEXT_OUTPUT,
	};
	if (walk_entry_path(entry, &record.dir, &record.dir_len, &record.name, &record.name_len)) {
		sink_record(t->thread->sink, &record);
	}
}

/* What stands where the output goes: 0: it may be written; 1: it is up to date, and was reported;
 * negative: refused. */
static int judge_existing(struct transform_thread *t, const struct walk_entry *entry,
        const struct file_meta *meta, bool overwrite)
{
	struct file_meta there;
	int error = output_stat(t->transform->root, relative_output(t), &there);
	if (error) {
		return error == -ENOENT ? 0 : refuse_output(t, entry, -error, NULL);
	}
	if (there.dev == meta->dev && there.ino == meta->ino) {
		return refuse_output(t, entry, EEXIST, ": is the input itself");
	}
	if (S_ISREG(there.mode) && vega_time_compare(there.mtime, meta->mtime) == 0) {
		t->current++;
		report(t, entry, "current", meta->size, there.size);
		return 1;
	}
	if (!overwrite) {
		return refuse_output(t, entry, EEXIST, ": exists and differs; use --overwrite");
	}
	return S_ISDIR(there.mode) ? refuse_output(t, entry, EISDIR, NULL) : 0;
}

static int transform_begin_file(
        void *accumulator, const struct walk_entry *entry, const struct file_meta *meta)
{
	struct transform_thread *t = accumulator;
	const struct spec *spec = t->transform->spec;
	const char *fault = find_output(t, entry);
	if (fault) {
		return refuse(t, entry, 0, fault);
	}
	int existing = judge_existing(t, entry, meta, spec->overwrite);
	if (existing) {
		return existing < 0 ? existing : 0;
	}
	int error = output_begin(t->transform->root, relative_output(t), &t->file);
	if (error) {
		return refuse_output(t, entry, -error, NULL);
	}
	t->state = 0;
	if (t->codec) {
		codec_begin(t->codec, t->file.fd, meta->size);
		return 1;
	}
	if (!find_input(t, entry)) {
		output_discard(&t->file);
		return refuse(t, entry, ENOMEM, NULL);
	}
	if (filter_begin(t->filter, t->input.data, t->input.len, t->file.fd, &t->err) != 0) {
		output_discard(&t->file);
		return refuse(t, entry, t->err.sys, t->err.text);
	}
	return 1;
}

static int transform_chunk(void *accumulator, const void *bytes, size_t len)
{
	struct transform_thread *t = accumulator;
	t->state = t->codec ? codec_feed(t->codec, bytes, len, &t->err)
	                    : filter_feed(t->filter, bytes, len, &t->err);
	return t->state ? -1 : 0; /* a filter that has read enough is no failure */
}

/* End codec or filter; the bytes of the output are complete. */
static int finish_output(struct transform_thread *t)
{
	if (t->state < 0) {
		return t->state;
	}
	return t->codec ? codec_end(t->codec, &t->err) : filter_end(t->filter, &t->err);
}

static int refuse_failed(struct transform_thread *t, const struct walk_entry *entry)
{
	int sys = t->err.sys;
	if (sys == EINTR) { /* the run is stopping */
		t->failed++;
		return -1;
	}
	if (sys == 0 || sys == ETIMEDOUT) {
		return refuse(t, entry, sys, t->err.text);
	}
	return refuse_output(t, entry, sys, NULL);
}

static int transform_end_file(void *accumulator, const struct walk_entry *entry,
        const struct file_meta *meta, bool whole, void *result)
{
	struct transform_thread *t = accumulator;
	(void)result;
	if (!whole) {
		if (t->filter) {
			filter_abort(t->filter);
		}
		output_discard(&t->file);
		t->failed++;
		return 0;
	}
	if (finish_output(t) != 0) {
		output_discard(&t->file);
		return refuse_failed(t, entry);
	}
	uint64_t bytes = t->codec ? codec_written(t->codec) : filter_written(t->filter);
	int error = output_commit(&t->file, meta, t->transform->spec->overwrite);
	if (error == -EEXIST) { /* somebody was faster: perhaps with the same */
		int existing = judge_existing(t, entry, meta, false);
		return existing == 1  ? 0
		       : existing < 0 ? existing
		                      : refuse_output(t, entry, EEXIST, NULL);
	}
	if (error) {
		return refuse_output(t, entry, -error, NULL);
	}
	t->written++;
	t->input_bytes += meta->size;
	t->output_bytes += bytes;
	report(t, entry, "written", meta->size, bytes);
	return 0;
}

/* --- After the run ---------------------------------------------------------------------------- */

static void transform_merge(void *into, void *from)
{
	struct transform_thread *sum = into;
	const struct transform_thread *part = from;
	sum->written += part->written;
	sum->current += part->current;
	sum->failed += part->failed;
	sum->input_bytes += part->input_bytes;
	sum->output_bytes += part->output_bytes;
}

static void transform_finish(void *self, void *accumulator, struct json *json)
{
	const struct transform_thread *t = accumulator;
	(void)self;
	json_object_begin(json);
	json_member_u64(json, "written", t->written);
	json_member_u64(json, "current", t->current);
	json_member_u64(json, "failed", t->failed);
	json_member_u64(json, "input_bytes", t->input_bytes);
	json_member_u64(json, "output_bytes", t->output_bytes);
	json_object_end(json);
}

const struct op op_transform = {
        .name = "transform",
        .needs = OP_CONTENT | OP_WRITES,
        .types = 1u << FILE_REGULAR,
        .want = transform_want,
        .open = transform_open,
        .thread_begin = transform_thread_begin,
        .plan_needed = transform_plan_needed,
        .plan = transform_plan,
        .plan_end = transform_plan_end,
        .begin_file = transform_begin_file,
        .chunk = transform_chunk,
        .end_file = transform_end_file,
        .merge = transform_merge,
        .finish = transform_finish,
        .thread_end = transform_thread_end,
        .close = transform_close,
};
