/* walk_path_compare() is the order of strcmp over whole paths. */
#include "../tap.h"

#include <stdlib.h>

#include "walk/walk.h"

#define DIRS 120

static struct walk_dir *dirs[DIRS];
static char *paths[DIRS]; /* ending in '/' */

/* Bytes around '/', and names that begin with one another. */
static const char *const names[] = {"a", "aa", "a-b", "a.b", "a0", "ab", "-", ".x", "0", "\x01",
        "a\x2e", "a\x30", "\xff", "a\xff"};
#define NAMES (sizeof names / sizeof *names)

static void make(unsigned index, struct walk_dir *parent, const char *parent_path, const char *name)
{
	struct walk_dir *dir = calloc(1, sizeof *dir + strlen(name) + 1);
	char *path = NULL;
	dir->parent = parent;
	dir->depth = parent ? parent->depth + 1 : 0;
	dir->name_len = (uint32_t)strlen(name);
	memcpy(dir->data, name, strlen(name) + 1);
	bool closed = *name && name[strlen(name) - 1] == '/';
	if (asprintf(&path, "%s%s%s", parent_path, name, closed ? "" : "/") < 0) {
		abort();
	}
	dirs[index] = dir;
	paths[index] = path;
}

static bool taken(unsigned count, const struct walk_dir *parent, const char *name)
{
	for (unsigned i = 0; i < count; i++) {
		if (dirs[i]->parent == parent && strcmp(walk_dir_name(dirs[i]), name) == 0) {
			return true;
		}
	}
	return false;
}

/* The whole path of a name in a directory; a root that is a file is as it was given. */
static char *whole(unsigned dir, const char *name)
{
	char *path = NULL;
	int len = dirs[dir]->is_file_root ? asprintf(&path, "%s", walk_dir_name(dirs[dir]))
	                                  : asprintf(&path, "%s%s", paths[dir], name);
	if (len < 0) {
		abort();
	}
	return path;
}

static int sign(int value)
{
	return (value > 0) - (value < 0);
}

int main(void)
{
	unsigned random = 1;
	make(0, NULL, "", "root");
	make(1, NULL, "", "root2");
	make(2, NULL, "", "root/"); /* the same, and some that lie in it */
	make(3, NULL, "", "root/a");
	make(4, NULL, "", "root/a/a");
	make(5, NULL, "", "root/a-b");
	dirs[5]->is_file_root = true;
	for (unsigned i = 6; i < DIRS; i++) {
		random = random * 1103515245 + 12345;
		unsigned parent = (random >> 16) % i, name = (random >> 8) % NAMES;
		parent = dirs[parent]->is_file_root ? 0 : parent;
		if (taken(i, dirs[parent], names[name])) {
			i--;
			continue;
		}
		make(i, dirs[parent], paths[parent], names[name]);
	}
	unsigned long compared = 0, wrong = 0;
	for (unsigned a = 0; a < DIRS; a++) {
		for (unsigned b = 0; b < DIRS; b++) {
			for (unsigned x = 0; x < NAMES; x++) {
				unsigned y = (x * 5 + a + b) % NAMES;
				if (a == b && dirs[a]->is_file_root) {
					continue; /* it has one name */
				}
				char *one = whole(a, names[x]), *two = whole(b, names[y]);
				int got = walk_path_compare(dirs[a], names[x], dirs[b], names[y]);
				wrong += sign(got) != sign(strcmp(one, two));
				compared++;
				free(one);
				free(two);
			}
		}
	}
	is_int(wrong, 0, "%lu pairs of paths have the order of strcmp", compared);
	for (unsigned i = 0; i < DIRS; i++) {
		free(dirs[i]);
		free(paths[i]);
	}
	return done();
}
