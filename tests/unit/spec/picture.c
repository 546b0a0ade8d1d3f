/*
 * The picture of a summary: whole pictures against tests/fixtures/picture-*.txt, and what holds at
 * every width. After a wanted change, UPDATE=1 writes the pictures anew; read their diff.
 */
#include "../tap.h"

#include <stdlib.h>

#include "base/escape.h"
#include "base/fd.h"
#include "base/json.h"
#include "record/render.h"
#include "record/table.h"
#include "spec/operation.h"

#define FIXTURES "tests/fixtures/"

static struct buf summary = BUF_INIT;

static void read_file(const char *path, struct buf *out)
{
	struct vega_error err;
	if (file_read_all(path, out, &err)) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
}

static void draw(
        struct buf *out, const struct format_options *options, const char *json, size_t len)
{
	struct format_options known = *options;
	known.schemas = operation_schemas;
	buf_clear(out);
	render_summary(out, &known, json, len);
}

static const char *drawn(const struct format_options *options, const char *json)
{
	static struct buf out = BUF_INIT;
	draw(&out, options, json, strlen(json));
	return buf_cstr(&out);
}

static void write_file(const char *path, const struct buf *content)
{
	FILE *file = fopen(path, "w");
	if (!file || fwrite(content->data, 1, content->len, file) != content->len || fclose(file)) {
		printf("Bail out! cannot write %s\n", path);
		exit(1);
	}
}

static void test_pictures(void)
{
	static const struct {
		const char *path;
		struct format_options options;
	} pictures[] = {
	        {FIXTURES "picture-20.txt", {.utf8 = true, .width = 20}},
	        {FIXTURES "picture-40.txt", {.utf8 = true, .width = 40}},
	        {FIXTURES "picture-80.txt", {.utf8 = true, .width = 80}},
	        {FIXTURES "picture-170.txt", {.utf8 = true, .width = 170}},
	        {FIXTURES "picture-80x24.txt", {.utf8 = true, .width = 80, .height = 24}},
	        {FIXTURES "picture-40x30.txt", {.utf8 = true, .width = 40, .height = 30}},
	        {FIXTURES "picture-80-color.txt",
	                {.utf8 = true, .width = 80, .terminal = true, .color = true}},
	        {FIXTURES "picture-80-ascii.txt", {.width = 80}},
	};
	struct buf got = BUF_INIT, wanted = BUF_INIT;
	for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++) {
		draw(&got, &pictures[i].options, summary.data, summary.len);
		if (getenv("UPDATE")) {
			write_file(pictures[i].path, &got);
		}
		buf_clear(&wanted);
		read_file(pictures[i].path, &wanted);
		is_str(buf_cstr(&got), buf_cstr(&wanted), "%s", pictures[i].path);
	}
	buf_release(&got);
	buf_release(&wanted);
}

/* Does every line fit, and is it valid UTF-8 without controls, and without spaces at its end? */
static bool decent(const struct buf *picture, const struct format_options *options, size_t width)
{
	for (size_t at = 0; at < picture->len;) {
		const char *line = picture->data + at;
		const char *end = memchr(line, '\n', picture->len - at);
		if (!end || display_width(line, (size_t)(end - line)) > width ||
		        !utf8_valid(line, (size_t)(end - line)) || (end > line && end[-1] == ' ')) {
			return false;
		}
		for (const char *c = line; c < end; c++) {
			if ((*c >= 0 && *c < ' ') || *c == 0x7f || (*c < 0 && !options->utf8)) {
				return false;
			}
		}
		at += (size_t)(end - line) + 1;
	}
	return true;
}

static void test_widths(void)
{
	struct buf got = BUF_INIT;
	unsigned bad = 0, small = 0;
	for (unsigned width = 0; width <= 300; width++) {
		for (int utf8 = 0; utf8 < 2; utf8++) {
			struct format_options options = {.width = width, .utf8 = utf8};
			draw(&got, &options, summary.data, summary.len);
			bool good = !got.failed && decent(&got, &options, width);
			if (width < 20) {
				small += got.failed;
			} else if (!good) {
				printf("# width %u, utf8 %d\n", width, utf8);
				bad++;
			}
		}
	}
	is_int(bad, 0, "every line fits and is clean from 20 to 300 columns");
	is_int(small, 0, "narrower windows do no harm");
	buf_release(&got);
}

