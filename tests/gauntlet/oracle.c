/*
 * A plain serial walk, written apart from the engine, whose answer the engine's must equal.
 *
 * usage: oracle [-0] ROOT...
 *
 * Prints one line: entries files directories links others apparent allocated errors; with -0 every
 * path instead, each ended by NUL. One descriptor, no recursion: a directory is read whole, the
 * names of its subdirectories are kept, and the way back up is "..".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct level {
	char *names; /* subdirectories still to be entered: NUL-terminated, one after another */
	size_t at, len;
	size_t path_len; /* of the path of this directory */
};

static struct {
	unsigned long long entries, files, directories, links, others, errors;
	unsigned __int128 apparent, allocated;
} sum;

static bool print_paths;
static struct level *level;
static size_t depth, levels;
static char *path;
static size_t path_cap;

static struct {
	dev_t dev;
	ino_t ino;
} * inode;
static size_t inodes, inode_cap;

static void *must(void *memory)
{
	if (!memory) {
		perror("oracle");
		exit(2);
	}
	return memory;
}

/* True the first time. */
static bool new_inode(const struct stat *st)
{
	if (inodes * 2 >= inode_cap) {
		size_t old_cap = inode_cap;
		void *old = inode;
		__typeof__(inode) from = old;
		inode_cap = old_cap ? old_cap * 2 : 1024;
		inode = must(calloc(inode_cap, sizeof *inode));
		inodes = 0;
		for (size_t i = 0; i < old_cap; i++) {
			if (from[i].ino) {
				new_inode(&(struct stat){
				        .st_dev = from[i].dev, .st_ino = from[i].ino});
			}
		}
		free(old);
	}
	size_t at = (size_t)(st->st_ino * 2654435761u) % inode_cap;
	while (inode[at].ino && (inode[at].ino != st->st_ino || inode[at].dev != st->st_dev)) {
		at = (at + 1) % inode_cap;
	}
	if (inode[at].ino) {
		return false;
	}
	inode[at].ino = st->st_ino;
	inode[at].dev = st->st_dev;
	inodes++;
	return true;
}

/* Puts a name behind the first `len` bytes of the path. */
static size_t extend(size_t len, const char *name)
{
	size_t more = strlen(name), slash = len && path[len - 1] != '/';
	if (len + slash + more + 1 > path_cap) {
		path_cap = (len + slash + more + 1) * 2;
		path = must(realloc(path, path_cap));
	}
	if (slash) {
		path[len] = '/';
	}
	memcpy(path + len + slash, name, more + 1);
	return len + slash + more;
}

static void count(const struct stat *st, size_t len)
{
	sum.entries++;
	sum.files += S_ISREG(st->st_mode);
	sum.directories += S_ISDIR(st->st_mode);
	sum.links += S_ISLNK(st->st_mode);
	sum.others += !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode);
	if (S_ISDIR(st->st_mode) || st->st_nlink == 1 || new_inode(st)) {
		sum.apparent += (unsigned __int128)st->st_size;
		sum.allocated += (unsigned __int128)st->st_blocks * 512;
	}
	if (print_paths) {
		fwrite(path, 1, len + 1, stdout);
	}
}

/* Counts what is in the directory `fd`, and adds a level for it. */
static void read_directory(int fd, size_t path_len)
{
	if (depth == levels) {
		levels = levels ? levels * 2 : 64;
		level = must(realloc(level, levels * sizeof *level));
	}
	struct level *l = &level[depth++];
	*l = (struct level){.path_len = path_len};
	size_t cap = 0;
	DIR *dir = fdopendir(dup(fd));
	if (!dir) {
		sum.errors++;
		return;
	}
	rewinddir(dir);
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(dir);
		if (!entry) {
			sum.errors += errno != 0;
			break;
		}
		const char *name = entry->d_name;
		struct stat st;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
			continue;
		}
		size_t len = print_paths ? extend(path_len, name) : 0;
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
			sum.entries++;
			sum.errors++;
			continue;
		}
		count(&st, len);
		if (S_ISDIR(st.st_mode)) {
			size_t more = strlen(name) + 1;
			if (l->len + more > cap) {
				cap = (l->len + more) * 2;
				l->names = must(realloc(l->names, cap));
			}
			memcpy(l->names + l->len, name, more);
			l->len += more;
		}
	}
	closedir(dir);
}

static bool drop_level(void)
{
	free(level[--depth].names);
	return depth > 0;
}

static void walk(const char *root)
{
	struct stat st;
	int open_root = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	size_t len = extend(0, root);
	if (stat(root, &st) != 0 && lstat(root, &st) != 0) {
		sum.entries++;
		sum.errors++;
		return;
	}
	count(&st, len);
	if (!S_ISDIR(st.st_mode)) {
		return;
	}
	int fd = open(root, open_root);
	if (fd < 0) {
		sum.errors++;
		return;
	}
	read_directory(fd, len);
	while (depth > 0) {
		struct level *l = &level[depth - 1];
		bool down = l->at < l->len;
		const char *name = down ? l->names + l->at : "..";
		if (down) {
			l->at += strlen(name) + 1;
		} else if (!drop_level()) {
			break;
		}
		int next = openat(fd, name, open_root | O_NOFOLLOW);
		if (next < 0 && down) {
			sum.errors++;
			continue;
		}
		if (next < 0) {
			perror("oracle: ..");
			exit(2);
		}
		if (down) {
			read_directory(next, print_paths ? extend(l->path_len, name) : 0);
		}
		/* A leaf is left at once: one that may be read, but not entered, has no "..". */
		if (down && level[depth - 1].len == 0) {
			drop_level();
			close(next);
		} else {
			close(fd);
			fd = next;
		}
	}
	close(fd);
}

static void print_sum(unsigned __int128 value)
{
	char digits[40], *at = digits + sizeof digits;
	*--at = '\0';
	do {
		*--at = (char)('0' + (int)(value % 10));
	} while (value /= 10);
	printf(" %s", at);
}

int main(int argc, char **argv)
{
	int first = 1;
	if (argc > 1 && strcmp(argv[1], "-0") == 0) {
		print_paths = true;
		first = 2;
	}
	for (int i = first; i < argc; i++) {
		walk(argv[i]);
	}
	if (!print_paths) {
		printf("%llu %llu %llu %llu %llu", sum.entries, sum.files, sum.directories,
		        sum.links, sum.others);
		print_sum(sum.apparent);
		print_sum(sum.allocated);
		printf(" %llu\n", sum.errors);
	}
	free(level);
	free(path);
	free(inode);
	return 0;
}
