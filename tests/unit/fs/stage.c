/* Stages: files that wait, are published once whoever does it and however often, or are removed. */
#include "fs/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "../tap.h"

/* As where a file system keeps no owners, and no modes. */
static bool no_owners, no_modes;

static int disguise(int result, struct stat *st)
{
	if (result == 0 && no_owners) {
		st->st_uid = 1234;
	}
	if (result == 0 && no_modes) {
		st->st_mode |= 0755;
	}
	return result;
}

int fstat(int fd, struct stat *st)
{
	return disguise((int)syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH), st);
}

int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	return disguise((int)syscall(SYS_newfstatat, dir, path, st, flags), st);
}

#define MANY 300 /* files, in 30 directories */

static char top[64];
static const struct stage first = {"01a20955-da8b-750b-9fb5-e54c84ad3c00", 1};
static const struct stage second = {"01a20955-da8b-750b-9fb5-e54c84ad3c00", 2};
static const struct stage other = {"01a20955-da8b-750b-9fb5-e54c84ad3c01", 1};
static const struct file_meta meta = {
        .have = META_ALL, .mode = S_IFREG | 0640, .mtime = {1000, 987654321}};

static const char *at(const char *relative)
{
	static char paths[4][1024];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	snprintf(path, sizeof *paths, "%s/%s", top, relative);
	return path;
}

/* However deep. */
static bool remove_all(const char *path)
{
	char command[1100];
	snprintf(command, sizeof command, "rm -rf '%s'", path);
	return system(command) == 0;
}

/* An empty output directory, open. */
static struct output_root *fresh(void)
{
	struct output_root *root = NULL;
	struct vega_error err;
	if (!remove_all(at("out")) || output_root_open(at("out"), NULL, &root, &err) != 0) {
		printf("Bail out! no output directory\n");
		exit(1);
	}
	return root;
}

static int put(struct output_root *root, const char *relative, const char *text)
{
	struct output_file file;
	int error = output_begin(root, relative, &file);
	if (error) {
		return error;
	}
	error = fd_write_all(file.fd, text, strlen(text));
	return error ? error : output_commit(&file, &meta, false);
}

/* What is staged under a name has that name as its content. */
static bool stage_files(
        struct output_root *root, const struct stage *stage, const char *const *names)
{
	struct output_root *staged;
	bool fine = stage_create(root, stage, &staged) == 0;
	for (; fine && *names; names++) {
		fine = put(staged, *names, *names) == 0;
	}
	output_root_close(staged);
	return fine;
}

