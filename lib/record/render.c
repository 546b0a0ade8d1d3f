/*
 * The picture of a summary, from the top: the tree of the largest directories, the tables, the
 * largest files; and last, where the eye rests when it has scrolled by, the totals.
 */
#include "record/render.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/escape.h"
#include "base/parse.h"
#include "record/files.h"
#include "record/line.h"
#include "record/record_internal.h"
#include "record/table.h"

/* An operation's part of the summary, with the arrays of its tables found. */
struct part {
	const struct record_schema *schema;
	struct scan_value sums;
	struct scan_value tables[SCHEMA_TABLES_MAX];
};

/* A summary that is to be drawn. */
struct picture {
	struct scan_value complete, ledger, left_out, not_entered;
	struct part *parts; /* those of its operations that we know */
	size_t count;
};

/* How much of each part is drawn. The first is all that there is room for on paper; the smaller
 * ones are for screens: what lies where is what most people look for, so directories keep half of
 * a small one. */
static const struct shape {
	size_t most, least; /* directories */
	size_t rows, files;
	bool few;   /* tables */
	bool brief; /* the totals that matter most */
} shapes[] = {
        {SIZE_MAX, 20, TABLE_ROWS, 10, false, false},
        {20, 16, TABLE_ROWS, 8, false, false},
        {20, 14, 7, 6, false, false},
        {18, 13, 6, 5, false, false},
        {16, 12, 5, 4, false, false},
        {14, 12, 4, 4, false, false},
        {14, 11, 3, 3, false, false},
        {12, 10, 3, 2, false, false},
        {12, 9, 2, 2, false, false},
        {12, 9, 2, 0, false, false},
        {12, 7, 2, 0, true, false},
        {12, 3, 0, 0, true, false},
        {6, 1, 0, 0, true, true},
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

static void add_count(struct facts *facts, unsigned __int128 count, const struct record_fact *fact)
{
	struct buf text = BUF_INIT;
	format_counted(&text, count, fact->one, fact->many);
	add_fact(facts, fact->show == FACT_ALERT ? STYLE_ALERT : STYLE_PLAIN, &text);
}

static void add_bytes(struct facts *facts, unsigned __int128 bytes, const struct record_fact *fact)
{
	struct buf text = BUF_INIT;
	format_size(&text, bytes);
	buf_printf(&text, " %s", fact->many);
	add_fact(facts, fact->show == FACT_ALWAYS ? STYLE_SIZE : STYLE_PLAIN, &text);
}

/* "12 files written (3.4 GiB → 812.0 MiB)" */
static void add_change(struct facts *facts, unsigned __int128 count, const struct record_fact *fact,
        struct scan_value sums)
{
	struct buf text = BUF_INIT;
	format_counted(&text, count, fact->one, fact->many);
	if (count > 0) {
		buf_add_str(&text, " (");
		format_size(&text, record_count(sums, fact->from));
		buf_add_str(&text, facts->options->utf8 ? " → " : " -> ");
		format_size(&text, record_count(sums, fact->to));
		buf_add_char(&text, ')');
	}
	add_fact(facts, STYLE_PLAIN, &text);
}

static void end_facts(struct facts *facts)
{
	if (facts->line.columns) {
		line_end(&facts->line, facts->out);
	}
	buf_release(&facts->line.text);
}

/* The name of the only row of a table: several are drawn as one. */
static void add_alone(struct facts *facts, const struct record_table *table, struct scan_value list)
{
	struct buf text = BUF_INIT, name = BUF_INIT;
	struct scan_value row, next;
	size_t offset = 0;
	if (scan_item(list, &offset, &row) && !scan_item(list, &offset, &next)) {
		record_add_path(&name, row, table->row);
	}
	if (name.len) {
		buf_printf(&text, "%s ", table->alone);
		record_add_escaped(&text, facts->options, name.data, name.len);
		add_fact(facts, STYLE_PLAIN, &text);
	}
	facts->out->failed |= name.failed;
	buf_release(&name);
}

/* Is it the first of its unit, and always shown? */
static bool is_main(const struct record_schema *schema, size_t index)
{
	const struct record_fact *fact = &schema->facts[index];
	for (size_t i = 0; i < index; i++) {
		if (schema->facts[i].unit == fact->unit) {
			return false;
		}
	}
	return fact->show == FACT_ALWAYS;
}

static void draw_facts(
        struct buf *out, const struct format_options *options, const struct part *part, bool brief)
{
	const struct record_schema *schema = part->schema;
	struct facts facts = {.out = out, .options = options, .line = {.text = BUF_INIT}};
	for (size_t i = 0; i < schema->fact_count; i++) {
		const struct record_fact *fact = &schema->facts[i];
		unsigned __int128 value = record_count(part->sums, fact->path);
		if (brief ? !is_main(schema, i) : value == 0 && fact->show != FACT_ALWAYS) {
			continue;
		}
		if (fact->from) {
			add_change(&facts, value, fact, part->sums);
		} else if (fact->unit == UNIT_BYTES) {
			add_bytes(&facts, value, fact);
		} else {
			add_count(&facts, value, fact);
		}
	}
	for (size_t i = 0; i < schema->table_count; i++) {
		if (schema->tables[i].alone && !brief) {
			add_alone(&facts, &schema->tables[i], part->tables[i]);
		}
	}
	end_facts(&facts);
}

/* Every directory down to a level: more than the roots is what was asked for. */
static bool goes_deep(struct scan_value directories)
{
	struct scan_value item;
	for (size_t offset = 0; scan_item(directories, &offset, &item);) {
		if (record_count(item, "depth") > 0) {
			return true;
		}
	}
	return false;
}

/* The last tree that goes deep, else the first. -1: it has none. */
static int choose_tree(const struct part *part)
{
	int chosen = -1;
	for (size_t i = 0; i < part->schema->table_count; i++) {
		if (part->schema->tables[i].kind == TABLE_TREE &&
		        (chosen < 0 || goes_deep(part->tables[i]))) {
			chosen = (int)i;
		}
	}
	return chosen;
}

/* The last number of bytes that is not 0 in all: some file systems, /proc among them, allocate
 * nothing. */
static struct measure choose_measure(const struct part *part)
{
	struct measure measure = {0};
	for (size_t i = 0; i < part->schema->number_count; i++) {
		const struct record_column *column = &part->schema->numbers[i];
		if (column->unit == UNIT_COUNT && !measure.count) {
			measure.count = column->key;
			measure.count_title = column->text;
		} else if (column->unit == UNIT_BYTES &&
		           (!measure.bytes || record_count(part->sums, column->key) > 0)) {
			measure.bytes = column->key;
			measure.bytes_title = column->text;
		}
	}
	return measure;
}

#define WIDEST 170 /* of bars: the eye should find the way from a name to its number */

/* Returns the number of directories. */
static size_t draw_tables(struct buf *out, const struct format_options *options,
        const struct part *part, const struct shape *shape, size_t directories)
{
	size_t drawn = 0;
	const struct record_table *tables = part->schema->tables;
	struct measure measure = choose_measure(part);
	unsigned __int128 total = record_count(part->sums, measure.bytes);
	struct format_options narrower = *options;
	narrower.width = options->width < WIDEST ? options->width : WIDEST;
	line_gap(out);
	int tree = choose_tree(part);
	if (tree >= 0) {
		drawn = tree_draw(out, &narrower, part->tables[tree], tables[tree].title, &measure,
		        total, directories);
	}
	if (shape->rows) {
		tables_draw(out, &narrower, part->schema, part->tables, &measure, shape->rows,
		        shape->few);
	}
	for (size_t i = 0; i < part->schema->table_count; i++) {
		if (tables[i].kind == TABLE_FILES) {
			files_draw(out, options, part->tables[i], tables[i].title, &measure,
			        shape->files);
		}
	}
	line_gap(out);
	return drawn;
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

void record_add_faults(struct buf *out, unsigned __int128 errors, unsigned __int128 unwritten)
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

/* Why the picture is not the whole truth; nothing when it is. */
static void add_reason(
        struct buf *text, const struct format_options *options, const struct picture *picture)
{
	struct buf reason = BUF_INIT;
	struct scan_value complete = picture->complete;
	for (size_t i = 0; i < picture->count && !reason.len; i++) {
		scan_string(scan_member(picture->parts[i].sums, "incomplete"), &reason);
	}
	if (!reason.len && complete.len == 5 && memcmp(complete.at, "false", 5) == 0) {
		buf_add_str(&reason, "stopped");
	}
	if (reason.len) {
		buf_add_str(text, "incomplete: ");
		record_add_escaped(text, options, reason.data, reason.len);
	}
	text->failed |= reason.failed;
	buf_release(&reason);
}

/* "(--extension, --exclude)" */
static void add_options(struct buf *text, const struct format_options *options,
        struct scan_value omission, unsigned __int128 count)
{
	struct scan_value list = scan_member(omission, "options"), item;
	const char *before = " (--";
	for (size_t offset = 0; count && scan_item(list, &offset, &item); before = ", --") {
		struct buf name = BUF_INIT;
		scan_string(item, &name);
		buf_add_str(text, before);
		record_add_escaped(text, options, name.data, name.len);
		text->failed |= name.failed;
		buf_release(&name);
	}
	buf_add_str(text, *before == ',' ? ")" : "");
}

/* A part of the whole must not look like the whole. */
static void draw_omissions(
        struct buf *out, const struct format_options *options, const struct picture *picture)
{
	unsigned __int128 entries = record_count(picture->left_out, "entries");
	unsigned __int128 directories = record_count(picture->not_entered, "directories");
	struct facts facts = {.out = out, .options = options, .line = {.text = BUF_INIT}};
	struct buf text = BUF_INIT;
	if (entries) {
		format_count(&text, entries);
		buf_add_str(&text, " of ");
		format_counted(&text, record_count(picture->ledger, "entries"), "entry", "entries");
		buf_add_str(&text, " left out");
		add_options(&text, options, picture->left_out, entries);
	}
	if (directories) {
		buf_add_str(&text, entries ? ", " : "");
		format_counted(&text, directories, "directory", "directories");
		buf_add_str(&text, " not entered");
		add_options(&text, options, picture->not_entered, directories);
	}
	if (!buf_cstr(&text)) {
		out->failed = true;
	} else if (text.len) {
		add_words(&facts, STYLE_PLAIN, "", text.data);
	}
	end_facts(&facts);
	buf_release(&text);
}

static void draw_state(
        struct buf *out, const struct format_options *options, const struct picture *picture)
{
	struct scan_value ledger = picture->ledger;
	unsigned __int128 errors = record_count(ledger, "errors");
	struct buf text = BUF_INIT;
	if (errors > 0) {
		record_add_faults(&text, errors, record_count(ledger, "unwritten"));
		draw_alert(out, options, &text);
	}
	add_reason(&text, options, picture);
	if (text.len || text.failed) {
		draw_alert(out, options, &text);
	}
}

/* Short answers come first: those with tables fill the screen. Returns the number of directories.
 */
static size_t draw(struct buf *out, const struct format_options *options,
        const struct picture *picture, const struct shape *shape, size_t directories)
{
	size_t drawn = 0;
	for (size_t i = 0; i < picture->count; i++) {
		if (picture->parts[i].schema->table_count == 0) {
			draw_facts(out, options, &picture->parts[i], false);
		}
	}
	for (size_t i = 0; i < picture->count; i++) {
		if (picture->parts[i].schema->table_count > 0) {
			drawn += draw_tables(out, options, &picture->parts[i], shape, directories);
			draw_facts(out, options, &picture->parts[i], shape->brief);
		}
	}
	draw_omissions(out, options, picture);
	draw_state(out, options, picture);
	return drawn;
}

static size_t lines_of(const char *text, size_t len)
{
	size_t lines = 0;
	if (len == 0) {
		return 0;
	}
	for (const char *end = text + len; (text = memchr(text, '\n', (size_t)(end - text)));
	        text++) {
		lines++;
	}
	return lines;
}

#define AROUND 2 /* rows for the command above the picture, and the prompt below */

static void find_tables(struct part *part)
{
	const char *keys[SCHEMA_TABLES_MAX];
	size_t count = part->schema->table_count;
	CHECK(count <= SCHEMA_TABLES_MAX);
	for (size_t i = 0; i < count; i++) {
		keys[i] = part->schema->tables[i].path;
	}
	scan_members(part->sums, keys, count, part->tables);
}

/* All that is drawn of a summary, in one pass over it. */
static bool find_parts(struct picture *picture, const struct record_schema *const *schemas,
        struct scan_value summary)
{
	size_t most = 0;
	while (schemas && schemas[most]) {
		most++;
	}
	const size_t all = most + 4;
	const char **keys = calloc(all, sizeof *keys);
	struct scan_value *values = calloc(all, sizeof *values);
	picture->parts = calloc(most + 1, sizeof *picture->parts);
	bool found = keys && values && picture->parts;
	for (size_t i = 0; i < most && found; i++) {
		keys[i] = schemas[i]->name;
	}
	if (found) {
		keys[most] = "complete";
		keys[most + 1] = "ledger";
		keys[most + 2] = "left_out";
		keys[most + 3] = "not_entered";
		scan_members(summary, keys, all, values);
		picture->complete = values[most];
		picture->ledger = values[most + 1];
		picture->left_out = values[most + 2];
		picture->not_entered = values[most + 3];
	}
	for (size_t i = 0; i < most && found; i++) {
		if (values[i].at) {
			struct part *part = &picture->parts[picture->count++];
			part->schema = schemas[i];
			part->sums = values[i];
			find_tables(part);
		}
	}
	free(keys);
	free(values);
	return found;
}

void render_summary(
        struct buf *out, const struct format_options *options, const char *json, size_t len)
{
	struct picture picture = {0};
	size_t start = out->len, room = options->height > AROUND ? options->height - AROUND : 1;
	if (!scan_is_json(json, len) ||
	        !find_parts(&picture, options->schemas, scan_text(json, len))) {
		out->failed = true;
		free(picture.parts);
		return;
	}
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		const struct shape *shape = &shapes[i];
		out->len = start;
		size_t drawn = draw(out, options, &picture, shape, shape->most);
		size_t lines = lines_of(out->data + start, out->len - start);
		if (options->height == 0 || lines <= room) {
			break;
		}
		size_t over = lines - room, last = i + 1 == sizeof shapes / sizeof *shapes;
		if (drawn >= over + shape->least || last) {
			size_t fit = drawn > over ? drawn - over : 1;
			out->len = start;
			draw(out, options, &picture, shape,
			        fit > shape->least ? fit : shape->least);
			break;
		}
	}
	free(picture.parts);
}

void render_facts(
        struct buf *out, const struct format_options *options, const char *json, size_t len)
{
	struct picture picture = {0};
	if (!scan_is_json(json, len) ||
	        !find_parts(&picture, options->schemas, scan_text(json, len))) {
		out->failed = true;
	}
	for (size_t i = 0; i < picture.count && !out->failed; i++) {
		if (picture.parts[i].schema->answers_on_terminal) {
			draw_facts(out, options, &picture.parts[i], false);
		}
	}
	free(picture.parts);
}
