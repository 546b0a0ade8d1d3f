/*
 * CSV: one table with one header, quoted as RFC 4180 says; lines end in a newline alone, as the
 * other tools of a pipe write and read them.
 *
 * It is UTF-8, since DuckDB and pandas refuse a whole file for one byte that is not. A name that is
 * not UTF-8 stands there with U+FFFD for what is wrong, and, in base64, exactly in a column of its
 * own: NAME_b64, empty for all other names. The header comes before the names, so it always has
 * these columns, and has them last, where they move no other.
 */
#include "record/record_internal.h"

#include "base/check.h"
#include "base/json.h"
#include "base/parse.h"

/*
 * The columns are, in this order: those that every record can have, the fields of each operation,
 * and for the rows of a summary, "section", "key" and the numbers of each operation. One operation
 * has its own; several together have those of all, and "op" before them.
 */
static uint32_t standard_of(const struct format_options *options)
{
	return options->only ? options->only->standard : STANDARD_ALL;
}

/* The schemas whose columns are there, one by one: *index begins at 0. */
static const struct record_schema *next_schema(const struct format_options *options, size_t *index)
{
	if (options->only) {
		return (*index)++ == 0 ? options->only : NULL;
	}
	return options->schemas ? options->schemas[(*index)++] : NULL;
}

static bool has_tables(const struct format_options *options)
{
	const struct record_schema *schema;
	for (size_t i = 0; (schema = next_schema(options, &i));) {
		if (schema->table_count) {
			return true;
		}
	}
	return false;
}

static bool has_path(const struct format_options *options)
{
	return standard_of(options) >> STANDARD_PATH & 1;
}

/* The next column's value begins; `first` is true before the first one. */
static void separate(struct buf *out, bool *first)
{
	if (!*first) {
		buf_add_char(out, ',');
	}
	*first = false;
}

static void add_heading(struct buf *out, bool *first, const char *name)
{
	separate(out, first);
	buf_add_str(out, name);
}

static void add_summary_headings(struct buf *out, bool *first, const struct format_options *options)
{
	const struct record_schema *schema;
	add_heading(out, first, "section");
	add_heading(out, first, "key");
	for (size_t i = 0; (schema = next_schema(options, &i));) {
		for (size_t n = 0; n < schema->number_count; n++) {
			add_heading(out, first, schema->numbers[n].key);
		}
	}
}

static void add_exact_headings(struct buf *out, bool *first, const struct format_options *options)
{
	const struct record_schema *schema;
	if (has_path(options)) {
		add_heading(out, first, "path_b64");
	}
	for (size_t i = 0; (schema = next_schema(options, &i));) {
		for (size_t field = 0; field < schema->field_count; field++) {
			if (schema->fields[field].type == VALUE_BYTES) {
				add_heading(out, first, schema->fields[field].key);
				buf_add_str(out, "_b64");
			}
		}
	}
	if (has_tables(options)) {
		add_heading(out, first, "key_b64");
	}
}

static void csv_begin(struct buf *out, const struct format_options *options)
{
	const struct record_schema *schema;
	bool first = true;
	if (!options->only) {
		add_heading(out, &first, "op");
	}
	for (unsigned i = 0; i < STANDARD_COUNT; i++) {
		if (standard_of(options) >> i & 1) {
			add_heading(out, &first, record_standard[i].key);
		}
	}
	for (size_t i = 0; (schema = next_schema(options, &i));) {
		for (size_t field = 0; field < schema->field_count; field++) {
			add_heading(out, &first, schema->fields[field].key);
		}
	}
	if (has_tables(options)) {
		add_summary_headings(out, &first, options);
	}
	add_exact_headings(out, &first, options);
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
	bool exact = utf8_valid(first, first_len) && utf8_valid(second, second_len);
	if (!options->terminal && exact) {
		add_value(out, first, first_len, second, second_len);
		return;
	}
	struct buf shown = BUF_INIT;
	if (options->terminal) {
		record_add_escaped(&shown, options, first, first_len);
		record_add_escaped(&shown, options, second, second_len);
	} else {
		utf8_add(&shown, first, first_len);
		utf8_add(&shown, second, second_len);
	}
	add_value(out, shown.data, shown.len, NULL, 0);
	out->failed |= shown.failed;
	buf_release(&shown);
}

/* Its companion in NAME_b64: nothing, where the name is UTF-8. */
static void add_exact(
        struct buf *out, const char *first, size_t first_len, const char *second, size_t second_len)
{
	if (utf8_valid(first, first_len) && utf8_valid(second, second_len)) {
		return;
	}
	struct buf bytes = BUF_INIT;
	buf_add(&bytes, first, first_len);
	buf_add(&bytes, second, second_len);
	buf_add_base64(out, bytes.data, bytes.len);
	out->failed |= bytes.failed;
	buf_release(&bytes);
}

