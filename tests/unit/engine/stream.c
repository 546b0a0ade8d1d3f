/*
 * A tree that reads a list of paths with metadata: a run over it gives the answers of a run over
 * the directories that the list describes.
 */
#include "../tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../spec/spec_text.h"
#include "engine/engine.h"
#include "engine/partial.h"

#define ITEMS 4000
#define HANDLES 3000
#define FILE_HANDLE 100000 /* and the descriptor */

static char base[] = "/tmp/vega-stream-XXXXXX";

/* --- The list, and the tree that reads it --- */

struct item {
	char *path; /* below the root; the root's own: "" */
	struct fs_entry entry;
	struct file_meta meta;
};

static struct {
	struct item item[ITEMS];
	size_t count;
	unsigned batch;
	size_t at;                /* of the stream */
	int stream;               /* the handle that it is read from */
	const struct item *given; /* with FS_ONCE: whose content there is */
	pthread_t reader;         /* who was given it */
	pthread_mutex_t lock;
	char *open[HANDLES]; /* paths of open directories */
	atomic_uint misuse, spread;
} list = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct fs_tree listed;

static struct item *find_item(const char *path)
{
	for (size_t i = 0; i < list.count; i++) {
		if (strcmp(list.item[i].path, path) == 0) {
			return &list.item[i];
		}
	}
	return NULL;
}

static int open_path(const char *path)
{
	pthread_mutex_lock(&list.lock);
	int handle = 0;
	while (list.open[handle]) {
		handle++;
	}
	list.open[handle] = strdup(path);
	pthread_mutex_unlock(&list.lock);
	return handle;
}

static char *path_of(int handle, const char *name)
{
	char *path = NULL;
	pthread_mutex_lock(&list.lock);
	const char *dir = list.open[handle];
	if (!dir || asprintf(&path, "%s%s%s", dir, *dir && *name ? "/" : "", name) < 0) {
		abort();
	}
	pthread_mutex_unlock(&list.lock);
	return path;
}

/* A directory that is not in the list has nothing known. */
static void meta_of(const char *path, struct file_meta *meta)
{
	const struct item *item = find_item(path);
	*meta = item ? item->meta : (struct file_meta){.mode = S_IFDIR};
}

static int list_open_root(struct fs_tree *tree, const char *path, const struct strlist *allowed,
        struct file_meta *meta, char **name)
{
	(void)tree, (void)path, (void)allowed;
	*name = NULL;
	meta_of("", meta);
	list.at = 1;
	list.given = NULL;
	list.stream = open_path("");
	return list.stream;
}

static int list_open_dir(struct fs_tree *tree, int parent, const char *name, struct file_meta *meta)
{
	(void)tree;
	char *path = path_of(parent, strcmp(name, ".") == 0 ? "" : name);
	if (meta) {
		meta_of(path, meta);
	}
	int handle = open_path(path);
	free(path);
	return handle;
}

/* For --empty: does anything lie in the directory? */
static void list_dir(const char *dir, struct fs_batch *batch)
{
	size_t len = strlen(dir);
	for (size_t i = 1; i < list.count && !batch->count; i++) {
		const char *path = list.item[i].path;
		if (len == 0 || (strncmp(path, dir, len) == 0 && path[len] == '/')) {
			batch->entry[batch->count] = (struct fs_entry){.name = path + len + 1};
			batch->meta[batch->count++].have = 0;
		}
	}
	batch->end = batch->count == 0;
}

static int list_list(
        struct fs_tree *tree, int dir, struct fs_cursor *cursor, struct fs_batch *batch)
{
	(void)cursor;
	batch->count = 0;
	batch->end = false;
	if (dir != list.stream) {
		char *path = path_of(dir, "");
		list_dir(path, batch);
		free(path);
		return 0;
	}
	unsigned most = tree->caps & FS_ONCE ? 1 : list.batch;
	while (batch->count < most && list.at < list.count) {
		const struct item *item = &list.item[list.at++];
		batch->entry[batch->count] = item->entry;
		batch->meta[batch->count++] = item->meta;
		list.given = item;
	}
	pthread_mutex_lock(&list.lock);
	list.reader = pthread_self();
	pthread_mutex_unlock(&list.lock);
	batch->end = batch->count == 0;
	return 0;
}

static void list_stat(struct fs_tree *tree, int dir, struct fs_entry *entry, struct file_meta *meta,
        unsigned from, unsigned to, unsigned want)
{
	(void)tree, (void)dir, (void)meta, (void)want;
	for (unsigned i = from; i < to; i++) { /* only what was made up lacks anything */
		bool known = entry[i].error == FS_SKIP_STAT || meta[i].have == 0;
		atomic_fetch_add(&list.misuse, !known);
		entry[i].error = entry[i].error == FS_SKIP_STAT ? FS_SKIP_STAT : 0;
	}
}

