/* Output files: complete or absent, never replacing, never outside the output root. */
#include "fs/output.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/fd.h"
#include "../tap.h"

/* What the file system is made to lack or to fail, by standing in front of the C library. */
static bool no_openat2, no_tmpfile, no_noreplace, no_locks;
static int fsync_error; /* of regular files */
static int dir_fsync_error;
static int syncfs_error;
static unsigned syncfs_calls, fsync_calls;
static ino_t lost; /* an inode that the kernel could not write back */

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	if (!real) {
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	}
	if (no_openat2 && number == SYS_openat2) {
		errno = ENOSYS;
		return -1;
	}
	va_list args;
	va_start(args, number);
	long a[6];
	for (int i = 0; i < 6; i++) {
		a[i] = va_arg(args, long);
	}
	va_end(args);
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	if (no_noreplace && flags) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from, old, to, new, flags);
}

int flock(int fd, int operation)
{
	if (no_locks) {
		errno = ENOLCK;
		return -1;
	}
	return (int)syscall(SYS_flock, fd, operation);
}

int fsync(int fd)
{
	struct stat st;
	int error = fstat(fd, &st) != 0   ? errno
	            : S_ISDIR(st.st_mode) ? dir_fsync_error
	                                  : fsync_error;
	error = st.st_ino == lost ? EIO : error;
	fsync_calls++;
	if (error) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
	syncfs_calls++;
	if (syncfs_error) {
		errno = syncfs_error;
		return -1;
	}
	return (int)syscall(SYS_syncfs, fd);
}

int sync_file_range(int fd, off_t offset, off_t count, unsigned flags)
{
	struct stat st;
	if (fstat(fd, &st) == 0 && st.st_ino == lost) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_sync_file_range, fd, offset, count, flags);
}

static char top[64];

/* By descriptors: some paths are longer than a path may be. */
static void remove_tree(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
		        unlinkat(fd, d->d_name, 0) != 0) {
			remove_tree(fd, d->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	unlinkat(parent, name, AT_REMOVEDIR);
}

static const char *at(const char *relative)
{
	static char paths[4][512];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	snprintf(path, sizeof *paths, "%s/%s", top, relative);
	return path;
}

static const char *under(const char *dir, const char *rest)
{
	static char paths[2][512];
	static unsigned turn;
	char *path = paths[turn++ % 2];
	snprintf(path, sizeof *paths, "%s%s", dir, rest);
	return path;
}

static const struct file_meta meta = {
        .have = META_ALL,
        .mode = S_IFREG | 06750,
        .mtime = {-1234567, 987654321},
};

static int put(struct output_root *root, const char *relative, const char *text, bool overwrite)
{
	struct output_file file;
	int error = output_begin(root, relative, &file);
	if (error) {
		return error;
	}
	error = fd_write_all(file.fd, text, strlen(text));
	if (error) {
		output_discard(&file);
		return error;
	}
	return output_commit(&file, &meta, overwrite);
}

static const char *content(const char *relative)
{
	static char text[256];
	int fd = open(at(relative), O_RDONLY | O_NOFOLLOW);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0) {
		close(fd);
	}
	text[got < 0 ? 0 : got] = '\0';
	return got < 0 ? NULL : text;
}

static unsigned entries_in(const char *relative)
{
	unsigned count = 0;
	DIR *dir = opendir(at(relative));
	for (struct dirent *d; dir && (d = readdir(dir));) {
		count += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
	}
	if (dir) {
		closedir(dir);
	}
	return count;
}

static struct output_root *root_at(const char *relative)
{
	struct output_root *root = NULL;
	struct vega_error err;
	if (output_root_open(at(relative), NULL, &root, &err) != 0) {
		printf("# %s\n", err.text);
	}
	return root;
}

