/* One output, from the first look at its place to its end. */
#include "op/mirror_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/clock.h"

/* A file that took so long is published at once: to wait would save nothing. */
#define SLOW_NS ((uint64_t)100 * 1000000)

void mirror_discard(struct mirror_thread *t)
{
	output_discard(&t->file);
	t->counts.failed++;
}

int mirror_refuse(
        struct mirror_thread *t, const struct walk_entry *entry, int errnum, const char *message)
{
	mirror_discard(t);
	walk_error(entry, t->mirror->kind->op, errnum, message);
	return -1;
}

/* text: as mirror_describe() wants it. */
static int refuse_output(
        struct mirror_thread *t, const struct walk_entry *entry, int errnum, const char *text)
{
	struct buf message = BUF_INIT;
	mirror_describe(&message, t->output.data, errnum, text);
	mirror_refuse(t, entry, errnum, buf_cstr(&message));
	buf_release(&message);
	return -1;
}

int mirror_refuse_output(struct mirror_thread *t, const struct walk_entry *entry, int errnum)
{
	return refuse_output(t, entry, errnum, NULL);
}

/* The name below the root is taken for another's; which is the output, or a directory on the way.
 */
static int refuse_folded(struct mirror_thread *t, const struct walk_entry *entry,
        struct output_root *root, const char *relative)
{
	struct buf message = BUF_INIT;
	mirror_describe_folded(&message, t->mirror, root, t->output.data, relative);
	mirror_refuse(t, entry, EEXIST, buf_cstr(&message));
	buf_release(&message);
	return -1;
}

/* Is it under the names of its directories that the output comes to lie? 1, or refused. */
static int check_way(
        struct mirror_thread *t, const struct walk_entry *entry, struct output_root *root)
{
	struct buf folded = BUF_INIT;
	int result = mirror_look_at_way(t, entry, root, &folded) == FOLDED
	                     ? refuse_folded(t, entry, root, folded.data)
	                     : 1;
	buf_release(&folded);
	return result;
}

/* Whether the output may be written: 1; 0: it is up to date, and was reported; negative: refused.
 */
static int may_write(
        struct mirror_thread *t, const struct walk_entry *entry, const struct file_meta *meta)
{
	struct file_meta there;
	struct mirror_outcome outcome = {.output = t->output.data};
	int error = 0;
	enum mirror_existing found = mirror_look(
	        t->mirror, t->mirror->root, mirror_relative(t), meta, &t->listing, &there, &error);
	bool always = t->mirror->spec->overwrite == OVERWRITE_ALWAYS;
	t->replaces = false;
	switch (found == CURRENT && always ? DIFFERENT : found) {
	case ABSENT:
		return 1;
	case CURRENT:
		outcome.input_bytes = meta->size;
		outcome.output_bytes = there.size;
		if (!walk_entry_path(entry, &outcome.dir, &outcome.dir_len, &outcome.name,
		            &outcome.name_len)) {
			return mirror_refuse(t, entry, ENOMEM, NULL);
		}
		t->counts.current++;
		mirror_report(t, &outcome);
		return 0;
	case SAME_FILE:
		return refuse_output(t, entry, EEXIST, ": is the input itself");
	case DIFFERENT:
	case MADE_OTHERWISE:
		if (!t->mirror->spec->overwrite) {
			return refuse_output(t, entry, EEXIST,
			        found == DIFFERENT ? MIRROR_EXISTS : MIRROR_OTHERWISE);
		}
		t->replaces = t->mirror->target == t->mirror->root;
		return S_ISDIR(there.mode) ? refuse_output(t, entry, EISDIR, NULL) : 1;
	case FOLDED:
		return refuse_folded(t, entry, t->mirror->root, mirror_relative(t));
	default:
		return refuse_output(t, entry, error, NULL);
	}
}

int mirror_begin(
        struct mirror_thread *t, const struct walk_entry *entry, const struct file_meta *meta)
{
	CHECK(t->file.fd < 0);
	const char *fault = mirror_find_output(t, entry);
	if (fault) {
		return mirror_refuse(t, entry, 0, fault);
	}
	int may = check_way(t, entry, t->mirror->root);
	may = may > 0 ? may_write(t, entry, meta) : may;
	if (may <= 0) {
		return may;
	}
	int error = mirror_make_directory(t, entry);
	if (!error && check_way(t, entry, t->mirror->target) < 0) {
		return -1;
	}
	error = error ? error : output_begin(t->mirror->target, mirror_relative(t), &t->file);
	if (error) {
		return refuse_output(t, entry, -error, NULL);
	}
	if (!mirror_find_input(t, entry)) {
		return mirror_refuse(t, entry, ENOMEM, NULL);
	}
	t->file.may_replace = t->replaces;
	t->begun = monotonic_ns();
	return 1;
}

int mirror_fd(const struct mirror_thread *t)
{
	CHECK(t->file.fd >= 0);
	return t->file.fd;
}

const char *mirror_input(const struct mirror_thread *t, size_t *len)
{
	*len = t->input.len;
	return t->input.data;
}

/* Hand the sealed file over to be published. A slow one, and what waits with it, at once. */
static int hand_over(struct mirror_thread *t, const struct file_meta *meta, uint64_t bytes)
{
	struct pending_file file = {
	        .file = t->file,
	        .meta = *meta,
	        .bytes = bytes,
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
	if (!pending_add(t->mirror->pending, &file, slow, &full)) {
		pending_file_release(&file);
		return -ENOMEM;
	}
	mirror_publish(t, full);
	return 0;
}

int mirror_seal(struct mirror_thread *t, const struct walk_entry *entry,
        const struct file_meta *meta, uint64_t bytes)
{
	CHECK(t->file.fd >= 0);
	struct file_meta sealed = *meta;
	sealed.mode = mirror_mode(entry, meta);
	mirror_note(t, meta, bytes);
	int error = output_seal(&t->file, &sealed);
	error = error ? error : mirror_take(t);
	error = error ? error : hand_over(t, meta, bytes);
	return error ? refuse_output(t, entry, -error, NULL) : 0;
}