static int list_open_file(struct fs_tree *tree, int dir, const char *name, struct file_meta *meta)
{
	char *path = path_of(dir, name), *whole = NULL;
	const struct item *item = find_item(path);
	pthread_mutex_lock(&list.lock);
	bool is_reader = pthread_equal(list.reader, pthread_self());
	pthread_mutex_unlock(&list.lock);
	if (item && (tree->caps & FS_ONCE)) {
		atomic_fetch_add(&list.misuse, item != list.given || !is_reader);
	} else {
		atomic_fetch_add(&list.spread, !is_reader);
		sched_yield(); /* so that others come, however few processors there are */
	}
	if (!item || asprintf(&whole, "%s/%s", base, path) < 0) {
		free(path);
		return -ENOENT;
	}
	*meta = item->meta;
	int fd = open(whole, O_RDONLY | O_CLOEXEC);
	free(whole);
	free(path);
	return fd < 0 ? -errno : FILE_HANDLE + fd;
}

static ssize_t list_read(struct fs_tree *tree, int file, void *bytes, size_t len, uint64_t offset)
{
	(void)tree;
	ssize_t got = pread(file - FILE_HANDLE, bytes, len, (off_t)offset);
	return got < 0 ? -errno : got;
}

static int list_stat_handle(struct fs_tree *tree, int handle, struct file_meta *meta)
{
	if (handle >= FILE_HANDLE) {
		return fs_local.stat_handle(tree, handle - FILE_HANDLE, meta);
	}
	char *path = path_of(handle, "");
	meta_of(path, meta);
	free(path);
	return 0;
}

static void list_close(struct fs_tree *tree, int handle)
{
	(void)tree;
	if (handle >= FILE_HANDLE) {
		close(handle - FILE_HANDLE);
		return;
	}
	pthread_mutex_lock(&list.lock);
	atomic_fetch_add(&list.misuse, !list.open[handle]);
	free(list.open[handle]);
	list.open[handle] = NULL;
	pthread_mutex_unlock(&list.lock);
}

static char *list_resolve(struct fs_tree *tree, const char *root)
{
	(void)tree;
	char *path = NULL;
	return asprintf(&path, "%s/", root) < 0 ? NULL : path;
}

static enum medium list_medium(struct fs_tree *tree, const char *root, struct buf *name)
{
	(void)tree, (void)root, (void)name;
	return MEDIUM_LOCAL;
}

static uint64_t list_expect(struct fs_tree *tree, const char *root, bool one_file_system)
{
	(void)tree, (void)root, (void)one_file_system;
	return list.count;
}

static const struct backend list_backend = {
        .scheme = "list",
        .resolve = list_resolve,
        .medium = list_medium,
        .expect = list_expect,
        .open_root = list_open_root,
        .open_dir = list_open_dir,
        .list = list_list,
        .stat = list_stat,
        .open_file = list_open_file,
        .read = list_read,
        .stat_handle = list_stat_handle,
        .close = list_close,
};

/* --- The directories, and their list --- */

static bool skip_dirs;

static int add_item(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	const char *below = path + strlen(base) + (path[strlen(base)] == '/');
	struct item *item = &list.item[list.count];

	struct fs_batch *batch = calloc(1, sizeof *batch);
	int dir = open(".", O_PATH | O_CLOEXEC);
	batch->entry[0].name = path;
	fs_local.stat(&fs_local_tree, dir, batch->entry, batch->meta, 0, 1, META_ALL);
	close(dir);

	bool is_dir = batch->entry[0].type == FILE_DIRECTORY;
	if (!is_dir || !skip_dirs || !*below) {
		item->path = strdup(below);
		item->meta = batch->meta[0];
		item->entry = (struct fs_entry){.name = item->path,
		        .name_len = (uint16_t)strlen(below),
		        .type = batch->entry[0].type,
		        .ino = batch->meta[0].ino};
		list.count++;
	}
	free(batch);
	return 0;
}

static void read_list(void)
{
	while (list.count > 0) {
		free(list.item[--list.count].path);
	}
	nftw(base, add_item, 20, FTW_PHYS);
}

static void put(const char *path, unsigned size, unsigned age)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600 + size % 64);
	if (fd < 0 || ftruncate(fd, size) != 0) {
		abort();
	}
	struct timespec times[2] = {{.tv_sec = 1000000000 - age}, {.tv_sec = 1000000000 - age}};
	futimens(fd, times);
	close(fd);
}

/* Names around '/', hidden ones, links of each kind, a pipe; no directory is empty but those of
 * empty(). */
