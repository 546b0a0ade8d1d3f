/* What is on a network, and what of that a SQLite store may be on. */
#include "base/network.h"

#include <linux/magic.h>

#include "../tap.h"

static void is(uint32_t magic, const char *name, bool locks)
{
	const struct network_system *system = network_system(magic);
	is_str(system ? system->name : NULL, name, "the file system %#x has its name",
	        (unsigned)magic);
	ok(!system || system->locks == locks, "the file system has its kind of locks: %s",
	        locks ? "yes" : "no");
}

int main(void)
{
	is(0x6969, "NFS", false);
	is(0xff534d42, "CIFS", false);
	is(0xfe534d42, "SMB2", false);
	is(0x6b414653, "AFS", false);
	is(0x00c36400, "Ceph", false);
	is(0x20030528, "OrangeFS", false);
	is(0x7461636f, "OCFS2", true);
	is(0x01161970, "GFS2", true);
	is(EXT4_SUPER_MAGIC, NULL, false);
	is(TMPFS_MAGIC, NULL, false);
	is(FUSE_SUPER_MAGIC, NULL, false);
	is(OVERLAYFS_SUPER_MAGIC, NULL, false);
	return done();
}
