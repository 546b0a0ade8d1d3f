/*
 * transform: each selected file goes through a codec or a filter into a mirrored tree below --out.
 * Its records and its member of the summary are those of op/mirror.h.
 */
#include "op/op.h"

#include <errno.h>
#include <stdlib.h>

#include "op/codec.h"
#include "op/filter.h"
#include "op/mirror.h"
#include "op/output_name.h"
#include "spec/transform.h"

struct transform {
	struct mirror *mirror;
	struct quota *quota;
};

/* A thread's accumulator, and the file that it is at. */
struct transform_thread {
	struct transform *transform;
	struct mirror_thread *mirror;
	struct codec *codec;
	struct filter *filter; /* one of the two */
	int state;             /* of codec and filter: negative when it failed, see err */
	struct vega_error err;
};

static bool made_from(const struct spec *spec, int fd, uint64_t size, uint64_t input_size)
{
	return codec_made_from((enum spec_codec)transform_options(spec)->to, fd, size, input_size);
}

static void codec_recipe(struct buf *out, const struct spec *spec)
{
	const struct transform_options *own = transform_options(spec);
	codec_add_recipe(out, (enum spec_codec)own->to, (int)own->level.value);
}

/* What the program itself is at the time cannot be known: it may be a script, or read others. */
static void filter_recipe(struct buf *out, const struct spec *spec)
{
	buf_add_str(out, "filter");
	for (size_t i = 0; i < spec->command.count; i++) {
		buf_add(out, "", 1);
		buf_add_str(out, spec->command.items[i]);
	}
}

static const struct mirror_kind with_codec = {
        .op = "transform",
        .name = output_name_add,
        .unique = output_name_unique,
        .recipe = codec_recipe,
        .made_from = made_from,
};

/* Decompressed data do not say what they were. */
static const struct mirror_kind without_codec = {
        .op = "transform",
        .name = output_name_add,
        .unique = output_name_unique,
        .recipe = codec_recipe,
};

static const struct mirror_kind with_filter = {
        .op = "transform",
        .name = output_name_add,
        .unique = output_name_unique,
        .recipe = filter_recipe,
};

static void transform_close(void *self)
{
	struct transform *transform = self;
	if (transform) {
		mirror_close(transform->mirror);
		free(transform);
	}
}

static int transform_open(const struct spec *spec, const struct op_output *output, void **self,
        struct vega_error *err)
{
	struct transform *transform = calloc(1, sizeof *transform);
	if (!transform) {
		return vega_fail_nomem(err);
	}
	transform->quota = output->quota;
	const struct mirror_kind *kind = spec->command.count                        ? &with_filter
	                                 : transform_options(spec)->to == SPEC_NONE ? &without_codec
	                                                                            : &with_codec;
	int code = spec->command.count ? filter_check(&spec->command, err) : 0;
	code = code ? code : mirror_open(kind, spec, output, &transform->mirror, err);
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
	if (t) {
		mirror_thread_free(t->mirror);
		codec_free(t->codec);
		filter_free(t->filter);
		free(t);
	}
}

static void *transform_thread_begin(struct op_thread *thread)
{
	const struct spec *spec = thread->spec;
	const struct transform_options *own = transform_options(spec);
	struct transform_thread *t = calloc(1, sizeof *t);
	if (!t) {
		return NULL;
	}
	t->transform = thread->self;
	t->mirror = mirror_thread_new(t->transform->mirror, thread);
	if (spec->command.count) {
		t->filter = filter_new(&spec->command, own->timeout.value, thread->stop);
	} else {
		t->codec = codec_new((enum spec_codec)own->to, (int)own->level.value);
	}
	if (!t->mirror || (!t->codec && !t->filter)) {
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

static void transform_enter(
        void *accumulator, const struct walk_dir *dir, int dir_handle, void *mine)
{
	(void)accumulator;
	mirror_enter(dir, dir_handle, mine);
}

static bool transform_plan_needed(const void *self)
{
	return mirror_plan_needed(((const struct transform *)self)->mirror);
}

static void transform_plan(void *accumulator, const struct walk_entry *entry)
{
	mirror_plan(((struct transform_thread *)accumulator)->mirror, entry);
}

static int transform_plan_end(void *self, struct vega_error *err)
{
	return mirror_plan_end(((struct transform *)self)->mirror, err);
}

static int transform_begin_file(
        void *accumulator, const struct walk_entry *entry, const struct file_meta *meta)
{
	struct transform_thread *t = accumulator;
	int answer = mirror_begin(t->mirror, entry, meta);
	if (answer <= 0) {
		return answer;
	}
	size_t len;
	const char *input = mirror_input(t->mirror, &len);
	int fd = mirror_fd(t->mirror);
	t->state = 0;
	if (t->codec) {
		codec_begin(t->codec, fd, meta->size);
	} else if (filter_begin(t->filter, input, len, fd, &t->err)) {
		return mirror_refuse(t->mirror, entry, t->err.sys, t->err.text);
	}
	return 1;
}

static int transform_chunk(void *accumulator, const void *bytes, size_t len)
{
	struct transform_thread *t = accumulator;
	mirror_turn(t->mirror);
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
		mirror_discard(t->mirror);
		return -1;
	}
	if (sys == 0 || sys == ETIMEDOUT || sys == ENOMEM) {
		return mirror_refuse(t->mirror, entry, sys, t->err.text);
	}
	return mirror_refuse_output(t->mirror, entry, sys);
}

static int transform_end_file(void *accumulator, const struct walk_entry *entry,
        const struct file_meta *meta, bool whole, struct buf *result)
{
	struct transform_thread *t = accumulator;
	(void)result;
	if (!whole) {
		if (t->filter) {
			filter_abort(t->filter);
		}
		mirror_discard(t->mirror);
		return 0;
	}
	if (finish_output(t) != 0) {
		return refuse_failed(t, entry);
	}
	uint64_t bytes = t->codec ? codec_written(t->codec) : filter_written(t->filter);
	return mirror_seal(t->mirror, entry, meta, bytes);
}

static void transform_batch_end(void *accumulator)
{
	mirror_turn(((struct transform_thread *)accumulator)->mirror);
}

/* Files that are complete are published, also when the run was stopped. */
static void transform_settle(void *self, void *accumulator, struct walk_thread *first)
{
	(void)self, (void)first;
	mirror_settle(((struct transform_thread *)accumulator)->mirror);
}

static void transform_merge(void *into, void *from)
{
	mirror_merge(mirror_counts(((struct transform_thread *)into)->mirror),
	        mirror_counts(((struct transform_thread *)from)->mirror));
}

static bool transform_finish(void *self, void *accumulator, struct json *json)
{
	(void)self;
	mirror_json(mirror_counts(((struct transform_thread *)accumulator)->mirror), json);
	return true;
}

const struct op op_transform = {
        .name = "transform",
        .content = {.kind = OP_WHOLE},
        .types = 1u << FILE_REGULAR,
        .dir_size = MIRROR_DIR_SIZE,
        .enter = transform_enter,
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
