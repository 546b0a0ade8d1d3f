/* Syncing: one syncfs for many files where the file system is known to mean it, else one fsync per
 * file and directory. A failed sync is never repeated: the kernel may have dropped the pages. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fs/output_internal.h"

#define SYNC_WHOLE_MIN 4 /* files at once, from which on syncfs is cheaper than fsync of each */

bool output_syncs_as_a_whole(int fd)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) != 0) {
		return false;
	}
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
		return true;
	default:
		return false;
	}
}

/* Did writing the file fail since it was opened? syncfs tells of an error only once, to one. */
static int write_error(int fd)
{
	return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE) == 0 ? 0 : -errno;
}

void output_sync(struct output_file *const *files, int *results, size_t count, bool dirs)
{
	bool tried = false, whole = false;
	dev_t device = 0;
	for (size_t i = 0; i < count; i++) {
		int fd = dirs ? files[i]->dir : files[i]->fd;
		struct stat st;
		if (results[i] != 0) {
			continue;
		}
		if (count >= SYNC_WHOLE_MIN && fstat(fd, &st) == 0 &&
		        (!tried || st.st_dev != device)) {
			tried = true;
			device = st.st_dev;
			whole = output_syncs_as_a_whole(fd) && syncfs(fd) == 0;
		}
		if (whole) {
			results[i] = dirs ? 0 : write_error(fd);
		} else if (fsync(fd) != 0 && !(dirs && output_is_unsupported(errno))) {
			results[i] = -errno;
		}
	}
}
