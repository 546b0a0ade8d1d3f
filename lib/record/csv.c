/*
 * CSV: one table with one header, quoted as RFC 4180 says; lines end in a newline alone, as the
 * other tools of a pipe write and read them. Paths are raw bytes, except on a terminal.
 */
#include "record/record_internal.h"

#include <cjson/cJSON.h>

#include "base/parse.h"
#include "record/scan.h"

enum csv_op {
	CSV_FIND = 1,
	CSV_HASH = 2,
	CSV_TRANSFORM = 4,
	CSV_SUMMARIZE = 8,
	CSV_SEVERAL = 16,
};

enum column {
	COLUMN_OP,
	COLUMN_PATH,
	COLUMN_TYPE,
	COLUMN_SIZE,
	COLUMN_ALLOCATED,
	COLUMN_MTIME,
	COLUMN_MODE,
	COLUMN_UID,
	COLUMN_GID,
	COLUMN_NLINK,
	COLUMN_DEV,
	COLUMN_INO,
	COLUMN_FIELD, /* the record's field of that name */
	COLUMN_SUMMARY,
};

/* In the order of every table; several operations together have all columns. */
static const struct {
	const char *name;
	enum column column;
	unsigned ops;
} columns[] = {
        {"op", COLUMN_OP, CSV_SEVERAL},
        {"path", COLUMN_PATH, CSV_FIND | CSV_HASH | CSV_TRANSFORM | CSV_SEVERAL},
        {"type", COLUMN_TYPE, CSV_FIND | CSV_SEVERAL},
        {"size", COLUMN_SIZE, CSV_FIND | CSV_HASH | CSV_SEVERAL},
        {"allocated", COLUMN_ALLOCATED, CSV_FIND | CSV_SEVERAL},
        {"mtime", COLUMN_MTIME, CSV_FIND | CSV_HASH | CSV_SEVERAL},
        {"mode", COLUMN_MODE, CSV_FIND | CSV_SEVERAL},
        {"uid", COLUMN_UID, CSV_FIND | CSV_SEVERAL},
        {"gid", COLUMN_GID, CSV_FIND | CSV_SEVERAL},
        {"nlink", COLUMN_NLINK, CSV_FIND | CSV_SEVERAL},
        {"dev", COLUMN_DEV, CSV_FIND | CSV_SEVERAL},
        {"ino", COLUMN_INO, CSV_FIND | CSV_SEVERAL},
        {"algorithm", COLUMN_FIELD, CSV_HASH | CSV_SEVERAL},
        {"digest", COLUMN_FIELD, CSV_HASH | CSV_SEVERAL},
        {"output", COLUMN_FIELD, CSV_TRANSFORM | CSV_SEVERAL},
        {"status", COLUMN_FIELD, CSV_TRANSFORM | CSV_SEVERAL},
        {"input_bytes", COLUMN_FIELD, CSV_TRANSFORM | CSV_SEVERAL},
        {"output_bytes", COLUMN_FIELD, CSV_TRANSFORM | CSV_SEVERAL},
        {"section", COLUMN_SUMMARY, CSV_SUMMARIZE | CSV_SEVERAL},
        {"key", COLUMN_SUMMARY, CSV_SUMMARIZE | CSV_SEVERAL},
        {"files", COLUMN_SUMMARY, CSV_SUMMARIZE | CSV_SEVERAL},
        {"apparent_bytes", COLUMN_SUMMARY, CSV_SUMMARIZE | CSV_SEVERAL},
        {"allocated_bytes", COLUMN_SUMMARY, CSV_SUMMARIZE | CSV_SEVERAL},
};

#define COLUMN_COUNT (sizeof columns / sizeof *columns)

static unsigned csv_op(const char *op)
{
	static const struct {
		const char *name;
		unsigned op;
	} ops[] = {{"find", CSV_FIND}, {"hash", CSV_HASH}, {"transform", CSV_TRANSFORM},
	        {"summarize", CSV_SUMMARIZE}};
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		if (strcmp(ops[i].name, op) == 0) {
			return ops[i].op;
		}
	}
	return CSV_SEVERAL;
}

static void csv_begin(struct buf *out, const struct format_options *options)
{
	unsigned op = csv_op(options->op);
	const char *separator = "";
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		if (columns[i].ops & op) {
			buf_add_str(out, separator);
			buf_add_str(out, columns[i].name);
			separator = ",";
		}
	}
	buf_add_char(out, '\n');
}

