/* /proc/self/mountinfo, read for the one mount that holds a path. */
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* The columns of a line; those behind "-" come after optional ones. */
struct columns {
	uint64_t id;
	char *root, *point, *type, *source;
};

/* "\040" is a space, in place. */
static void unescape(char *text)
{
	char *to = text;
	for (const char *from = text; *from; to++) {
		bool octal = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' &&
		             from[2] >= '0' && from[2] <= '7' && from[3] >= '0' && from[3] <= '7';
		*to = octal ? (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'))
		            : *from;
		from += octal ? 4 : 1;
	}
	*to = '\0';
}

static bool split(char *line, struct columns *columns)
{
	char *at = line, *column[5], *tail = strstr(line, " - ");
	if (!tail) {
		return false;
	}
	*tail = '\0';
	for (size_t i = 0; i < 5; i++) {
		column[i] = strsep(&at, " ");
		if (!column[i]) {
			return false;
		}
	}
	at = tail + 3;
	*columns = (struct columns){.id = strtoull(column[0], NULL, 10),
	        .root = column[3],
	        .point = column[4],
	        .type = strsep(&at, " "),
	        .source = strsep(&at, " ")};
	if (!columns->source) {
		return false;
	}
	unescape(columns->root);
	unescape(columns->point);
	unescape(columns->source);
	return true;
}

static bool lies_below(const char *path, const char *dir)
{
	size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
	return strncmp(path, dir, len) == 0 && path[len] == '/' && path[len + 1];
}

/* Two passes over the lines: which is it, and does another one lie below it? */
static int find_in(struct mount *mount, uint64_t id, bool at_its_root)
{
	size_t count = 0;
	for (const char *at = mount->table.data; (at = strchr(at, '\n')); at++) {
		count++;
	}
	struct columns *lines = calloc(count + 1, sizeof *lines), *mine = NULL;
	if (!lines) {
		return -ENOMEM;
	}
	char *rest = mount->table.data;
	for (size_t i = 0; i < count; i++) {
		if (split(strsep(&rest, "\n"), &lines[i]) && lines[i].id == id) {
			mine = &lines[i];
		}
	}
	mount->whole = mine && at_its_root && strcmp(mine->root, "/") == 0;
	mount->alone = mount->whole;
	for (size_t i = 0; i < count && mount->alone; i++) {
		mount->alone = !lines[i].point || !lies_below(lines[i].point, mine->point);
	}
	if (mine) {
		mount->type = mine->type;
		mount->source = mine->source;
	}
	free(lines);
	return mine ? 0 : -ENOENT;
}

int mount_find(const char *path, struct mount *mount)
{
	*mount = (struct mount){.table = BUF_INIT};
	struct statx sx;
	if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_MNT_ID, &sx) != 0) {
		return -errno;
	}
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	int error = fd_read_all(fd, &mount->table);
	close(fd);
	if (error || !buf_cstr(&mount->table)) {
		return error ? error : -ENOMEM;
	}
	if (!(sx.stx_mask & STATX_MNT_ID)) { /* before Linux 5.8 */
		return -ENOENT;
	}
	bool at_its_root = sx.stx_attributes & sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT;
	return find_in(mount, sx.stx_mnt_id, at_its_root);
}

void mount_release(struct mount *mount)
{
	buf_release(&mount->table);
}