static const char *content(const char *relative)
{
	static char text[256];
	char path[512];
	snprintf(path, sizeof path, "out/%s", relative);
	int fd = open(at(path), O_RDONLY | O_NOFOLLOW);
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

static const char *stage_at(const struct stage *stage)
{
	char name[STAGE_NAME_MAX], path[STAGE_NAME_MAX + 8];
	stage_name(stage, name);
	snprintf(path, sizeof path, "out/%s", name);
	return at(path);
}

static unsigned entries_of(const struct stage *stage)
{
	return entries_in(stage_at(stage) + strlen(top) + 1);
}

static bool is_there(const struct stage *stage)
{
	return access(stage_at(stage), F_OK) == 0;
}

/* --- publishing ------------------------------------------------------------------------------- */

static char refusals[1024];

static void on_refused(void *context, const char *dir, const char *name, int errnum)
{
	size_t used = strlen(refusals);
	(void)context;
	snprintf(refusals + used, sizeof refusals - used, "%s|%s|%s;", dir, name,
	        strerrorname_np(errnum));
}

static int publish(struct output_root *root, const struct stage *stage, bool overwrite)
{
	const struct stage_publication how = {.overwrite = overwrite, .refused = on_refused};
	refusals[0] = '\0';
	return stage_publish(root, stage, &how);
}

static void test_names(void)
{
	struct stage stage;
	char name[STAGE_NAME_MAX];
	ok(stage_parse(&stage, "01a20955-da8b-750b-9fb5-e54c84ad3c00.18446744073709551615"),
	        "the name of a staging directory is parsed");
	stage_name(&stage, name);
	is_str(name, ".vega-stage.01a20955-da8b-750b-9fb5-e54c84ad3c00.18446744073709551615",
	        "a staging directory has its name");
	static const char *const bad[] = {"", "x", "01a20955-da8b-750b-9fb5-e54c84ad3c00",
	        "01a20955-da8b-750b-9fb5-e54c84ad3c00.", "01a20955-da8b-750b-9fb5-e54c84ad3c00.0",
	        "01a20955-da8b-750b-9fb5-e54c84ad3c00.1/x",
	        "../20955-da8b-750b-9fb5-e54c84ad3c00.1",
	        "01a20955-da8b-750b-9fb5-e54c84ad3c00.18446744073709551616"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ok(!stage_parse(&stage, bad[i]), "'%s' is no staging directory", bad[i]);
	}
}

static mode_t private_or_shared(void *context, const char *relative)
{
	(void)context;
	return strcmp(relative, "private") == 0 ? 02500 : 06775;
}

static void test_publish(void)
{
	static const char *const names[] = {
	        "x", "a/y", "a/b/c/z", "private/shared/p", "-\n\xff\x1b[31m", NULL};
	struct output_root *root = fresh(), *staged;
	struct stat st;
	const struct output_modes modes = {.mode = private_or_shared};
	ok(stage_create(root, &first, &staged) == 0 &&
	                output_directories(staged, "private/shared", &modes) == 0,
	        "a staging directory gets directories");
	output_root_close(staged);
	ok(stage_files(root, &first, names), "five files are staged");
	stat(stage_at(&first), &st);
	is_int(st.st_mode & 07777, 0700, "a staging directory is closed to others");
	is_int(entries_in("out"), 1, "staged files are invisible");
	is_int(publish(root, &first, false), 0, "a staging directory is published");
	for (size_t i = 0; names[i]; i++) {
		is_str(content(names[i]), names[i], "a published file is in its place");
	}
	stat(at("out/a/y"), &st);
	is_int(st.st_mode & 07777, 0640, "a published file has its mode");
	ok(st.st_mtim.tv_sec == 1000 && st.st_mtim.tv_nsec == 987654321,
	        "a published file has its mtime");
	is_int(st.st_nlink, 1, "a published file is moved");
	stat(at("out/a/b"), &st);
	is_int(st.st_mode & 07777, 0755, "a published directory has the usual permissions");
	stat(at("out/private"), &st);
	is_int(st.st_mode & 07777, 0700,
	        "a published directory has the closed permissions of the staged one");
	stat(at("out/private/shared"), &st);
	is_int(st.st_mode & 07777, 0775,
	        "a published directory has the open permissions of the staged one");
	ok(is_there(&first) && entries_of(&first) == 0,
	        "an empty staging directory shows that it was published");
	is_int(publish(root, &first, false), 0, "publishing again does nothing");
	unlink(at("out/x"));
	is_int(publish(root, &first, false), 0, "publishing again after a removal does nothing");
	is_str(content("x"), NULL, "publishing again does not restore a removed file");
	is_int(publish(root, &second, false), 1,
	        "a missing staging directory is distinct from an empty one");
	output_root_close(root);
}

static void test_refusals(void)
{
	static const char *const names[] = {
	        "new", "differs", "same", "size", "dir", "file/x", "link/x", "sub/differs", NULL};
	struct output_root *root = fresh();
	ok(stage_files(root, &first, names), "files are staged");
	is_int(put(root, "differs", "before"), 0, "a file is in the way");
	is_int(put(root, "sub/differs", "before"), 0, "another file is in the way");
	const struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 5}};
	utimensat(AT_FDCWD, at("out/differs"), times, 0);
	utimensat(AT_FDCWD, at("out/sub/differs"), times, 0);
	is_int(put(root, "same", "SAME"), 0, "a file of the same time and size is in the way");
	is_int(put(root, "size", "before"), 0,
	        "a file of the same time and another size is in the way");
	mkdir(at("out/dir"), 0777);
	is_int(put(root, "file", ""), 0, "a file is in the way of a directory");
	mkdir(at("elsewhere"), 0777);
	ok(symlink(at("elsewhere"), at("out/link")) == 0, "a link is in the way of a directory");
	for (int i = 0; i < 2; i++) {
		is_int(publish(root, &first, false), 0,
		        "publishing goes on past the files in the way");
		is_str(content("new"), "new", "a file with nothing in its way is published");
		is_str(content("differs"), "before", "a different file in the way is not replaced");
		is_str(content("same"), "SAME", "an equal file in the way is not replaced");
		is_int(entries_in("elsewhere"), 0, "a link in the way is not followed");
		ok(strstr(refusals, "|differs|EEXIST;") && strstr(refusals, "|dir|EEXIST;") &&
		                strstr(refusals, "|size|EEXIST;") &&
		                strstr(refusals, "sub/|differs|EEXIST;") &&
		                strstr(refusals, "file/|x|ENOTDIR;") &&
		                (strstr(refusals, "link/|x|ELOOP;") ||
		                        strstr(refusals, "link/|x|ENOTDIR;")),
		        "each file in the way is reported, each time: %s", refusals);
		ok(!strstr(refusals, "same") && !strstr(refusals, "new"),
		        "no other file is reported");
	}
	is_int(publish(root, &first, true), 0, "publishing with replacement succeeds");
	is_str(content("differs"), "differs", "a different file is replaced on request");
	is_str(content("same"), "same", "a file of the same size and time is replaced on request");
	ok(strstr(refusals, "|dir|EISDIR;"), "a directory in the way is reported: %s", refusals);
	is_int(entries_in("out/dir"), 0, "a directory in the way stays as it is");
	is_int(stage_discard(root, &first), 0, "a partly published staging directory is discarded");
	ok(!is_there(&first), "discarding removes the files that were rejected");
	output_root_close(root);
}

