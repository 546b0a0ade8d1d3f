/* The medium below a tree: spinning disk, network, FUSE or other, from statfs(2) and /sys. The
 * numbers of threads that follow from it are here with the measurements behind them. */
#include "fs/medium.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/network.h"
#include "fs/mount.h"

/* Volumes of arrays of partitions: deeper stacks are not looked through. */
#define STACK_MAX 4

/* --- Disks ------------------------------------------------------------------------------------ */

/* The beginning of a file in a device's directory; "" when there is none. */
static const char *attribute(const char *dir, const char *name, char text[static 64])
{
	char path[PATH_MAX];
	ssize_t got = -1;
	if (snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		got = fd < 0 ? -1 : read(fd, text, 63);
		if (fd >= 0) {
			close(fd);
		}
	}
	text[got < 0 ? 0 : got] = '\0';
	return text;
}

static bool is_emulated(const char *dir)
{
	static const char *const makers[] = {"QEMU", "VBOX", "VMware", "Virtual", "Msft"};
	char vendor[64], model[64];
	attribute(dir, "device/vendor", vendor);
	attribute(dir, "device/model", model);
	bool found = strstr(dir, "/virtio");
	for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
		found = found || strstr(vendor, makers[i]) || strstr(model, makers[i]);
	}
	return found;
}

/* `device`: in /sys, perhaps through a link. */
static bool spins(const char *device, unsigned level)
{
	char dir[PATH_MAX], path[PATH_MAX + 300], text[64];
	if (!realpath(device, dir)) {
		return false;
	}
	if (*attribute(dir, "partition", text)) {
		*strrchr(dir, '/') = '\0';
	}
	if (*attribute(dir, "queue/rotational", text) != '1' || is_emulated(dir)) {
		return false;
	}
	snprintf(path, sizeof path, "%s/slaves", dir);
	DIR *slaves = opendir(path);
	bool found = false, stacked = false;
	for (const struct dirent *entry; slaves && !found && (entry = readdir(slaves));) {
		if (entry->d_name[0] != '.') {
			stacked = true;
			snprintf(path, sizeof path, "%s/slaves/%s", dir, entry->d_name);
			found = level < STACK_MAX && spins(path, level + 1);
		}
	}
	if (slaves) {
		closedir(slaves);
	}
	/* Else virtual: a loop device, for one. */
	return found || (!stacked && !strstr(dir, "/virtual/"));
}

bool medium_spins(const char *sys, unsigned major, unsigned minor)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/dev/block/%u:%u", sys, major, minor);
	return spins(path, 0);
}

/* The device under a path. That of btrfs is its own invention: the mount tells. */
static dev_t device_of(const char *path, uint32_t type)
{
	struct stat st;
	dev_t device = 0;
	if (type == BTRFS_SUPER_MAGIC) {
		struct mount mount;
		if (mount_find(path, &mount) == 0 && stat(mount.source, &st) == 0 &&
		        S_ISBLK(st.st_mode)) {
			device = st.st_rdev;
		}
		mount_release(&mount);
	} else if (stat(path, &st) == 0) {
		device = st.st_dev;
	}
	return device;
}

/* --- File systems ------------------------------------------------------------------------------
 */

enum medium medium_of(const char *path)
{
	struct statfs fs;
	if (statfs(path, &fs) != 0) {
		return MEDIUM_LOCAL;
	}
	uint32_t type = (uint32_t)fs.f_type;
	if (network_system(type)) {
		return MEDIUM_NETWORK;
	}
	if (type == FUSE_SUPER_MAGIC) {
		return MEDIUM_FUSE;
	}
	dev_t device = device_of(path, type);
	return major(device) && medium_spins("/sys", major(device), minor(device)) ? MEDIUM_SPINNING
	                                                                           : MEDIUM_LOCAL;
}

void medium_name(const char *path, struct buf *name)
{
	struct mount mount;
	buf_add_str(name, mount_find(path, &mount) == 0 ? mount.type : "unknown file system");
	mount_release(&mount);
}

uint64_t medium_inodes(const char *path, bool one_file_system)
{
	struct mount mount;
	struct statvfs fs;
	bool found = mount_find(path, &mount) == 0 && mount.whole &&
	             (mount.alone || one_file_system) && strcmp(mount.type, "overlay") != 0;
	mount_release(&mount);
	enum medium medium = found ? medium_of(path) : MEDIUM_NETWORK;
	bool here = medium == MEDIUM_LOCAL || medium == MEDIUM_SPINNING;
	return here && statvfs(path, &fs) == 0 && fs.f_files > fs.f_ffree ? fs.f_files - fs.f_ffree
	                                                                  : 0;
}

/*
 * One a processor is the best for what is in memory or on flash (tests/bench/RESULTS.md).
 *
 * A disk that seeks is read by one: cold, parallel-disk-usage took 78 s with a thread a processor
 * and 46 s with one (its issue 257), dust 86 s where du took 46 (its issue 375), and hashdeep read
 * 40 instead of 120 MB/s (its issue 394).
 *
 * Over a network each call waits for an answer, and more threads have more questions under way:
 * rclone's --checkers and robocopy's /MT are 8, git's preload-index, made for NFS, takes up to 20.
 *
 * FUSE is the same, but libfuse answers with at most 10 threads (FUSE_LOOP_MT_DEF_MAX_THREADS).
 */
unsigned medium_threads(enum medium medium, unsigned processors)
{
	unsigned four = processors > 8 ? 32 : 4 * processors;
	switch (medium) {
	case MEDIUM_SPINNING:
		return 1;
	case MEDIUM_NETWORK:
		return processors > 32 ? processors : four > 8 ? four : 8;
	case MEDIUM_FUSE:
		return four < 10 ? four : 10;
	default:
		return processors;
	}
}

/*
 * Flash answers many questions at once as soon as one: half a million entries that were not in
 * memory were listed on two processors in 2.1, 1.4, 1.0, 0.8 and 0.8 s by 2, 4, 8, 16 and 32
 * threads. What began with more than one a processor has them for its waits.
 */
unsigned medium_threads_waiting(enum medium medium, unsigned processors)
{
	unsigned begin = medium_threads(medium, processors);
	unsigned eight = processors > 4 ? 32 : 8 * processors;
	return medium == MEDIUM_LOCAL && eight > begin ? eight : begin;
}