static void test_color(void)
{
	struct format_options plain = {.width = 80, .utf8 = true}, color = plain;
	color.color = true;
	struct buf a = BUF_INIT, b = BUF_INIT, stripped = BUF_INIT;
	draw(&a, &plain, summary.data, summary.len);
	draw(&b, &color, summary.data, summary.len);
	for (size_t i = 0; i < b.len; i++) {
		if (b.data[i] == '\033') {
			while (b.data[i] != 'm') {
				i++;
			}
		} else {
			buf_add_char(&stripped, b.data[i]);
		}
	}
	/* Spaces before a colour's end are the one difference. */
	is_str(buf_cstr(&stripped), buf_cstr(&a), "colour changes nothing but colour");
	buf_release(&a);
	buf_release(&b);
	buf_release(&stripped);
}

static size_t lines_of(const struct buf *picture)
{
	size_t lines = 0;
	for (size_t i = 0; i < picture->len; i++) {
		lines += picture->data[i] == '\n';
	}
	return lines;
}

/* A picture fits the screen, below the command and above the prompt, and uses what there is. */
static void test_heights(void)
{
	static const unsigned widths[] = {40, 80, 170};
	struct buf got = BUF_INIT;
	for (size_t i = 0; i < 3; i++) {
		size_t before = 0;
		bool fits = true, grows = true, ends = true;
		for (unsigned height = 14; height <= 100; height++) {
			const struct format_options options = {
			        .width = widths[i], .height = height, .utf8 = true};
			draw(&got, &options, summary.data, summary.len);
			size_t lines = lines_of(&got);
			fits = fits && lines <= height - 2;
			grows = grows && lines >= before;
			ends = ends && memmem(got.data, got.len, "3 entries could not", 19);
			before = lines;
		}
		ok(fits, "a picture of %u columns is no higher than the screen", widths[i]);
		ok(grows, "a higher screen shows more");
		ok(ends, "every screen shows the unreadable entries");
		const struct format_options all = {.width = widths[i], .utf8 = true};
		draw(&got, &all, summary.data, summary.len);
		is_int(before, lines_of(&got), "a high screen shows everything");
	}
	buf_release(&got);
}

/* The roots are kept when others have to go; who owns it all is said. */
static void test_small_screen(void)
{
	const struct format_options options = {.width = 60, .height = 10, .utf8 = true};
	const struct format_options least = {.width = 60, .height = 1, .utf8 = true};
	const char *json = "{\"summarize\":{\"files\":3,\"directories\":4,\"allocated_bytes\":900,"
	                   "\"apparent_bytes\":900,\"by_owner\":[{\"uid\":0,\"owner\":\"ro\\not\","
	                   "\"files\":3,\"allocated_bytes\":900}],\"largest_directories\":["
	                   "{\"path\":\"a\",\"depth\":0,\"allocated_bytes\":700},"
	                   "{\"path\":\"a/b\",\"depth\":1,\"allocated_bytes\":600},"
	                   "{\"path\":\"a/c\",\"depth\":1,\"allocated_bytes\":500},"
	                   "{\"path\":\"a/d\",\"depth\":1,\"allocated_bytes\":400},"
	                   "{\"path\":\"a/e\",\"depth\":1,\"allocated_bytes\":300},"
	                   "{\"path\":\"a/f\",\"depth\":1,\"allocated_bytes\":290},"
	                   "{\"path\":\"z\",\"depth\":0,\"allocated_bytes\":200}]}}";
	const char *picture = drawn(&options, json);
	ok(picture && strstr(picture, "  z") && strstr(picture, "─ b") && !strstr(picture, "─ e"),
	        "a small screen shows all roots, and the largest below");
	ok(picture && strstr(picture, "owned by ro\\not"), "a single owner is named");
	picture = drawn(&least, json);
	ok(picture && strstr(picture, " 78%  a") && !strstr(picture, "  z"),
	        "a part that is not drawn counts in the total");
	const struct format_options narrow = {.width = 38, .utf8 = true};
	picture = drawn(&narrow,
	        "{\"summarize\":{\"files\":1991996,\"allocated_bytes\":900,\"by_owner\":["
	        "{\"owner\":\"root\",\"files\":1991986,\"allocated_bytes\":890},"
	        "{\"owner\":\"postgres\",\"files\":10,\"allocated_bytes\":10}]}}");
	ok(picture && strstr(picture, "postgres ╸"), "a name is not cut for a longer bar");
}

