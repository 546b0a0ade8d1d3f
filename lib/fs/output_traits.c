/* Traits of a file system: how it takes names and times, and whether it links unnamed files. They
 * are found out by trying, once per root and only when it matters. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/uuid.h"
#include "fs/output_internal.h"

/* How names are told apart. CHANGING: folded, and listed otherwise than they were given. */
enum output_names_kind { NAMES_UNKNOWN, NAMES_EXACT, NAMES_FOLDED, NAMES_CHANGING };

#define PROBE_NAME_MAX 80

unsigned output_lacks(struct output_root *root)
{
	return atomic_load_explicit(&output_root_traits(root)->lacks, memory_order_relaxed);
}

void output_lack(struct output_root *root, enum output_lack lack)
{
	atomic_fetch_or_explicit(
	        &output_root_traits(root)->lacks, (unsigned)lack, memory_order_relaxed);
}

static void probe_name(char name[PROBE_NAME_MAX], const char *part, const char *end)
{
	char id[UUID_TEXT];
	uuid7(id);
	snprintf(name, PROBE_NAME_MAX, ".vega-%s.%s%s", part, id, end);
}

bool output_links(struct output_root *root, int dir)
{
	struct output_traits *traits = output_root_traits(root);
	int known = atomic_load_explicit(&traits->linking, memory_order_relaxed);
	if (!output_root_unnamed(root) || known) {
		return known > 0;
	}
	int fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	char name[PROBE_NAME_MAX], path[32];
	if (fd < 0) {
		return false; /* perhaps of this directory only */
	}
	probe_name(name, "link", "");
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	bool linked = linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW) == 0;
	bool passing = !linked && !output_is_unsupported(errno) && errno != EIO && errno != EMLINK;
	if (linked) {
		unlinkat(dir, name, 0);
	}
	close(fd);
	if (!passing) {
		atomic_store_explicit(&traits->linking, linked ? 1 : -1, memory_order_relaxed);
	}
	return linked || passing;
}

/* --- Times */

/* The time that a file gets which is told to have this one. */
static bool try_time(int fd, struct timespec wanted, struct timespec *got)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, wanted};
	struct stat st;
	if (futimens(fd, times) != 0 || fstat(fd, &st) != 0) {
		return false;
	}
	*got = st.st_mtim;
	return true;
}

/* The smallest step that explains what came of two times. 0: none does. */
static uint64_t find_step(int fd)
{
	static const uint64_t steps[] = {1, 100, 1000, 1000000, 10000000, 1000000000, 2000000000};
	static const struct timespec tried[] = {{1000000001, 987654321}, {1200000003, 123456789}};
	uint64_t off = 0;
	for (size_t i = 0; i < 2; i++) {
		struct timespec got;
		if (!try_time(fd, tried[i], &got)) {
			return 0;
		}
		__int128 difference = (__int128)(got.tv_sec - tried[i].tv_sec) * 1000000000 +
		                      got.tv_nsec - tried[i].tv_nsec;
		__int128 size = difference < 0 ? -difference : difference;
		if (size >= 2000000000) {
			return 0;
		}
		off = (uint64_t)size > off ? (uint64_t)size : off;
	}
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		if (off < steps[i]) {
			return steps[i];
		}
	}
	return 0;
}

/* Far from today, and within what 64 bits of NTFS's 100 ns hold: 1697 and 2514. */
#define LONG_AGO (-((int64_t)1 << 33))
#define FAR_AHEAD ((int64_t)1 << 34)
#define SANE_LEAST 1000000000 /* what is tried first is kept */

static void try_times(struct output_traits *traits, int fd)
{
	struct timespec got;
	traits->step = find_step(fd);
	traits->times_kept = traits->step > 0;
	traits->least = INT64_MIN;
	traits->most = INT64_MAX;
	if (try_time(fd, (struct timespec){.tv_sec = LONG_AGO}, &got) && got.tv_sec > LONG_AGO &&
	        got.tv_sec < SANE_LEAST) {
		traits->least = got.tv_sec;
	}
	if (try_time(fd, (struct timespec){.tv_sec = FAR_AHEAD}, &got) && got.tv_sec < FAR_AHEAD &&
	        got.tv_sec > SANE_LEAST) {
		traits->most = got.tv_sec;
	}
}

