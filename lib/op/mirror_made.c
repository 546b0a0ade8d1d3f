/*
 * How an output was made, noted on it, and whether that is how it would be made now.
 *
 * The note says: a hash of the codec and its level, or of the command; the output's name and size;
 * the input's size and ctime. It is an extended attribute of the output: that is neither in its
 * content nor a further file in a tree that others read, it appears together with the output, and
 * is copied and lost with it. A database beside the tree (as of build tools) would be wrong as soon
 * as somebody moves or restores a part of it.
 *
 * Where there is no note, an output with the input's time is current as far as its own header says,
 * unless it is empty and the input is not; so is one whose input has another ctime than when it was
 * read (chmod and chown change it, too). Both are counted, and told in a line at the end. With
 * --overwrite, times alone are not trusted: an input whose ctime says that it may have changed is
 * read again.
 */
#include "op/mirror_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/pack.h"

#define NOTE_VERSION 1

struct made {
	uint64_t recipe, name; /* hashes */
	uint64_t input_bytes, output_bytes;
	struct vega_time ctime; /* of the input */
};

static uint64_t hash_of(const void *bytes, size_t len)
{
	uint64_t hash = XXH3_64bits(bytes, len);
	return hash ? hash : 1;
}

static uint64_t name_hash(const char *relative)
{
	const char *slash = strrchr(relative, '/');
	const char *name = slash ? slash + 1 : relative;
	return hash_of(name, strlen(name));
}

uint64_t mirror_recipe(const struct mirror_kind *kind, const struct spec *spec)
{
	struct buf text = BUF_INIT;
	kind->recipe(&text, spec);
	uint64_t hash = buf_cstr(&text) ? hash_of(text.data, text.len) : 0;
	buf_release(&text);
	return hash;
}

void mirror_note(struct mirror_thread *t, const struct file_meta *input, uint64_t bytes)
{
	struct buf note = BUF_INIT;
	pack_u64(&note, NOTE_VERSION);
	pack_u64(&note, t->mirror->recipe);
	pack_u64(&note, name_hash(mirror_relative(t)));
	pack_u64(&note, input->size);
	pack_u64(&note, bytes);
	pack_time(&note, input->ctime);
	if (!note.failed && note.len <= OUTPUT_NOTE_MAX) {
		output_note(&t->file, note.data, note.len); /* where it is kept */
	}
	buf_release(&note);
}

static bool read_note(int fd, struct made *made)
{
	uint8_t note[OUTPUT_NOTE_MAX];
	size_t len = output_noted(fd, note);
	struct unpack in = unpack_begin(note, len);
	if (len == 0 || unpack_u64(&in) != NOTE_VERSION) {
		return false;
	}
	made->recipe = unpack_u64(&in);
	made->name = unpack_u64(&in);
	made->input_bytes = unpack_u64(&in);
	made->output_bytes = unpack_u64(&in);
	made->ctime = unpack_time(&in);
	return !in.failed;
}

/* The input may have changed: is that reason enough? */
static enum mirror_existing doubt(struct mirror *mirror, atomic_uint_fast64_t *count)
{
	if (mirror->spec->overwrite) {
		return DIFFERENT;
	}
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
	return CURRENT;
}

static enum mirror_existing judge_untold(struct mirror *mirror, int fd,
        const struct file_meta *input, const struct file_meta *output)
{
	const struct mirror_kind *kind = mirror->kind;
	bool made_from =
	        !kind->made_from || kind->made_from(mirror->spec, fd, output->size, input->size);
	if (!made_from || (output->size == 0 && input->size > 0)) {
		return DIFFERENT;
	}
	/* An output's ctime is when it was named; but some servers of FUSE file systems know one
	 * time only. */
	bool tells =
	        (input->have & META_CTIME) && vega_time_compare(output->ctime, output->mtime) != 0;
	if (tells && vega_time_compare(input->ctime, output->ctime) > 0) {
		return doubt(mirror, &mirror->touched);
	}
	atomic_fetch_add_explicit(&mirror->untold, 1, memory_order_relaxed);
	return CURRENT;
}

static enum mirror_existing judge_noted(struct mirror *mirror, int fd, const char *relative,
        const struct made *made, const struct file_meta *input, const struct file_meta *output)
{
	/* Written over by another tool, which left the note: its own header may still say enough.
	 */
	if (made->output_bytes != output->size && mirror->kind->made_from) {
		return judge_untold(mirror, fd, input, output);
	}
	if (made->output_bytes != output->size || made->input_bytes != input->size ||
	        made->name != name_hash(relative)) {
		return DIFFERENT;
	}
	if (made->recipe != mirror->recipe) {
		return MADE_OTHERWISE;
	}
	bool touched =
	        (input->have & META_CTIME) && vega_time_compare(made->ctime, input->ctime) != 0;
	return touched ? doubt(mirror, &mirror->touched) : CURRENT;
}

bool mirror_noted_otherwise(struct output_root *root, const char *relative)
{
	struct file_meta output;
	struct made made;
	int fd = output_open(root, relative, &output);
	bool otherwise = fd >= 0 && read_note(fd, &made) && made.name != name_hash(relative);
	if (fd >= 0) {
		close(fd);
	}
	return otherwise;
}

enum mirror_existing mirror_made(struct mirror *mirror, struct output_root *root,
        const char *relative, const struct file_meta *input, int *error)
{
	struct file_meta output;
	struct made made;
	int fd = output_open(root, relative, &output);
	if (fd == -EACCES && !mirror->kind->made_from) {
		atomic_fetch_add_explicit(&mirror->untold, 1, memory_order_relaxed);
		return CURRENT; /* whose mode keeps its owner out, like its input's */
	}
	if (fd < 0) {
		*error = -fd;
		return UNREADABLE;
	}
	enum mirror_existing answer =
	        read_note(fd, &made) ? judge_noted(mirror, fd, relative, &made, input, &output)
	                             : judge_untold(mirror, fd, input, &output);
	close(fd);
	return answer;
}

static void tell(struct mirror *mirror, uint64_t count, const char *text)
{
	struct buf line = BUF_INIT;
	if (count && mirror->message) {
		format_counted(&line, count, "output counts", "outputs count");
		buf_add_str(&line, text);
		if (buf_cstr(&line)) {
			mirror->message(mirror->message_context, line.data);
		}
	}
	buf_release(&line);
}

void mirror_tell_doubts(struct mirror *mirror)
{
	tell(mirror, atomic_load(&mirror->untold),
	        " as up to date by time alone, since nothing there says how they were made; "
	        "--overwrite=always writes them anew");
	tell(mirror, atomic_load(&mirror->touched),
	        " as up to date though a change of the input (or of its rights) came later than "
	        "its "
	        "time says; --overwrite reads it again");
}