#define AGE(name, files, bytes) \
	"{\"age\":\"" name "\",\"files\":" #files ",\"allocated_bytes\":" #bytes "}"

/* Does a table of ages, of at most so many rows, have these, in this order? */
static void scale_is(size_t rows, const char *ages, const char *wanted, const char *what)
{
	const struct format_options options = {.width = 60};
	const struct record_schema *schema = operation_schemas[0];
	const struct measure measure = {"allocated_bytes", "allocated", "files", "files"};
	struct scan_value lists[SCHEMA_TABLES_MAX] = {0};
	struct buf out = BUF_INIT, got = BUF_INIT;
	for (size_t i = 0; i < schema->table_count; i++) {
		if (strcmp(schema->tables[i].path, "by_age") == 0) {
			lists[i] = scan_text(ages, strlen(ages));
		}
	}
	tables_draw(&out, &options, schema, lists, &measure, rows, false);
	const char *line = buf_cstr(&out);
	while (line && (line = strchr(line, '\n')) && *++line) {
		const char *bar = strstr(line, " #"), *gap = strstr(line, "  ");
		const char *end = bar && (!gap || bar < gap) ? bar : gap;
		buf_add(&got, line, end ? (size_t)(end - line) : strlen(line));
		buf_add_char(&got, '|');
	}
	is_str(buf_cstr(&got), wanted, "%s", what);
	buf_release(&out);
	buf_release(&got);
}

/* Folded rows never claim an age that is not there. */
static void test_scales(void)
{
	/* clang-format off */
	static const char all[] = "[" AGE("<1d", 1, 9000) "," AGE("<7d", 1, 500) ","
		AGE("<30d", 1, 100) "," AGE("<90d", 1, 100) "," AGE("<1y", 1, 100) ","
		AGE("<3y", 1, 100) "," AGE(">=3y", 1, 100) "," AGE("future", 0, 0) "]";
	static const char late[] = "[" AGE("<1d", 0, 0) "," AGE("<7d", 1, 500) ","
		AGE("<30d", 1, 100) "," AGE("<90d", 1, 100) "," AGE("<1y", 1, 100) ","
		AGE("<3y", 0, 0) "," AGE(">=3y", 1, 100) "," AGE("future", 2, 200) "]";
	static const char two[] = "[" AGE("<1d", 1, 1000) "," AGE("<7d", 1, 500) ","
		AGE("<30d", 0, 0) "," AGE("future", 2, 600) "]";
	static const char only[] = "[" AGE("<1d", 0, 0) "," AGE("future", 2, 600) "]";
	static const char odd[] = "[" AGE("future", 1, 10) "," AGE("<1d", 2, 60) ","
		AGE("future", 1, 10) "," AGE("old", 2, 60) "," AGE("older", 2, 60) "]";
	/* clang-format on */
	scale_is(9, all, "<1d|<7d|<30d|<90d|<1y|<3y|>=3y|", "each age has a row where it fits");
	scale_is(5, all, "<1d|<7d|<30d|<90d|>=90d|", "the old end is folded, and named so");
	scale_is(2, all, "<1d|>=1d|", "two rows are honest, too");
	scale_is(6, late, "<7d|<30d|<90d|<1y|>=1y|future|", "the future has its row");
	scale_is(3, late, "<7d|>=7d|future|", "the future is not folded into an age");
	scale_is(2, late, "<7d|>=7d, future|", "of two rows, one tells that it has the future");
	scale_is(2, two, "<1d|<7d, future|", "a row beside the future keeps its name");
	scale_is(3, two, "<1d|<7d|future|", "three rows suffice for two ages and the future");
	scale_is(4, only, "future|", "all of it may be of the future");
	scale_is(2, odd, "<1d|>=1d, future|", "odd scales are drawn somehow");
}