/* By a file that is gone again, or never had a name. */
static void learn_times(struct output_root *root, struct output_traits *traits)
{
	char name[PROBE_NAME_MAX];
	int dir = output_root_dir(root, "", false);
	int fd = dir < 0 ? -1 : openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	bool named = fd < 0 && dir >= 0;
	if (named) {
		probe_name(name, "time", "");
		fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	if (fd >= 0) {
		try_times(traits, fd);
		traits->times_known = true;
		close(fd);
	}
	if (named && fd >= 0) {
		unlinkat(dir, name, 0);
	}
	output_fail(dir, 0);
}

bool output_time_kept(struct output_root *root, struct vega_time wanted, struct vega_time there)
{
	struct output_traits *traits = output_root_traits(root);
	pthread_mutex_lock(&traits->lock);
	if (!traits->times_known) {
		learn_times(root, traits);
	}
	struct output_traits known = {.times_kept = traits->times_known && traits->times_kept,
	        .least = traits->least,
	        .most = traits->most,
	        .step = traits->step};
	pthread_mutex_unlock(&traits->lock);
	if (!known.times_kept) {
		return false;
	}
	if (wanted.sec < known.least || wanted.sec > known.most) {
		return there.sec == (wanted.sec < known.least ? known.least : known.most);
	}
	__int128 difference = (__int128)(there.sec - wanted.sec) * 1000000000 + there.nsec;
	difference -= wanted.nsec;
	return difference < (__int128)known.step && -difference < (__int128)known.step;
}

/* --- Names */

static bool exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

typedef bool name_call(void *context, const char *name);

/* Calls for each name until it answers false: then 1; 0; or -errno. */
static int each_name(int dir, name_call *call, void *context)
{
	int fd = openat(dir, ".", OUTPUT_OPEN_DIRECTORY);
	DIR *names = fd < 0 ? NULL : fdopendir(fd);
	if (!names) {
		return output_fail(fd, -errno);
	}
	const struct dirent *entry;
	while ((errno = 0, entry = readdir(names)) && call(context, entry->d_name)) {
	}
	int result = entry ? 1 : -errno;
	closedir(names);
	return result;
}

static bool is_other(void *name, const char *listed)
{
	return strcmp(*(const char **)name, listed) != 0;
}

static bool is_listed(int dir, const char *name)
{
	return each_name(dir, is_other, &name) == 1;
}

/* Make a file whose name has letters, and look for it under others. `accent` and `other`: one
 * letter in both of its Unicode forms, or "". NAMES_UNKNOWN: no such file can be made. */
static enum output_names_kind try_names(int dir, const char *accent, const char *other)
{
	char name[PROBE_NAME_MAX], flipped[PROBE_NAME_MAX], form[PROBE_NAME_MAX];
	size_t cut;
	probe_name(name, "Name", "");
	cut = strlen(name);
	snprintf(form, sizeof form, "%s%s", name, other);
	snprintf(name + cut, sizeof name - cut, "%s", accent);
	snprintf(flipped, sizeof flipped, "%s", name);
	for (size_t i = 0; i < cut; i++) {
		int c = (unsigned char)flipped[i];
		flipped[i] = (char)(islower(c) ? toupper(c) : tolower(c));
	}
	int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return NAMES_UNKNOWN;
	}
	close(fd);
	bool folds = exists(dir, flipped) || (*accent && exists(dir, form));
	bool kept = !folds || is_listed(dir, name);
	unlinkat(dir, name, 0);
	return !folds ? NAMES_EXACT : kept ? NAMES_FOLDED : NAMES_CHANGING;
}

/* Of a file system whose kind says it: 1 folded, 0 exact, -1 it does not. */
static int folds_by_kind(int dir)
{
	struct statfs fs;
	long flags = 0;
	if (fstatfs(dir, &fs) != 0) {
		return -1;
	}
	switch ((unsigned long)fs.f_type) {
	case BTRFS_SUPER_MAGIC:
		return 0;
	case EXT4_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC: /* directory by directory */
		return ioctl(dir, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_CASEFOLD_FL);
	default:
		return -1;
	}
}

