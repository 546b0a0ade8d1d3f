/*
 * transform: each selected file goes through a codec or a filter into a mirrored tree below --out.
 *
 * An entry record's path is the input, as with every operation; its fields are `output` (the path
 * written), `status` ("written", or "current": it was there, with the input's mtime to the
 * nanosecond, and, as far as its format says, made from as many bytes), `input_bytes` and
 * `output_bytes`. The text format prints the output's path, so that the next tool of a pipe finds
 * what there is now.
 *
 * The summary: {"written":N,"current":N,"failed":N,"input_bytes":N,"output_bytes":N}, the bytes
 * being those of the files written in this run.
 */
#include "op/op.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/output.h"
#include "op/claims.h"
#include "op/codec.h"
#include "op/filter.h"
#include "op/output_name.h"
#include "op/pending.h"
#include "spec/transform.h"

struct transform {
	const struct spec *spec;
	struct output_root *root;
	struct output_root *target; /* where files are written: the root, or a job's stage in it */
	struct quota *quota;
	struct pending *pending;
	struct claims *claims; /* while planning */
};

/* Of each input directory. */
struct mirrored {
	mode_t mode;      /* 0: not known */
	atomic_bool made; /* what mirrors it is there */
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
	uint64_t begun;          /* ns, CLOCK_MONOTONIC */
	int state;               /* of codec and filter: negative when it failed, see err */
	struct vega_error err;
	uint64_t written, current, failed, input_bytes, output_bytes;
};

/* A file that took so long is published at once: to wait would save nothing. */
#define SLOW_NS ((uint64_t)100 * 1000000)

/* --- Names ------------------------------------------------------------------------------------ */

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
	output_name_add(&t->output, t->transform->spec, relative + dir_len, len - dir_len);
	if (!buf_cstr(&t->output)) {
		return "out of memory";
	}
	return output_name_fault(t->output.data + name, t->output.len - name);
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

/* --- Directories ------------------------------------------------------------------------------ */

static struct mirrored *mirrored_of(const struct transform_thread *t, const struct walk_dir *dir)
{
	return (struct mirrored *)(void *)((char *)walk_dir_data(dir) + t->thread->dir_offset);
}

static void transform_enter(
        void *accumulator, const struct walk_dir *dir, int dir_handle, void *mine)
{
	struct file_meta meta;
	(void)accumulator;
	if (dir->tree->backend->stat_handle(dir->tree, dir_handle, &meta) == 0) {
		((struct mirrored *)mine)->mode = meta.mode;
	}
}

struct mirroring {
	const struct transform_thread *t;
	const struct walk_dir *dir; /* the last on the way */
};

/* The permissions of the input directory that is mirrored at `relative`. */
static mode_t mode_of_input(void *context, const char *relative)
{
	const struct mirroring *mirroring = context;
	const struct walk_dir *dir = mirroring->dir;
	uint32_t depth = 1;
	while ((relative = strchr(relative, '/'))) {
		relative++;
		depth++;
	}
	while (dir && dir->depth > depth) {
		dir = dir->parent;
	}
	const struct mirrored *mirrored =
	        dir && dir->depth == depth ? mirrored_of(mirroring->t, dir) : NULL;
	return mirrored && mirrored->mode ? mirrored->mode : OUTPUT_UMASK;
}

