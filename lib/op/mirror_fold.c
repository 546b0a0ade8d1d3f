/* Words for outputs whose names, modes and times the file system does not keep apart or keep at
 * all. */
#include "op/mirror_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

int mirror_is_own(const struct mirror *mirror, struct output_root *root, const char *relative,
        const struct file_meta *there, struct output_listing *listing)
{
	int named = output_named(root, relative, listing);
	if (named != OUTPUT_NAMED_ANYHOW) {
		return named < 0 ? named : named == OUTPUT_NAMED;
	}
	if (S_ISREG(there->mode) && mirror_noted_otherwise(root, relative)) {
		return 0;
	}
	return taken_add(mirror->taken, there->dev, there->ino, relative);
}

int mirror_take(struct mirror_thread *t)
{
	struct output_listing listing = {.dir = NULL};
	struct stat st;
	if (output_named(t->mirror->target, mirror_relative(t), &listing) != OUTPUT_NAMED_ANYHOW ||
	        fstat(t->file.fd, &st) != 0) {
		output_listing_release(&listing);
		return 0;
	}
	int code = taken_add(t->mirror->taken, st.st_dev, st.st_ino, mirror_relative(t));
	return code < 0 ? code : 0;
}

/* Which of the inputs of one directory is meant: by the name of its output, or, being a directory,
 * of its mirror. */
struct wanted {
	const char *there; /* as listed */
	const char *own;   /* of the input that is refused */
	bool directory;
};

static bool is_wanted(const struct wanted *wanted, const char *name)
{
	return strcmp(name, wanted->there) == 0 ||
	       (strcasecmp(name, wanted->there) == 0 && strcmp(name, wanted->own) != 0);
}

/* Is it in the directory `path` (ending in '/')? Its name is put behind the path. */
static bool look_in(const struct mirror *mirror, struct buf *path, const struct wanted *wanted)
{
	struct buf name = BUF_INIT;
	DIR *dir = opendir(buf_cstr(path) ? path->data : "");
	bool found = false;
	for (struct dirent *d; dir && !found && (d = readdir(dir));) {
		buf_clear(&name);
		if (wanted->directory) {
			buf_add_str(&name, d->d_name);
		} else {
			mirror->kind->name(&name, mirror->spec, d->d_name, strlen(d->d_name));
		}
		found = buf_cstr(&name) && is_wanted(wanted, name.data) &&
		        strcmp(name.data, wanted->own) != 0;
		if (found) {
			buf_add_str(path, d->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	buf_release(&name);
	return found && buf_cstr(path);
}

/* The input whose output is there in the directory of `relative`. */
static bool find_input(const struct mirror *mirror, const char *relative,
        const struct wanted *wanted, struct buf *path)
{
	const struct strlist *roots = &mirror->spec->roots;
	const char *slash = strrchr(relative, '/');
	for (size_t i = 0; i < roots->count; i++) {
		const char *root = roots->items[i];
		struct stat st;
		if (stat(root, &st) != 0) {
			continue;
		}
		buf_clear(path);
		buf_add_str(path, root);
		if (!S_ISDIR(st.st_mode)) {
			const char *name = strrchr(root, '/');
			path->len = name ? (size_t)(name - root) + 1 : 0;
			if (!path->len) {
				buf_add_str(path, "./");
			}
		} else if (root[strlen(root) - 1] != '/') {
			buf_add_char(path, '/');
		}
		buf_add(path, relative, slash ? (size_t)(slash - relative) + 1 : 0);
		if (look_in(mirror, path, wanted)) {
			return true;
		}
	}
	return false;
}

void mirror_describe_folded(struct buf *message, const struct mirror *mirror,
        struct output_root *root, const char *output, const char *relative)
{
	struct buf input = BUF_INIT;
	struct file_meta meta;
	char *there = output_name_there(root, relative);
	bool directory = output_stat(root, relative, &meta) == 0 && S_ISDIR(meta.mode);
	const char *slash = strrchr(relative, '/');
	const struct wanted wanted = {
	        .there = there, .own = slash ? slash + 1 : relative, .directory = directory};
	buf_add_str(message, output);
	if (there && find_input(mirror, relative, &wanted, &input)) {
		buf_add_str(message,
		        directory ? ": lies in the output directory of " : ": is the output of ");
		buf_add_str(message, input.data);
	} else {
		buf_add_str(message, ": has the name of ");
		buf_add_str(message, there ? there : "another file");
	}
	buf_add_str(message, ", since the file system there takes both names for one; rename an "
	                     "input or choose another --out");
	buf_cstr(message);
	buf_release(&input);
	free(there);
}

void mirror_tell_lacks(struct mirror *mirror)
{
	unsigned lacks = output_lacks(mirror->root) | output_lacks(mirror->target);
	struct buf line = BUF_INIT;
	if (!lacks || !mirror->message) {
		return;
	}
	buf_printf(&line, "the file system of --out %s keeps no ", mirror->spec->out);
	const char *joint = "";
	if (lacks & OUTPUT_LACKS_MODES) {
		buf_add_str(&line, "permissions");
		joint = ", no ";
	}
	if (lacks & OUTPUT_LACKS_TIMES) {
		buf_printf(&line, "%smodification times (so no output is ever up to date)", joint);
		joint = ", no ";
	}
	if (lacks & OUTPUT_LACKS_EXCLUSIVE) {
		buf_printf(&line,
		        "%sname safe from a second writer (one could replace the other's "
		        "file)",
		        joint);
	}
	if (buf_cstr(&line)) {
		mirror->message(mirror->message_context, line.data);
	}
	buf_release(&line);
}
