/* Stages of jobs: written by an attempt, published after its commit by whichever process is
 * alive, and discarded in the end. */
#include "fs/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/killpoint.h"
#include "base/parse.h"
#include "fs/output_internal.h"
#include "fs/stage_internal.h"

#define DISCARD_TRIES 8 /* while a process that lost its lease goes on writing */

bool stage_parse(struct stage *stage, const char *text)
{
	size_t len = UUID_TEXT - 1;
	*stage = (struct stage){.seq = 0};
	if (strnlen(text, len + 1) <= len || text[len] != '.') {
		return false;
	}
	memcpy(stage->id, text, len);
	return uuid_valid(stage->id) && parse_u64(text + len + 1, &stage->seq, NULL) == 0 &&
	       stage->seq > 0;
}

void stage_name(const struct stage *stage, char name[STAGE_NAME_MAX])
{
	snprintf(name, STAGE_NAME_MAX, ".vega-stage.%s.%llu", stage->id,
	        (unsigned long long)stage->seq);
}

int stage_create(struct output_root *root, const struct stage *stage, struct output_root **staged)
{
	char name[STAGE_NAME_MAX];
	stage_name(stage, name);
	int error = output_root_enter(root, name, true, staged);
	KILL_POINT(stage_made);
	return error;
}

/* A stage's directory, or -errno. */
static int open_stage(struct output_root *root, const struct stage *stage)
{
	char name[STAGE_NAME_MAX];
	stage_name(stage, name);
	return output_root_dir(root, name, false);
}

struct publishing {
	struct output_root *root;
	const struct stage_publication *how;
	int top;    /* the stage's directory, for the modes of those in it */
	int target; /* where the files of the directory at hand go; -1: not yet open */
	bool whole; /* the file system is synced in the end, and not each directory */
};

/* What stands there is no fault of the moment. */
static bool is_refusal(int error)
{
	switch (-error) {
	case EEXIST:
	case EISDIR:
	case ENOTDIR:
	case ELOOP:
	case EXDEV:
	case EACCES:
	case EPERM:
	case ENAMETOOLONG:
		return true;
	default:
		return false;
	}
}

/* The name is taken: by the same, by what may be replaced, or by something else. */
static int meet(int dir, const char *name, int target, bool overwrite)
{
	struct stat staged, there;
	if (fstatat(dir, name, &staged, AT_SYMLINK_NOFOLLOW) != 0 ||
	        fstatat(target, name, &there, AT_SYMLINK_NOFOLLOW) != 0) {
		return -errno;
	}
	if (S_ISREG(there.st_mode) && there.st_size == staged.st_size &&
	        there.st_mtim.tv_sec == staged.st_mtim.tv_sec &&
	        there.st_mtim.tv_nsec == staged.st_mtim.tv_nsec) {
		return 0;
	}
	if (!overwrite) {
		return -EEXIST;
	}
	return renameat(dir, name, target, name) == 0 ? 0 : -errno;
}

static bool is_there(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A directory is made like the one in the stage. */
static mode_t staged_mode(void *context, const char *relative)
{
	const struct publishing *p = context;
	struct stat st;
	return fstatat(p->top, relative, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode : OUTPUT_UMASK;
}

static int open_target(struct publishing *p, const char *path)
{
	const struct output_modes modes = {.mode = staged_mode, .context = p};
	int error = output_directories(p->root, path, &modes);
	return error ? error : output_root_dir(p->root, path, false);
}

static int publish_file(void *context, int dir, const char *path, const char *name)
{
	struct publishing *p = context;
	if (p->how->stop && atomic_load_explicit(p->how->stop, memory_order_relaxed)) {
		return -EINTR;
	}
	if (p->target < 0) {
		p->target = open_target(p, path);
	}
	KILL_POINT(publish_file);
	int error = p->target < 0 ? p->target : output_rename(dir, name, p->target, name);
	KILL_POINT(published_file);
	if (error == -EEXIST) {
		error = meet(dir, name, p->target, p->how->overwrite);
	}
	if (error == -ENOENT && !is_there(dir, name)) {
		return 0; /* another process has published it */
	}
	if (is_refusal(error)) {
		char *holder = NULL;
		if (asprintf(&holder, "%s%s", path, *path ? "/" : "") < 0) {
			return -ENOMEM;
		}
		p->how->refused(p->how->context, holder, name, -error);
		free(holder);
		return 0;
	}
	return error;
}

static int publish_files_end(void *context)
{
	struct publishing *p = context;
	int error = 0;
	if (p->target >= 0) {
		if (!p->whole && fsync(p->target) != 0 && errno != EINVAL) {
			error = -errno;
		}
		close(p->target);
		p->target = -1;
	}
	return error;
}

/* One that still holds a file stays. */
static int publish_leave(void *context, int parent, const char *name)
{
	(void)context;
	unlinkat(parent, name, AT_REMOVEDIR);
	return 0;
}

int stage_publish(
        struct output_root *root, const struct stage *stage, const struct stage_publication *how)
{
	int top = open_stage(root, stage);
	if (top < 0) {
		return top == -ENOENT ? 1 : top;
	}
	int base = output_root_dir(root, "", false), again = fcntl(top, F_DUPFD_CLOEXEC, 0);
	if (base < 0 || again < 0) {
		int error = base < 0 ? base : -errno;
		close(top);
		if (base >= 0) {
			close(base);
		}
		return error;
	}
	struct publishing publishing = {.root = root,
	        .how = how,
	        .top = again,
	        .target = -1,
	        .whole = output_syncs_as_a_whole(base)};
	const struct stage_visit visit = {.file = publish_file,
	        .files_end = publish_files_end,
	        .leave = publish_leave,
	        .context = &publishing};
	int error = stage_visit(top, &visit);
	if (!error && publishing.whole && syncfs(base) != 0) {
		error = -errno;
	}
	KILL_POINT(publish_synced);
	close(again);
	close(base);
	return error;
}

static int discard_file(void *context, int dir, const char *path, const char *name)
{
	(void)context, (void)path;
	KILL_POINT(discard_file);
	return unlinkat(dir, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

static int discard_directory(void *context, int parent, const char *name)
{
	(void)context;
	KILL_POINT(discard_directory);
	return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

static int discard_once(struct output_root *root, int base, const struct stage *stage)
{
	static const struct stage_visit visit = {.file = discard_file, .leave = discard_directory};
	char name[STAGE_NAME_MAX];
	stage_name(stage, name);
	int top = open_stage(root, stage);
	if (top < 0) {
		return top == -ENOENT ? 0 : top;
	}
	int error = stage_visit(top, &visit);
	return error ? error : discard_directory(NULL, base, name);
}

int stage_count(struct output_root *root, const struct stage *stage)
{
	int count = 0, base = output_root_dir(root, "", false);
	if (base < 0) {
		return base == -ENOENT ? 0 : base;
	}
	for (struct stage at = *stage; at.seq > 0; at.seq--) {
		char name[STAGE_NAME_MAX];
		stage_name(&at, name);
		count += is_there(base, name);
	}
	close(base);
	return count;
}

int stage_discard(struct output_root *root, const struct stage *stage)
{
	int first = 0, base = output_root_dir(root, "", false);
	if (base < 0) {
		return base == -ENOENT ? 0 : base;
	}
	for (struct stage at = *stage; at.seq > 0; at.seq--) {
		int error = -ENOTEMPTY;
		for (int i = 0; error == -ENOTEMPTY && i < DISCARD_TRIES; i++) {
			error = discard_once(root, base, &at);
		}
		first = first ? first : error;
	}
	close(base);
	return first;
}