static bool needs_quotes(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == ',' || bytes[i] == '"' || bytes[i] == '\n' || bytes[i] == '\r') {
			return true;
		}
	}
	return false;
}

static void add_doubled(struct buf *out, const char *bytes, size_t len)
{
	for (const char *quote; len && (quote = memchr(bytes, '"', len));) {
		size_t run = (size_t)(quote - bytes) + 1;
		buf_add(out, bytes, run);
		buf_add_char(out, '"');
		bytes += run;
		len -= run;
	}
	buf_add(out, bytes, len);
}

/* One value in two pieces. */
static void add_value(
        struct buf *out, const char *first, size_t first_len, const char *second, size_t second_len)
{
	if (needs_quotes(first, first_len) || needs_quotes(second, second_len)) {
		buf_add_char(out, '"');
		add_doubled(out, first, first_len);
		add_doubled(out, second, second_len);
		buf_add_char(out, '"');
	} else {
		buf_add(out, first, first_len);
		buf_add(out, second, second_len);
	}
}

static void add_name(struct buf *out, const struct format_options *options, const char *first,
        size_t first_len, const char *second, size_t second_len)
{
	if (!options->terminal) {
		add_value(out, first, first_len, second, second_len);
		return;
	}
	struct buf escaped = BUF_INIT;
	record_add_escaped(&escaped, options, first, first_len);
	record_add_escaped(&escaped, options, second, second_len);
	add_value(out, escaped.data, escaped.len, NULL, 0);
	out->failed |= escaped.failed;
	buf_release(&escaped);
}

static void add_field(struct buf *out, const struct format_options *options,
        const struct record *record, const char *name)
{
	for (size_t i = 0; i < record->field_count; i++) {
		const struct record_field *field = &record->fields[i];
		if (strcmp(field->key, name) != 0) {
			continue;
		}
		switch (field->type) {
		case VALUE_TEXT:
			add_name(out, options, field->text, strlen(field->text), NULL, 0);
			break;
		case VALUE_BYTES:
			add_name(out, options, field->text, field->len, NULL, 0);
			break;
		case VALUE_U64:
			buf_add_u64(out, field->number);
			break;
		case VALUE_BOOL:
			buf_add_str(out, field->number ? "true" : "false");
			break;
		}
		return;
	}
}

static unsigned meta_needed(enum column column)
{
	switch (column) {
	case COLUMN_SIZE:
	case COLUMN_ALLOCATED:
		return META_SIZE;
	case COLUMN_MTIME:
		return META_MTIME;
	case COLUMN_MODE:
		return META_MODE;
	case COLUMN_UID:
	case COLUMN_GID:
		return META_OWNER;
	default:
		return META_IDENTITY;
	}
}

static void add_meta(struct buf *out, const struct file_meta *meta, enum column column)
{
	if (!meta || !(meta->have & meta_needed(column))) {
		return;
	}
	switch (column) {
	case COLUMN_SIZE:
		buf_add_u64(out, meta->size);
		break;
	case COLUMN_ALLOCATED:
		buf_add_u64(out, meta->allocated);
		break;
	case COLUMN_MTIME:
		format_time(out, meta->mtime);
		break;
	case COLUMN_MODE: {
		char text[5];
		record_mode_text(text, meta->mode);
		buf_add_str(out, text);
		break;
	}
	case COLUMN_UID:
		buf_add_u64(out, meta->uid);
		break;
	case COLUMN_GID:
		buf_add_u64(out, meta->gid);
		break;
	case COLUMN_NLINK:
		buf_add_u64(out, meta->nlink);
		break;
	case COLUMN_DEV:
		buf_add_u64(out, meta->dev);
		break;
	case COLUMN_INO:
		buf_add_u64(out, meta->ino);
		break;
	default:
		break;
	}
}

static void csv_record(
        struct buf *out, const struct format_options *options, const struct record *record)
{
	if (record->type != RECORD_ENTRY) {
		return;
	}
	unsigned op = csv_op(options->op);
	const char *separator = "";
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		if (!(columns[i].ops & op)) {
			continue;
		}
		buf_add_str(out, separator);
		separator = ",";
		switch (columns[i].column) {
		case COLUMN_OP:
			buf_add_str(out, record->op);
			break;
		case COLUMN_PATH:
			add_name(out, options, record->dir, record->dir_len, record->name,
			        record->name_len);
			break;
		case COLUMN_TYPE:
			buf_add_char(out, file_type_letter(record->file_type));
			break;
		case COLUMN_FIELD:
			add_field(out, options, record, columns[i].name);
			break;
		case COLUMN_SUMMARY:
			break;
		default:
			add_meta(out, record->meta, columns[i].column);
		}
	}
	buf_add_char(out, '\n');
}

