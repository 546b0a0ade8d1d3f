/* The local file system: getdents64 and statx, relative to directory descriptors. */
#include "fs/backend.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/openat2.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/check.h"
#include "fs/wait.h"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC)

/*
 * openat(2) and close(2) without what the C library adds for pthread_cancel(), which is a dozen
 * instructions once there are two threads.
 */
static inline int open_plainly(int dir, const char *name, int flags)
{
	return (int)syscall(SYS_openat, dir, name, flags | O_LARGEFILE);
}

/*
 * For reading. Nobody has used what is read here, so its access time stays: it tells which data is
 * cold. Only its owner and root may ask for that; others get EPERM, and read as everybody does.
 */
static inline int open_at(int dir, const char *name, int flags)
{
	int fd = open_plainly(dir, name, flags | O_NOATIME);
	return fd < 0 && errno == EPERM ? open_plainly(dir, name, flags) : fd;
}

static inline void close_fd(int fd)
{
	syscall(SYS_close, fd);
}

/* What getdents64 fills the buffer with (getdents(2)). */
struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

static inline enum file_type type_of_dirent(uint8_t d_type)
{
	return file_type_of_mode((uint32_t)d_type << 12);
}

static void fill_meta(struct file_meta *meta, const struct statx *sx)
{
	meta->have = META_ALL;
	meta->mode = sx->stx_mode;
	meta->uid = sx->stx_uid;
	meta->gid = sx->stx_gid;
	meta->nlink = sx->stx_nlink;
	meta->dev = makedev(sx->stx_dev_major, sx->stx_dev_minor);
	meta->ino = sx->stx_ino;
	meta->size = sx->stx_size;
	meta->allocated = sx->stx_blocks * 512;
	meta->mtime = (struct vega_time){sx->stx_mtime.tv_sec, sx->stx_mtime.tv_nsec};
	meta->ctime = (struct vega_time){sx->stx_ctime.tv_sec, sx->stx_ctime.tv_nsec};
	meta->atime = (struct vega_time){sx->stx_atime.tv_sec, sx->stx_atime.tv_nsec};
}

static atomic_bool no_statx; /* a sandbox refuses it */

/* As statx(2), whose fields are a superset. */
static int stat_as_before(int dir, const char *name, int flags, struct file_meta *meta)
{
	struct stat st;
	if (fstatat(dir, name, &st, flags | AT_NO_AUTOMOUNT) != 0) {
		return -errno;
	}
	*meta = (struct file_meta){.have = META_ALL,
	        .mode = st.st_mode,
	        .uid = st.st_uid,
	        .gid = st.st_gid,
	        .nlink = (uint32_t)st.st_nlink,
	        .dev = st.st_dev,
	        .ino = st.st_ino,
	        .size = (uint64_t)st.st_size,
	        .allocated = (uint64_t)st.st_blocks * 512,
	        .mtime = {st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec},
	        .ctime = {st.st_ctim.tv_sec, (uint32_t)st.st_ctim.tv_nsec},
	        .atime = {st.st_atim.tv_sec, (uint32_t)st.st_atim.tv_nsec}};
	return 0;
}

/* statx(2) failed. Of it EPERM is the answer of a seccomp filter that does not know it, as those of
 * containers were: what was before it then works. */
static int stat_refused(int dir, const char *name, int flags, struct file_meta *meta)
{
	if (errno != EPERM) {
		return -errno;
	}
	int error = stat_as_before(dir, name, flags, meta);
	if (!error) {
		atomic_store_explicit(&no_statx, true, memory_order_relaxed);
	}
	return error;
}

/* 0 or -errno; "" with AT_EMPTY_PATH is the descriptor itself. */
static int stat_at(int dir, const char *name, int flags, unsigned mask, struct file_meta *meta)
{
	struct statx sx;
	if (atomic_load_explicit(&no_statx, memory_order_relaxed)) {
		return stat_as_before(dir, name, flags, meta);
	}
	if (statx(dir, name, flags | AT_NO_AUTOMOUNT, mask, &sx) != 0) {
		return stat_refused(dir, name, flags, meta);
	}
	fill_meta(meta, &sx);
	return 0;
}

static int stat_handle(int handle, struct file_meta *meta)
{
	return stat_at(handle, "", AT_EMPTY_PATH, STATX_BASIC_STATS, meta);
}