static void test_states(void)
{
	const struct format_options options = {.width = 80, .utf8 = true};
	is_str(drawn(&options,
	               "{\"complete\":false,\"ledger\":{\"errors\":1},\"hash\":{\"files\":2,"
	               "\"bytes\":2048,\"cached\":1}}"),
	        "2 files hashed, 2.0 KiB in all, 1 taken from the cache\n"
	        "1 entry could not be read\nincomplete: stopped\n",
	        "the text of hash has its error and its interruption");
	is_str(drawn(&options, "{\"ledger\":{\"errors\":3,\"unwritten\":2}}"),
	        "1 entry could not be read, 2 files could not be written\n",
	        "the text has both kinds of errors");
	is_str(drawn(&options, "{\"ledger\":{\"errors\":1,\"unwritten\":1}}"),
	        "1 file could not be written\n", "the text has only failed writes");
	is_str(drawn(&options,
	               "{\"complete\":true,\"transform\":{\"written\":12,\"current\":3,"
	               "\"failed\":1,\"input_bytes\":3650722201,\"output_bytes\":851443712}}"),
	        "12 files written (3.4 GiB → 812.0 MiB), 3 up to date, 1 failed\n",
	        "the text of transform is right");
	is_str(drawn(&options, "{\"find\":{\"matched\":1}}"), "1 entry found\n",
	        "the text of find is right");
	is_str(drawn(&options,
	               "{\"find\":{\"matched\":1},\"summarize\":{\"files\":1,\"directories\":1,"
	               "\"allocated_bytes\":4096,\"apparent_bytes\":5,"
	               "\"incomplete\":\"out of memory\"}}"),
	        "1 entry found\n\n1 file, 1 directory, 0 links, 4.0 KiB allocated, 5 B apparent\n"
	        "incomplete: out of memory\n",
	        "members may be missing");
	is_str(drawn(&options, "{\"summarize\":{\"allocated_bytes\":8,\"by_directory\":["
	                       "{\"path\":\"/\",\"depth\":0,\"allocated_bytes\":8},"
	                       "{\"path\":\"/a\",\"depth\":1,\"allocated_bytes\":6},"
	                       "{\"path\":\"/a/b\",\"depth\":2,\"allocated_bytes\":2}]}}"),
	        "allocated       directories\n"
	        "      8 B 100%  /        ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\n"
	        "      6 B  75%  └─ a     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸─────────────\n"
	        "      2 B  25%     └─ b  ━━━━━━━━━━━━━━───────────────────────────\n"
	        "\n0 files, 0 directories, 0 links, 8 B allocated, 0 B apparent\n",
	        "--depth gives every directory");
}

/* Sums above 2^53, 2^64 and what a double can tell apart are exact. */
static void test_exact(void)
{
	const struct format_options options = {.width = 80, .utf8 = true};
	is_str(drawn(&options, "{\"find\":{\"matched\":9007199254740993}}"),
	        "9,007,199,254,740,993 entries found\n", "a count above 2^53");
	is_str(drawn(&options, "{\"find\": {\"matched\": 36893488147419103233}}"),
	        "36,893,488,147,419,103,233 entries found\n", "a count above 2^65");
	is_str(drawn(&options, "{\"summarize\":{\"files\":18446744073709551617,\"directories\":1,"
	                       "\"allocated_bytes\":7,\"largest_directories\":["
	                       "{\"path\":\"b\",\"depth\":0,\"files\":1,"
	                       "\"allocated_bytes\":18446744073709551616},"
	                       "{\"path\":\"a\",\"depth\":0,\"files\":1,"
	                       "\"allocated_bytes\":18446744073709551617}]}}"),
	        "allocated       largest directories\n"
	        " 16.0 EiB  50%  a  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸\n"
	        " 16.0 EiB  50%  b  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸\n"
	        "\n18,446,744,073,709,551,617 files, 1 directory, 0 links, 7 B allocated,\n"
	        "0 B apparent\n",
	        "one byte decides which of two directories is the larger");
}

