/*
 * The picture of a summary, from the top: the tree of the largest directories, the tables, the
 * largest files; and last, where the eye rests when it has scrolled by, the totals.
 */
#include "record/format.h"

#include <cjson/cJSON.h>

#include "base/escape.h"
#include "base/parse.h"
#include "record/line.h"
#include "record/record_internal.h"
#include "record/table.h"
#include "record/tree.h"

static const cJSON *member(const cJSON *object, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* How much of each part is drawn. The first is all that there is room for on paper; the smaller
 * ones are for screens. */
static const struct shape {
	size_t directories, rows, files;
} shapes[] = {
        {SIZE_MAX, TABLE_ROWS, 10},
        {14, TABLE_ROWS, 8},
        {12, 7, 6},
        {9, 6, 5},
        {7, 5, 4},
        {5, 4, 4},
        {5, 3, 3},
        {4, 3, 2},
        {4, 2, 2},
        {3, 2, 2},
        {3, 2, 0},
        {2, 2, 0},
        {3, 0, 0},
        {1, 0, 0},
};

/* A list of facts, with commas, broken between facts where the window ends. */
struct facts {
	struct buf *out;
	const struct format_options *options;
	struct line line;
};

static void add_piece(
        struct facts *facts, enum style style, const char *separator, const char *piece)
{
	struct line *line = &facts->line;
	if (line->columns) {
		line_add(line, facts->options, STYLE_PLAIN, separator);
		size_t columns = display_width(piece, strlen(piece));
		if (line->columns + 2 + columns > facts->options->width) {
			line_end(line, facts->out);
		} else {
			line_pad(line, line->columns + 1);
		}
	}
	line_add(line, facts->options, style, piece);
}

static void add_words(struct facts *facts, enum style style, const char *separator, char *text)
{
	for (char *word; (word = strsep(&text, " ")); separator = "") {
		add_piece(facts, style, separator, word);
	}
}

/* Takes the text. */
static void add_fact(struct facts *facts, enum style style, struct buf *text)
{
	if (!buf_cstr(text)) {
		facts->out->failed = true;
	} else if (text->len < facts->options->width) {
		add_piece(facts, style, ",", text->data);
	} else {
		add_words(facts, style, ",", text->data);
	}
	buf_release(text);
}

static void add_count(struct facts *facts, double count, const char *one, const char *many)
{
	struct buf text = BUF_INIT;
	format_counted(&text, (unsigned __int128)count, one, many);
	add_fact(facts, STYLE_PLAIN, &text);
}

static void add_bytes(struct facts *facts, enum style style, double bytes, const char *what)
{
	struct buf text = BUF_INIT;
	format_size(&text, (unsigned __int128)bytes);
	buf_printf(&text, " %s", what);
	add_fact(facts, style, &text);
}

static void end_facts(struct facts *facts)
{
	if (facts->line.columns) {
		line_end(&facts->line, facts->out);
	}
	buf_release(&facts->line.text);
}

/* Several have a table. */
static void add_only_owner(struct facts *facts, const cJSON *owners)
{
	const char *owner = cJSON_GetStringValue(member(cJSON_GetArrayItem(owners, 0), "owner"));
	struct buf text = BUF_INIT;
	if (owner && cJSON_GetArraySize(owners) == 1) {
		buf_add_str(&text, "owned by ");
		record_add_escaped(&text, facts->options, owner, strlen(owner));
		add_fact(facts, STYLE_PLAIN, &text);
	}
}

static void draw_totals(struct buf *out, const struct format_options *options, const cJSON *sums)
{
	struct facts facts = {.out = out, .options = options, .line = {.text = BUF_INIT}};
	double others = record_number(sums, "others");
	double saved = record_number(member(sums, "hard_links"), "saved_bytes");
	line_gap(out);
	add_count(&facts, record_number(sums, "files"), "file", "files");
	add_count(&facts, record_number(sums, "directories"), "directory", "directories");
	add_count(&facts, record_number(sums, "links"), "link", "links");
	if (others > 0) {
		add_count(&facts, others, "special file", "special files");
	}
	add_bytes(&facts, STYLE_SIZE, record_number(sums, "allocated_bytes"), "allocated");
	add_bytes(&facts, STYLE_SIZE, record_number(sums, "apparent_bytes"), "apparent");
	if (saved > 0) {
		add_bytes(&facts, STYLE_PLAIN, saved, "saved by hard links");
	}
	add_only_owner(&facts, member(sums, "by_owner"));
	end_facts(&facts);
}

/* Every directory down to a level: the first level is always there, more is what --depth asked for.
 */
static bool asked_for(const cJSON *directories)
{
	const cJSON *item;
	cJSON_ArrayForEach(item, directories)
	{
		if (record_number(item, "depth") > 1) {
			return true;
		}
	}
	return false;
}

#define WIDEST 170 /* of bars: the eye should find the way from a name to its number */

static void draw_summarize(struct buf *out, const struct format_options *options, const cJSON *sums,
        const struct shape *shape)
{
	static const struct measure allocated = {"allocated_bytes", "allocated"};
	static const struct measure apparent = {"apparent_bytes", "apparent"};
	/* Some file systems, /proc among them, allocate nothing. */
	const struct measure *measure =
	        record_number(sums, allocated.key) > 0 ? &allocated : &apparent;
	double total = record_number(sums, measure->key);
	struct format_options narrower = *options;
	narrower.width = options->width < WIDEST ? options->width : WIDEST;
	line_gap(out);
	if (asked_for(member(sums, "by_directory"))) {
		tree_draw(out, &narrower, member(sums, "by_directory"), "directories", measure,
		        total, shape->directories);
	} else {
		tree_draw(out, &narrower, member(sums, "largest_directories"),
		        "largest directories", measure, total, shape->directories);
	}
	if (shape->rows) {
		tables_draw(out, &narrower, sums, measure, shape->rows);
	}
	files_draw(out, options, member(sums, "largest_files"), measure, shape->files);
	draw_totals(out, options, sums);
}

static void draw_find(struct buf *out, const struct format_options *options, const cJSON *sums)
{
	struct facts facts = {.out = out, .options = options, .line = {.text = BUF_INIT}};
	add_count(&facts, record_number(sums, "matched"), "entry found", "entries found");
	end_facts(&facts);
}

static void draw_hash(struct buf *out, const struct format_options *options, const cJSON *sums)
{
	struct facts facts = {.out = out, .options = options, .line = {.text = BUF_INIT}};
	double cached = record_number(sums, "cached");
	add_count(&facts, record_number(sums, "files"), "file hashed", "files hashed");
	add_bytes(&facts, STYLE_SIZE, record_number(sums, "bytes"), "in all");
	if (cached > 0) {
		add_count(&facts, cached, "taken from the cache", "taken from the cache");
	}
	end_facts(&facts);
}

static void draw_transform(struct buf *out, const struct format_options *options, const cJSON *sums)
{
	struct facts facts = {.out = out, .options = options, .line = {.text = BUF_INIT}};
	double written = record_number(sums, "written"), failed = record_number(sums, "failed");
	struct buf text = BUF_INIT;
	format_counted(&text, (unsigned __int128)written, "file written", "files written");
	if (written > 0) {
		buf_add_str(&text, " (");
		format_size(&text, (unsigned __int128)record_number(sums, "input_bytes"));
		buf_add_str(&text, options->utf8 ? " → " : " -> ");
		format_size(&text, (unsigned __int128)record_number(sums, "output_bytes"));
		buf_add_char(&text, ')');
	}
	add_fact(&facts, STYLE_PLAIN, &text);
	add_count(&facts, record_number(sums, "current"), "up to date", "up to date");
	if (failed > 0) {
		text = (struct buf)BUF_INIT;
		format_count(&text, (unsigned __int128)failed);
		buf_add_str(&text, " failed");
		add_fact(&facts, STYLE_ALERT, &text);
	}
	end_facts(&facts);
}

/* Takes the text. */
static void draw_alert(struct buf *out, const struct format_options *options, struct buf *text)
{
	struct facts facts = {.out = out, .options = options, .line = {.text = BUF_INIT}};
	if (buf_cstr(text)) {
		add_words(&facts, STYLE_ALERT, "", text->data);
	} else {
		out->failed = true;
	}
	end_facts(&facts);
	buf_release(text);
}

void record_add_faults(struct buf *out, uint64_t errors, uint64_t unwritten)
{
	if (errors > unwritten || !unwritten) {
		format_counted(out, errors - unwritten, "entry", "entries");
		buf_add_str(out, " could not be read");
	}
	if (unwritten) {
		buf_add_str(out, errors > unwritten ? ", " : "");
		format_counted(out, unwritten, "file", "files");
		buf_add_str(out, " could not be written");
	}
}

static void draw_state(struct buf *out, const struct format_options *options, const cJSON *summary)
{
	const cJSON *ledger = member(summary, "ledger");
	double errors = record_number(ledger, "errors");
	const char *reason =
	        cJSON_GetStringValue(member(member(summary, "summarize"), "incomplete"));
	struct buf text = BUF_INIT;
	if (errors > 0) {
		record_add_faults(
		        &text, (uint64_t)errors, (uint64_t)record_number(ledger, "unwritten"));
		draw_alert(out, options, &text);
	}
	if (reason || cJSON_IsFalse(member(summary, "complete"))) {
		reason = reason ? reason : "stopped";
		buf_add_str(&text, "incomplete: ");
		record_add_escaped(&text, options, reason, strlen(reason));
		draw_alert(out, options, &text);
	}
}

static void draw(struct buf *out, const struct format_options *options, const cJSON *summary,
        const struct shape *shape)
{
	static const struct {
		const char *member;
		void (*draw)(struct buf *, const struct format_options *, const cJSON *);
	} operations[] = {{"find", draw_find}, {"hash", draw_hash}, {"transform", draw_transform}};
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
		const cJSON *sums = member(summary, operations[i].member);
		if (sums) {
			operations[i].draw(out, options, sums);
		}
	}
	if (member(summary, "summarize")) {
		draw_summarize(out, options, member(summary, "summarize"), shape);
	}
	draw_state(out, options, summary);
}

static size_t lines_of(const char *text, size_t len)
{
	size_t lines = 0;
	for (const char *end = text + len; (text = memchr(text, '\n', (size_t)(end - text)));
	        text++) {
		lines++;
	}
	return lines;
}

#define AROUND 2 /* rows for the command above the picture, and the prompt below */

void render_summary(
        struct buf *out, const struct format_options *options, const char *json, size_t len)
{
	cJSON *summary = cJSON_ParseWithLength(json, len);
	size_t start = out->len, room = options->height > AROUND ? options->height - AROUND : 1;
	out->failed |= !summary;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		out->len = start;
		draw(out, options, summary, &shapes[i]);
		if (options->height == 0 || lines_of(out->data + start, out->len - start) <= room) {
			break;
		}
	}
	cJSON_Delete(summary);
}
