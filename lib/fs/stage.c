/* Stages of jobs: their names, their making, and whether one is ours. */
#include "fs/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/killpoint.h"
#include "base/parse.h"
#include "fs/output_internal.h"
#include "fs/stage_internal.h"

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
	snprintf(name, STAGE_NAME_MAX, STAGE_PREFIX "%s.%llu", stage->id,
	        (unsigned long long)stage->seq);
}

/*
 * What a file of one's own looks like in base: where nobody keeps owners or modes (FAT, a share
 * that maps all users to one), not as it was asked for. By the descriptor, so that nobody can
 * exchange it. 0 or -errno.
 */
static int look_of_own(int base, struct stat *own)
{
	char id[UUID_TEXT], name[STAGE_NAME_MAX];
	uuid7(id);
	snprintf(name, sizeof name, ".vega-own.%s", id);
	int fd = openat(base, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return -errno;
	}
	int error = fstat(fd, own) == 0 ? 0 : -errno;
	unlinkat(base, name, 0);
	close(fd);
	return error;
}

int stage_check_own(int base, int dir, bool closed, struct stat *st)
{
	struct stat own;
	if (fstat(dir, st) != 0) {
		return -errno;
	}
	bool open = closed && (st->st_mode & 077);
	if (st->st_uid == geteuid() && !open) {
		return 0;
	}
	int error = look_of_own(base, &own);
	if (error) {
		return error == -EACCES || error == -EROFS ? -EPERM : error;
	}
	bool modes = !(own.st_mode & 077);
	return st->st_uid == own.st_uid && !(modes && open) ? 0 : -EPERM;
}

int stage_create(struct output_root *root, const struct stage *stage, struct output_root **staged)
{
	char name[STAGE_NAME_MAX];
	stage_name(stage, name);
	int error = output_root_enter(root, name, true, staged);
	KILL_POINT(stage_made);
	if (error) {
		return error;
	}
	struct stat st;
	int base = output_root_dir(root, "", false);
	int dir = base < 0 ? base : output_root_dir(*staged, "", false);
	error = dir < 0 ? dir : stage_check_own(base, dir, true, &st);
	output_fail(base, 0);
	output_fail(dir, 0);
	if (error) {
		output_root_close(*staged);
		*staged = NULL;
	}
	return error;
}

int stage_open(struct output_root *root, const struct stage *stage)
{
	char name[STAGE_NAME_MAX];
	stage_name(stage, name);
	return output_root_dir(root, name, false);
}

bool stage_is_there(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}