/* Roots that overlap, or that are "/", "." or end in '/'. */
static void test_roots(void)
{
	const struct format_options options = {.width = 40, .utf8 = true};
	is_str(drawn(&options, "{\"summarize\":{\"allocated_bytes\":1,\"largest_directories\":["
	                       "{\"path\":\"a/c\",\"depth\":1,\"allocated_bytes\":2},"
	                       "{\"path\":\"a/b/x\",\"depth\":1,\"allocated_bytes\":1},"
	                       "{\"path\":\"a/b\",\"depth\":0,\"allocated_bytes\":3},"
	                       "{\"path\":\"a\",\"depth\":0,\"allocated_bytes\":5},"
	                       "{\"path\":\"a-b\",\"depth\":0,\"allocated_bytes\":4},"
	                       "{\"path\":\"/\",\"depth\":0,\"allocated_bytes\":0},"
	                       "{\"path\":\"/e\",\"depth\":1,\"allocated_bytes\":0},"
	                       "{\"path\":\"d/\",\"depth\":0,\"allocated_bytes\":8},"
	                       "{\"path\":\"d/e\",\"depth\":1,\"allocated_bytes\":7}]}}"),
	        "allocated       largest directories\n"
	        "      8 B  40%  d/\n"
	        "      7 B  35%  └─ e\n"
	        "      5 B  25%  a\n"
	        "      2 B  10%  └─ c\n"
	        "      4 B  20%  a-b\n"
	        "      3 B  15%  a/b\n"
	        "      1 B   5%  └─ x\n"
	        "      0 B   0%  /e\n"
	        "\n0 files, 0 directories, 0 links,\n1 B allocated, 0 B apparent\n",
	        "each root is drawn with its directories beneath it");
}

/* What is not a summary, or lies, must not do more than look odd. */
static void test_odd(void)
{
	static const char *const odd[] = {
	        "[]",
	        "null",
	        "{\"summarize\":7}",
	        "{\"summarize\":{\"largest_directories\":{},\"by_age\":\"x\",\"largest_files\":[7]}"
	        "}",
	        "{\"summarize\":{\"files\":-1,\"allocated_bytes\":1e999,\"largest_directories\":"
	        "[{\"path\":\"a\",\"allocated_bytes\":1},{\"path\":\"a/"
	        "b\",\"allocated_bytes\":1e308},"
	        "{\"path\":\"a/b\"},{\"path\":\"\"},{\"path\":\"/\"},{\"path\":\"//\"},7,null]}}",
	        "{\"summarize\":{\"largest_directories\":[{\"path\":\"a\",\"path_b64\":\"*\"}],"
	        "\"by_owner\":[{},{\"owner\":\"\\u001b[2J\"}]}}",
	};
	const struct format_options options = {.width = 80, .utf8 = true};
	struct buf got = BUF_INIT;
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		draw(&got, &options, odd[i], strlen(odd[i]));
		ok(!got.failed && decent(&got, &options, SIZE_MAX), "a picture survives %s",
		        odd[i]);
	}
	size_t silent = 0;
	for (size_t len = 0; len < summary.len - 2; len += 7) {
		draw(&got, &options, summary.data, len);
		silent += !got.failed;
	}
	is_int(silent, 0, "a text that is not JSON is rejected");
	buf_release(&got);
}

/* A path of 3,000 directories, each the only one in its parent, of which `own` bytes are beside it.
 */