static void test_one_file(const char *how)
{
	struct output_root *root = root_at("out");
	is_int(access(at("out"), F_OK), -1, "%s: opening an output root creates nothing", how);
	is_int(put(root, "a/b/c.txt", "one", false), 0, "%s: a new file is written", how);
	is_str(content("out/a/b/c.txt"), "one", "%s: a new file has its content", how);
	struct stat st;
	stat(at("out/a/b/c.txt"), &st);
	is_int(st.st_mode & 07777, 0750, "%s: a new file has its mode without setuid and setgid",
	        how);
	ok(st.st_mtim.tv_sec == -1234567 && st.st_mtim.tv_nsec == 987654321,
	        "%s: a new file has its mtime", how);
	is_int(st.st_nlink, 1, "%s: a new file has one link", how);
	is_int(put(root, "a/b/c.txt", "two", false), -EEXIST,
	        "%s: an existing file is not replaced unasked", how);
	is_str(content("out/a/b/c.txt"), "one", "%s: an existing file keeps its content", how);
	is_int(put(root, "a/b/c.txt", "three", true), 0,
	        "%s: an existing file is replaced when asked", how);
	is_str(content("out/a/b/c.txt"), "three", "%s: a replaced file has the new content", how);
	is_int(entries_in("out/a/b"), 1, "%s: replacing leaves no temporary file", how);

	mkdir(at("out/a/dir"), 0700);
	is_int(put(root, "a/dir", "x", true), -EISDIR, "%s: a directory is not replaced", how);
	is_int(put(root, "a/dir", "x", false), -EEXIST, "%s: a directory is in the way of a file",
	        how);
	is_int(entries_in("out/a"), 2, "%s: a file that met a directory leaves nothing", how);

	struct output_file file;
	is_int(output_begin(root, "a/gone", &file), 0, "%s: a file is begun", how);
	is_int(fd_write_all(file.fd, "x", 1), 0, "%s: a file that was begun is written", how);
	output_discard(&file);
	is_int(entries_in("out/a"), 2, "%s: discarding a file leaves nothing", how);

	fsync_error = EIO;
	is_int(put(root, "a/failed", "x", false), -EIO, "%s: a failed fsync is an error", how);
	is_int(entries_in("out/a"), 2, "%s: a failed fsync leaves nothing", how);
	fsync_error = 0;
	dir_fsync_error = EIO;
	is_int(put(root, "a/failed", "x", false), -EIO,
	        "%s: a failed fsync of the directory is an error", how);
	is_int(entries_in("out/a"), 2, "%s: a failed fsync of the directory leaves nothing", how);
	is_int(put(root, "a/b/c.txt", "four", true), -EIO,
	        "%s: a failed fsync of the directory is an error when it replaces", how);
	is_str(content("out/a/b/c.txt"), "four",
	        "%s: a failed fsync of the directory leaves one of the two files", how);
	dir_fsync_error = 0;
	output_root_close(root);
	remove_tree(AT_FDCWD, at("out"));
}

static void test_paths(const char *dir, const char *deeper)

