/* Which disks seek, by a /sys of the test's own; and how many threads that makes. */
#include "../tap.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/medium.h"

static char sys[] = "/tmp/vega-sys-XXXXXX";

/* A file below `sys`, with the directories on its way. */
static void put(const char *path, const char *text)
{
	char whole[512];
	snprintf(whole, sizeof whole, "%s/%s", sys, path);
	char *slash = strrchr(whole, '/');
	*slash = '\0';
	mkdir_parents(whole, 0700);
	*slash = '/';
	int fd = open(whole, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_all(fd, text, strlen(text)) != 0 || close(fd) != 0) {
		printf("Bail out! %s: %s\n", whole, strerror(errno));
	}
}

static void point(const char *from, const char *to)
{
	char link[512], target[512], parent[512];
	snprintf(link, sizeof link, "%s/%s", sys, from);
	snprintf(target, sizeof target, "%s/%s", sys, to);
	snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(link, '/') - link), link);
	mkdir_parents(parent, 0700);
	if (symlink(target, link) != 0) {
		printf("Bail out! %s: %s\n", link, strerror(errno));
	}
}

/* A whole disk and what it says of itself. */
static void disk(const char *number, const char *path, const char *rotational, const char *model)
{
	char from[64], file[256];
	snprintf(from, sizeof from, "dev/block/%s", number);
	snprintf(file, sizeof file, "%s/queue/rotational", path);
	put(file, rotational);
	if (model) {
		snprintf(file, sizeof file, "%s/device/model", path);
		put(file, model);
	}
	point(from, path);
}

static void test_disks(void)
{
	disk("8:0", "devices/pci0/ata1/host0/block/sda", "1\n", "WDC WD40EFRX    \n");
	disk("8:16", "devices/pci0/ata2/host1/block/sdb", "0\n", "Samsung SSD 870 \n");
	disk("8:32", "devices/pci0/ata3/host2/block/sdc", "1\n", "QEMU HARDDISK   \n");
	disk("254:0", "devices/pci0/virtio1/block/vda", "1\n", NULL);
	disk("7:0", "devices/virtual/block/loop0", "1\n", NULL);
	put("devices/pci0/ata1/host0/block/sda/sda3/partition", "3\n");
	point("dev/block/8:3", "devices/pci0/ata1/host0/block/sda/sda3");
	put("devices/pci0/ata2/host1/block/sdb/sdb1/partition", "1\n");
	point("dev/block/8:17", "devices/pci0/ata2/host1/block/sdb/sdb1");
	ok(medium_spins(sys, 8, 0), "a rotating disk seeks");
	ok(medium_spins(sys, 8, 3), "a partition of a rotating disk seeks");
	ok(!medium_spins(sys, 8, 16) && !medium_spins(sys, 8, 17),
	        "a flash disk and its partition do not seek");
	ok(!medium_spins(sys, 8, 32), "an emulated disk does not seek");
	ok(!medium_spins(sys, 254, 0), "a virtual machine's disk does not seek");
	ok(!medium_spins(sys, 7, 0), "a loop device does not seek");
	ok(!medium_spins(sys, 9, 9), "a missing device does not seek");
}

static void test_stacks(void)
{
	disk("253:0", "devices/virtual/block/dm-0", "1\n", NULL);
	point("devices/virtual/block/dm-0/slaves/vda", "devices/pci0/virtio1/block/vda");
	disk("253:1", "devices/virtual/block/dm-1", "1\n", NULL);
	point("devices/virtual/block/dm-1/slaves/md0", "devices/virtual/block/md0");
	disk("9:0", "devices/virtual/block/md0", "1\n", NULL);
	point("devices/virtual/block/md0/slaves/sda3", "devices/pci0/ata1/host0/block/sda/sda3");
	disk("253:2", "devices/virtual/block/dm-2", "1\n", NULL);
	point("devices/virtual/block/dm-2/slaves/dm-2", "devices/virtual/block/dm-2");
	ok(!medium_spins(sys, 253, 0), "a volume on a virtual machine's disk does not seek");
	ok(medium_spins(sys, 9, 0), "an array of a rotating disk's partition seeks");
	ok(medium_spins(sys, 253, 1), "a volume on an array of rotating disks seeks");
	ok(!medium_spins(sys, 253, 2), "a stack of devices that does not end is given up");
}

static void test_threads(void)
{
	is_int(medium_threads(MEDIUM_LOCAL, 64), 64, "a local medium has one thread per processor");
	is_int(medium_threads(MEDIUM_SPINNING, 64), 1, "a disk that seeks has one thread");
	is_int(medium_threads(MEDIUM_NETWORK, 1), 8, "a network has at least 8 threads");
	is_int(medium_threads(MEDIUM_NETWORK, 4), 16, "a network has four threads per processor");
	is_int(medium_threads(MEDIUM_NETWORK, 16), 32, "a network has at most 32 threads");
	is_int(medium_threads(MEDIUM_NETWORK, 64), 64,
	        "a network never has less than one thread per processor");
	is_int(medium_threads(MEDIUM_FUSE, 1), 4, "FUSE has four threads per processor");
	is_int(medium_threads(MEDIUM_FUSE, 64), 10,
	        "FUSE has at most as many threads as libfuse answers with");
	is_int(medium_threads_waiting(MEDIUM_LOCAL, 2), 16,
	        "flash that is waited for has eight threads per processor");
	is_int(medium_threads_waiting(MEDIUM_LOCAL, 8), 32,
	        "flash that is waited for has at most 32 threads");
	is_int(medium_threads_waiting(MEDIUM_LOCAL, 64), 64,
	        "flash that is waited for never has less threads than at first");
	is_int(medium_threads_waiting(MEDIUM_SPINNING, 64), 1,
	        "a disk that seeks has one thread while it is waited for");
	is_int(medium_threads_waiting(MEDIUM_NETWORK, 4), 16,
	        "a network has as many threads while it is waited for");
	is_int(medium_threads_waiting(MEDIUM_FUSE, 64), 10,
	        "FUSE has as many threads while it is waited for");
	ok(medium_of("/proc") == MEDIUM_LOCAL && medium_of("/nowhere") == MEDIUM_LOCAL,
	        "a file system without a disk is local");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

int main(void)
{
	if (!mkdtemp(sys)) {
		return 1;
	}
	test_disks();
	test_stacks();
	test_threads();
	nftw(sys, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return done();
}
