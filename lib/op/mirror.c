/* A mirrored tree as a whole: its root, its stage, what claims which name, and the counts. */
#include "op/mirror_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

void mirror_close(struct mirror *mirror)
{
	if (!mirror) {
		return;
	}
	pending_free(mirror->pending);
	if (mirror->target != mirror->root) {
		output_root_close(mirror->target);
	}
	output_root_close(mirror->root);
	claims_free(mirror->claims);
	taken_free(mirror->taken);
	free(mirror);
}

/* What is written must not be found by the walk that it is written by. */
static int check_apart(const struct mirror *mirror, struct vega_error *err)
{
	const struct spec *spec = mirror->spec;
	for (size_t i = 0; i < spec->roots.count; i++) {
		const char *root = spec->roots.items[i];
		int inside = output_root_inside(mirror->root, root);
		int contains = inside ? 0 : output_root_contains(mirror->root, root);
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
static int enter_stage(struct mirror *mirror, const struct stage *stage, struct vega_error *err)
{
	struct stage earlier = *stage;
	earlier.seq--;
	stage_discard(mirror->root, &earlier); /* what could not be removed is tried again later */
	int error = stage_create(mirror->root, stage, &mirror->target);
	bool full = error == -ENOSPC || error == -EDQUOT; /* another time, perhaps */
	return error ? vega_fail_errno(err, full ? VEGA_UNAVAILABLE : VEGA_FATAL, -error,
	                       "cannot make a staging directory in --out %s", mirror->spec->out)
	             : 0;
}

int mirror_open(const struct mirror_kind *kind, const struct spec *spec,
        const struct op_output *output, struct mirror **out, struct vega_error *err)
{
	struct mirror *mirror = calloc(1, sizeof *mirror);
	if (!mirror) {
		return vega_fail_nomem(err);
	}
	mirror->kind = kind;
	mirror->spec = spec;
	mirror->message = output->message;
	mirror->message_context = output->message_context;
	int code = output_root_open(spec->out, output->allowed, &mirror->root, err);
	mirror->target = mirror->root;
	if (code == 0) {
		code = check_apart(mirror, err);
	}
	if (code == 0 && output->stage) {
		code = enter_stage(mirror, output->stage, err);
	}
	mirror->claims = code ? NULL : claims_new(kind->name);
	mirror->pending = code ? NULL : pending_new();
	mirror->taken = code ? NULL : taken_new();
	mirror->recipe = mirror_recipe(kind, spec);
	if (code == 0 &&
	        (!mirror->claims || !mirror->pending || !mirror->taken || !mirror->recipe)) {
		code = vega_fail_nomem(err);
	}
	if (code) {
		mirror_close(mirror);
		return code;
	}
	*out = mirror;
	return 0;
}

void mirror_thread_free(struct mirror_thread *t)
{
	if (t) {
		output_discard(&t->file);
		output_listing_release(&t->listing);
		buf_release(&t->output);
		buf_release(&t->input);
		free(t);
	}
}

struct mirror_thread *mirror_thread_new(struct mirror *mirror, struct op_thread *thread)
{
	struct mirror_thread *t = calloc(1, sizeof *t);
	if (t) {
		t->thread = thread;
		t->mirror = mirror;
		t->file = (struct output_file){.fd = -1, .dir = -1};
	}
	return t;
}

bool mirror_plan_needed(const struct mirror *mirror)
{
	const struct spec *spec = mirror->spec;
	return spec->roots.count > 1 || !mirror->kind->unique(spec);
}

void mirror_plan(struct mirror_thread *t, const struct walk_entry *entry)
{
	struct claims *claims = t->mirror->claims;
	CHECK(claims);
	if (mirror_find_output(t, entry)) {
		return; /* told when its turn comes */
	}
	int taken = claims_add(claims, mirror_relative(t), t->output.len - t->relative, entry->ino);
	if (taken > 0) {
		claims_refused(claims, mirror_relative(t),
		        mirror_find_input(t, entry) ? t->input.data : NULL);
	}
}

int mirror_plan_end(struct mirror *mirror, struct vega_error *err)
{
	int code = claims_check(mirror->claims, mirror->spec, err);
	claims_free(mirror->claims);
	mirror->claims = NULL;
	return code;
}

struct mirror_counts *mirror_counts(struct mirror_thread *t)
{
	return &t->counts;
}

void mirror_merge(struct mirror_counts *into, const struct mirror_counts *from)
{
	into->written += from->written;
	into->current += from->current;
	into->failed += from->failed;
	into->input_bytes += from->input_bytes;
	into->output_bytes += from->output_bytes;
}

void mirror_json(const struct mirror_counts *counts, struct json *json)
{
	json_object_begin(json);
	json_member_u64(json, "written", counts->written);
	json_member_u64(json, "current", counts->current);
	json_member_u64(json, "failed", counts->failed);
	json_member_u64(json, "input_bytes", counts->input_bytes);
	json_member_u64(json, "output_bytes", counts->output_bytes);
	json_object_end(json);
}