static void test_stop(void)
{
	static const char *const names[] = {"x", "a/y", NULL};
	struct output_root *root = fresh();
	atomic_int stop = 15;
	const struct stage_publication how = {.stop = &stop, .refused = on_refused};
	ok(stage_files(root, &first, names), "files are staged to be stopped");
	is_int(stage_publish(root, &first, &how), -EINTR, "publishing is interrupted by a stop");
	is_int(entries_in("out"), 1, "a stopped publishing moved no file");
	is_int(publish(root, &first, false), 0, "another publisher continues");
	is_str(content("a/y"), "a/y", "another publisher publishes everything");
	output_root_close(root);
}

static void test_full_disk(void)
{
	static const char *const names[] = {"x", "d1/y", "d2/y", "d3/y", "d4/y", NULL};
	struct output_root *root = fresh();
	output_root_close(root);
	mkdir(at("out"), 0777);
	if (mount("tmpfs", at("out"), "tmpfs", 0, "size=1m,nr_inodes=11") != 0) {
		ok(geteuid() != 0 && !getenv("CI"), "full disk # SKIP only root can mount");
		return;
	}
	struct vega_error err;
	is_int(output_root_open(at("out"), NULL, &root, &err), 0,
	        "an output root on a small disk is opened");
	/* 1 root, 1 stage, 9 staged: no inode is left for a directory. */
	ok(stage_files(root, &first, names), "files are staged on a small disk");
	is_int(publish(root, &first, false), -ENOSPC, "publishing on a full disk fails");
	is_str(refusals, "", "publishing on a full disk reports no file in the way");
	ok(mount("tmpfs", at("out"), "tmpfs", MS_REMOUNT, "size=1m,nr_inodes=100") == 0,
	        "the small disk gets more room");
	is_int(publish(root, &first, false), 0, "publishing continues when there is room");
	for (size_t i = 0; names[i]; i++) {
		is_str(content(names[i]), names[i],
		        "a file of a disk that was full is in its place");
	}
	output_root_close(root);
	umount(at("out"));
}

/* --- more than one, and none ------------------------------------------------------------------ */

static bool stage_many(struct output_root *root)
{
	static char text[MANY][32];
	const char *names[MANY + 1] = {NULL};
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text[i], sizeof text[i], "d%u/e%u/f%u", i % 6, i % 30, i);
		names[i] = text[i];
	}
	return stage_files(root, &first, names);
}

static unsigned published(void)
{
	unsigned count = 0;
	for (unsigned i = 0; i < MANY; i++) {
		char name[32];
		snprintf(name, sizeof name, "d%u/e%u/f%u", i % 6, i % 30, i);
		const char *text = content(name);
		count += text && strcmp(text, name) == 0;
	}
	return count;
}

static pid_t publisher(struct output_root *root)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		_exit(publish(root, &first, false) == 0 && !refusals[0] ? 0 : 1);
	}
	return pid;
}

static void test_killed(void)
{
	struct output_root *root = fresh();
	unsigned kills = 0, partly = 0;
	int status = -1;
	ok(stage_many(root), "many files are staged");
	for (useconds_t delay = 100; status != 0; delay += 100) {
		pid_t pid = publisher(root);
		usleep(delay);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		kills += WIFSIGNALED(status);
		unsigned now = published();
		partly += now > 0 && now < MANY;
	}
	ok(kills > 0, "publishers were killed (%u, %u of them half way)", kills, partly);
	is_int(published(), MANY, "killed publishers leave everything to the next");
	is_int(entries_of(&first), 0, "the next publisher leaves an empty staging directory");
	output_root_close(root);
}

