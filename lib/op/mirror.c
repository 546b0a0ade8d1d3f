/* Names, directories, current outputs, sealing and publishing of a mirrored tree. */
#include "op/mirror.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "fs/output.h"
#include "op/claims.h"
#include "op/output_name.h"
#include "op/pending.h"

struct mirror {
	const struct mirror_kind *kind;
	const struct spec *spec;
	struct output_root *root;
	struct output_root *target; /* where files are written: the root, or a job's stage in it */
	struct pending *pending;
	struct claims *claims; /* while planning */
};

/* A thread's part, and the file that it is at. */
struct mirror_thread {
	struct op_thread *thread;
	struct mirror *mirror;
	struct buf output;       /* where it is written, with --out */
	size_t relative;         /* offset in it of what follows --out and '/' */
	struct buf input;        /* its path as printed */
	struct output_file file; /* open: fd >= 0 */
	uint64_t begun;          /* ns, CLOCK_MONOTONIC */
	struct mirror_counts counts;
};

/* Of each input directory. */
struct mirrored {
	mode_t mode;      /* 0: not known */
	atomic_bool made; /* what mirrors it is there */
};

_Static_assert(sizeof(struct mirrored) <= MIRROR_DIR_SIZE, "each directory has room for it");

/* A file that took so long is published at once: to wait would save nothing. */
#define SLOW_NS ((uint64_t)100 * 1000000)

/* Set t->output for an entry. NULL, or why there is none. */
static const char *find_output(struct mirror_thread *t, const struct walk_entry *entry)
{
	size_t len;
	const char *relative = walk_entry_relative(entry, &len);
	if (!relative) {
		return "out of memory";
	}
	const char *slash = memrchr(relative, '/', len);
	size_t dir_len = slash ? (size_t)(slash - relative) + 1 : 0;
	const char *out = t->mirror->spec->out;
	buf_clear(&t->output);
	buf_add_str(&t->output, out);
	if (out[strlen(out) - 1] != '/') {
		buf_add_char(&t->output, '/');
	}
	t->relative = t->output.len;
	buf_add(&t->output, relative, dir_len);
	size_t name = t->output.len;
	t->mirror->kind->name(&t->output, t->mirror->spec, relative + dir_len, len - dir_len);
	if (!buf_cstr(&t->output)) {
		return "out of memory";
	}
	return output_name_fault(t->output.data + name, t->output.len - name);
}

static const char *relative_output(const struct mirror_thread *t)
{
	return t->output.data + t->relative;
}

/* Set t->input; false when there is no memory. */
static bool find_input(struct mirror_thread *t, const struct walk_entry *entry)
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

static struct mirrored *mirrored_of(const struct mirror_thread *t, const struct walk_dir *dir)
{
	return (struct mirrored *)(void *)((char *)walk_dir_data(dir) + t->thread->dir_offset);
}

/* The mode that an output gets: what a list of rights gives to others must not become the owning
 * group's, which the group bits would say. */
static mode_t plain_mode(struct fs_tree *tree, int handle, mode_t mode)
{
	unsigned group = tree->backend->group_rights && (mode & 070)
	                         ? tree->backend->group_rights(tree, handle)
	                         : 7;
	return mode & ~(mode_t)((7 & ~group) << 3);
}

/* Of an input file, as it was opened; without a group's rights when it is not there any more. */
static mode_t plain_mode_of(const struct walk_entry *entry, const struct file_meta *meta)
{
	struct fs_tree *tree = entry->dir->tree;
	if (!tree->backend->group_rights || !(meta->mode & 070)) {
		return meta->mode;
	}
	struct file_meta again;
	int file = tree->backend->open_file(tree, entry->dir_handle, entry->name, &again);
	bool same = file >= 0 && again.ino == meta->ino && again.dev == meta->dev;
	mode_t mode = same ? plain_mode(tree, file, meta->mode) : meta->mode & ~(mode_t)070;
	if (file >= 0) {
		tree->backend->close(tree, file);
	}
	return mode;
}

void mirror_enter(const struct walk_dir *dir, int dir_handle, void *mine)
{
	struct file_meta meta;
	if (dir->tree->backend->stat_handle(dir->tree, dir_handle, &meta) == 0) {
		((struct mirrored *)mine)->mode = plain_mode(dir->tree, dir_handle, meta.mode);
	}
}

