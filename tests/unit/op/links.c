/* Each inode with several names is charged once, to the least of them, and costs little memory. */
#include "op/links.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "../tap.h"

#define THREADS 4
#define DIRS 7u
#define INODES 20000u
#define NAMES 5u /* of each inode */
#define MANY 1000000u

static struct links *links;
static struct walk_dir *dirs[DIRS];
static atomic_uint firsts, failed;

static void make_dirs(void)
{
	for (unsigned i = 0; i < DIRS; i++) {
		dirs[i] = calloc(1, sizeof *dirs[i] + 16);
		dirs[i]->name_len = (uint32_t)sprintf(dirs[i]->data, "dir%u", i);
		dirs[i]->refs = 1;
	}
}

static unsigned scatter(unsigned x)
{
	return (x + 1) * 2654435761u >> 7;
}

/* The n-th name of an inode, of any length; which is the least cannot be told from n. */
static struct walk_dir *name_of(unsigned inode, unsigned n, char *name)
{
	unsigned random = scatter(inode * NAMES + n);
	sprintf(name, "%0*u-%u", (int)(random % 250), inode, n);
	return dirs[random / 256 % DIRS];
}

/* Numbers at both ends of what they can be. */
static struct file_meta meta_of(unsigned inode)
{
	static const int64_t seconds[] = {INT64_MIN, INT64_MAX, -1, 0, 1767225600};
	return (struct file_meta){
	        .dev = inode % 3 ? inode % 3 : UINT64_MAX,
	        .ino = inode / 3 % 2 ? inode / 3 : UINT64_MAX - inode / 3,
	        .size = inode % 2 ? inode : UINT64_MAX - inode,
	        .allocated = inode % 5 ? 512 * inode : UINT64_MAX,
	        .mtime = {.sec = seconds[inode % 5], .nsec = inode % 7 ? 999999999 - inode : 0},
	        .uid = inode % 4 ? inode % 4 : UINT32_MAX - inode,
	};
}

static int add(unsigned inode, struct walk_dir *dir, const char *name)
{
	struct file_meta meta = meta_of(inode);
	struct walk_entry entry = {.dir = dir, .name = name, .meta = &meta};
	return links_add(links, &entry);
}

static void *add_all(void *context)
{
	unsigned start = *(unsigned *)context;
	char name[300];
	for (unsigned i = 0; i < INODES * NAMES; i++) {
		unsigned at = (start + i) % (INODES * NAMES);
		struct walk_dir *dir = name_of(at % INODES, at / INODES, name);
		int got = add(at % INODES, dir, name);
		firsts += got == 1;
		failed += got < 0;
	}
	return NULL;
}

static unsigned charged, wrong;

static void check(void *context, struct walk_thread *first, const struct link *link)
{
	(void)context, (void)first;
	unsigned inode = (unsigned)strtoul(link->name, NULL, 10);
	char least[300], other[300];
	struct walk_dir *dir = name_of(inode, 0, least);
	for (unsigned n = 1; n < NAMES; n++) {
		struct walk_dir *in = name_of(inode, n, other);
		if (walk_path_compare(in, other, dir, least) < 0) {
			dir = in;
			strcpy(least, other);
		}
	}
	struct file_meta meta = meta_of(inode);
	charged++;
	wrong += link->dir != dir || strcmp(link->name, least) != 0 || link->dev != meta.dev ||
	         link->ino != meta.ino || link->size != meta.size ||
	         link->allocated != meta.allocated || link->mtime.sec != meta.mtime.sec ||
	         link->mtime.nsec != meta.mtime.nsec || link->uid != meta.uid;
}

