/* Publishing a stage: each file is renamed into its place, and the stage's empty directories go. It
 * may be killed anywhere, and run twice at once. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/killpoint.h"
#include "fs/output_internal.h"
#include "fs/stage.h"
#include "fs/stage_internal.h"

struct publishing {
	struct output_root *root;
	const struct stage_publication *how;
	int top;     /* the stage's directory, for the modes of those in it */
	uid_t owner; /* of the stage, and of what may be published */
	int target;  /* where the files of the directory at hand go; -1: not yet open */
	bool whole;  /* the file system is synced in the end, and not each directory */
	struct output_listing listing; /* of that directory, where names are folded */
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
	case EMLINK:
	case ENAMETOOLONG:
		return true;
	default:
		return false;
	}
}

/* Is what has the name of the file the same, or may it be replaced? It may have another name, which
 * the file system takes for this: that is another's, in any case. */
static int meet(struct publishing *p, int dir, const char *path, const char *name)
{
	struct stat staged, there;
	char *relative = NULL;
	if (fstatat(dir, name, &staged, AT_SYMLINK_NOFOLLOW) != 0 ||
	        fstatat(p->target, name, &there, AT_SYMLINK_NOFOLLOW) != 0) {
		return -errno;
	}
	if (asprintf(&relative, "%s%s%s", path, *path ? "/" : "", name) < 0) {
		return -ENOMEM;
	}
	int named = output_named(p->root, relative, &p->listing);
	free(relative);
	if (named < 0 || named == OUTPUT_NAMED_OTHERWISE) {
		return named < 0 ? named : -EEXIST;
	}
	if (p->how->overwrite) {
		return renameat(dir, name, p->target, name) == 0 ? 0 : -errno;
	}
	bool same = S_ISREG(there.st_mode) && there.st_size == staged.st_size &&
	            there.st_mtim.tv_sec == staged.st_mtim.tv_sec &&
	            there.st_mtim.tv_nsec == staged.st_mtim.tv_nsec;
	return same ? 0 : -EEXIST;
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

/* A file that has a second name by which somebody could go on writing to it; or by which it was
 * published, where that takes two steps (see output_rename()). */
static int meet_link(int dir, const char *name, int target, const struct stat *staged)
{
	struct stat there;
	if (fstatat(target, name, &there, AT_SYMLINK_NOFOLLOW) != 0 ||
	        there.st_dev != staged->st_dev || there.st_ino != staged->st_ino) {
		return -EMLINK;
	}
	return unlinkat(dir, name, 0) == 0 ? 0 : -errno;
}

/* Only regular files of the stage's owner, with one name, are published. */
static int move(struct publishing *p, int dir, const char *path, const char *name)
{
	struct stat staged;
	if (fstatat(dir, name, &staged, AT_SYMLINK_NOFOLLOW) != 0) {
		return -errno;
	}
	if (!S_ISREG(staged.st_mode) || staged.st_uid != p->owner) {
		return -EPERM;
	}
	if (staged.st_nlink > 1) {
		return meet_link(dir, name, p->target, &staged);
	}
	int error = output_rename(p->root, dir, name, p->target, name);
	return error == -EEXIST ? meet(p, dir, path, name) : error;
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
	int error = p->target < 0 ? p->target : move(p, dir, path, name);
	KILL_POINT(published_file);
	if (error == -ENOENT && !stage_is_there(dir, name)) {
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
		if (!p->whole && fsync(p->target) != 0 && !output_is_unsupported(errno)) {
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

static int publish_all(struct publishing *p, int base, int top)
{
	const struct stage_visit visit = {.file = publish_file,
	        .files_end = publish_files_end,
	        .leave = publish_leave,
	        .context = p};
	p->top = fcntl(top, F_DUPFD_CLOEXEC, 0);
	if (p->top < 0) {
		return output_fail(top, -errno);
	}
	int error = stage_visit(top, &visit);
	if (!error && p->whole && syncfs(base) != 0) {
		error = -errno;
	}
	KILL_POINT(publish_synced);
	return output_fail(p->top, error);
}

int stage_publish(
        struct output_root *root, const struct stage *stage, const struct stage_publication *how)
{
	struct publishing publishing = {.root = root, .how = how, .target = -1};
	struct stat st;
	int base = output_root_dir(root, "", false);
	int top = base < 0 ? base : stage_open(root, stage);
	int error = top < 0 ? top : stage_check_own(base, top, true, &st);
	if (error) {
		output_fail(top, 0);
		return output_fail(base, top == -ENOENT ? 1 : error);
	}
	publishing.owner = st.st_uid;
	publishing.whole = output_syncs_as_a_whole(base);
	error = publish_all(&publishing, base, top);
	output_listing_release(&publishing.listing);
	return output_fail(base, error);
}