static const struct record_field *find_field(
        const struct record *record, const struct record_column *column)
{
	for (size_t i = 0; i < record->field_count; i++) {
		if (strcmp(record->fields[i].key, column->key) == 0) {
			CHECK(record->fields[i].type == column->type);
			return &record->fields[i];
		}
	}
	return NULL;
}

static void add_field(struct buf *out, const struct format_options *options,
        const struct record *record, const struct record_column *column)
{
	const struct record_field *field = find_field(record, column);
	if (!field) {
		return;
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
}

/* The columns NAME_b64: of a record, or (NULL) of a summary's row with the name `key` (NULL: none).
 */
static void add_exact_columns(struct buf *out, bool *first, const struct format_options *options,
        const struct record *record, const struct buf *key)
{
	const struct record_schema *schema;
	if (has_path(options)) {
		separate(out, first);
		if (record) {
			add_exact(
			        out, record->dir, record->dir_len, record->name, record->name_len);
		}
	}
	for (size_t i = 0; (schema = next_schema(options, &i));) {
		for (size_t at = 0; at < schema->field_count; at++) {
			if (schema->fields[at].type != VALUE_BYTES) {
				continue;
			}
			const struct record_field *field =
			        record ? find_field(record, &schema->fields[at]) : NULL;
			separate(out, first);
			if (field) {
				add_exact(out, field->text, field->len, NULL, 0);
			}
		}
	}
	if (has_tables(options)) {
		separate(out, first);
		if (key) {
			add_exact(out, key->data, key->len, NULL, 0);
		}
	}
}

static unsigned meta_needed(enum record_standard column)
{
	switch (column) {
	case STANDARD_SIZE:
	case STANDARD_ALLOCATED:
		return META_SIZE;
	case STANDARD_MTIME:
		return META_MTIME;
	case STANDARD_MODE:
		return META_MODE;
	case STANDARD_UID:
	case STANDARD_GID:
		return META_OWNER;
	default:
		return META_IDENTITY;
	}
}

static void add_meta(struct buf *out, const struct file_meta *meta, enum record_standard column)
{
	if (!meta || !(meta->have & meta_needed(column))) {
		return;
	}
	switch (column) {
	case STANDARD_SIZE:
		buf_add_u64(out, meta->size);
		break;
	case STANDARD_ALLOCATED:
		buf_add_u64(out, meta->allocated);
		break;
	case STANDARD_MTIME:
		format_time(out, meta->mtime);
		break;
	case STANDARD_MODE: {
		char text[5];
		record_mode_text(text, meta->mode);
		buf_add_str(out, text);
		break;
	}
	case STANDARD_UID:
		buf_add_u64(out, meta->uid);
		break;
	case STANDARD_GID:
		buf_add_u64(out, meta->gid);
		break;
	case STANDARD_NLINK:
		buf_add_u64(out, meta->nlink);
		break;
	case STANDARD_DEV:
		buf_add_u64(out, meta->dev);
		break;
	case STANDARD_INO:
		buf_add_u64(out, meta->ino);
		break;
	default:
		break;
	}
}

static void add_standard(struct buf *out, const struct format_options *options,
        const struct record *record, enum record_standard column)
{
	if (column == STANDARD_PATH) {
		add_name(
		        out, options, record->dir, record->dir_len, record->name, record->name_len);
	} else if (column == STANDARD_TYPE) {
		buf_add_char(out, file_type_letter(record->file_type));
	} else {
		add_meta(out, record->meta, column);
	}
}

/* The columns of a summary's rows, empty. */
static void skip_summary(struct buf *out, bool *first, const struct format_options *options)
{
	const struct record_schema *schema;
	size_t columns = 2;
	for (size_t i = 0; (schema = next_schema(options, &i));) {
		columns += schema->number_count;
	}
	while (columns-- > 0) {
		separate(out, first);
	}
}

static void csv_record(
        struct buf *out, const struct format_options *options, const struct record *record)
{
	const struct record_schema *schema;
	bool first = true;
	if (record->type != RECORD_ENTRY) {
		return;
	}
	if (!options->only) {
		add_heading(out, &first, record->op);
	}
	for (uint32_t left = standard_of(options); left; left &= left - 1) {
		separate(out, &first);
		add_standard(out, options, record, (enum record_standard)__builtin_ctz(left));
	}
	for (size_t i = 0; (schema = next_schema(options, &i));) {
		for (size_t field = 0; field < schema->field_count; field++) {
			separate(out, &first);
			add_field(out, options, record, &schema->fields[field]);
		}
	}
	if (has_tables(options)) {
		skip_summary(out, &first, options);
	}
	add_exact_columns(out, &first, options, record, NULL);
	buf_add_char(out, '\n');
}

/* --- The tables of a summary, as rows: section, key, numbers -------------------------------- */

static void add_number(struct buf *out, struct scan_value number)
{
	if (scan_is_number(number)) {
		buf_add(out, number.at, number.len);
	}
}

/* The columns before the summary's own: empty but for the operation. */
static void begin_row(
        struct buf *out, const struct format_options *options, const struct record_schema *of)
{
	const struct record_schema *schema;
	bool first = true;
	if (options->only) {
		return;
	}
	add_heading(out, &first, of->name);
	for (unsigned i = 0; i < STANDARD_COUNT; i++) {
		separate(out, &first);
	}
	for (size_t i = 0; (schema = next_schema(options, &i));) {
		for (size_t field = 0; field < schema->field_count; field++) {
			separate(out, &first);
		}
	}
	separate(out, &first);
}

/* The numbers that end a row; those of other operations are empty. */
static void end_row(struct buf *out, const struct format_options *options,
        const struct record_schema *of, const struct scan_value *numbers, const struct buf *key)
{
	const struct record_schema *schema;
	bool first = false;
	for (size_t i = 0; (schema = next_schema(options, &i));) {
		for (size_t n = 0; n < schema->number_count; n++) {
			buf_add_char(out, ',');
			if (schema == of) {
				add_number(out, numbers[n]);
			}
		}
	}
	add_exact_columns(out, &first, options, NULL, key);
	buf_add_char(out, '\n');
}

static void add_totals(struct buf *out, const struct format_options *options,
        const struct record_schema *schema, struct scan_value sums)
{
	for (size_t i = 0; i < schema->total_count; i++) {
		const struct record_total *total = &schema->totals[i];
		struct scan_value numbers[SCHEMA_NUMBERS_MAX] = {0};
		for (size_t n = 0; n < schema->number_count; n++) {
			if (total->paths[n]) {
				numbers[n] = scan_path(sums, total->paths[n]);
			}
		}
		begin_row(out, options, schema);
		buf_printf(out, "total,%s", total->name);
		end_row(out, options, schema, numbers, NULL);
	}
}

/* The name of a row, into `bytes` as well: its exact bytes where KEY_b64 has them; a number as it
 * is written. */
static void add_row_name(struct buf *out, const struct format_options *options,
        struct scan_value row, const char *key, struct buf *bytes)
{
	struct scan_value value = scan_member(row, key);
	buf_clear(bytes);
	if (scan_is_number(value)) {
		buf_add(out, value.at, value.len);
		return;
	}
	record_add_path(bytes, row, key);
	add_name(out, options, bytes->data, bytes->len, NULL, 0);
	out->failed |= bytes->failed;
}

static void add_table(struct buf *out, const struct format_options *options,
        const struct record_schema *schema, const struct record_table *table,
        struct scan_value list)
{
	const char *keys[SCHEMA_NUMBERS_MAX];
	struct scan_value row, numbers[SCHEMA_NUMBERS_MAX];
	struct buf name = BUF_INIT;
	CHECK(schema->number_count <= SCHEMA_NUMBERS_MAX);
	for (size_t n = 0; n < schema->number_count; n++) {
		keys[n] = schema->numbers[n].key;
	}
	for (size_t offset = 0; scan_item(list, &offset, &row);) {
		scan_members(row, keys, schema->number_count, numbers);
		begin_row(out, options, schema);
		buf_printf(out, "%s,", table->section);
		add_row_name(out, options, row, table->row, &name);
		end_row(out, options, schema, numbers, &name);
	}
	buf_release(&name);
}

static void csv_summary(
        struct buf *out, const struct format_options *options, const char *json, size_t len)
{
	struct scan_value summary = scan_text(json, len);
	const struct record_schema *schema;
	for (size_t i = 0; (schema = next_schema(options, &i));) {
		struct scan_value sums = scan_member(summary, schema->name);
		if (!sums.at || !schema->table_count) {
			continue;
		}
		add_totals(out, options, schema, sums);
		for (size_t t = 0; t < schema->table_count; t++) {
			add_table(out, options, schema, &schema->tables[t],
			        scan_member(sums, schema->tables[t].path));
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
