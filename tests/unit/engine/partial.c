/* Partial results are read back whole or refused, and make a summary only when all are there. */
#include "engine/partial.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "../tap.h"
#include "engine/engine.h"

#define PARTS 3u

/* Roots "tree", cut at a/b and c: the three parts of one walk, by where they begin. */
static const struct walk_place cuts[] = {{0, "a/b"}, {0, "c"}};
static const struct walk_place begins[PARTS] = {{0, ""}, {0, "a/b"}, {0, "c"}};
static struct spec spec;
static struct buf parts[PARTS];
static char dir[128];
static atomic_int stop;

static void make_file(const char *path, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, (off_t)size) != 0) {
		abort();
	}
	close(fd);
}

/* Inodes with names on either side of a cut, one with a name outside, and a file in each part. */
static void make_tree(void)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%s/vega-partial-XXXXXX", tmp ? tmp : "/tmp");
	bool made = mkdtemp(dir) && chdir(dir) == 0 && mkdir("tree", 0755) == 0 &&
	            mkdir("tree/a", 0755) == 0 && mkdir("tree/a/b", 0755) == 0 &&
	            mkdir("tree/c", 0755) == 0 && mkdir("tree/c/d", 0755) == 0;
	make_file("tree/a/one.c", 5000);
	make_file("tree/a/b/two.txt", 70000);
	make_file("tree/c/d/three", 1);
	made = made && link("tree/a/one.c", "tree/c/d/one.h") == 0 &&
	       link("tree/a/b/two.txt", "tree/c/two.txt") == 0 &&
	       link("tree/c/d/three", "outside") == 0;
	if (!made) {
		abort();
	}
}