static void build(void)
{
	char path[128];
	static const char *const dirs[] = {
	        "a", "a/b", "a-b", "a.b", "a/b/c", "a/b/c/d", ".h", ".h/i", "z", "z/a", "cache"};
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		mkdir(dirs[i], 0700 + (mode_t)i);
		for (unsigned f = 0; f < 40 + i * 17; f++) {
			static const char *const ends[] = {"", ".c", ".tar.gz", ".TXT", "~"};
			snprintf(path, sizeof path, "%s/f%u%s", dirs[i], f, ends[f % 5]);
			put(path, f * 97 % 9001, f * 100000);
		}
	}
	int tag = open("cache/CACHEDIR.TAG", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	dprintf(tag, "Signature: 8a477f597d28d172789f06886806bc55\n");
	close(tag);
	bool made = link("a/f7~", "z/linked") == 0 || link("a/f4~", "z/linked") == 0;
	made = made && link("z/linked", "a/b/c/third") == 0 && symlink("a", "z/to_a") == 0 &&
	       symlink("nowhere", ".h/dangling") == 0 && mkfifo("z/pipe", 0600) == 0;
	if (!made) {
		abort();
	}
}

static void build_empty(void)
{
	mkdir("empty", 0700);
	mkdir("a/empty", 0700);
	mkdir("z/a/empty", 0700);
}

/* --- Runs --- */

/* Each value of that member becomes spaces. */
static void blank(char *text, const char *member)
{
	for (char *at = text; at && (at = strstr(at, member));) {
		for (; *at && *at != ','; at++) {
			*at = ' ';
		}
	}
}

/* What a run prints, without how long it took; NULL when it failed. */
static char *output(struct fs_tree *tree, unsigned threads, const char *const words[])
{
	struct spec spec;
	struct vega_error err;
	atomic_int stop = 0;
	char *text = NULL;
	int fd = memfd_create("output", MFD_CLOEXEC);
	bool records = strcmp(words[0], "summarize") != 0;
	const char *with_root[10] = {0};
	size_t count = 0;
	while (words[count]) {
		with_root[count] = words[count];
		count++;
	}
	with_root[count] = base;
	if (parse_words(&spec, NULL, &err, with_root) != 0) {
		printf("# %s\n", err.text);
		abort();
	}
	spec.threads = (struct option_number){.set = true, .value = threads};
	spec.sort = records;
	const struct engine_config config = {.format = format_find(records ? "ndjson" : "json"),

	        .fd = fd,
	        .tree = tree,
	        .now = {.sec = 1700000000},
	        .stop = &stop};
	int code = run_spec(&spec, &config, &err);
	off_t size = lseek(fd, 0, SEEK_END);
	text = calloc(1, (size_t)size + 1);
	if (pread(fd, text, (size_t)size, 0) != size || code) {
		printf("# %s: %s\n", words[0], code ? err.text : "no output");
		free(text);
		text = NULL;
	}
	close(fd);
	spec_release(&spec);
	blank(text, "\"elapsed_ns\":");
	blank(text, "\"atime\":"); /* reading changes it */
	return text;
}

static void squeeze(char *text)
{
	char *to = text;
	for (; text && *text; text++) {
		if (*text != ' ') {
			*to++ = *text;
		}
	}
	if (text) {
		*to = '\0';
	}
}

static const char *const specs[][8] = {
        {"summarize"},
        {"summarize", "--max-depth", "2"},
        {"summarize", "--descend", "2"},
        {"summarize,find", "--max-depth", "1"},
        {"summarize", "--min-depth", "2"},
        {"summarize", "--exclude", "a-b"},
        {"summarize", "--exclude", "b/c/", "--exclude", "*.c"},
        {"summarize", "--skip-hidden"},
        {"summarize", "--one-file-system", "--name", "f*"},
        {"summarize", "--type", "f", "--min-size", "1000"},
        {"find"},
        {"find", "-e", "tar.gz", "--older-than", "2001-09-01"},
        {"find", "--type", "d,l,p"},
        {"find", "--path", "*/b/*", "--max-depth", "3"},
        {"find", "--regex", "/z/.*[0-9]$"},
        {"find", "--perm", "-u+x"},
        {"hash", "--exclude", ".h"},
        {"find", "--empty"},
        {"summarize", "--exclude-caches"},
};
#define SPECS (sizeof specs / sizeof *specs)

