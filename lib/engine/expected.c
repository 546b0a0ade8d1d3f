#include "engine/expected.h"

#include <string.h>
#include <sys/statvfs.h>

#include "fs/medium.h"
#include "fs/mount.h"

/* Does the walk leave out some of what is there? */
static bool leaves_out(const struct spec *spec)
{
	return spec->max_depth.set || spec->exclude.count || spec->exclude_caches ||
	       spec->skip_hidden;
}

static uint64_t inodes_of(const char *root, bool one_file_system)
{
	struct mount mount;
	struct statvfs fs;
	bool found = mount_find(root, &mount) == 0 && mount.whole &&
	             (mount.alone || one_file_system) && strcmp(mount.type, "overlay") != 0;
	mount_release(&mount);
	enum medium medium = found ? medium_of(root) : MEDIUM_NETWORK;
	bool here = medium == MEDIUM_LOCAL || medium == MEDIUM_SPINNING;
	return here && statvfs(root, &fs) == 0 && fs.f_files > fs.f_ffree ? fs.f_files - fs.f_ffree
	                                                                  : 0;
}

uint64_t expected_entries(const struct spec *spec, const struct strlist *roots)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < roots->count && !leaves_out(spec); i++) {
		uint64_t inodes = inodes_of(roots->items[i], spec->one_file_system);
		if (inodes == 0) {
			return 0;
		}
		sum += inodes;
	}
	return sum;
}