static void draw_deep(struct buf *got, const struct format_options *options, unsigned own)
{
	struct buf json = BUF_INIT, path = BUF_INIT;
	buf_add_str(&json, "{\"summarize\":{\"allocated_bytes\":9000,\"largest_directories\":[");
	for (unsigned i = 0; i < 3000; i++) {
		buf_add_str(&path, i ? "/d" : "d");
		buf_printf(&json,
		        "%s{\"path\":\"%s\",\"depth\":%u,\"files\":%u,\"directories\":%u,"
		        "\"allocated_bytes\":%u}",
		        i ? "," : "", buf_cstr(&path), i, own ? 9000 - i : 7, 3000 - i,
		        9000 - 2 * i);
	}
	buf_add_str(&json, "]}}");
	draw(got, options, json.data, json.len);
	buf_release(&json);
	buf_release(&path);
}

static void test_deep(void)
{
	struct buf got = BUF_INIT;
	const struct format_options options = {.width = 80, .utf8 = true};
	draw_deep(&got, &options, 1);
	ok(!got.failed && decent(&got, &options, 80), "a deep tree keeps to the window");
	is_int(lines_of(&got), 3000 + 3, "a deep tree shows every directory");
	draw_deep(&got, &options, 0);
	ok(!got.failed && decent(&got, &options, 80), "a chain keeps to the window");
	is_int(lines_of(&got), 1 + 3, "a chain of only children is one row");
	buf_release(&got);
}

#define DIRECTORY(path, depth, files, directories, bytes) \
	"{\"path\":\"" path "\",\"depth\":" #depth ",\"files\":" #files \
	",\"directories\":" #directories ",\"allocated_bytes\":" #bytes "}"

/* Chains are joined wherever they are; what holds something else is a row of its own. */
static void test_chains(void)
{
	const struct format_options options = {.width = 40, .utf8 = true};
	/* clang-format off */
	const char *picture = drawn(&options,
	        "{\"summarize\":{\"allocated_bytes\":100,\"largest_directories\":["
	        DIRECTORY("r", 0, 9, 12, 100) "," DIRECTORY("r/a", 1, 5, 5, 60) ","
	        DIRECTORY("r/a/b", 2, 5, 4, 56) "," DIRECTORY("r/a/b/c", 3, 5, 3, 52) ","
	        DIRECTORY("r/a/b/c/x", 4, 3, 1, 30) "," DIRECTORY("r/a/b/c/y", 4, 2, 1, 18) ","
	        DIRECTORY("r/p", 1, 4, 3, 30) "," DIRECTORY("r/p/q", 2, 3, 2, 26) ","
	        DIRECTORY("r/p/q/s", 3, 2, 1, 26) "]}}");
	/* clang-format on */
	is_str(picture,
	        "allocated       largest directories\n"
	        "    100 B 100%  r\n"
	        "     60 B  60%  ├─ a/b/c\n"
	        "     30 B  30%  │  ├─ x\n"
	        "     18 B  18%  │  └─ y\n"
	        "     30 B  30%  └─ p\n"
	        "     26 B  26%     └─ q/s\n"
	        "\n0 files, 0 directories, 0 links,\n100 B allocated, 0 B apparent\n",
	        "a chain of only children, or of the same bytes, is one row");
}

/* A bar yields to a name where there is room for one of them only. */
static void test_labels(void)
{
	const struct format_options options = {.width = 80, .height = 24};
	struct buf json = BUF_INIT;
	buf_add_str(&json, "{\"summarize\":{\"files\":9000000,\"allocated_bytes\":9000,"
	                   "\"by_age\":[" AGE("<1d", 9000000, 9000) "],\"by_extension\":[");
	for (unsigned i = 0; i < 1088; i++) {
		buf_printf(&json, "%s{\"extension\":\"e%u\",\"files\":8000,\"allocated_bytes\":8}",
		        i ? "," : "", i);
	}
	buf_add_str(&json, "]}}");
	const char *picture = drawn(&options, buf_cstr(&json));
	ok(picture && strstr(picture, "1,080 more "), "the number of folded rows is not cut");
	buf_release(&json);
}

int main(void)
{
	read_file(FIXTURES "summary.json", &summary);
	test_pictures();
	test_widths();
	test_color();
	test_heights();
	test_small_screen();
	test_scales();
	test_states();
	test_exact();
	test_roots();
	test_odd();
	test_deep();
	test_chains();
	test_labels();
	buf_release(&summary);
	return done();
}
