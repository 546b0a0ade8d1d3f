/*
 * A walk that is split gives the answer of one walk, byte for byte.
 *
 * For each seed: a random tree (hard links, ties, sparse files, entries that cannot be read, mounts
 * where that is allowed) and a random spec; one walk of it; then the same walk in 2 to 50 parts,
 * each in a process of its own, cut at random directories; their partial results merged in random
 * order, some of them by way of further partial results. The summaries must be the same but for
 * what the work cost (elapsed_ns; content: each part reads a file with several names), and so must
 * the records, sorted.
 *
 * tests/property/partial [SEEDS [FIRST]], or SEEDS and SEED in the environment. A failed seed says
 * how it is run alone; KEEP=1 leaves its tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/tap.h"
#include "engine/engine.h"
#include "engine/partial.h"
#include "engine/places.h"

#define DIRS_MAX 400
#define FILES_MAX 2000
#define PARTS_MAX 50
#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)

static uint64_t state; /* splitmix64 */
static char work[256]; /* holds tree/ and the results */
static bool is_root, may_mount;
static unsigned parts_run, seeds_split;

static uint64_t next_random(void)
{
	uint64_t x = state += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static unsigned below(unsigned limit)
{
	return (unsigned)(next_random() % limit);
}

static bool chance(unsigned percent)
{
	return below(100) < percent;
}

#define ANY_OF(list) ((list)[below(sizeof(list) / sizeof *(list))])

static void must(bool condition, const char *what)
{
	if (!condition) {
		printf("Bail out! %s: %s\n", what, strerror(errno));
		exit(1);
	}
}

/* The tree: relative to work/tree. */
static struct {
	char *dirs[DIRS_MAX], *files[FILES_MAX], *mounts[4];
	unsigned dir_count, file_count, mount_count;
	unsigned of_links; /* per cent of the files */
	const char *large; /* one of the files that decide which directories are the largest */
} tree;

static char *join(const char *dir, const char *name)
{
	char *path = NULL;
	must(asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", name) > 0, "memory");
	return path;
}

static char *random_name(void)
{
	static const char *const stems[] = {
	        "a", "b", "aa", "a-b", "a.b", "a b", ".hidden", "x\xff", "\"q\"", "z"};
	static const char *const ends[] = {
	        "", ".c", ".txt", ".TXT", ".tar.gz", ".averyveryverylongextension", ".d"};
	char *name = NULL;
	must(asprintf(&name, "%s%u%s", ANY_OF(stems), below(60), ANY_OF(ends)) > 0, "memory");
	return name;
}

/* Sizes that tie, and that pass class bounds; some are holes. */
static void fill(int fd, bool large)
{
	static const unsigned sizes[] = {0, 1, 100, 4095, 4096, 4097, 4096, 8192, 8192, 65536};
	static char bytes[1 << 20];
	unsigned size = large ? (1u + below(4)) << 18 : ANY_OF(sizes);
	if (!large && chance(15)) {
		must(ftruncate(fd, (off_t)size * 100) == 0, "ftruncate");
	} else {
		memset(bytes, (int)below(256), size);
		must(write(fd, bytes, size) == (ssize_t)size, "write");
	}
}

static void set_time(const char *path)
{
	static const int64_t ages[] = {-5 * DAY, 0, DAY, DAY - 1, 7 * DAY, 20 * DAY, 100 * DAY,
	        365 * DAY, 2000 * DAY, NOW + 5};
	struct timespec times[2];
	times[0] = times[1] = (struct timespec){
	        .tv_sec = NOW - ANY_OF(ages), .tv_nsec = chance(50) ? 0 : (long)below(1000000000)};
	must(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0, "utimensat");
}

static void add_file(const char *path)
{
	if (tree.file_count && chance(tree.of_links)) {
		bool large = tree.large && chance(50);
		if (link(large ? tree.large : tree.files[below(tree.file_count)], path) == 0) {
			return; /* not always: from one file system to another, say */
		}
	}
	if (chance(8)) {
		must(symlink(chance(50) ? "a1" : "/nowhere", path) == 0 || errno == EEXIST, "link");
		return;
	}
	if (chance(3)) {
		must(mkfifo(path, 0644) == 0 || errno == EEXIST, "mkfifo");
		return;
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0) {
		must(errno == EEXIST, path);
		return;
	}
	bool large = chance(3);
	fill(fd, large);
	close(fd);
	if (is_root) {
		static const uid_t owners[] = {0, 0, 1, 1000, 65534, 4000000000};
		must(chown(path, ANY_OF(owners), 0) == 0, "chown");
	}
	set_time(path);
	tree.files[tree.file_count] = strdup(path);
	tree.large = large ? tree.files[tree.file_count] : tree.large;
	tree.file_count++;
}

static void add_mount(const char *path)
{
	if (may_mount && tree.mount_count < 4 && chance(5) &&
	        mount("tmpfs", path, "tmpfs", 0, "size=256m") == 0) {
		tree.mounts[tree.mount_count++] = strdup(path);
	}
}

/* Entries that cannot be read: to a child, which is not root. */
static void take_rights(void)
{
	static const mode_t modes[] = {0, 0444, 0111, 0711, 0744};
	unsigned percent = chance(50) ? 0 : 6;
	for (unsigned i = 1; i < tree.dir_count; i++) {
		if (chance(percent)) {
			must(chmod(tree.dirs[i], ANY_OF(modes)) == 0, "chmod");
		}
	}
	for (unsigned i = 0; i < tree.file_count; i++) {
		if (chance(percent / 2)) {
			must(chmod(tree.files[i], 0) == 0, "chmod");
		}
	}
}

static void make_tree(void)
{
	static const unsigned of_links[] = {1, 3, 10, 40};
	tree.of_links = ANY_OF(of_links);
	unsigned entries = chance(10) ? 2000 : 50 + below(350);
	unsigned of_dirs = 5 + below(40);
	must(mkdir("tree", 0755) == 0, "mkdir");
	tree.dirs[tree.dir_count++] = strdup("tree");
	for (unsigned i = 0; i < entries; i++) {
		/* Sometimes the last, so that there are deep ones. */
		const char *dir =
		        tree.dirs[chance(20) ? tree.dir_count - 1 : below(tree.dir_count)];
		char *name = random_name(), *path = join(dir, name);
		if (tree.dir_count < DIRS_MAX && strlen(path) < 1000 && chance(of_dirs)) {
			if (mkdir(path, 0755) == 0) {
				add_mount(path);
				tree.dirs[tree.dir_count++] = strdup(path);
			}
		} else {
			add_file(path);
		}
		free(name);
		free(path);
	}
	for (unsigned i = 0; i < tree.dir_count; i++) {
		if (chance(30)) {
			set_time(tree.dirs[i]);
		}
	}
	take_rights();
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

static void remove_tree(void)
{
	while (tree.mount_count > 0) {
		char *path = tree.mounts[--tree.mount_count];
		must(umount2(path, MNT_DETACH) == 0, "umount");
		free(path);
	}
	for (unsigned i = 0; i < tree.dir_count; i++) {
		chmod(tree.dirs[i], 0755);
		free(tree.dirs[i]);
	}
	for (unsigned i = 0; i < tree.file_count; i++) {
		free(tree.files[i]);
	}
	tree.dir_count = tree.file_count = 0;
	tree.large = NULL;
	must(nftw("tree", remove_entry, 64, FTW_DEPTH | FTW_PHYS) == 0, "cannot remove the tree");
}

/* A spec as JSON. */

static void option(struct buf *json, unsigned percent, const char *format, ...)
{
	if (chance(percent)) {
		char text[200];
		va_list args;
		va_start(args, format);
		vsnprintf(text, sizeof text, format, args);
		va_end(args);
		buf_printf(json, "%s%s", json->data[json->len - 1] == '{' ? "" : ",", text);
	}
}

static void add_root(struct buf *json, const char *path)
{
	buf_add_str(json, json->data[json->len - 1] == '[' ? "" : ",");
	buf_add_str(json, "{\"b64\":\"");
	buf_add_base64(json, path, strlen(path));
	buf_add_str(json, "\"}");
}

/* Mostly one; else some that lie in each other, files, or are not there; with a '/' at the end. */
static void random_roots(struct buf *json)
{
	char path[1100];
	if (chance(60)) {
		add_root(json, chance(80) ? "tree" : "tree/");
		return;
	}
	for (unsigned count = 1 + below(4); count > 0; count--) {
		const char *file = tree.file_count ? tree.files[below(tree.file_count)] : "tree";
		snprintf(path, sizeof path, "%s%s",
		        chance(25) ? file : tree.dirs[below(tree.dir_count)],
		        chance(10) ? ".not-there" : "");
		struct stat st;
		if (chance(30) && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
			strcat(path, "/");
		}
		add_root(json, path);
	}
}

static void random_options(struct buf *json, unsigned wanted)
{
	static const unsigned tops[] = {0, 1, 2, 3, 4, 6, 8, 12, 20, 1000};
	static const char *const patterns[] = {"a*", "*.c", "/a1", "a-b*", "**/z*", "!a2", "b*/"};
	if (wanted & 1) {
		option(json, 70, "\"top\":%u", ANY_OF(tops));
		option(json, 50, "\"depth\":%u", below(6));
	}
	bool deep = chance(60);
	option(json, deep ? 0 : 35, "\"max_depth\":%u", below(6));
	option(json, deep ? 0 : 25, "\"show_depth\":%u", below(6));
	option(json, deep ? 15 : 0, "\"min_depth\":%u", below(3));
	option(json, 15, "\"exclude\":[\"%s\",\"%s\"]", ANY_OF(patterns), ANY_OF(patterns));
	option(json, 8, "\"name\":[\"*%u*\"]", below(10));
	option(json, 8, "\"extension\":[\"c\",\"txt\"]");
	option(json, 8, "\"min_size\":4096");
	option(json, 5, "\"type\":[\"%s\"]", chance(50) ? "f" : "d");
	option(json, 5, "\"empty\":true");
	option(json, 10, "\"skip_hidden\":true");
	option(json, 25, "\"one_file_system\":true");
	option(json, 30, "\"threads\":%u", 1 + below(4));
}

static void make_spec(struct spec *spec)
{
	static const char *const names[] = {"summarize", "find", "hash"};
	unsigned wanted = chance(60) ? 1 : 1 + below(7);
	struct buf json = BUF_INIT;
	buf_add_str(&json, "{\"v\":1,\"operations\":[");
	for (unsigned i = 0; i < 3; i++) {
		if (wanted >> i & 1) {
			buf_printf(&json, "%s\"%s\"", json.data[json.len - 1] == '[' ? "" : ",",
			        names[i]);
		}
	}
	buf_add_str(&json, "],\"roots\":[");
	random_roots(&json);
	buf_add_str(&json, "],\"options\":{");
	random_options(&json, wanted);
	buf_add_str(&json, "}}");
	struct vega_error err = {0};
	spec_init(spec);
	if (spec_parse_json(spec, json.data, json.len, &err) != 0) {
		printf("Bail out! %s: %.*s\n", err.text, (int)json.len, json.data);
		exit(1);
	}
	buf_release(&json);
}

/* Processes. */

static void no_message(const char *line, void *context)
{
	(void)line, (void)context;
}

static void drop_rights(void)
{
	if (is_root) {
		must(setgid(65534) == 0 && setuid(65534) == 0, "setuid");
	}
}

/* In a process of its own: one walk (part: NULL), or a part, whose records go to NAME.records, and
 * whose result goes to NAME.partial. */
static void walk_child(
        const struct spec *spec, const struct walk_part *part, int records, int result)
{
	atomic_int stop = 0;
	const struct engine_config config = {
	        .format = format_find("ndjson"),
	        .fd = records,
	        .stop = &stop,
	        .now = {.sec = NOW},
	        .message = no_message,
	};
	struct vega_error err = {0};
	struct buf partial = BUF_INIT;
	drop_rights();
	int code = part ? run_part(spec, &config, part, &partial, &err)
	                : run_spec(spec, &config, &err);
	if (part && code != 0 && code != VEGA_PARTIAL) {
		fprintf(stderr, "# a part failed: %s\n", err.text);
		exit(1);
	}
	must(write(result, partial.data, partial.len) == (ssize_t)partial.len, "write");
	buf_release(&partial);
	exit(0);
}

static int create(const char *name, unsigned number, const char *suffix)
{
	char path[64];
	snprintf(path, sizeof path, "%s%u.%s", name, number, suffix);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	must(fd >= 0, path);
	return fd;
}

static bool wait_for(pid_t child)
{
	int status;
	must(waitpid(child, &status, 0) == child, "waitpid");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run_walk(const struct spec *spec, const struct walk_part *part, unsigned number)
{
	int records = create("part", number, "records"), result = create("part", number, "partial");
	fflush(stdout);
	pid_t child = fork();
	must(child >= 0, "fork");
	if (child == 0) {
		walk_child(spec, part, records, result);
	}
	close(records);
	close(result);
	return wait_for(child);
}

static void read_file(const char *name, unsigned number, const char *suffix, struct buf *out)
{
	char path[64], bytes[65536];
	snprintf(path, sizeof path, "%s%u.%s", name, number, suffix);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0, path);
	for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;) {
		buf_add(out, bytes, (size_t)got);
	}
	close(fd);
}

/* Parts. */

struct frontier {
	struct walk_place places[PARTS_MAX];
	size_t count;
};

/* Cuts anywhere, whether or not the walk will meet them. */
static void choose_cuts(const struct spec *spec, struct frontier *cuts)
{
	size_t wanted = 1 + below(chance(40) ? 4 : PARTS_MAX - 4);
	for (unsigned tries = 0; cuts->count < wanted && tries < 500; tries++) {
		unsigned root = below((unsigned)spec->roots.count);
		const char *start = spec->roots.items[root];
		const char *dir = tree.dirs[below(tree.dir_count)];
		size_t len = strlen(start);
		len -= len > 0 && start[len - 1] == '/';
		if (strncmp(dir, start, len) != 0 || dir[len] != '/') {
			continue;
		}
		bool known = false;
		for (size_t i = 0; i < cuts->count; i++) {
			known = known || (cuts->places[i].root == root &&
			                         strcmp(cuts->places[i].path, dir + len + 1) == 0);
		}
		if (!known) {
			cuts->places[cuts->count++] = (struct walk_place){root, dir + len + 1};
		}
	}
}

/* The cuts that a part met, as its result says. */
static void add_met(const struct frontier *cuts, const struct spec *spec, unsigned number,
        struct frontier *open)
{
	struct buf bytes = BUF_INIT;
	struct places places = {0};
	read_file("part", number, "partial", &bytes);
	struct unpack in = unpack_begin(bytes.data, bytes.len);
	in.at += 8 + 1 + 16;
	unpack_time(&in);
	unpack_u64(&in);
	must(places_unpack(&places, &in, spec->roots.count) && !in.failed, "places");
	for (size_t i = 0; i < cuts->count; i++) {
		const struct walk_place *cut = &cuts->places[i];
		for (size_t j = 0; j < places.count; j++) {
			const struct places_item *item = &places.items[j];
			if (item->balance < 0 && item->root == cut->root &&
			        item->path_len == strlen(cut->path) &&
			        memcmp(item->path, cut->path, item->path_len) == 0) {
				open->places[open->count++] = *cut;
			}
		}
	}
	places_release(&places);
	buf_release(&bytes);
}

static void shuffle(struct frontier *f)
{
	for (size_t i = f->count; i > 1; i--) {
		size_t j = below((unsigned)i);
		struct walk_place swap = f->places[j];
		f->places[j] = f->places[i - 1];
		f->places[i - 1] = swap;
	}
}

/* Parts until no cut is left open; part 0 is the one walk. Returns how many, 0 when one failed. */
static unsigned run_parts(const struct spec *spec)
{
	struct frontier cuts = {.count = 0}, open = {.count = 0}, roots = {.count = 0};
	choose_cuts(spec, &cuts);
	unsigned number = 0;
	for (unsigned i = 0; i < spec->roots.count; i++) {
		roots.places[roots.count++] = (struct walk_place){i, ""};
	}
	/* Roots are beginnings like others. */
	while (roots.count > 0) {
		open.places[open.count++] = roots.places[--roots.count];
	}
	while (open.count > 0) {
		shuffle(&open);
		size_t take = chance(40) ? 1 : 1 + below((unsigned)open.count);
		open.count -= take;
		struct walk_place begin[PARTS_MAX];
		memcpy(begin, open.places + open.count, take * sizeof *begin);
		const struct walk_part part = {begin, cuts.places, take, cuts.count};
		if (!run_walk(spec, &part, ++number)) {
			return 0;
		}
		add_met(&cuts, spec, number, &open);
		parts_run++;
	}
	return number;
}

/* Merging. */

static void merge_into(struct partial *partial, const struct buf *bytes)
{
	struct vega_error err = {0};
	if (partial_add(partial, bytes->data, bytes->len, &err) != 0) {
		fprintf(stderr, "# cannot merge: %s\n", err.text);
		exit(1);
	}
}

static struct partial *new_partial(const struct spec *spec)
{
	struct partial *partial;
	struct vega_error err = {0};
	must(partial_new(spec, &partial, &err) == 0, "partial_new");
	return partial;
}

/* Replace two or more of the results, any, by what they come to. */
static unsigned merge_some(const struct spec *spec, struct buf *results, unsigned count)
{
	unsigned take = 1 + below(count);
	struct partial *partial = new_partial(spec);
	struct vega_error err = {0};
	for (unsigned i = 0; i < take; i++) {
		unsigned at = below(count);
		merge_into(partial, &results[at]);
		buf_release(&results[at]);
		results[at] = results[--count];
	}
	results[count] = (struct buf)BUF_INIT;
	must(partial_write(partial, &results[count], &err) == 0, "partial_write");
	partial_free(partial);
	return count + 1;
}

static void merge_child(const struct spec *spec, unsigned count, int out)
{
	struct buf results[PARTS_MAX + 8] = {0}, summary = BUF_INIT;
	for (unsigned i = 0; i < count; i++) {
		read_file("part", i + 1, "partial", &results[i]);
	}
	for (unsigned steps = below(4); steps > 0; steps--) {
		count = merge_some(spec, results, count);
	}
	struct partial *partial = new_partial(spec);
	struct vega_error err = {0};
	while (count > 0) {
		unsigned at = below(count);
		merge_into(partial, &results[at]);
		buf_release(&results[at]);
		results[at] = results[--count];
	}
	int code = partial_summary(partial, &summary, &err);
	if (!summary.len) {
		fprintf(stderr, "# no summary: %s (%d)\n", err.text, code);
		exit(1);
	}
	must(write(out, summary.data, summary.len) == (ssize_t)summary.len, "write");
	partial_free(partial);
	buf_release(&summary);
	exit(0);
}

static bool run_merge(const struct spec *spec, unsigned count)
{
	int out = create("merged", 0, "json");
	uint64_t seed = next_random();
	fflush(stdout);
	pid_t child = fork();
	must(child >= 0, "fork");
	if (child == 0) {
		state = seed;
		merge_child(spec, count, out);
	}
	close(out);
	return wait_for(child);
}

/* Comparing. */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Listing a directory changes when it was read. */
static void blank_atime(char *line)
{
	char *at = strstr(line, "\"atime\":\"");
	if (at) {
		const char *end = strchr(at + 9, '"');
		memmove(at + 9, end, strlen(end) + 1);
	}
}

/* The lines in order, but summaries, whose last is returned. */
static const char *sort_lines(struct buf *text, struct buf *sorted)
{
	const char *summary = NULL;
	size_t count = 0, cap = 16;
	char **lines = calloc(cap, sizeof *lines), *rest = (char *)(uintptr_t)buf_cstr(text);
	for (char *line; (line = strsep(&rest, "\n")) && rest;) {
		if (strncmp(line, "{\"type\":\"summary\"", 17) == 0) {
			summary = line;
			continue;
		}
		if (count == cap) {
			lines = reallocarray(lines, cap *= 2, sizeof *lines);
		}
		blank_atime(line);
		lines[count++] = line;
	}
	qsort(lines, count, sizeof *lines, by_text);
	for (size_t i = 0; i < count; i++) {
		buf_add_str(sorted, lines[i]);
		buf_add_char(sorted, '\n');
	}
	free(lines);
	return summary;
}

/* Without what the work cost: the value of elapsed_ns, and the member content. */
static void add_answer(struct buf *out, const char *summary)
{
	const char *at = strstr(summary, "\"elapsed_ns\":");
	const char *content = strstr(summary, ",\"content\":{\"files_read\":");
	must(at != NULL, "no elapsed_ns");
	at += strlen("\"elapsed_ns\":");
	buf_add(out, summary, (size_t)(at - summary));
	at += strspn(at, "0123456789");
	buf_add(out, at, content ? (size_t)(content - at) : strlen(at));
	buf_add_str(out, content ? strchr(content, '}') + 1 : "");
}

static void show_difference(const char *what, const struct buf *one, const struct buf *parts)
{
	size_t at = 0;
	while (at < one->len && at < parts->len && one->data[at] == parts->data[at]) {
		at++;
	}
	size_t from = at > 200 ? at - 200 : 0;
	printf("# %s differ at byte %zu\n# one walk: %.*s\n# parts:    %.*s\n", what, at,
	        (int)(one->len - from < 400 ? one->len - from : 400), one->data + from,
	        (int)(parts->len - from < 400 ? parts->len - from : 400), parts->data + from);
}

static bool same(const char *what, struct buf *one, struct buf *parts)
{
	buf_cstr(one); /* an empty one has bytes, too */
	buf_cstr(parts);
	bool equal = one->len == parts->len && memcmp(one->data, parts->data, one->len) == 0;
	if (!equal) {
		show_difference(what, one, parts);
	}
	return equal;
}

static bool compare(unsigned count)
{
	struct buf text = BUF_INIT, one = BUF_INIT, parts = BUF_INIT, merged = BUF_INIT;
	struct buf one_summary = BUF_INIT, merged_summary = BUF_INIT, all = BUF_INIT;
	read_file("part", 0, "records", &text);
	const char *summary = sort_lines(&text, &one);
	must(summary != NULL, "no summary");
	add_answer(&one_summary, summary);
	for (unsigned i = 1; i <= count; i++) {
		read_file("part", i, "records", &all);
	}
	must(!sort_lines(&all, &parts), "a part has a summary");
	read_file("merged", 0, "json", &merged);
	add_answer(&merged_summary, buf_cstr(&merged));
	bool equal =
	        same("summaries", &one_summary, &merged_summary) && same("records", &one, &parts);
	struct buf *all_bufs[] = {
	        &text, &one, &parts, &merged, &one_summary, &merged_summary, &all};
	for (size_t i = 0; i < sizeof all_bufs / sizeof *all_bufs; i++) {
		buf_release(all_bufs[i]);
	}
	return equal;
}

static bool run_seed(uint64_t seed)
{
	struct spec spec;
	state = seed;
	next_random();
	make_tree();
	make_spec(&spec);
	unsigned count = 0;
	bool good = run_walk(&spec, NULL, 0) && (count = run_parts(&spec)) > 0 &&
	            run_merge(&spec, count) && compare(count);
	seeds_split += count > 1;
	if (!good) {
		struct buf json = BUF_INIT;
		spec_to_json(&spec, &json);
		printf("# %s\n", buf_cstr(&json));
		buf_release(&json);
		printf("# seed %llu in %u parts: tests/property/partial 1 %llu\n",
		        (unsigned long long)seed, count, (unsigned long long)seed);
	}
	spec_release(&spec);
	if (getenv("KEEP")) {
		printf("# %s/tree\n", work);
		exit(good ? 0 : 1);
	}
	remove_tree();
	for (unsigned i = 0; i <= count; i++) {
		char path[64];
		snprintf(path, sizeof path, "part%u.records", i);
		unlink(path);
		snprintf(path, sizeof path, "part%u.partial", i);
		unlink(path);
	}
	return good;
}

/* A directory of our own, in memory where there may be mounts: nobody else sees those. */
static void begin_work(void)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(work, sizeof work, "%s/vega-partial-XXXXXX", tmp ? tmp : "/tmp");
	must(mkdtemp(work) != NULL, work);
	is_root = geteuid() == 0;
	may_mount = is_root && !getenv("KEEP") && unshare(CLONE_NEWNS) == 0 &&
	            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	            mount("tmpfs", work, "tmpfs", 0, "size=1g") == 0;
	must(chmod(work, 0755) == 0 && chdir(work) == 0, work);
}

static void end_work(void)
{
	unlink("merged0.json");
	must(chdir("/") == 0, "/");
	if (may_mount) {
		umount2(work, MNT_DETACH);
	}
	rmdir(work);
}

static uint64_t number(int argc, char **argv, int index, const char *name, uint64_t otherwise)
{
	const char *text = argc > index ? argv[index] : getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	uint64_t seeds = number(argc, argv, 1, "SEEDS", 200);
	uint64_t first = number(argc, argv, 2, "SEED", 1);
	unsigned wrong = 0;
	begin_work();
	for (uint64_t seed = first; seed < first + seeds && wrong < 5; seed++) {
		wrong += !run_seed(seed);
	}
	end_work();
	is_int(wrong, 0, "split walks give the answer of one walk, from seed %llu to %llu",
	        (unsigned long long)first, (unsigned long long)(first + seeds - 1));
	ok(seeds < 50 || (seeds_split > seeds / 2 && parts_run > 4 * seeds),
	        "most of them were split (%u walks, %u parts)", seeds_split, parts_run);
	return done();
}
