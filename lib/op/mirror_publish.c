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
	        {.key = "status", .type = VALUE_TEXT, .text = outcome->status},
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
	        .text = RECORD_TEXT_OUTPUT,
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

/* Was it made from a file of this size, as far as it says? -errno when it cannot be read. */
static int made_from(const struct mirror *mirror, struct output_root *root, const char *relative,
        uint64_t input_size)
{
	struct file_meta meta;
	if (!mirror->kind->made_from) {
		return true;
	}
	int fd = output_open(root, relative, &meta);
	if (fd < 0) {
		return fd;
	}
	bool made = mirror->kind->made_from(mirror->spec, fd, meta.size, input_size);
	close(fd);
	return made;
}

/* What stands where the output goes. *there is valid unless ABSENT; *error is set if UNREADABLE. */
enum mirror_existing mirror_look(const struct mirror *mirror, struct output_root *root,
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
	code = made_from(mirror, root, relative, input->size);
	if (code < 0) {
		*error = -code;
		return UNREADABLE;
	}
	return code ? CURRENT : DIFFERENT;
}

/* One file of a batch is published, or is not. */
static void conclude(struct mirror_thread *t, const struct pending_file *file, int result)
{
	struct mirror_outcome outcome = {
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
	        mirror_look(t->mirror, t->mirror->target, file->output + file->relative,
	                &file->meta, &there, &error) == CURRENT) {
		outcome.status = "current";
		outcome.output_bytes = there.size;
		t->counts.current++;
		mirror_report(t, &outcome);
	} else if (result == 0) {
		t->counts.written++;
		t->counts.input_bytes += file->meta.size;
		t->counts.output_bytes += file->bytes;
		mirror_report(t, &outcome);
	} else {
		struct buf message = BUF_INIT;
		mirror_describe(
		        &message, file->output, error, error == EEXIST ? MIRROR_EXISTS : NULL);
		t->counts.failed++;
		const struct record late = {.type = RECORD_ERROR,
		        .op = t->mirror->kind->op,
		        .dir = "",
		        .name = outcome.name,
		        .name_len = outcome.name_len,
		        .errnum = error,
		        .message = buf_cstr(&message)};
		walk_late_error(t->thread->walk, &late);
		buf_release(&message);
	}
}

static void publish(struct mirror_thread *t, struct pending_file *files, size_t count)
{
	struct output_file *outputs[PENDING_MAX] = {NULL};
	int results[PENDING_MAX];
	for (size_t i = 0; i < count; i++) {
		outputs[i] = &files[i].file;
	}
	output_publish(outputs, results, count, t->mirror->spec->overwrite);
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
}
