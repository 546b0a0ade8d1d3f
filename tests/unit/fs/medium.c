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
	ok(medium_spins(sys, 8, 0), "a disk that rotates");
	ok(medium_spins(sys, 8, 3), "its partition");
	ok(!medium_spins(sys, 8, 16) && !medium_spins(sys, 8, 17),
	        "not a flash disk, nor its partition");
	ok(!medium_spins(sys, 8, 32), "not an emulated one");
	ok(!medium_spins(sys, 254, 0), "not a virtual machine's");
	ok(!medium_spins(sys, 7, 0), "not a loop device");
	ok(!medium_spins(sys, 9, 9), "not one that is not there");
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
	ok(!medium_spins(sys, 253, 0), "a volume on a virtual machine's disk does not");
	ok(medium_spins(sys, 9, 0), "an array of a rotating disk's partition does");
	ok(medium_spins(sys, 253, 1), "and a volume on it");
	ok(!medium_spins(sys, 253, 2), "a stack without an end has one");
}

static void test_threads(void)
{
	is_int(medium_threads(MEDIUM_LOCAL, 64), 64, "one a processor");
	is_int(medium_threads(MEDIUM_SPINNING, 64), 1, "one for a disk that seeks");
	is_int(medium_threads(MEDIUM_NETWORK, 1), 8, "a network: 8 at least");
	is_int(medium_threads(MEDIUM_NETWORK, 4), 16, "four a processor");
	is_int(medium_threads(MEDIUM_NETWORK, 16), 32, "at most 32");
	is_int(medium_threads(MEDIUM_NETWORK, 64), 64, "but never less than one a processor");
	is_int(medium_threads(MEDIUM_FUSE, 1), 4, "FUSE: four a processor");
	is_int(medium_threads(MEDIUM_FUSE, 64), 10, "as many as it answers");
	is_int(medium_threads_waiting(MEDIUM_LOCAL, 2), 16,
	        "who waits for flash: eight a processor");
	is_int(medium_threads_waiting(MEDIUM_LOCAL, 8), 32, "at most 32");
	is_int(medium_threads_waiting(MEDIUM_LOCAL, 64), 64, "but never less than at first");
	is_int(medium_threads_waiting(MEDIUM_SPINNING, 64), 1, "a disk that seeks: still one");
	is_int(medium_threads_waiting(MEDIUM_NETWORK, 4), 16, "a network: as at first");
	is_int(medium_threads_waiting(MEDIUM_FUSE, 64), 10, "FUSE, too");
	ok(medium_of("/proc") == MEDIUM_LOCAL && medium_of("/nowhere") == MEDIUM_LOCAL,
	        "what is no disk is local");
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
