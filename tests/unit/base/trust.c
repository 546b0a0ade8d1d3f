/* Opening files that decide over others' rights: every part of the way must be root's or ours. */
#include "base/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../tap.h"

static char base[] = "/tmp/vega-trust.XXXXXX", path[128];
static struct buf culprit;

static const char *at(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", base, name);
	return path;
}

/* base/dir/file, and base/link to it. */
static void make(void)
{
	char target[128];
	umask(022);
	strcpy(base + sizeof base - 7, "XXXXXX");
	ok(mkdtemp(base) != NULL, "a directory is made");
	mkdir(at("dir"), 0755);
	close(open(at("dir/file"), O_WRONLY | O_CREAT, 0644));
	snprintf(target, sizeof target, "%s/dir/file", base);
	ok(symlink("file", at("dir/here")) == 0 && symlink("../dir/./here", at("dir/up")) == 0 &&
	                symlink(target, at("link")) == 0,
	        "links to a file in it are made");
}

static void unmake(void)
{
	static const char *const names[] = {"dir/file", "dir/here", "dir/up", "link"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		unlink(at(names[i]));
	}
	rmdir(at("dir"));
	ok(rmdir(base) == 0, "nothing is left");
}

static int opened(const char *name)
{
	int fd = trust_open(at(name), &culprit);
	if (fd >= 0) {
		close(fd);
	}
	return fd < 0 ? fd : 0;
}

/* `name` is opened, and not once `part` is in that state; the culprit is `part`. */
static void refused(const char *name, const char *part, const char *how)
{
	char expected[128];
	is_int(opened(name), -EPERM, "%s %s is refused", how, name);
	snprintf(expected, sizeof expected, "%s/%s", base, part);
	is_str(buf_cstr(&culprit), expected, "%s is named", part);
}

TEST(own_files_are_opened,
        "a file of one's own is opened, through directories and links of one's own")
{
	make();
	is_int(opened("dir/file"), 0, "a file is opened");
	is_int(opened("link"), 0, "a file behind an absolute link is opened");
	is_int(opened("dir/up"), 0, "a file behind two relative links is opened");
	is_int(opened("dir/../dir//file"), 0, "dots and slashes change nothing");
	is_int(opened("dir"), -EISDIR, "a directory is no file");
	is_int(opened("dir/none"), -ENOENT, "a file that is not there is not opened");
	is_int(opened("dir/file/x"), -ENOTDIR, "a file is no directory");
	unlink(at("dir/here"));
	is_int(symlink("up", at("dir/here")), 0, "a circle of links is made");
	is_int(opened("dir/up"), -ELOOP, "links in a circle end");
	int before = open(".", O_PATH | O_DIRECTORY);
	ok(chdir(at("dir")) == 0, "a directory is entered");
	int fd = trust_open("file", &culprit);
	ok(fd >= 0, "a relative path is opened");
	close(fd);
	is_int(fchdir(before), 0, "the directory is left");
	close(before);
	unmake();
}

TEST(open_to_others_is_refused,
        "a file or a directory on the way that others may write to is refused")
{
	make();
	chmod(at("dir/file"), 0664);
	refused("dir/file", "dir/file", "writable by a group,");
	chmod(at("dir/file"), 0646);
	refused("link", "dir/file", "writable by all,");
	chmod(at("dir/file"), 0644);
	chmod(at("dir"), 0775);
	refused("link", "dir", "in a directory writable by a group,");
	chmod(at("dir"), 01777);
	is_int(opened("link"), 0, "a file of one's own in a sticky directory is opened");
	unmake();
}

TEST(of_others_is_refused, "a file, link or directory of another user is refused")
{
	if (geteuid() != 0) {
		ok(true, "only root can give files away");
		return;
	}
	make();
	is_int(lchown(at("link"), 1, 1), 0, "a link is given away");
	refused("link", "link", "behind another user's link,");
	is_int(opened("dir/file"), 0, "without the link the file is opened");
	is_int(chown(at("dir/file"), 1, 1), 0, "the file is given away");
	refused("dir/file", "dir/file", "belonging to another user,");
	is_int(chown(at("dir/file"), 0, 0), 0, "the file is taken back");
	is_int(chown(at("dir"), 1, 1), 0, "its directory is given away");
	chmod(at("dir"), 01755);
	refused("dir/file", "dir", "in another user's directory,");
	unmake();
}

TEST_MAIN