static void test_least_names(void)
{
	pthread_t thread[THREADS];
	unsigned start[THREADS];
	unsigned held = 0;
	links = links_new(false);
	for (unsigned i = 0; i < THREADS; i++) {
		start[i] = i * (INODES * NAMES / THREADS);
		pthread_create(&thread[i], NULL, add_all, &start[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
	}
	is_int(firsts, INODES, "each inode is new to one thread");
	is_int(failed, 0, "no inode fails");
	for (unsigned i = 0; i < DIRS; i++) {
		held += dirs[i]->refs - 1;
	}
	is_int(held, INODES, "each inode holds one directory");
	links_settle(links, NULL, check, NULL);
	is_int(charged, INODES, "each inode is charged once");
	is_int(wrong, 0, "each inode is charged to its least name, with all its numbers");
	for (unsigned i = 0; i < DIRS; i++) {
		held -= dirs[i]->refs == 1;
	}
	is_int(held, INODES - DIRS, "directories are released after charging");
	links_free(links);
}

static uint64_t names_left, names_seen, inodes_seen;

static void count(void *context, struct walk_thread *first, const struct link *link)
{
	(void)context, (void)first;
	inodes_seen++;
	names_seen += link->seen;
	names_left += link->nlink - link->seen;
}

/* Of 300 names 299 are added: the count outgrows its byte. In any order; one more name appears. */
static void test_counts(bool rising)
{
	links = links_new(true);
	failed = 0;
	for (unsigned i = 0; i < 299; i++) {
		char name[16];
		snprintf(name, sizeof name, "%03u", rising ? i : 999 - i);
		struct file_meta meta = {.dev = 1, .ino = 7, .nlink = i < 100 ? 299 : 300};
		struct walk_entry entry = {.dir = dirs[i % 2], .name = name, .meta = &meta};
		failed += links_add(links, &entry) != (i == 0);
	}
	for (unsigned i = 0; i < 3; i++) { /* as in a snapshot: more names than it has */
		struct file_meta meta = {.dev = 1, .ino = 8, .nlink = 2};
		struct walk_entry entry = {.dir = dirs[i], .name = "same", .meta = &meta};
		failed += links_add(links, &entry) < 0;
	}
	names_left = names_seen = inodes_seen = 0;
	links_settle(links, NULL, count, NULL);
	is_int(failed, 0, "counted names are added");
	is_int(inodes_seen, 2, "each inode is there once");
	is_int(names_seen, 299 + 2, "names are counted, up to as many as there are");
	is_int(names_left, 1, "one name was not seen");
	links_free(links);
}

static size_t in_use(void)
{
	struct mallinfo2 now = mallinfo2();
	return now.uordblks + now.hblkhd;
}

/* Names of 12 bytes, a time with nanoseconds: at any number of inodes, however full the table. */
static void test_memory(void)
{
	size_t before = in_use(), worst = 0;
	if (!before) {
		return; /* a sanitizer's allocator does not say; glibc's always does */
	}
	links = links_new(false);
	for (unsigned i = 0; i < MANY; i++) {
		struct file_meta meta = {.dev = 0x10303,
		        .ino = 40000000 + i,
		        .size = 70000 + i,
		        .allocated = 73728,
		        .mtime = {.sec = 1767225600, .nsec = 987654321}};
		char name[16];
		snprintf(name, sizeof name, "%08u.dat", i);
		struct walk_entry entry = {.dir = dirs[1], .name = name, .meta = &meta};
		failed += links_add(links, &entry) != 1;
		entry.dir = dirs[0]; /* a lesser one */
		failed += links_add(links, &entry) != 0;
		bool look = i >= MANY / 4 && i % 1000 == 0;
		size_t each = look ? (in_use() - before) / (i + 1) : 0;
		worst = each > worst ? each : worst;
	}
	is_int(failed, 0, "all inodes are added");
	ok(worst > 12 && worst <= 48, "an inode costs at most 48 bytes (%zu)", worst);
	links_free(links);
}

int main(void)
{
	make_dirs();
	test_least_names();
	test_counts(true);
	test_counts(false);
	test_memory();
	for (unsigned i = 0; i < DIRS; i++) {
		free(dirs[i]);
	}
	return done();
}