{
	struct output_root *root = root_at(under(dir, "/././new/"));
	static const char *const bad[] = {
	        "", "/", "/etc/x", "..", "../x", "a/../x", "a/..", ".", "./a", "a//b", "a/"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		is_int(put(root, bad[i], "x", true), -EINVAL, "the path \"%s\" is rejected",
		        bad[i]);
	}
	char longest[256 + 8] = "";
	memset(longest, 'n', 255);
	is_int(put(root, longest, "x", false), 0, "a name of 255 bytes is accepted");
	longest[255] = 'n';
	is_int(put(root, longest, "x", false), -ENAMETOOLONG, "a name of 256 bytes is rejected");
	strcpy(longest + 256, "/x");
	is_int(put(root, longest, "x", false), -ENAMETOOLONG,
	        "a directory's name of 256 bytes is rejected");
	is_int(put(root, "-r\n\033[31m\xff/\xfe -", "odd", false), 0, "a path may have any bytes");
	is_str(content(under(dir, "/new/-r\n\033[31m\xff/\xfe -")), "odd",
	        "a path of any bytes is found again");

	struct file_meta found;
	is_int(output_stat(root, "none/x", &found), -ENOENT, "output_stat() misses a missing file");
	is_int(output_stat(root, "-r\n\033[31m\xff/\xfe -", &found), 0,
	        "output_stat() finds a file");
	ok(found.have == META_ALL && found.size == 3 && found.mtime.sec == -1234567,
	        "output_stat() fills all fields");
	is_int(output_stat(root, "-r\n\033[31m\xff/\xfe -/x", &found), -ENOTDIR,
	        "output_stat() fails below a file");
	output_root_close(root);

	char deep[12000] = "";
	size_t len = 0;
	for (int i = 0; i < 50; i++) {
		memset(deep + len, 'd', 200);
		len += 200;
		deep[len++] = '/';
	}
	strcpy(deep + len, "leaf");
	root = root_at(deeper);
	is_int(put(root, deep, "x", false), 0, "a path of 10 KiB is accepted");
	is_int(output_stat(root, deep, &found), 0, "a path of 10 KiB is found again");
	output_root_close(root);
}

static void test_links(const char *dir, const char *outside)
{
	mkdir(at(outside), 0700);
	mkdir(at(dir), 0700);
	ok(symlink(at(outside), at(under(dir, "/dir"))) == 0,
	        "a link to a directory outside is made");
	ok(symlink("nowhere", at(under(dir, "/file"))) == 0, "a dangling link is made");
	struct output_root *root = root_at(dir);
	is_int(put(root, "dir/x", "x", true), -ENOTDIR, "a link to a directory is not followed");
	is_int(put(root, "dir/new/x", "x", true), -ENOTDIR,
	        "a link to a directory is not followed to a new directory");
	is_int(entries_in(outside), 0, "the directory outside stays empty");
	struct file_meta found;
	is_int(output_stat(root, "dir/x", &found), -ENOTDIR,
	        "output_stat() does not follow a link to a directory");
	is_int(output_stat(root, "file", &found), 0,
	        "output_stat() does not follow a link at the end");
	ok(S_ISLNK(found.mode), "output_stat() sees the link itself");
	is_int(put(root, "file", "x", false), -EEXIST, "a link is not replaced unasked");
	is_int(put(root, "file", "x", true), 0, "a link is replaced when asked");
	is_str(content(under(dir, "/file")), "x", "a link is replaced by a file");
	is_int(access(at(under(dir, "/nowhere")), F_OK), -1,
	        "the target of a replaced link is not made");
	output_root_close(root);

	root = root_at(under(dir, "/dir"));
	is_int(put(root, "x", "x", false), 0, "the output root may be a link");
	is_str(content(under(outside, "/x")), "x",
	        "the files of a linked output root go to its target");
	output_root_close(root);
}

static mode_t by_name(void *context, const char *relative)
{
	snprintf(context, 64, "%s", relative);
	const char *slash = strrchr(relative, '/'), *name = slash ? slash + 1 : relative;
	return strcmp(name, "none") == 0     ? OUTPUT_UMASK
	       : strcmp(name, "closed") == 0 ? 07400
	                                     : 0777;
}

static mode_t mode_at(const char *relative)
{
	struct stat st;
	return stat(at(relative), &st) == 0 ? st.st_mode & 07777 : 0;
}

