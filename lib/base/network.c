/* The table of network and cluster file systems, by the magic number that statfs(2) gives. */
#include "base/network.h"

#include <linux/magic.h>
#include <stddef.h>

/* What <linux/magic.h> does not name is from the sources of the clients. */
static const struct network_system systems[] = {
        {NFS_SUPER_MAGIC, "NFS", false},
        {SMB_SUPER_MAGIC, "SMB", false},
        {CIFS_SUPER_MAGIC, "CIFS", false},
        {SMB2_SUPER_MAGIC, "SMB2", false},
        {V9FS_MAGIC, "9P", false},
        {AFS_SUPER_MAGIC, "AFS", false},
        {AFS_FS_MAGIC, "AFS", false},
        {CEPH_SUPER_MAGIC, "Ceph", false},
        {CODA_SUPER_MAGIC, "Coda", false},
        {NCP_SUPER_MAGIC, "NCP", false},
        {OCFS2_SUPER_MAGIC, "OCFS2", true},
        {0x01161970, "GFS2", true},
        {0x0bd00bd0, "Lustre", false},
        {0x47504653, "GPFS", false},
        {0x19830326, "BeeGFS", false},
        {0x20030528, "OrangeFS", false},
};

const struct network_system *network_system(uint32_t magic)
{
	for (size_t i = 0; i < sizeof systems / sizeof *systems; i++) {
		if (systems[i].magic == magic) {
			return &systems[i];
		}
	}
	return NULL;
}