struct mirroring {
	const struct mirror_thread *t;
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
static int make_directory(struct mirror_thread *t, const struct walk_entry *entry)
{
	struct mirrored *mirrored = mirrored_of(t, entry->dir);
	const char *relative = t->output.data + t->relative, *slash = strrchr(relative, '/');
	if (!slash || atomic_load_explicit(&mirrored->made, memory_order_relaxed)) {
		return 0;
	}
	struct mirroring mirroring = {.t = t, .dir = entry->dir};
	const struct output_modes modes = {.mode = mode_of_input, .context = &mirroring};
	char *dir = strndup(relative, (size_t)(slash - relative));
	int error = dir ? output_directories(t->mirror->target, dir, &modes) : -ENOMEM;
	free(dir);
	atomic_store_explicit(&mirrored->made, error == 0, memory_order_relaxed);
	return error;
}

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
	return error ? vega_fail_errno(err, VEGA_FATAL, -error,
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
	if (code == 0 && (!mirror->claims || !mirror->pending)) {
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
	if (find_output(t, entry)) {
		return; /* told when its turn comes */
	}
	int taken = claims_add(claims, relative_output(t), t->output.len - t->relative, entry->ino);
	if (taken > 0) {
		claims_refused(
		        claims, relative_output(t), find_input(t, entry) ? t->input.data : NULL);
	}
}

int mirror_plan_end(struct mirror *mirror, struct vega_error *err)
{
	int code = claims_check(mirror->claims, mirror->spec, err);
	claims_free(mirror->claims);
	mirror->claims = NULL;
	return code;
}

struct outcome {
	const char *dir, *name; /* of the input, as in a record */
	size_t dir_len, name_len;
	const char *output;
	const char *status;
	uint64_t input_bytes, output_bytes;
};

static void report(struct mirror_thread *t, const struct outcome *outcome)
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

/* text: as describe() wants it. */
static int refuse_output(
        struct mirror_thread *t, const struct walk_entry *entry, int errnum, const char *text)
{
	struct buf message = BUF_INIT;
	describe(&message, t->output.data, errnum, text);
	mirror_refuse(t, entry, errnum, buf_cstr(&message));
	buf_release(&message);
	return -1;
}

int mirror_refuse_output(struct mirror_thread *t, const struct walk_entry *entry, int errnum)
{
	return refuse_output(t, entry, errnum, NULL);
}

enum existing { ABSENT, CURRENT, SAME_FILE, DIFFERENT, UNREADABLE };

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
static enum existing look_at_output(const struct mirror *mirror, struct output_root *root,
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

static const char exists_and_differs[] = ": exists and differs; use --overwrite";

/* One file of a batch is published, or is not. */
static void conclude(struct mirror_thread *t, const struct pending_file *file, int result)
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
	        look_at_output(t->mirror, t->mirror->target, file->output + file->relative,
	                &file->meta, &there, &error) == CURRENT) {
		outcome.status = "current";
		outcome.output_bytes = there.size;
		t->counts.current++;
		report(t, &outcome);
	} else if (result == 0) {
		t->counts.written++;
		t->counts.input_bytes += file->meta.size;
		t->counts.output_bytes += file->bytes;
		report(t, &outcome);
	} else {
		struct buf message = BUF_INIT;
		describe(
		        &message, file->output, error, error == EEXIST ? exists_and_differs : NULL);
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
static void publish_batch(struct mirror_thread *t, struct pending_batch *batch)
{
	if (batch) {
		publish(t, batch->file, batch->count);
		free(batch);
	}
}

/* Whether the output may be written: 1; 0: it is up to date, and was reported; negative: refused.
 */
static int may_write(
        struct mirror_thread *t, const struct walk_entry *entry, const struct file_meta *meta)
{
	struct file_meta there;
	struct outcome outcome = {.output = t->output.data, .status = "current"};
	int error = 0;
	switch (look_at_output(
	        t->mirror, t->mirror->root, relative_output(t), meta, &there, &error)) {
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
		report(t, &outcome);
		return 0;
	case SAME_FILE:
		return refuse_output(t, entry, EEXIST, ": is the input itself");
	case DIFFERENT:
		if (!t->mirror->spec->overwrite) {
			return refuse_output(t, entry, EEXIST, exists_and_differs);
		}
		return S_ISDIR(there.mode) ? refuse_output(t, entry, EISDIR, NULL) : 1;
	default:
		return refuse_output(t, entry, error, NULL);
	}
}

void mirror_turn(struct mirror_thread *t)
{
	publish_batch(t, pending_take(t->mirror->pending, false));
}

void mirror_settle(struct mirror_thread *t)
{
	publish_batch(t, pending_take(t->mirror->pending, true));
}

int mirror_begin(
        struct mirror_thread *t, const struct walk_entry *entry, const struct file_meta *meta)
{
	CHECK(t->file.fd < 0);
	const char *fault = find_output(t, entry);
	if (fault) {
		return mirror_refuse(t, entry, 0, fault);
	}
	int may = may_write(t, entry, meta);
	if (may <= 0) {
		return may;
	}
	int error = make_directory(t, entry);
	error = error ? error : output_begin(t->mirror->target, relative_output(t), &t->file);
	if (error) {
		return refuse_output(t, entry, -error, NULL);
	}
	if (!find_input(t, entry)) {
		return mirror_refuse(t, entry, ENOMEM, NULL);
	}
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
	publish_batch(t, full);
	return 0;
}

int mirror_seal(struct mirror_thread *t, const struct walk_entry *entry,
        const struct file_meta *meta, uint64_t bytes)
{
	CHECK(t->file.fd >= 0);
	struct file_meta sealed = *meta;
	sealed.mode = plain_mode_of(entry, meta);
	int error = output_seal(&t->file, &sealed);
	error = error ? error : hand_over(t, meta, bytes);
	return error ? refuse_output(t, entry, -error, NULL) : 0;
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