static void compare(struct fs_tree *tree, const char *const words[], const char *how)
{
	char *wanted = output(NULL, 1, words);
	squeeze(wanted);
	for (unsigned threads = 1; threads <= 4; threads += 3) {
		char *got = output(tree, threads, words);
		squeeze(got);
		bool same = wanted && got && strcmp(wanted, got) == 0;
		unsigned left_open = 0;
		for (size_t i = 0; i < HANDLES; i++) {
			left_open += list.open[i] != NULL;
		}
		ok(same && !left_open && !atomic_load(&list.misuse),
		        "%s %s %s: as the directories, %s, %u threads", words[0],
		        words[1] ? words[1] : "", words[1] && words[2] ? words[2] : "", how,
		        threads);
		if (!same) {
			size_t at = 0;
			while (wanted && got && wanted[at] && wanted[at] == got[at]) {
				at++;
			}
			at = at > 60 ? at - 60 : 0;
			printf("# wanted …%.160s\n# got    …%.160s\n", wanted ? wanted + at : "",
			        got ? got + at : "");
		}
		if (left_open || atomic_load(&list.misuse)) {
			printf("# %u handles are open, %u misuses\n", left_open,
			        atomic_load(&list.misuse));
		}
		free(got);
	}
	free(wanted);
}

static void test_same(void)
{
	read_list();
	for (unsigned variant = 0; variant < 3; variant++) {
		static const char *const how[] = {"many at once", "a few at once", "content now"};
		listed.caps = FS_STREAM | (variant == 2 ? FS_ONCE : 0);
		list.batch = variant == 1 ? 5 : FS_BATCH;
		/* What has passed cannot be looked into. */
		for (size_t i = 0; i < SPECS - (variant == 2); i++) {
			compare(&listed, specs[i], how[variant]);
		}
	}
	ok(atomic_load(&list.spread) > 0,
	        "where content is not now, files are read by all threads");
}

/* A directory that the stream does not name, or only later, is made up, once. */
static void test_made_up(void)
{
	static const char *const files[][8] = {{"find", "--type", "f,l,p"},
	        {"summarize", "--type", "f"}, {"summarize", "--type", "f", "--one-file-system"},
	        {"hash", "--exclude", "a/b"}, {"find", "--type", "f", "--exclude", "z"}};
	listed.caps = FS_STREAM;
	list.batch = 50;
	skip_dirs = true;
	read_list();
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		compare(&listed, files[i], "directories made up");
	}
	skip_dirs = false;
	const char *const all[] = {"find", NULL};
	char *text = output(&listed, 1, all);
	unsigned dirs = 0;
	for (const char *at = text; at && (at = strstr(at, "\"type\":\"entry\"")); at++) {
		dirs++;
	}
	read_list();
	ok(text && dirs == list.count && !strstr(text, "\"mtime\":\"1970"),
	        "each once, and what is not known of it is absent (%u of %zu entries)", dirs,
	        list.count);
	free(text);
}

/* What a part that begins at the root comes to, cut where the stream passes. */
static char *output_part(void)
{
	static const struct walk_place root = {0, ""}, cuts[] = {{0, "a"}, {0, "z/a"}};
	static const struct walk_part part = {&root, cuts, 1, 2};
	const char *const words[] = {"summarize", base, NULL};
	struct spec spec;
	struct vega_error err = {0};
	struct buf bytes = BUF_INIT, json = BUF_INIT;
	struct partial *partial = NULL;
	atomic_int stop = 0;
	const struct engine_config config = {.format = format_find("json"),
	        .fd = memfd_create("output", MFD_CLOEXEC),
	        .tree = &listed,
	        .now = {.sec = 1700000000},
	        .stop = &stop};
	int code = parse_words(&spec, NULL, &err, words);
	spec.threads = (struct option_number){.set = true, .value = 1};
	code = code ? code : run_part(&spec, &config, &part, &bytes, &err);
	code = code ? code : partial_new(&spec, &partial, &err);
	code = code ? code : partial_add(partial, bytes.data, bytes.len, &err);
	code = code ? code : partial_summary(partial, &json, &err);
	if (code) {
		printf("# %s\n", err.text);
	}
	partial_free(partial);
	close(config.fd);
	buf_release(&bytes);
	spec_release(&spec);
	char *text = code ? NULL : buf_detach(&json);
	buf_release(&json);
	blank(text, "\"elapsed_ns\":");
	return text;
}

static void test_part(void)
{
	const char *const words[] = {"summarize", NULL};
	listed.caps = FS_STREAM;
	list.batch = FS_BATCH;
	char *wanted = output(&listed, 1, words), *got = output_part();
	squeeze(wanted);
	squeeze(got);
	if (wanted) {
		wanted[strcspn(wanted, "\n")] = '\0';
	}
	is_str(got, wanted, "a stream is not cut: the part that begins at its root is all of it");
	free(wanted);
	free(got);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

int main(void)
{
	listed = (struct fs_tree){.backend = &list_backend, .fields = META_ALL};
	if (!mkdtemp(base) || chdir(base) != 0) {
		return 1;
	}
	build();
	test_made_up();
	build_empty();
	test_same();
	test_part();
	while (list.count > 0) {
		free(list.item[--list.count].path);
	}
	nftw(base, remove_one, 20, FTW_DEPTH | FTW_PHYS);
	return done();
}
