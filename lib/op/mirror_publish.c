/* Outputs that are complete become visible, together; and those that are there already. */
#include "op/mirror_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void mirror_report(struct mirror_thread *t, const struct mirror_outcome *outcome)
{
	const struct record_field fields[] = {
	        {.key = "output",
	                .type = VALUE_BYTES,
	                .text = outcome->output,
	                .len = strlen(outcome->output)},
	        {.key = "status",
	                .type = VALUE_TEXT,
	                .text = outcome->written ? "written" : "current"},
	        {.key = "input_bytes", .type = VALUE_U64, .number = outcome->input_bytes},
	        {.key = "output_bytes", .type = VALUE_U64, .number = outcome->output_bytes},
	};
	struct record record = {
	        .type = RECORD_ENTRY,
	        .op = t->mirror->kind->op,
	        .dir = outcome->dir,
	        .name = outcome->name,
	        .dir_len = outcome->dir_len,
	        .name_len = outcome->name_len,
	        .file_type = FILE_REGULAR,
	        .fields = fields,
	        .field_count = sizeof fields / sizeof *fields,
	        .text = outcome->written ? RECORD_TEXT_OUTPUT : RECORD_TEXT_NONE,
	};
	sink_record(t->thread->sink, &record);
}

/* The output's path and what is wrong with it. */
void mirror_describe(struct buf *message, const char *output, int errnum, const char *text)
{
	buf_add_str(message, output);
	buf_add_str(message, text ? text : ": ");
	if (!text) {
		buf_add_str(message, vega_errno_text(errnum));
	}
	buf_cstr(message);
}

/* As exactly as the file system keeps it. */
static bool same_time(struct output_root *root, struct vega_time wanted, struct vega_time there)
{
	return vega_time_compare(wanted, there) == 0 || output_time_kept(root, wanted, there);
}

/* What stands where the output goes. *there is valid unless ABSENT; *error is set if UNREADABLE. */
enum mirror_existing mirror_look(struct mirror *mirror, struct output_root *root,
        const char *relative, const struct file_meta *input, struct output_listing *listing,
        struct file_meta *there, int *error)
{
	int code = output_stat(root, relative, there);
	if (code) {
		*error = -code;
		return code == -ENOENT ? ABSENT : UNREADABLE;
	}
	if (there->dev == input->dev && there->ino == input->ino) {
		return SAME_FILE;
	}
	code = mirror_is_own(mirror, root, relative, there, listing);
	if (code <= 0) {
		*error = -code;
		return code ? UNREADABLE : FOLDED;
	}
	if (!S_ISREG(there->mode) || !same_time(root, input->mtime, there->mtime)) {
		return DIFFERENT;
	}
	return mirror_made(mirror, root, relative, input, error);
}

static void report_late(
        struct mirror_thread *t, const struct pending_file *file, int error, struct buf *message)
{
	const struct record late = {.type = RECORD_ERROR,
	        .op = t->mirror->kind->op,
	        .dir = "",
	        .name = file->input,
	        .name_len = strlen(file->input),
	        .errnum = error,
	        .message = buf_cstr(message)};
	t->counts.failed++;
	walk_late_error(t->thread->walk, &late);
	buf_release(message);
}

/* The name was taken meanwhile. By the same, perhaps: then true, and its size. */
static bool meet(struct mirror_thread *t, const struct pending_file *file, uint64_t *size)
{
	struct output_listing listing = {.dir = NULL};
	struct buf message = BUF_INIT;
	struct file_meta there;
	struct output_root *root = t->mirror->target;
	const char *relative = file->output + file->relative;
	int error = EEXIST;
	enum mirror_existing found =
	        mirror_look(t->mirror, root, relative, &file->meta, &listing, &there, &error);
	output_listing_release(&listing);
	*size = there.size;
	if (found == CURRENT) {
		return true;
	}
	if (found == FOLDED) {
		error = EEXIST;
		mirror_describe_folded(&message, t->mirror, root, file->output, relative);
	} else {
		const char *text = found == MADE_OTHERWISE ? MIRROR_OTHERWISE
		                   : !t->mirror->spec->overwrite
		                           ? MIRROR_EXISTS
		                           : ": appeared meanwhile; run it again to replace it";
		mirror_describe(&message, file->output, error, error == EEXIST ? text : NULL);
	}
	report_late(t, file, error, &message);
	return false;
}

/* One file of a batch is published, or is not. */
static void conclude(struct mirror_thread *t, const struct pending_file *file, int result)
{
	struct mirror_outcome outcome = {
	        .dir = "",
	        .name = file->input,
	        .name_len = strlen(file->input),
	        .output = file->output,
	        .written = true,
	        .input_bytes = file->meta.size,
	        .output_bytes = file->bytes,
	};
	if (result == -EEXIST) {
		if (meet(t, file, &outcome.output_bytes)) {
			outcome.written = false;
			t->counts.current++;
			mirror_report(t, &outcome);
		}
	} else if (result == 0) {
		t->counts.written++;
		t->counts.input_bytes += file->meta.size;
		t->counts.output_bytes += file->bytes;
		mirror_report(t, &outcome);
	} else {
		struct buf message = BUF_INIT;
		mirror_describe(&message, file->output, -result, NULL);
		report_late(t, file, -result, &message);
	}
}

static void publish(struct mirror_thread *t, struct pending_file *files, size_t count)
{
	struct output_file *outputs[PENDING_MAX] = {NULL};
	int results[PENDING_MAX];
	for (size_t i = 0; i < count; i++) {
		outputs[i] = &files[i].file;
	}
	output_publish(outputs, results, count);
	for (size_t i = 0; i < count; i++) {
		conclude(t, &files[i], results[i]);
		pending_file_release(&files[i]);
	}
}

/* NULL: nothing to do. */
void mirror_publish(struct mirror_thread *t, struct pending_batch *batch)
{
	if (batch) {
		publish(t, batch->file, batch->count);
		free(batch);
	}
}

void mirror_turn(struct mirror_thread *t)
{
	mirror_publish(t, pending_take(t->mirror->pending, false));
}

void mirror_settle(struct mirror_thread *t)
{
	mirror_publish(t, pending_take(t->mirror->pending, true));
	mirror_tell_lacks(t->mirror);
	mirror_tell_doubts(t->mirror);
}