static void test_together(void)
{
	enum { PUBLISHERS = 4 };
	struct output_root *root = fresh();
	pid_t pids[PUBLISHERS];
	unsigned well = 0;
	ok(stage_many(root), "many files are staged for four publishers");
	for (int i = 0; i < PUBLISHERS; i++) {
		pids[i] = publisher(root);
	}
	for (int i = 0; i < PUBLISHERS; i++) {
		int status;
		waitpid(pids[i], &status, 0);
		well += status == 0;
	}
	is_int(well, PUBLISHERS, "four publishers succeed at once");
	is_int(published(), MANY, "four publishers publish everything");
	is_int(entries_of(&first), 0, "four publishers leave an empty staging directory");
	output_root_close(root);
}

static void test_discard(void)
{
	static const char *const names[] = {"x", "a/b/y", NULL};
	struct output_root *root = fresh(), *staged;
	struct buf deep = BUF_INIT;
	is_int(stage_count(root, &second), 0,
	        "a missing output directory has no staging directories");
	is_int(stage_discard(root, &second), 0,
	        "a missing output directory has nothing to discard");
	is_int(access(at("out"), F_OK), -1, "discarding makes no output directory");
	ok(stage_files(root, &first, names) && stage_files(root, &second, names) &&
	                stage_files(root, &other, names),
	        "three staging directories are made");
	is_int(stage_count(root, &first), 1, "one staging directory counts for the first lease");
	is_int(stage_count(root, &second), 2, "two staging directories count for the second lease");
	is_int(stage_discard(root, &first), 0, "the first lease's staging directory is discarded");
	ok(!is_there(&first) && is_there(&second) && is_there(&other),
	        "discarding removes only the first lease's staging directory");
	ok(stage_files(root, &first, names), "the first lease's staging directory is made again");
	is_int(stage_discard(root, &second), 0,
	        "the second lease's staging directory is discarded");
	ok(!is_there(&first) && !is_there(&second),
	        "discarding removes earlier leases' staging directories");
	ok(is_there(&other) && entries_of(&other) == 2,
	        "discarding keeps another job's staging directory");
	for (int i = 0; i < 3000; i++) {
		buf_add_str(&deep, "d/");
	}
	buf_add_str(&deep, "x");
	is_int(stage_create(root, &first, &staged), 0,
	        "a staging directory is made for a deep path");
	is_int(put(staged, buf_cstr(&deep), "deep"), 0,
	        "a file deeper than a path is long is staged");
	output_root_close(staged);
	is_int(publish(root, &first, false), 0, "a file deeper than a path is long is published");
	is_int(entries_of(&first), 0, "publishing a deep file empties the staging directory");
	is_int(stage_discard(root, &first), 0, "the staging directory of a deep file is discarded");
	is_int(stage_create(root, &first, &staged), 0,
	        "a staging directory is made for a deep path again");
	is_int(put(staged, deep.data, "deep"), 0, "a deep file is staged again");
	is_int(stage_discard(root, &first), 0, "a staging directory with a deep file is discarded");
	ok(!is_there(&first), "discarding removes a deep file");
	buf_release(&deep);
	output_root_close(staged);
	output_root_close(root);
}

static void move_away(void *context, const char *dir, const char *name, int errnum)
{
	(void)context, (void)name, (void)errnum;
	ok(rename(context, at("others/a")) == 0, "the directory %s is moved away meanwhile", dir);
}

/* Who can write there moves a directory to where ".." is not ours. */
static void test_moved(void)
{
	static const char *const names[] = {"a/x", "b/y", NULL};
	struct output_root *root = fresh();
	char name[STAGE_NAME_MAX], a[1024];
	stage_name(&first, name);
	snprintf(a, sizeof a, "%s/out/%s/a", top, name);
	ok(stage_files(root, &first, names), "files are staged to be moved away");
	ok(mkdir(at("out/a"), 0777) == 0 && mkdir(at("out/a/x"), 0777) == 0,
	        "directories are in the way of staged files");
	ok(mkdir(at("others"), 0777) == 0 && mkdir(at("others/b"), 0777) == 0 &&
	                close(creat(at("others/b/precious"), 0666)) == 0,
	        "a directory of others is made");
	const struct stage_publication how = {.refused = move_away, .context = a};
	int error = stage_publish(root, &first, &how);
	is_int(access(at("others/b/precious"), F_OK), 0, "the files of others are left alone");
	is_int(error, -ESTALE, "a directory that was moved away is an error");
	output_root_close(root);
}