static enum output_names_kind names_kind(struct output_root *root, int dir)
{
	struct output_traits *traits = output_root_traits(root);
	int folds = folds_by_kind(dir);
	if (folds >= 0) {
		return folds ? NAMES_FOLDED : NAMES_EXACT;
	}
	int kind = atomic_load_explicit(&traits->names, memory_order_relaxed);
	if (kind == NAMES_UNKNOWN) {
		kind = (int)try_names(dir, "\xc3\xa9", "e\xcc\x81");
		kind = kind == NAMES_UNKNOWN ? (int)try_names(dir, "", "") : kind;
		/* Where nothing can be made, a look costs little and is right. */
		kind = kind == NAMES_UNKNOWN ? NAMES_FOLDED : kind;
		atomic_store_explicit(&traits->names, kind, memory_order_relaxed);
	}
	return (enum output_names_kind)kind;
}

static int compare_hashes(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

static bool add_name(void *context, const char *name)
{
	struct output_listing *listing = context;
	if ((listing->count & (listing->count - 1)) == 0) {
		size_t room = listing->count ? listing->count * 2 : 1;
		uint64_t *grown = reallocarray(listing->name, room, sizeof *grown);
		if (!grown) {
			return false;
		}
		listing->name = grown;
	}
	listing->name[listing->count++] = XXH3_64bits(name, strlen(name));
	return true;
}

void output_listing_release(struct output_listing *listing)
{
	free(listing->dir);
	free(listing->name);
	*listing = (struct output_listing){.dir = NULL};
}

static int fill(struct output_listing *listing, int dir, const char *path, size_t len)
{
	output_listing_release(listing);
	int error = each_name(dir, add_name, listing);
	if (listing->count > 1) {
		qsort(listing->name, listing->count, sizeof *listing->name, compare_hashes);
	}
	listing->dir = error ? NULL : strndup(path, len);
	return error < 0 ? error : listing->dir ? 0 : -ENOMEM;
}

static bool has(const struct output_listing *listing, const char *name)
{
	uint64_t hash = XXH3_64bits(name, strlen(name));
	return listing->count &&
	       bsearch(&hash, listing->name, listing->count, sizeof *listing->name, compare_hashes);
}

int output_named(struct output_root *root, const char *relative, struct output_listing *listing)
{
	const char *slash = strrchr(relative, '/');
	size_t len = slash ? (size_t)(slash - relative) : 0;
	const char *name = slash ? slash + 1 : relative;
	bool listed =
	        listing->dir && strncmp(listing->dir, relative, len) == 0 && !listing->dir[len];
	if (listed && has(listing, name)) {
		return OUTPUT_NAMED;
	}
	char *path;
	int dir = output_open_holder(root, relative, false, &path);
	free(dir < 0 ? NULL : path);
	if (dir < 0) {
		return dir;
	}
	int answer = OUTPUT_NAMED;
	switch (names_kind(root, dir)) {
	case NAMES_FOLDED: /* listed anew: somebody may have made it meanwhile */
		answer = fill(listing, dir, relative, len);
		if (answer == 0) {
			answer = has(listing, name) ? OUTPUT_NAMED : OUTPUT_NAMED_OTHERWISE;
		}
		break;
	case NAMES_CHANGING:
		answer = OUTPUT_NAMED_ANYHOW;
		break;
	default:
		break;
	}
	return output_fail(dir, answer);
}

struct seek {
	const char *name;
	char *found;
};

static bool seek_alike(void *context, const char *name)
{
	struct seek *seek = context;
	seek->found = strcasecmp(name, seek->name) == 0 ? strdup(name) : NULL;
	return !seek->found;
}

/* The entry of that inode; some file systems that a process serves have another in listings. */
static char *find_inode(int dir, ino_t ino)
{
	int fd = openat(dir, ".", OUTPUT_OPEN_DIRECTORY);
	DIR *names = fd < 0 ? NULL : fdopendir(fd);
	char *found = NULL;
	const struct dirent *entry;
	if (!names) {
		output_fail(fd, 0);
		return NULL;
	}
	while (!found && (entry = readdir(names))) {
		found = entry->d_ino == ino ? strdup(entry->d_name) : NULL;
	}
	closedir(names);
	return found;
}

char *output_name_there(struct output_root *root, const char *relative)
{
	struct stat st;
	char *name;
	int dir = output_open_holder(root, relative, false, &name);
	if (dir < 0) {
		return NULL;
	}
	struct seek seek = {.name = name};
	each_name(dir, seek_alike, &seek);
	if (!seek.found && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		seek.found = find_inode(dir, st.st_ino);
	}
	free(name);
	close(dir);
	return seek.found;
}