static void test_modes(void)
{
	char last[64] = "";
	struct output_root *root = root_at("modes/root");
	const struct output_modes modes = {.mode = by_name, .context = last};
	is_int(output_directories(root, "closed/open/none", &modes), 0,
	        "three directories are made");
	is_int(mode_at("modes/root"), 0755, "the output root has the permissions of the umask");
	is_int(mode_at("modes/root/closed"), 0700,
	        "a directory has its permissions, and its owner's");
	is_int(mode_at("modes/root/closed/open"), 0777,
	        "a directory has its permissions whatever the umask");
	is_int(mode_at("modes/root/closed/open/none"), 0755,
	        "the umask decides about a directory of unknown permissions");
	is_str(last, "closed/open/none", "a directory's permissions are asked for by its path");
	chmod(at("modes/root/closed"), 0711);
	is_int(output_directories(root, "closed/more", &modes), 0, "a further directory is made");
	is_int(mode_at("modes/root/closed"), 0711, "an existing directory keeps its permissions");
	chmod(at("modes/root"), 02755);
	is_int(output_directories(root, "heir", &modes), 0,
	        "a directory is made below one with setgid");
	is_int(mode_at("modes/root/heir"), 02777, "a directory inherits setgid");
	is_int(output_directories(root, "../x", &modes), -EINVAL,
	        "a directory outside the root is rejected");
	output_root_close(root);
}

static void test_place(void)
{
	mkdir(at("in"), 0700);
	mkdir(at("in/sub"), 0700);
	mkdir(at("in/sub/root"), 0700);
	close(open(at("file"), O_CREAT | O_WRONLY, 0600));
	struct output_root *root = root_at("in/sub/out");
	is_int(output_root_inside(root, at("in")), 1,
	        "an output root is inside a tree before it exists");
	is_int(output_root_inside(root, at("in/sub/root")), 0,
	        "an output root beside a tree is not inside it");
	is_int(output_root_inside(root, at("file")), 0, "an output root is not inside a file");
	is_int(output_root_inside(root, at("none")), -ENOENT,
	        "an output root inside a missing tree is an error");
	is_int(output_root_contains(root, at("in")), 0,
	        "an output root that does not exist contains nothing");
	output_root_close(root);
	root = root_at("in/sub");
	is_int(output_root_inside(root, at("in/sub")), 1, "an output root is inside itself");
	is_int(output_root_contains(root, at("in/sub/root")), 1, "an output root contains a tree");
	is_int(output_root_contains(root, at("in")), 0,
	        "an output root does not contain its parent");
	is_int(output_root_contains(root, at("file")), 0,
	        "an output root does not contain a file beside it");
	output_root_close(root);

	struct strlist allowed = {0};
	struct vega_error err;
	strlist_add(&allowed, at("none"));
	strlist_add(&allowed, at("in"));
	is_int(output_root_open(at("in/new/dir"), &allowed, &root, &err), 0,
	        "an output root below an allowed directory is opened");
	output_root_close(root);
	is_int(output_root_open(at("in/sub"), &allowed, &root, &err), 0,
	        "an existing output root below an allowed directory is opened");
	output_root_close(root);
	is_int(output_root_open(at("elsewhere"), &allowed, &root, &err), VEGA_FATAL,
	        "an output root elsewhere is rejected");
	ok(strstr(err.text, "elsewhere") != NULL, "the error names the rejected output root: %s",
	        err.text);
	is_int(output_root_open(at("in/../x"), &allowed, &root, &err), VEGA_FATAL,
	        "an output root with .. is rejected");
	ok(symlink(at("outside"), at("in/link")) == 0,
	        "a link to a directory that is not allowed is made");
	is_int(output_root_open(at("in/link/x"), &allowed, &root, &err), VEGA_FATAL,
	        "an output root behind a link to elsewhere is rejected");
	strlist_release(&allowed);

	is_int(output_root_open(at("file"), NULL, &root, &err), VEGA_FATAL,
	        "an output root that is a file is rejected");
	is_int(output_root_open(at("file/x"), NULL, &root, &err), VEGA_FATAL,
	        "an output root below a file is rejected");
	is_int(output_root_open(at("no/../x"), NULL, &root, &err), VEGA_FATAL,
	        "an output root with .. below a missing directory is rejected");
	is_int(output_root_open("", NULL, &root, &err), VEGA_USAGE,
	        "an output root without a name is rejected");
}