/* --- The tables of a summary, as rows: section, key, three numbers ------------------------- */

static void add_number(struct buf *out, struct scan_value number)
{
	buf_add_char(out, ',');
	if (scan_is_number(number)) {
		buf_add(out, number.at, number.len);
	}
}

/* The columns before the summary's own: empty but for the operation. */
static void begin_row(struct buf *out, const struct format_options *options)
{
	if (csv_op(options->op) != CSV_SEVERAL) {
		return;
	}
	buf_add_str(out, "summarize");
	for (size_t i = 1; i < COLUMN_COUNT; i++) {
		if (columns[i].column != COLUMN_SUMMARY) {
			buf_add_char(out, ',');
		}
	}
	buf_add_char(out, ',');
}

static void add_total(struct buf *out, const struct format_options *options, const char *key,
        struct scan_value files, struct scan_value apparent, struct scan_value allocated)
{
	begin_row(out, options);
	buf_printf(out, "total,%s", key);
	add_number(out, files);
	add_number(out, apparent);
	add_number(out, allocated);
	buf_add_char(out, '\n');
}

static void add_totals(
        struct buf *out, const struct format_options *options, struct scan_value summarize)
{
	const struct scan_value none = {0};
	struct scan_value directories = scan_member(summarize, "directory_bytes");
	add_total(out, options, "bytes", none, scan_member(summarize, "apparent_bytes"),
	        scan_member(summarize, "allocated_bytes"));
	add_total(out, options, "files", scan_member(summarize, "files"), none, none);
	add_total(out, options, "directories", scan_member(summarize, "directories"),
	        scan_member(directories, "apparent"), scan_member(directories, "allocated"));
	add_total(out, options, "links", scan_member(summarize, "links"), none, none);
	add_total(out, options, "others", scan_member(summarize, "others"), none, none);
}

/* The text of a member: its exact bytes where KEY_b64 has them, a number as it is written. */
static void add_text(struct buf *out, const struct format_options *options,
        struct scan_value object, const char *key)
{
	struct scan_value value = scan_member(object, key);
	if (scan_is_number(value)) {
		buf_add(out, value.at, value.len);
		return;
	}
	cJSON *parsed = cJSON_ParseWithLength(object.at, object.len);
	struct buf bytes = BUF_INIT;
	record_add_path(&bytes, parsed, key);
	add_name(out, options, bytes.data, bytes.len, NULL, 0);
	out->failed |= bytes.failed || !parsed;
	buf_release(&bytes);
	cJSON_Delete(parsed);
}

static void csv_summary(
        struct buf *out, const struct format_options *options, const char *json, size_t len)
{
	static const struct {
		const char *member, *section, *key;
	} tables[] = {
	        {"by_extension", "extension", "extension"},
	        {"by_owner", "owner", "owner"},
	        {"by_age", "age", "age"},
	        {"by_size", "size", "size"},
	        {"largest_files", "largest_file", "path"},
	        {"largest_directories", "largest_directory", "path"},
	        {"by_directory", "directory", "path"},
	};
	struct scan_value summarize = scan_member(scan_text(json, len), "summarize");
	if (!summarize.at) {
		return;
	}
	add_totals(out, options, summarize);
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		struct scan_value table = scan_member(summarize, tables[i].member), row;
		for (size_t offset = 0; scan_item(table, &offset, &row);) {
			begin_row(out, options);
			buf_printf(out, "%s,", tables[i].section);
			add_text(out, options, row, tables[i].key);
			add_number(out, scan_member(row, "files"));
			add_number(out, scan_member(row, "apparent_bytes"));
			add_number(out, scan_member(row, "allocated_bytes"));
			buf_add_char(out, '\n');
		}
	}
}

const struct format format_csv = {
        .name = "csv",
        .meta = META_ALL,
        .help = "a table with a header, quoted as RFC 4180 says",
        .begin = csv_begin,
        .record = csv_record,
        .summary = csv_summary,
};