/* Make the directory that t->output lies in, like that of the entry. 0 or -errno. */
static int make_directory(struct transform_thread *t, const struct walk_entry *entry)
{
	struct mirrored *mirrored = mirrored_of(t, entry->dir);
	const char *relative = t->output.data + t->relative, *slash = strrchr(relative, '/');
	if (!slash || atomic_load_explicit(&mirrored->made, memory_order_relaxed)) {
		return 0;
	}
	struct mirroring mirroring = {.t = t, .dir = entry->dir};
	const struct output_modes modes = {.mode = mode_of_input, .context = &mirroring};
	char *dir = strndup(relative, (size_t)(slash - relative));
	int error = dir ? output_directories(t->transform->target, dir, &modes) : -ENOMEM;
	free(dir);
	atomic_store_explicit(&mirrored->made, error == 0, memory_order_relaxed);
	return error;
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
	pending_free(transform->pending);
	if (transform->target != transform->root) {
		output_root_close(transform->target);
	}
	output_root_close(transform->root);
	claims_free(transform->claims);
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
			return vega_fail(err, VEGA_FATAL,
			        "--out %s lies inside the input %s; choose a directory outside it",
			        spec->out, root);
		}
		if (contains == 1) {
			return vega_fail(err, VEGA_FATAL,
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

/* Write to a stage of its own; those of earlier attempts, whose leases have ended, go. */
static int enter_stage(
        struct transform *transform, const struct stage *stage, struct vega_error *err)
{
	struct stage earlier = *stage;
	earlier.seq--;
	stage_discard(
	        transform->root, &earlier); /* what could not be removed is tried again later */
	int error = stage_create(transform->root, stage, &transform->target);
	return error ? vega_fail_errno(err, VEGA_FATAL, -error, "cannot make a stage in --out %s",
	                       transform->spec->out)
	             : 0;
}

static int transform_open(const struct spec *spec, const struct op_output *output, void **self,
        struct vega_error *err)
{
	struct transform *transform = calloc(1, sizeof *transform);
	if (!transform) {
		return vega_fail_nomem(err);
	}
	transform->spec = spec;
	transform->quota = output->quota;
	int code = spec->command.count ? filter_check(&spec->command, err) : 0;
	if (code == 0) {
		code = output_root_open(spec->out, output->allowed, &transform->root, err);
		transform->target = transform->root;
	}
	if (code == 0) {
		code = check_apart(transform, err);
	}
	if (code == 0 && output->stage) {
		code = enter_stage(transform, output->stage, err);
	}
	transform->claims = code ? NULL : claims_new();
	transform->pending = code ? NULL : pending_new();
	if (code == 0 && (!transform->claims || !transform->pending)) {
		code = vega_fail_nomem(err);
	}
	if (code) {
		transform_close(transform);
		return code;
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
	const struct transform_options *own = transform_options(spec);
	struct transform_thread *t = calloc(1, sizeof *t);
	if (!t) {
		return NULL;
	}
	t->thread = thread;
	t->transform = thread->self;
	t->file = (struct output_file){.fd = -1, .dir = -1};
	if (spec->command.count) {
		t->filter = filter_new(&spec->command, own->timeout.value, thread->stop);
	} else {
		t->codec = codec_new((enum spec_codec)own->to, (int)own->level.value);
	}
	if (!t->codec && !t->filter) {
		transform_thread_end(t);
		return NULL;
	}
	if (t->filter) {
		filter_on_turn(t->filter, thread->turn, thread->turn_context);
		filter_limit(t->filter, t->transform->quota);
	} else {
		codec_limit(t->codec, t->transform->quota);
	}
	return t;
}

/* --- Planning --------------------------------------------------------------------------------- */

static bool transform_plan_needed(const void *self)
{
	const struct spec *spec = ((const struct transform *)self)->spec;
	return spec->roots.count > 1 || !output_name_unique(spec);
}

static void transform_plan(void *accumulator, const struct walk_entry *entry)
{
	struct transform_thread *t = accumulator;
	struct claims *claims = t->transform->claims;
	if (find_output(t, entry)) {
		return; /* told when its turn comes */
	}
	int taken = claims_add(claims, relative_output(t), t->output.len - t->relative, entry->ino);
	if (taken > 0) {
		claims_refused(
		        claims, relative_output(t), find_input(t, entry) ? t->input.data : NULL);
	}
}

static int transform_plan_end(void *self, struct vega_error *err)
{
	struct transform *transform = self;
	int code = claims_check(transform->claims, transform->spec, err);
	claims_free(transform->claims);
	transform->claims = NULL;
	return code;
}

/* --- Reports ---------------------------------------------------------------------------------- */

struct outcome {
	const char *dir, *name; /* of the input, as in a record */
	size_t dir_len, name_len;
	const char *output;
	const char *status;
	uint64_t input_bytes, output_bytes;
};

static void report(struct transform_thread *t, const struct outcome *outcome)
{
	const struct record_field fields[] = {
	        {.key = "output",
	                .type = VALUE_BYTES,
	                .text = outcome->output,
	                .len = strlen(outcome->output)},
	        {.key = "status", .type = VALUE_TEXT, .text = outcome->status},
	        {.key = "input_bytes", .type = VALUE_U64, .number = outcome->input_bytes},
	        {.key = "output_bytes", .type = VALUE_U64, .number = outcome->output_bytes},
	};
	struct record record = {
	        .type = RECORD_ENTRY,
	        .op = "transform",
	        .dir = outcome->dir,
	        .name = outcome->name,
	        .dir_len = outcome->dir_len,
	        .name_len = outcome->name_len,
	        .file_type = FILE_REGULAR,
	        .fields = fields,
	        .field_count = sizeof fields / sizeof *fields,
	        .text = RECORD_TEXT_OUTPUT,
	};
	sink_record(t->thread->sink, &record);
}

/* Report why this file is not written; errnum as in a record. Returns -1. */
static int refuse(
        struct transform_thread *t, const struct walk_entry *entry, int errnum, const char *message)
{
	t->failed++;
	walk_error(entry, "transform", errnum, message);
	return -1;
}

/* The output's path and what is wrong with it. */
static void describe(struct buf *message, const char *output, int errnum, const char *text)
{
	buf_add_str(message, output);
	buf_add_str(message, text ? text : ": ");
	if (!text) {
		buf_add_str(message, vega_errno_text(errnum));
	}
	buf_cstr(message);
}

static int refuse_output(
        struct transform_thread *t, const struct walk_entry *entry, int errnum, const char *text)
{
	struct buf message = BUF_INIT;
	describe(&message, t->output.data, errnum, text);
	refuse(t, entry, errnum, buf_cstr(&message));
	buf_release(&message);
	return -1;
}

/* --- Publishing ------------------------------------------------------------------------------- */

enum existing { ABSENT, CURRENT, SAME_FILE, DIFFERENT, UNREADABLE };

/* Was it made from a file of this size, as far as it says? -errno when it cannot be read. */
static int made_from(const struct transform_thread *t, struct output_root *root,
        const char *relative, uint64_t input_size)
{
	struct file_meta meta;
	if (!t->codec) {
		return true;
	}
	int fd = output_open(root, relative, &meta);
	if (fd < 0) {
		return fd;
	}
	enum spec_codec codec = transform_options(t->transform->spec)->to;
	bool made = codec_made_from(codec, fd, meta.size, input_size);
	close(fd);
	return made;
}

/* What stands where the output goes. *there is valid unless ABSENT; *error is set if UNREADABLE. */
static enum existing look_at_output(const struct transform_thread *t, struct output_root *root,
        const char *relative, const struct file_meta *input, struct file_meta *there, int *error)
{
	int code = output_stat(root, relative, there);
	if (code) {
		*error = -code;
		return code == -ENOENT ? ABSENT : UNREADABLE;
	}
	if (there->dev == input->dev && there->ino == input->ino) {
		return SAME_FILE;
	}
	if (!S_ISREG(there->mode) || vega_time_compare(there->mtime, input->mtime) != 0) {
		return DIFFERENT;
	}
	code = made_from(t, root, relative, input->size);
	if (code < 0) {
		*error = -code;
		return UNREADABLE;
	}
	return code ? CURRENT : DIFFERENT;
}

static const char exists_and_differs[] = ": exists and differs; use --overwrite";

/* One file of a batch is published, or is not. */
static void conclude(struct transform_thread *t, const struct pending_file *file, int result)
{
	struct outcome outcome = {
	        .dir = "",
	        .name = file->input,
	        .name_len = strlen(file->input),
	        .output = file->output,
	        .status = "written",
	        .input_bytes = file->meta.size,
	        .output_bytes = file->bytes,
	};
	struct file_meta there;
	int error = -result;
	/* Somebody was faster, perhaps with the same. */
	if (error == EEXIST &&
	        look_at_output(t, t->transform->target, file->output + file->relative, &file->meta,
	                &there, &error) == CURRENT) {
		outcome.status = "current";
		outcome.output_bytes = there.size;
		t->current++;
		report(t, &outcome);
	} else if (result == 0) {
		t->written++;
		t->input_bytes += file->meta.size;
		t->output_bytes += file->bytes;
		report(t, &outcome);
	} else {
		struct buf message = BUF_INIT;
		describe(
		        &message, file->output, error, error == EEXIST ? exists_and_differs : NULL);
		t->failed++;
		walk_late_error(t->thread->walk, "transform", "", 0, outcome.name, outcome.name_len,
		        error, buf_cstr(&message));
		buf_release(&message);
	}
}

static void publish(struct transform_thread *t, struct pending_file *files, size_t count)
{
	struct output_file *outputs[PENDING_MAX] = {NULL};
	int results[PENDING_MAX];
	for (size_t i = 0; i < count; i++) {
		outputs[i] = &files[i].file;
	}
	output_publish(outputs, results, count, t->transform->spec->overwrite);
	for (size_t i = 0; i < count; i++) {
		conclude(t, &files[i], results[i]);
		pending_file_release(&files[i]);
	}
}

/* NULL: nothing to do. */
static void publish_batch(struct transform_thread *t, struct pending_batch *batch)
{
	if (batch) {
		publish(t, batch->file, batch->count);
		free(batch);
	}
}

/* --- One file --------------------------------------------------------------------------------- */

/* Whether the output may be written: 1; 0: it is up to date, and was reported; negative: refused.
 */
static int may_write(
        struct transform_thread *t, const struct walk_entry *entry, const struct file_meta *meta)
{
	struct file_meta there;
	struct outcome outcome = {.output = t->output.data, .status = "current"};
	int error = 0;
	switch (look_at_output(t, t->transform->root, relative_output(t), meta, &there, &error)) {
	case ABSENT:
		return 1;
	case CURRENT:
		outcome.input_bytes = meta->size;
		outcome.output_bytes = there.size;
		if (!walk_entry_path(entry, &outcome.dir, &outcome.dir_len, &outcome.name,
		            &outcome.name_len)) {
			return refuse(t, entry, ENOMEM, NULL);
		}
		t->current++;
		report(t, &outcome);
		return 0;
	case SAME_FILE:
		return refuse_output(t, entry, EEXIST, ": is the input itself");
	case DIFFERENT:
		if (!t->transform->spec->overwrite) {
			return refuse_output(t, entry, EEXIST, exists_and_differs);
		}
		return S_ISDIR(there.mode) ? refuse_output(t, entry, EISDIR, NULL) : 1;
	default:
		return refuse_output(t, entry, error, NULL);
	}
}

static int transform_begin_file(
        void *accumulator, const struct walk_entry *entry, const struct file_meta *meta)
{
	struct transform_thread *t = accumulator;
	const char *fault = find_output(t, entry);
	if (fault) {
		return refuse(t, entry, 0, fault);
	}
	int may = may_write(t, entry, meta);
	if (may <= 0) {
		return may;
	}
	int error = make_directory(t, entry);
	error = error ? error : output_begin(t->transform->target, relative_output(t), &t->file);
	if (error) {
		return refuse_output(t, entry, -error, NULL);
	}
	if (!find_input(t, entry)) {
		output_discard(&t->file);
		return refuse(t, entry, ENOMEM, NULL);
	}
	t->begun = monotonic_ns();
	t->state = 0;
	if (t->codec) {
		codec_begin(t->codec, t->file.fd, meta->size);
	} else if (filter_begin(t->filter, t->input.data, t->input.len, t->file.fd, &t->err)) {
		output_discard(&t->file);
		return refuse(t, entry, t->err.sys, t->err.text);
	}
	return 1;
}

static int transform_chunk(void *accumulator, const void *bytes, size_t len)
{
	struct transform_thread *t = accumulator;
	publish_batch(t, pending_take(t->transform->pending, false));
	t->state = t->codec ? codec_feed(t->codec, bytes, len, &t->err)
	                    : filter_feed(t->filter, bytes, len, &t->err);
	return t->state ? -1 : 0; /* a filter that has read enough is no failure */
}

/* End codec or filter: then the bytes of the output are complete. */
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
	struct quota *quota = t->transform->quota;
	if (sys == EINTR || (quota && quota_exceeded(quota))) { /* the run is stopping */
		t->failed++;
		return -1;
	}
	if (sys == 0 || sys == ETIMEDOUT || sys == ENOMEM) {
		return refuse(t, entry, sys, t->err.text);
	}
	return refuse_output(t, entry, sys, NULL);
}

/* Hand the sealed file over to be published. A slow one, and what waits with it, at once. */
static int hand_over(struct transform_thread *t, const struct file_meta *meta)
{
	struct pending_file file = {
	        .file = t->file,
	        .meta = *meta,
	        .bytes = t->codec ? codec_written(t->codec) : filter_written(t->filter),
	        .input = strdup(t->input.data),
	        .output = strdup(t->output.data),
	        .relative = t->relative,
	};
	struct pending_batch *full;
	bool slow = monotonic_ns() - t->begun >= SLOW_NS;
	t->file = (struct output_file){.fd = -1, .dir = -1};
	if (!file.input || !file.output) {
		pending_file_release(&file);
		return -ENOMEM;
	}
	if (!pending_add(t->transform->pending, &file, slow, &full)) {
		pending_file_release(&file);
		return -ENOMEM;
	}
	publish_batch(t, full);
	return 0;
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
	int error = output_seal(&t->file, meta);
	error = error ? error : hand_over(t, meta);
	return error ? refuse_output(t, entry, -error, NULL) : 0;
}

static void transform_batch_end(void *accumulator)
{
	struct transform_thread *t = accumulator;
	publish_batch(t, pending_take(t->transform->pending, false));
}

/* Files that are complete are published, also when the run was stopped. */
static void transform_settle(void *self, void *accumulator, struct walk_thread *first)
{
	struct transform *transform = self;
	(void)first;
	publish_batch(accumulator, pending_take(transform->pending, true));
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

static bool transform_finish(void *self, void *accumulator, struct json *json)
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
	return true;
}

const struct op op_transform = {
        .name = "transform",
        .needs = OP_CONTENT | OP_WRITES,
        .types = 1u << FILE_REGULAR,
        .dir_size = sizeof(struct mirrored),
        .enter = transform_enter,
        .want = transform_want,
        .open = transform_open,
        .thread_begin = transform_thread_begin,
        .plan_needed = transform_plan_needed,
        .plan = transform_plan,
        .plan_end = transform_plan_end,
        .batch_end = transform_batch_end,
        .begin_file = transform_begin_file,
        .chunk = transform_chunk,
        .end_file = transform_end_file,
        .settle = transform_settle,
        .merge = transform_merge,
        .finish = transform_finish,
        .thread_end = transform_thread_end,
        .close = transform_close,
};