/* A process that lost its lease goes on as if nothing had happened. */
static void test_zombie(void)
{
	struct output_root *root = fresh(), *staged;
	struct output_file file;
	is_int(stage_create(root, &first, &staged), 0, "a staging directory is made for a zombie");
	is_int(output_begin(staged, "a/x", &file), 0, "a zombie's file is being written");
	is_int(stage_discard(root, &first), 0, "the staging directory of a zombie is discarded");
	is_int(fd_write_all(file.fd, "x", 1), 0, "a zombie's file can be written to");
	is_int(output_commit(&file, &meta, false), -ENOENT, "a zombie's file is not committed");
	is_int(put(staged, "y", "y"), -ENOENT, "a zombie's later file is not written");
	is_int(put(staged, "b/y", "y"), -ENOENT,
	        "a zombie's file in a new directory is not written");
	is_int(publish(root, &first, false), 1,
	        "a zombie's staging directory is missing when published");
	is_int(entries_in("out"), 0, "a zombie leaves nothing");
	output_root_close(staged);
	output_root_close(root);
}

#define STRANGER 65534

static char *in_stage(const char *relative)
{
	static char path[1200];
	snprintf(path, sizeof path, "%s/%s", stage_at(&first), relative);
	return path;
}

/* Somebody who may write to the output directory has made the stage before its job runs. */
static void test_planted(void)
{
	static const struct {
		mode_t mode;
		uid_t owner;
		const char *name;
	} cases[] = {{0777, 0, "open to all"}, {0750, 0, "open to a group"},
	        {0700, STRANGER, "another's"}, {0777, STRANGER, "another's, open to all"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct output_root *root = fresh(), *staged = NULL;
		is_int(put(root, "victim", "before"), 0, "a file that is there");
		mkdir(stage_at(&first), 0777);
		close(creat(in_stage("victim"), 0666));
		close(creat(in_stage("new"), 0666));
		chmod(stage_at(&first), cases[i].mode);
		if (cases[i].owner && chown(stage_at(&first), cases[i].owner, 0) != 0) {
			ok(geteuid() != 0 && !getenv("CI"), "%s # SKIP only root", cases[i].name);
			output_root_close(root);
			continue;
		}
		is_int(stage_create(root, &first, &staged), -EPERM,
		        "a stage that is %s is not taken", cases[i].name);
		ok(!staged, "and not opened");
		is_int(publish(root, &first, true), -EPERM, "nor published");
		is_str(content("victim"), "before", "so nothing is replaced");
		is_str(content("new"), NULL, "and nothing appears");
		is_int(entries_in("out"), 2, "nor is anything left of the question");
		output_root_close(root);
	}
}

/* A share that maps all users to one; FAT. */
static void test_no_owners(void)
{
	static const char *const names[] = {"x", "a/y", NULL};
	for (int i = 1; i < 4; i++) {
		struct output_root *root = fresh();
		no_owners = i & 1;
		no_modes = i & 2;
		ok(stage_files(root, &first, names), "a stage without %s",
		        i == 1   ? "owners"
		        : i == 2 ? "modes"
		                 : "either");
		is_int(publish(root, &first, false), 0, "is published");
		is_str(refusals, "", "whole");
		is_str(content("a/y"), "a/y", "with what is in it");
		is_int(stage_discard(root, &first), 0,
		        "a published staging directory is discarded");
		no_owners = no_modes = false;
		is_int(entries_in("out"), 2, "leaving nothing else");
		output_root_close(root);
	}
}

/* Only regular files of the stage's owner with one name appear. */
static void test_strange_files(void)
{
	static const char *const names[] = {"good", "sub/good", NULL};
	struct output_root *root = fresh();
	ok(stage_files(root, &first, names), "two files are staged");
	ok(symlink("/etc/passwd", in_stage("link")) == 0, "a symbolic link");
	ok(mkfifo(in_stage("fifo"), 0600) == 0, "a FIFO");
	close(creat(at("kept"), 0600));
	ok(link(at("kept"), in_stage("two")) == 0, "a file with a second name");
	close(creat(in_stage("theirs"), 0600));
	bool root_user = chown(in_stage("theirs"), STRANGER, STRANGER) == 0;
	is_int(publish(root, &first, true), 0, "publish");
	is_str(content("good"), "good", "the first is there");
	is_str(content("sub/good"), "sub/good", "and so is the second");
	struct stat st;
	ok(lstat(at("out/link"), &st) != 0, "the link is not");
	ok(lstat(at("out/fifo"), &st) != 0, "nor is the FIFO");
	ok(lstat(at("out/two"), &st) != 0, "nor the file with two names");
	ok(strstr(refusals, "|link|EPERM;") && strstr(refusals, "|fifo|EPERM;") &&
	                strstr(refusals, "|two|EMLINK;"),
	        "and each is named: %s", refusals);
	if (root_user) {
		ok(lstat(at("out/theirs"), &st) != 0 && strstr(refusals, "|theirs|EPERM;"),
		        "nor another's file");
	}
	is_int(stage_discard(root, &first), 0,
	        "a staging directory with strange files is discarded");
	ok(!is_there(&first), "removes them");
	output_root_close(root);
}

/* Publishing was killed between the two steps that it takes where a rename may replace. */
static void test_half_named(void)
{
	static const char *const names[] = {"x", NULL};
	struct output_root *root = fresh();
	ok(stage_files(root, &first, names), "a file is staged");
	ok(link(in_stage("x"), at("out/x")) == 0, "and has its name already");
	is_int(publish(root, &first, false), 0, "publish");
	is_str(refusals, "", "refuses nothing");
	is_int(entries_of(&first), 0, "and takes the other name away");
	is_str(content("x"), "x", "the file is there");
	output_root_close(root);
}

/* A directory of somebody else that was moved into a stage is not emptied with it. */
static void test_discard_foreign(void)
{
	static const char *const names[] = {"a/x", NULL};
	struct output_root *root = fresh();
	ok(stage_files(root, &first, names), "a staging directory is made for a foreign one");
	mkdir(in_stage("theirs"), 0777);
	close(creat(in_stage("theirs/precious"), 0666));
	if (chown(in_stage("theirs"), STRANGER, STRANGER) != 0) {
		ok(geteuid() != 0 && !getenv("CI"), "foreign # SKIP only root");
		output_root_close(root);
		return;
	}
	is_int(stage_discard(root, &first), -EPERM, "discarding a foreign directory fails");
	is_int(access(in_stage("theirs/precious"), F_OK), 0, "leaves what is another's");
	is_int(publish(root, &first, false), -EPERM, "which is not published either");
	is_int(chown(in_stage("theirs"), 0, 0), 0, "when it is ours");
	is_int(stage_discard(root, &first), 0, "discard");
	ok(!is_there(&first), "removes all");
	ok(stage_files(root, &first, names), "a stage again");
	ok(chown(in_stage("a"), STRANGER, STRANGER) == 0 &&
	                chown(stage_at(&first), STRANGER, STRANGER) == 0,
	        "of another user throughout");
	is_int(stage_discard(root, &first), 0, "may be removed by root");
	ok(!is_there(&first), "and is gone");
	output_root_close(root);
}

/* A number from a row that somebody wrote. */
static void test_many_leases(void)
{
	static const char *const names[] = {"x", NULL};
	const struct stage last = {"01a20955-da8b-750b-9fb5-e54c84ad3c00", UINT64_MAX};
	struct output_root *root = fresh();
	ok(stage_files(root, &first, names) && stage_files(root, &second, names) &&
	                stage_files(root, &other, names) && stage_files(root, &last, names),
	        "stages");
	mkdir(at("out/.vega-stage.01a20955-da8b-750b-9fb5-e54c84ad3c00.01"), 0700);
	is_int(stage_count(root, &last), 3, "all of a job are counted");
	is_int(stage_discard(root, &last), 0, "discarding 2^64 leases");
	ok(!is_there(&first) && !is_there(&second) && !is_there(&last), "removes three");
	ok(is_there(&other), "and none of another job");
	is_int(entries_in("out"), 2, "nor what only looks like one");
	output_root_close(root);
}

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
	snprintf(top, sizeof top, "%.40s/vega-stage.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(top)) {
		perror(top);
		return 1;
	}
	umask(022);
	unsigned before = open_fds();
	test_names();
	test_publish();
	test_refusals();
	test_stop();
	test_full_disk();
	test_killed();
	test_together();
	test_discard();
	test_moved();
	test_zombie();
	test_planted();
	test_no_owners();
	test_strange_files();
	test_half_named();
	test_discard_foreign();
	test_many_leases();
	is_int(open_fds(), before, "the test leaks no descriptor");
	ok(remove_all(top), "the test leaves no file");
	return done();
}