static void parse(struct spec *to, const char *json)
{
	struct vega_error err = {0};
	spec_init(to);
	if (spec_parse_json(to, json, strlen(json), &err) != 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
}

static struct engine_config config_at(int64_t now)
{
	return (struct engine_config){.format = format_find("json"),
	        .fd = open("/dev/null", O_WRONLY | O_CLOEXEC),
	        .stop = &stop,
	        .now = {.sec = now}};
}

static int run(const struct spec *of, const struct walk_part *part, int64_t now, struct buf *out,
        struct vega_error *err)
{
	struct engine_config config = config_at(now);
	int code = run_part(of, &config, part, out, err);
	close(config.fd);
	return code;
}

static struct walk_part part_at(unsigned index)
{
	return (struct walk_part){&begins[index], cuts, 1, 2};
}

static struct partial *new_partial(void)
{
	struct partial *partial = NULL;
	struct vega_error err = {0};
	if (partial_new(&spec, &partial, &err) != 0) {
		abort();
	}
	return partial;
}

/* The code of adding it to what is empty, or has all parts but the given one. */
static int add_alone(const struct buf *bytes, struct vega_error *err)
{
	struct partial *partial = new_partial();
	int code = partial_add(partial, bytes->data, bytes->len, err);
	partial_free(partial);
	return code;
}

static void seal(struct buf *bytes)
{
	XXH64_canonical_t sum;
	bytes->len -= sizeof sum;
	XXH64_canonicalFromHash(&sum, XXH3_64bits(bytes->data, bytes->len));
	buf_add(bytes, &sum, sizeof sum);
}

static void copy(struct buf *to, const struct buf *from)
{
	buf_clear(to);
	buf_add(to, from->data, from->len);
}

TEST(parts_make_the_whole, "the parts of a walk make its summary")
{
	struct vega_error err = {0};
	struct buf summaries[6] = {0};
	static const unsigned orders[6][PARTS] = {
	        {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	for (unsigned i = 0; i < 6; i++) {
		struct partial *partial = new_partial();
		int code = 0;
		for (unsigned j = 0; j < PARTS && !code; j++) {
			const struct buf *part = &parts[orders[i][j]];
			code = partial_add(partial, part->data, part->len, &err);
		}
		code = code ? code : partial_summary(partial, &summaries[i], &err);
		is_int(code, 0, "merging in order %u succeeds", i);
		partial_free(partial);
		is_str(buf_cstr(&summaries[i]), buf_cstr(&summaries[0]),
		        "the summary of order %u is that of order 0", i);
	}
	ok(strstr(buf_cstr(&summaries[0]), "\"hard_links\":{\"inodes\":3,\"names\":5,"),
	        "each inode is charged once");
	for (unsigned i = 0; i < 6; i++) {
		buf_release(&summaries[i]);
	}
}

TEST(missing_and_doubled, "a part that is missing or given twice is refused")
{
	struct vega_error err = {0};
	struct buf json = BUF_INIT, both = BUF_INIT;
	for (unsigned missing = 0; missing < PARTS; missing++) {
		struct partial *partial = new_partial();
		for (unsigned i = 0; i < PARTS; i++) {
			if (i != missing) {
				partial_add(partial, parts[i].data, parts[i].len, &err);
			}
		}
		is_int(partial_summary(partial, &json, &err), VEGA_FATAL,
		        "without part %u there is no summary", missing);
		is_int(json.len, 0, "and none is written");
		partial_free(partial);
	}
	for (unsigned i = 0; i < PARTS; i++) {
		struct partial *partial = new_partial();
		partial_add(partial, parts[i].data, parts[i].len, &err);
		is_int(partial_add(partial, parts[i].data, parts[i].len, &err), VEGA_FATAL,
		        "part %u is merged but once", i);
		partial_free(partial);
	}
	struct partial *partial = new_partial();
	partial_add(partial, parts[0].data, parts[0].len, &err);
	partial_add(partial, parts[1].data, parts[1].len, &err);
	is_int(partial_write(partial, &both, &err), 0, "two parts are written as one");
	int code = partial_add(partial, parts[1].data, parts[1].len, &err);
	code = code ? code : partial_add(partial, parts[2].data, parts[2].len, &err);
	code = code ? code : partial_summary(partial, &json, &err);
	is_int(code, VEGA_FATAL, "a part that closed a cut is not merged again");
	partial_free(partial);
	partial = new_partial();
	partial_add(partial, parts[2].data, parts[2].len, &err);
	is_int(partial_add(partial, both.data, both.len, &err), 0, "what was merged merges");
	is_int(partial_summary(partial, &json, &err), 0, "and completes the walk");
	partial_free(partial);
	buf_release(&json);
	buf_release(&both);
}

TEST(damaged, "bytes that are cut or changed are refused")
{
	struct vega_error err = {0};
	unsigned accepted = 0;
	struct buf bytes = BUF_INIT;
	for (unsigned i = 0; i < PARTS; i++) {
		for (size_t len = 0; len < parts[i].len; len++) {
			copy(&bytes, &parts[i]);
			bytes.len = len;
			accepted += add_alone(&bytes, &err) != VEGA_FATAL;
		}
		for (size_t bit = 0; bit < parts[i].len * 8; bit++) {
			copy(&bytes, &parts[i]);
			bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
			accepted += add_alone(&bytes, &err) != VEGA_FATAL;
		}
	}
	is_int(accepted, 0, "no cut and no changed bit is accepted");
	copy(&bytes, &parts[0]);
	buf_add_char(&bytes, '\0');
	is_int(add_alone(&bytes, &err), VEGA_FATAL, "nor is a byte more");
	buf_release(&bytes);
}

/* Whatever passes the checksum is merged or refused, and can be written and read again. */
TEST(forged, "bytes with a good checksum are merged or refused")
{
	struct vega_error err = {0};
	struct buf bytes = BUF_INIT, again = BUF_INIT, json = BUF_INIT;
	unsigned merged = 0, refused = 0, lost = 0;
	for (size_t bit = 0; bit < parts[2].len * 8; bit++) {
		copy(&bytes, &parts[2]);
		bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
		seal(&bytes);
		struct partial *partial = new_partial();
		if (partial_add(partial, bytes.data, bytes.len, &err) != 0) {
			refused++;
			partial_free(partial);
			continue;
		}
		merged++;
		lost += partial_write(partial, &again, &err) != 0;
		lost += add_alone(&again, &err) != 0;
		partial_add(partial, parts[0].data, parts[0].len, &err);
		partial_add(partial, parts[1].data, parts[1].len, &err);
		buf_clear(&json);
		partial_summary(partial, &json, &err);
		partial_free(partial);
	}
	for (size_t len = 8; len < parts[2].len; len++) {
		copy(&bytes, &parts[2]);
		bytes.len = len;
		seal(&bytes);
		lost += add_alone(&bytes, &err) != VEGA_FATAL;
	}
	ok(merged > 0 && refused > 0, "some are merged (%u), some refused (%u)", merged, refused);
	is_int(lost, 0, "those that are merged can be read again, those that are cut not once");
	buf_release(&bytes);
	buf_release(&again);
	buf_release(&json);
}

TEST(foreign, "what belongs to another walk is refused")
{
	static const char other_json[] =
	        "{\"v\":1,\"operations\":[\"summarize\",\"find\",\"hash\"],\"roots\":[\"tree\"],"
	        "\"options\":{\"top\":2}}";
	static const char splitless[] =
	        "{\"v\":1,\"operations\":[\"transform\"],\"roots\":[\"tree\"],\"options\":{"
	        "\"to\":\"zstd\",\"out\":\"out\"}}";
	struct vega_error err = {0};
	struct spec other;
	struct buf bytes = BUF_INIT;
	struct walk_part part = part_at(2);
	parse(&other, other_json);
	is_int(run(&other, &part, 1800000000, &bytes, &err), 0, "another spec has results");
	is_int(add_alone(&bytes, &err), VEGA_FATAL, "which are not of this one");
	is_str(err.text, "a partial result is of another specification", "the error says so");
	spec_release(&other);
	is_int(run(&spec, &part, 1800000001, &bytes, &err), 0, "another time has results");
	struct partial *partial = new_partial();
	partial_add(partial, parts[0].data, parts[0].len, &err);
	is_int(partial_add(partial, bytes.data, bytes.len, &err), VEGA_FATAL, "they are refused");
	is_str(err.text, "a partial result counts from another time", "and the error says so");
	partial_free(partial);
	buf_clear(&bytes);
	buf_add_str(&bytes, "{\"type\":\"summary\"}");
	is_int(add_alone(&bytes, &err), VEGA_FATAL, "a summary is no partial result");
	parse(&other, splitless);
	is_int(run(&other, &part, 1800000000, &bytes, &err), VEGA_USAGE,
	        "an operation without partial results cannot be split");
	ok(strstr(err.text, "transform"), "the error names it: %s", err.text);
	is_int(partial_new(&other, &partial, &err), VEGA_USAGE, "nor merged");
	spec_release(&other);
	is_int(run(&spec, &part, 0, &bytes, &err), VEGA_USAGE, "a part is given its time");
	buf_release(&bytes);
}

TEST(places, "places that no listing gives are refused")
{
	static const char *const paths[] = {"..", "a/../..", ".", "a/.", "/", "/a", "a/", "a//b"};
	struct vega_error err = {0};
	struct buf bytes = BUF_INIT;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		const struct walk_place at = {0, paths[i]};
		const struct walk_part begun = {&at, cuts, 1, 2}, cut = {begins, &at, 1, 1};
		is_int(run(&spec, &begun, 1, &bytes, &err), VEGA_USAGE, "no part begins at \"%s\"",
		        paths[i]);
		is_int(run(&spec, &cut, 1, &bytes, &err), VEGA_USAGE, "no part is cut at \"%s\"",
		        paths[i]);
	}
	const struct walk_place second = {1, "a"}, twice[] = {{0, "a"}, {0, "a"}};
	const struct walk_part elsewhere = {&second, cuts, 1, 2}, doubled = {twice, cuts, 2, 2};
	is_int(run(&spec, &elsewhere, 1, &bytes, &err), VEGA_USAGE, "there is no second root");
	is_int(run(&spec, &doubled, 1, &bytes, &err), VEGA_USAGE, "a part begins at a place once");
	const struct walk_place gone = {0, "a/gone/deeper"};
	const struct walk_part lost = {&gone, cuts, 1, 2};
	is_int(run(&spec, &lost, 1, &bytes, &err), VEGA_PARTIAL,
	        "a beginning that is gone is an error of the walk");
	buf_release(&bytes);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

TEST(the_future_begins_where_the_walk_ends,
        "a file written while the walk looks is young, and one of later than its end is not")
{
	struct vega_error err = {0};
	struct buf summary = BUF_INIT;
	const struct timespec later[2] = {[1] = {.tv_sec = vega_now().sec + 3600}};
	const struct timespec far[2] = {[1] = {.tv_sec = INT64_C(1) << 33}};
	if (utimensat(AT_FDCWD, "tree/a/b/two.txt", later, 0) != 0 ||
	        utimensat(AT_FDCWD, "tree/c/d/three", far, 0) != 0) {
		abort();
	}
	struct partial *partial = new_partial();
	int code = 0;
	for (unsigned i = 0; i < PARTS && !code; i++) {
		const struct walk_part part = part_at(i);
		struct buf bytes = BUF_INIT;
		code = run(&spec, &part, vega_now().sec - 1000, &bytes, &err);
		code = code ? code : partial_add(partial, bytes.data, bytes.len, &err);
		buf_release(&bytes);
	}
	code = code ? code : partial_summary(partial, &summary, &err);
	is_int(code, 0, "the walk succeeds: %s", err.text);
	const char *text = buf_cstr(&summary);
	ok(text && strstr(text, "\"age\":\"<1d\",\"files\":2,"), "what is new is young");
	ok(text && strstr(text, "\"age\":\"future\",\"files\":3,"), "what is later is not: %s",
	        text);
	partial_free(partial);
	buf_release(&summary);
}

static void make_parts(void)
{
	struct vega_error err = {0};
	parse(&spec,
	        "{\"v\":1,\"operations\":[\"summarize\",\"find\",\"hash\"],\"roots\":[\"tree\"],"
	        "\"options\":{\"top\":3,\"depth\":1,\"threads\":1}}");
	for (unsigned i = 0; i < PARTS; i++) {
		struct walk_part part = part_at(i);
		if (run(&spec, &part, 1800000000, &parts[i], &err) != 0) {
			printf("Bail out! %s\n", err.text);
			exit(1);
		}
	}
}

static void set_up(void)
{
	make_tree();
	make_parts();
}

static void clean_up(void)
{
	for (unsigned i = 0; i < PARTS; i++) {
		buf_release(&parts[i]);
	}
	spec_release(&spec);
	if (chdir("/") == 0) {
		nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	}
}

int main(int argc, char **argv)
{
	set_up();
	int status = run_tests(argc, argv);
	clean_up();
	return status;
}
