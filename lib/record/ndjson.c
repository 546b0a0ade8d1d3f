/* NDJSON: an object per line, for programs, and between a job's child and its worker. */
#include "record/record_internal.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"

#define STACK_PATH 1024

/* dir and name joined, for the members that need the path in one piece. */
static void member_path(struct json *json, const struct record *record)
{
	char stack[STACK_PATH];
	stack[0] = '\0';
	size_t len = record->dir_len + record->name_len;
	char *path = len <= sizeof stack ? stack : malloc(len);
	if (!path) {
		json->out->failed = true;
		return;
	}
	if (record->dir_len) {
		memcpy(path, record->dir, record->dir_len);
	}
	if (record->name_len) {
		memcpy(path + record->dir_len, record->name, record->name_len);
	}
	json_member_path(json, "path", path, len);
	if (path != stack) {
		free(path);
	}
}

static void member_time(struct json *json, const char *key, struct vega_time when)
{
	json_key(json, key);
	json_time(json, when.sec, when.nsec);
}

static void members_meta(struct json *json, const struct file_meta *meta)
{
	if (meta->have & META_SIZE) {
		json_member_u64(json, "size", meta->size);
		json_member_u64(json, "allocated", meta->allocated);
	}
	if (meta->have & META_MTIME) {
		member_time(json, "mtime", meta->mtime);
	}
	if (meta->have & META_CTIME) {
		member_time(json, "ctime", meta->ctime);
	}
	if (meta->have & META_ATIME) {
		member_time(json, "atime", meta->atime);
	}
	if (meta->have & META_OWNER) {
		json_member_u64(json, "uid", meta->uid);
		json_member_u64(json, "gid", meta->gid);
	}
	if (meta->have & META_MODE) {
		char text[5];
		record_mode_text(text, meta->mode);
		json_member_str(json, "mode", text);
	}
	if (meta->have & META_IDENTITY) {
		json_member_u64(json, "dev", meta->dev);
		json_member_u64(json, "ino", meta->ino);
		json_member_u64(json, "nlink", meta->nlink);
	}
}

static void member_field(struct json *json, const struct record_field *field)
{
	switch (field->type) {
	case VALUE_TEXT:
		json_member_str(json, field->key, field->text);
		break;
	case VALUE_BYTES:
		json_member_path(json, field->key, field->text, field->len);
		break;
	case VALUE_U64:
		json_member_u64(json, field->key, field->number);
		break;
	case VALUE_BOOL:
		json_key(json, field->key);
		json_bool(json, field->number != 0);
		break;
	}
}

static void members_entry(struct json *json, const struct record *record)
{
	char letter[2] = {file_type_letter(record->file_type), '\0'};
	json_member_str(json, "op", record->op);
	member_path(json, record);
	json_member_str(json, "file_type", letter);
	if (record->meta) {
		members_meta(json, record->meta);
	}
	for (size_t i = 0; i < record->field_count; i++) {
		member_field(json, &record->fields[i]);
	}
}

static void members_error(struct json *json, const struct record *record)
{
	const char *message = record->message;
	json_member_str(json, "op", record->op);
	member_path(json, record);
	if (record->errnum) {
		json_member_str(json, "errno", vega_errno_name(record->errnum));
	}
	json_member_str(json, "message", message ? message : vega_errno_text(record->errnum));
}

static void members_progress(struct json *json, const struct record *record)
{
	json_member_u64(json, "entries", record->entries);
	json_member_u64(json, "bytes", record->bytes);
	json_member_u64(json, "waiting", record->waiting);
	json_member_u64(json, "errors", record->errors);
}

/* "type" is the first member of every line: readers tell lines apart by their beginning. */
static void ndjson_record(
        struct buf *out, const struct format_options *options, const struct record *record)
{
	static const char *const names[] = {
	        [RECORD_ENTRY] = "entry",
	        [RECORD_ERROR] = "error",
	        [RECORD_PROGRESS] = "progress",
	};
	static void (*const members[])(struct json *, const struct record *) = {
	        [RECORD_ENTRY] = members_entry,
	        [RECORD_ERROR] = members_error,
	        [RECORD_PROGRESS] = members_progress,
	};
	(void)options;
	struct json json = json_writer(out);
	json_object_begin(&json);
	json_member_str(&json, "type", names[record->type]);
	json_member_u64(&json, "v", RECORD_VERSION);
	members[record->type](&json, record);
	json_object_end(&json);
	buf_add_char(out, '\n');
}

static void ndjson_summary(
        struct buf *out, const struct format_options *options, const char *json, size_t len)
{
	(void)options;
	buf_add(out, json, len);
	buf_add_char(out, '\n');
}

const struct format format_ndjson = {
        .name = "ndjson",
        .whole_summary = true,
        .meta = META_ALL,
        .help = "one JSON object per line: entries, errors, progress, and the summary last",
        .error_records = true,
        .record = ndjson_record,
        .summary = ndjson_summary,
};