static int local_stat_handle(struct fs_tree *tree, int handle, struct file_meta *meta)
{
	(void)tree;
	fs_wait_begin();
	int error = stat_handle(handle, meta);
	fs_wait_end();
	return error;
}

/* The part of path below dir (both resolved), "." for dir itself; NULL when it is not there. */
static const char *below(const char *path, const char *dir)
{
	size_t len = strlen(dir);
	while (len > 0 && dir[len - 1] == '/') {
		len--;
	}
	if (strncmp(path, dir, len) != 0 || (path[len] != '/' && path[len] != '\0')) {
		return NULL;
	}
	path += len + strspn(path + len, "/");
	return *path ? path : ".";
}

/*
 * open(2) of a path, beneath one of the allowed directories if there are any. The kernel resolves
 * the rest in one go and refuses to leave the directory, so nobody can lead it astray meanwhile.
 */
static int open_beneath(const char *path, const struct strlist *allowed, int flags)
{
	if (!allowed || allowed->count == 0) {
		int fd = open(path, flags);
		return fd < 0 ? -errno : fd;
	}
	int result = -EPERM;
	for (size_t i = 0; i < allowed->count; i++) {
		const char *rest = below(path, allowed->items[i]);
		if (!rest) {
			continue;
		}
		int base = open(allowed->items[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (base < 0) {
			result = -errno;
			continue;
		}
		struct open_how how = {
		        .flags = (unsigned)flags,
		        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
		};
		long fd = syscall(SYS_openat2, base, rest, &how, sizeof how);
		result = fd >= 0 ? (int)fd : errno == EXDEV ? -EPERM : -errno;
		close(base);
		if (result >= 0) {
			break;
		}
	}
	return result;
}

/* The directory that holds path, which is no directory, and its name in there. */
static int open_parent(const char *path, const struct strlist *allowed, char **name)
{
	char *real = realpath(path, NULL);
	char *whole = real ? real : strdup(path); /* a link that leads nowhere: the link itself */
	if (!whole) {
		return -ENOMEM;
	}
	char *slash = strrchr(whole, '/');
	*name = strdup(slash ? slash + 1 : whole);
	const char *dir = slash == whole ? "/" : slash ? whole : ".";
	if (slash && slash != whole) {
		*slash = '\0';
	}
	int fd = *name ? open_beneath(dir, allowed, O_PATH | O_DIRECTORY | O_CLOEXEC) : -ENOMEM;
	free(whole);
	return fd;
}

static int open_root(
        const char *path, const struct strlist *allowed, struct file_meta *meta, char **name)
{
	*name = NULL;
	int fd = open_beneath(path, allowed, OPEN_DIRECTORY | O_NOATIME); /* see open_at() */
	fd = fd == -EPERM ? open_beneath(path, allowed, OPEN_DIRECTORY) : fd;
	if (fd >= 0) {
		int error = stat_handle(fd, meta);
		if (error) {
			close(fd);
			return error;
		}
		return fd;
	}
	struct file_meta link;
	bool dangling = fd == -ENOENT &&
	                stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &link) == 0;
	if (fd != -ENOTDIR && !dangling) {
		return fd;
	}
	fd = open_parent(path, allowed, name);
	int error = fd < 0 ? fd : stat_at(fd, *name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, meta);
	if (error) {
		if (fd >= 0) {
			close(fd);
		}
		free(*name);
		*name = NULL;
		return error;
	}
	return fd;
}

static int local_open_root(struct fs_tree *tree, const char *path, const struct strlist *allowed,
        struct file_meta *meta, char **name)
{
	(void)tree;
	fs_wait_begin();
	int fd = open_root(path, allowed, meta, name);
	fs_wait_end();
	return fd;
}

static inline int open_dir(int parent, const char *name, struct file_meta *meta)
{
	int fd = open_at(parent, name, OPEN_DIRECTORY | O_NOFOLLOW);
	if (fd < 0) {
		return -errno;
	}
	int error = meta ? stat_handle(fd, meta) : 0;
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

static int local_open_dir(
        struct fs_tree *tree, int parent, const char *name, struct file_meta *meta)
{
	(void)tree;
	fs_wait_begin();
	int fd = open_dir(parent, name, meta);
	fs_wait_end();
	return fd;
}

static int local_open_parent(struct fs_tree *tree, int dir, struct file_meta *meta)
{
	return local_open_dir(tree, dir, "..", meta);
}

static inline bool dot_or_dot_dot(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int local_list(
        struct fs_tree *tree, int dir, struct fs_cursor *cursor, struct fs_batch *batch)
{
	(void)tree;
	batch->count = 0;
	batch->end = false;
	if (cursor->at == cursor->filled) {
		fs_wait_begin();
		ssize_t got = getdents64(dir, cursor->buffer, FS_CURSOR_BUFFER);
		fs_wait_end();
		cursor->at = cursor->filled = 0;
		if (got < 0) {
			return -errno;
		}
		batch->end = got == 0;
		cursor->filled = (size_t)got;
	}
	struct fs_entry *entry = batch->entry;
	struct file_meta *meta = batch->meta;
	size_t at = cursor->at;
	while (at < cursor->filled && entry < batch->entry + FS_BATCH) {
		const struct linux_dirent64 *d = (const void *)(cursor->buffer + at);
		at += d->d_reclen;
		CHECK(d->d_reclen > 0 && at <= cursor->filled);
		if (dot_or_dot_dot(d->d_name)) {
			continue;
		}
		entry->name = d->d_name;
		entry->name_len = (uint16_t)strlen(d->d_name);
		entry->ino = d->d_ino;
		entry->type = (uint8_t)type_of_dirent(d->d_type);
		entry->flags = 0;
		entry->error = 0;
		entry++;
		meta->have = 0;
		meta++;
	}
	cursor->at = at;
	batch->count = (unsigned)(entry - batch->entry);
	return 0;
}

static unsigned statx_mask(unsigned want)
{
	unsigned mask = STATX_TYPE;
	mask |= want & META_SIZE ? STATX_SIZE | STATX_BLOCKS : 0;
	mask |= want & META_MTIME ? STATX_MTIME : 0;
	mask |= want & META_CTIME ? STATX_CTIME : 0;
	mask |= want & META_ATIME ? STATX_ATIME : 0;
	mask |= want & META_OWNER ? STATX_UID | STATX_GID : 0;
	mask |= want & META_MODE ? STATX_MODE : 0;
	mask |= want & META_IDENTITY ? STATX_INO | STATX_NLINK : 0;
	return mask;
}

static void local_stat(struct fs_tree *tree, int dir, struct fs_entry *entry,
        struct file_meta *meta, unsigned from, unsigned to, unsigned want)
{
	(void)tree;
	unsigned mask = statx_mask(want);
	fs_wait_begin();
	for (unsigned i = from; i < to; i++) {
		if (entry[i].error == FS_SKIP_STAT) {
			continue;
		}
		entry[i].error = -stat_at(dir, entry[i].name, AT_SYMLINK_NOFOLLOW, mask, &meta[i]);
		if (entry[i].error == 0) {
			entry[i].type = (uint8_t)file_type_of_mode(meta[i].mode);
			meta[i].have = want;
		}
	}
	fs_wait_end();
}

/* A file of several reads: reading ahead twice as far makes cold ones some 15 % faster. */
#define SEQUENTIAL_SIZE (256u << 10)

static int open_file(int dir, const char *name, struct file_meta *meta)
{
	int fd = open_at(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	int error = stat_handle(fd, meta);
	if (!error && !S_ISREG(meta->mode)) {
		error = -EINVAL;
	}
	if (error) {
		close(fd);
		return error;
	}
	if (meta->size > SEQUENTIAL_SIZE) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	}
	return fd;
}

static int local_open_file(struct fs_tree *tree, int dir, const char *name, struct file_meta *meta)
{
	(void)tree;
	fs_wait_begin();
	int fd = open_file(dir, name, meta);
	fs_wait_end();
	return fd;
}

static ssize_t local_read(struct fs_tree *tree, int file, void *bytes, size_t len, uint64_t offset)
{
	(void)tree;
	ssize_t got;
	fs_wait_begin();
	do {
		got = pread(file, bytes, len, (off_t)offset);
	} while (got < 0 && errno == EINTR);
	fs_wait_end();
	return got < 0 ? -errno : got;
}

/*
 * The file systems whose kernel code sets ctime, from the clock, at every change (statfs(2)), and
 * whether their f_fsid comes from a UUID. That of xfs is the device number, overlayfs shows the one
 * of a layer, and nfs has 0, for which st_dev must do.
 */
static const struct {
	uint32_t type;
	bool has_uuid;
} kept_ctimes[] = {
        {0xef53, true},      /* ext2, ext3, ext4 */
        {0x9123683e, true},  /* btrfs */
        {0x2fc12fc1, true},  /* zfs */
        {0xf2f52010, true},  /* f2fs */
        {0xca451a4e, true},  /* bcachefs */
        {0x01021994, true},  /* tmpfs */
        {0x58465342, false}, /* xfs */
        {0x794c7630, false}, /* overlayfs */
        {0x00006969, false}, /* nfs */
};

static int local_identity(struct fs_tree *tree, int dir, uint64_t id[2])
{
	(void)tree;
	struct statfs fs;
	struct stat st;
	fs_wait_begin();
	bool failed = fstatfs(dir, &fs) != 0 || fstat(dir, &st) != 0;
	fs_wait_end();
	if (failed) {
		return -errno;
	}
	id[0] = (uint32_t)fs.f_type;
	memcpy(&id[1], &fs.f_fsid, sizeof id[1]);
	bool unnamed = id[1] == 0;
	if (unnamed) {
		id[1] = st.st_dev;
	}
	for (size_t i = 0; i < sizeof kept_ctimes / sizeof *kept_ctimes; i++) {
		if (id[0] == kept_ctimes[i].type) {
			return unnamed || !kept_ctimes[i].has_uuid;
		}
	}
	return -ENOTSUP;
}

/* As the kernel passes lists to and from attributes, little endian (linux/posix_acl_xattr.h). */
static unsigned local_group_rights(struct fs_tree *tree, int handle)
{
	(void)tree;
	unsigned char list[XATTR_SIZE_MAX];
	fs_wait_begin();
	ssize_t size = fgetxattr(handle, "system.posix_acl_access", list, sizeof list);
	fs_wait_end();
	if (size < 0) {
		return errno == ENODATA || errno == ENOTSUP ? 7 : 0;
	}
	const size_t entry = sizeof(struct posix_acl_xattr_entry);
	for (size_t at = sizeof(struct posix_acl_xattr_header); at + entry <= (size_t)size;
	        at += entry) {
		struct posix_acl_xattr_entry found;
		memcpy(&found, list + at, entry);
		if (le16toh(found.e_tag) == ACL_GROUP_OBJ) {
			return le16toh(found.e_perm) & 7u;
		}
	}
	return 0;
}

static void local_close(struct fs_tree *tree, int handle)
{
	(void)tree;
	fs_wait_begin();
	close_fd(handle);
	fs_wait_end();
}

static int local_tree_new(const char *root, struct fs_tree **out, struct vega_error *err)
{
	(void)root, (void)err;
	*out = &fs_local_tree;
	return 0;
}

static void local_tree_free(struct fs_tree *tree)
{
	(void)tree;
}

static char *local_resolve(struct fs_tree *tree, const char *root)
{
	(void)tree;
	fs_wait_begin();
	char *real = realpath(root, NULL);
	fs_wait_end();
	char *closed = NULL;
	if (real && asprintf(&closed, strcmp(real, "/") ? "%s/" : "%s", real) < 0) {
		closed = NULL;
	}
	free(real);
	return closed;
}

static enum medium local_medium(struct fs_tree *tree, const char *root, struct buf *name)
{
	(void)tree;
	if (name) {
		medium_name(root, name);
	}
	fs_wait_begin();
	enum medium medium = medium_of(root);
	fs_wait_end();
	return medium;
}

static uint64_t local_expect(struct fs_tree *tree, const char *root, bool one_file_system)
{
	(void)tree;
	fs_wait_begin();
	uint64_t inodes = medium_inodes(root, one_file_system);
	fs_wait_end();
	return inodes;
}

struct fs_tree fs_local_tree = {.backend = &fs_local, .fields = META_ALL};

const struct backend fs_local = {
        .scheme = "file",
        .tree_new = local_tree_new,
        .tree_free = local_tree_free,
        .resolve = local_resolve,
        .medium = local_medium,
        .expect = local_expect,
        .open_root = local_open_root,
        .open_dir = local_open_dir,
        .open_parent = local_open_parent,
        .list = local_list,
        .stat = local_stat,
        .open_file = local_open_file,
        .read = local_read,
        .identity = local_identity,
        .stat_handle = local_stat_handle,
        .group_rights = local_group_rights,
        .close = local_close,
};