static void test_leftover(void)
{
	no_tmpfile = true;
	struct output_root *root = root_at("left");
	struct output_file file, second;
	is_int(put(root, "other", "x", false), 0, "a file is written beside");
	pid_t child = fork();
	if (child == 0) {
		if (output_begin(root, "name", &file) != 0) {
			_exit(1);
		}
		raise(SIGKILL);
	}
	int status;
	waitpid(child, &status, 0);
	ok(WIFSIGNALED(status), "a writer was killed");
	is_int(entries_in("left"), 2, "the temporary file of a killed writer remains");
	is_int(output_begin(root, "name", &file), 0, "the next writer of a killed one begins");
	is_int(entries_in("left"), 2, "the next writer takes the place of a killed one");
	is_int(output_begin(root, "name", &second), 0, "a second writer begins at the same time");
	is_int(entries_in("left"), 3, "a second writer has a temporary file of its own");
	is_int(output_commit(&second, &meta, false), 0, "the faster one wins");
	is_int(output_commit(&file, &meta, false), -EEXIST, "the slower writer gets an error");
	is_int(entries_in("left"), 2, "two writers leave no temporary file");
	no_locks = true;
	is_int(output_begin(root, "third", &file), 0, "a writer begins without locks");
	is_int(output_begin(root, "third", &second), 0, "a second writer begins without locks");
	is_int(output_commit(&file, &meta, false), 0, "one of two writers wins without locks");
	is_int(output_commit(&second, &meta, false), -EEXIST,
	        "the other of two writers gets an error without locks");
	no_locks = no_tmpfile = false;
	output_root_close(root);
}

