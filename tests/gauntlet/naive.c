/*
 * The control: a walk by paths, as they are often written. lstat says that it is a directory, and
 * opendir opens it, by then perhaps a link that leads out of the tree.
 *
 * usage: naive SECONDS ROOT MARKER
 *
 * Walks ROOT until it has met a file named MARKER, or the time is over; prints how often it has.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static unsigned long met;

static void walk(const char *path, const char *marker)
{
	struct stat st;
	if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		return;
	}
	DIR *dir = opendir(path);
	const struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		char child[PATH_MAX];
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		met += strcmp(entry->d_name, marker) == 0;
		if (snprintf(child, sizeof child, "%s/%s", path, entry->d_name) < PATH_MAX) {
			walk(child, marker);
		}
	}
	if (dir) {
		closedir(dir);
	}
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: naive SECONDS ROOT MARKER\n");
		return 2;
	}
	time_t end = time(NULL) + strtol(argv[1], NULL, 10);
	while (!met && time(NULL) < end) {
		walk(argv[2], argv[3]);
	}
	printf("%lu\n", met);
	return 0;
}