/* Somebody has taken all temporary names of a file that can be known beforehand, and holds them. */
static void test_taken(bool unnamed)
{
	struct output_root *root = root_at("taken");
	int held[64];
	unsigned planted = 0;
	no_tmpfile = !unnamed;
	is_int(put(root, "wanted", "before", false), 0, "a file that is there");
	for (int i = 0; i < 64; i++) {
		char path[128];
		snprintf(path, sizeof path, "taken/.vega-%016llx-%d",
		        (unsigned long long)XXH3_64bits("wanted", 6), i);
		held[i] = open(at(path), O_CREAT | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
		planted += held[i] >= 0 && flock(held[i], LOCK_EX) == 0;
	}
	is_int(planted, 64, "names are planted");
	is_int(put(root, "wanted", "after", true), 0, "the file is replaced, %s",
	        unnamed ? "by an unnamed one" : "by one with a temporary name");
	is_str(content("taken/wanted"), "after", "its content is the new one");
	is_int(entries_in("taken"), 65, "no other name is there");
	for (int i = 0; i < 64; i++) {
		close(held[i]);
	}
	no_tmpfile = false;
	output_root_close(root);
	remove_tree(AT_FDCWD, at("taken"));
}

/* Many threads, one tree: the directories are made by whoever comes first, each name once. */
#define RACERS 8
#define RACE_FILES 64
static struct output_root *race_root;
static atomic_int race_won, race_lost, race_other;

static void *race(void *context)
{
	(void)context;
	for (int i = 0; i < RACE_FILES; i++) {
		char path[64];
		snprintf(path, sizeof path, "d%d/e%d/f%d/file", i % 4, i % 8, i);
		int error = put(race_root, path, path, false);
		(*(error == 0 ? &race_won : error == -EEXIST ? &race_lost : &race_other))++;
	}
	return NULL;
}

static void test_race(const char *dir)
{
	pthread_t threads[RACERS];
	race_root = root_at(dir);
	race_won = race_lost = race_other = 0;
	for (int i = 0; i < RACERS; i++) {
		pthread_create(&threads[i], NULL, race, NULL);
	}
	for (int i = 0; i < RACERS; i++) {
		pthread_join(threads[i], NULL);
	}
	is_int(race_won, RACE_FILES, "%s: racing writers write each file once", dir);
	is_int(race_lost, RACE_FILES * (RACERS - 1), "%s: the losers of a race get an error", dir);
	is_int(race_other, 0, "%s: racing writers meet no other error", dir);
	output_root_close(race_root);
}

/* Sixteen at once, in four directories; the sixth has a name that is taken, the last the first's.
 */
#define BATCH 16
static unsigned publish_batch(struct output_root *root, const char *dir, int *results)
{
	struct output_file file[BATCH], *files[BATCH];
	for (int i = 0; i < BATCH; i++) {
		char path[64];
		bool again = i == BATCH - 1;
		snprintf(path, sizeof path, "%s%d/f%d", dir, again ? 0 : i % 4, again ? 0 : i);
		files[i] = &file[i];
		if (output_begin(root, path, files[i]) != 0 ||
		        fd_write_all(file[i].fd, path, strlen(path)) != 0 ||
		        output_seal(files[i], &meta) != 0) {
			return 0;
		}
		if (lost == 1 && i == 9) {
			struct stat st;
			fstat(file[i].fd, &st);
			lost = st.st_ino;
		}
	}
	syncfs_calls = fsync_calls = 0;
	output_publish(files, results, BATCH);
	unsigned good = 0;
	for (int i = 0; i < BATCH; i++) {
		good += results[i] == 0;
	}
	return good;
}

static unsigned batch_entries(const char *root, const char *dir)
{
	unsigned count = 0;
	for (int i = 0; i < 4; i++) {
		char path[64];
		snprintf(path, sizeof path, "%s/%s%d", root, dir, i);
		count += entries_in(path);
	}
	return count;
}

static void test_batch(void)
{
	int results[BATCH];
	struct output_root *root = root_at("batch");
	is_int(put(root, "a1/f5", "x", false), 0, "a name in the batch is taken");
	is_int(publish_batch(root, "a", results), 14, "a batch is published, except two files");
	is_int(results[5], -EEXIST, "a file of a taken name is not published");
	is_int(results[15], -EEXIST,
	        "a file that has another's name in the batch is not published");
	is_str(content("batch/a1/f5"), "x", "the file of the taken name keeps its content");
	is_str(content("batch/a3/f3"), "a3/f3", "a file of the batch has its content");
	is_int(batch_entries("batch", "a"), 15, "a published batch leaves nothing else");
	struct statfs fs;
	statfs(top, &fs);
	if (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == TMPFS_MAGIC) {
		ok(syncfs_calls == 2 && fsync_calls == 0, "a batch is synced by two calls");
	} else {
		ok(syncfs_calls == 0 && fsync_calls >= 29,
		        "each file is synced by itself on an unknown file system");
	}
	lost = 1;
	is_int(publish_batch(root, "b", results), 14,
	        "a file lost on its way to the disk is not published");
	is_int(results[9], -EIO, "a lost file has an error");
	is_int(batch_entries("batch", "b"), 14, "a lost file is absent");
	lost = 0;
	syncfs_error = EIO;
	is_int(publish_batch(root, "c", results), 15, "a failed syncfs leaves all files published");
	ok(fsync_calls >= 31, "a failed syncfs has each file synced by itself");
	lost = 1;
	is_int(publish_batch(root, "d", results), 14,
	        "a file lost after a failed syncfs is not published");
	is_int(results[9], -EIO, "a file lost after a failed syncfs has an error");
	is_int(batch_entries("batch", "d"), 14, "a file lost after a failed syncfs is absent");
	lost = 0;
	dir_fsync_error = EIO;
	is_int(publish_batch(root, "e", results), 0,
	        "a batch whose names cannot be synced is not published");
	is_int(batch_entries("batch", "e"), 0, "a batch whose names cannot be synced is absent");
	dir_fsync_error = syncfs_error = 0;
	output_root_close(root);
}

static void test_full_disk(void)
{
	mkdir(at("small"), 0700);
	bool mounted = unshare(CLONE_NEWNS) == 0 &&
	               (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ||
	                       errno == EINVAL /* in a chroot */) &&
	               mount("tmpfs", at("small"), "tmpfs", 0, "size=64k,nr_inodes=8") == 0;
	if (!mounted && geteuid() != 0 && !getenv("CI")) {
		ok(true, "full disk # SKIP only root can mount");
		return;
	}
	ok(mounted, "a small file system is mounted");
	char *big = calloc(1, 256 << 10);
	memset(big, 'x', (256 << 10) - 1);
	for (int fallback = 0; fallback < 2; fallback++) {
		no_tmpfile = fallback;
		struct output_root *root = root_at("small");
		is_int(put(root, "big", big, false), -ENOSPC, "a file without space is an error");
		is_int(entries_in("small"), 0, "a file without space leaves nothing");
		is_int(put(root, "fits", "x", false), 0, "a file that fits is written");
		int error = 0;
		for (int i = 0; i < 16 && !error; i++) {
			char path[32];
			snprintf(path, sizeof path, "many%d", i);
			error = put(root, path, "", false);
		}
		is_int(error, -ENOSPC, "a file without an inode is an error");
		output_root_close(root);
		umount(at("small"));
		ok(mount("tmpfs", at("small"), "tmpfs", 0, "size=64k,nr_inodes=8") == 0,
		        "a small file system is mounted again");
	}
	no_tmpfile = false;
	free(big);
	struct output_root *root = root_at("small");
	is_int(put(root, "a/x", "x", false), 0, "a writable file system takes a file");
	ok(mount(NULL, at("small"), NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0,
	        "the file system is remounted read-only");
	is_int(put(root, "a/y", "x", false), -EROFS, "a read-only file system rejects a file");
	is_int(put(root, "b/y", "x", false), -EROFS,
	        "a read-only file system rejects a file in a new directory");
	struct vega_error err;
	struct output_root *second;
	is_int(output_root_open(at("small"), NULL, &second, &err), VEGA_FATAL,
	        "an output root on a read-only file system is rejected at once");
	ok(strstr(err.text, "small") && err.sys == EROFS,
	        "the error names the read-only output root: %s", err.text);
	output_root_close(root);
	umount(at("small"));
}

static void test_vanished(void)
{
	struct output_root *root = root_at("vanish");
	is_int(put(root, "x", "x", false), 0, "a file is written below an output root");
	remove_tree(AT_FDCWD, at("vanish"));
	is_int(put(root, "y", "x", false), -ENOENT, "a removed output root takes no file");
	is_int(put(root, "d/y", "x", false), -ENOENT, "a removed output root is not made again");
	output_root_close(root);
}

/* Descriptors that are open: none may leak. */
static unsigned open_fds(void)
{
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (dir && readdir(dir)) {
		count++;
	}
	if (dir) {
		closedir(dir);
	}
	return count;
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(top, sizeof top, "%.40s/vega-output.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(top)) {
		perror(top);
		return 1;
	}
	umask(022);
	unsigned before = open_fds();
	test_one_file("unnamed");
	no_tmpfile = true;
	test_one_file("temporary");
	no_noreplace = true;
	test_one_file("temporary, linked");
	no_noreplace = no_tmpfile = false;
	test_paths("paths", "deep");
	test_links("links", "outside");
	test_modes();
	test_place();
	no_openat2 = true;
	test_paths("paths2", "deep2");
	test_links("links2", "outside2");
	no_openat2 = false;
	test_leftover();
	test_taken(true);
	test_taken(false);
	test_race("race");
	no_tmpfile = true;
	test_race("race-temporary");
	no_tmpfile = false;
	test_batch();
	no_tmpfile = true;
	remove_tree(AT_FDCWD, at("batch"));
	test_batch();
	no_tmpfile = false;
	test_vanished();
	test_full_disk();
	is_int(open_fds(), before, "the test leaks no descriptor");
	remove_tree(AT_FDCWD, top);
	is_int(access(top, F_OK), -1, "the test leaves no file");
	return done();
}
