/* Records as bytes and back: numbers as they are in memory, texts with their length and a NUL. */
#include "record/flat.h"

#include <string.h>

#include "base/check.h"

#define ABSENT UINT32_MAX /* the length of a text that is NULL */

static void add_u32(struct buf *out, uint32_t value)
{
	buf_add(out, &value, sizeof value);
}

static void add_u64(struct buf *out, uint64_t value)
{
	buf_add(out, &value, sizeof value);
}

static void add_text(struct buf *out, const char *text, size_t len)
{
	add_u32(out, text ? (uint32_t)len : ABSENT);
	if (text) {
		buf_add(out, text, len);
		buf_add_char(out, '\0');
	}
}

static void add_string(struct buf *out, const char *text)
{
	add_text(out, text, text ? strlen(text) : 0);
}

static void add_field(struct buf *out, const struct record_field *field)
{
	bool bytes = field->type == VALUE_BYTES;
	add_string(out, field->key);
	add_u32(out, field->type);
	add_text(out, field->text, bytes ? field->len : field->text ? strlen(field->text) : 0);
	add_u64(out, field->number);
}

/* Member by member: padding would differ. */
static void add_meta(struct buf *out, const struct file_meta *meta)
{
	add_u32(out, meta->have);
	add_u32(out, meta->mode);
	add_u32(out, meta->uid);
	add_u32(out, meta->gid);
	add_u32(out, meta->nlink);
	add_u64(out, meta->dev);
	add_u64(out, meta->ino);
	add_u64(out, meta->size);
	add_u64(out, meta->allocated);
	const struct vega_time *times[] = {&meta->mtime, &meta->ctime, &meta->atime};
	for (size_t i = 0; i < 3; i++) {
		add_u64(out, (uint64_t)times[i]->sec);
		add_u32(out, times[i]->nsec);
	}
}

void record_flatten(struct buf *out, const struct record *record)
{
	CHECK(record->type != RECORD_PROGRESS);
	CHECK(record->field_count <= FLAT_FIELDS_MAX);
	add_u32(out, record->type);
	add_string(out, record->op);
	add_u32(out, (uint32_t)(record->dir_len + record->name_len));
	buf_add(out, record->dir, record->dir_len);
	buf_add(out, record->name, record->name_len);
	buf_add_char(out, '\0');
	add_u32(out, record->file_type);
	add_u32(out, record->meta != NULL);
	if (record->meta) {
		add_meta(out, record->meta);
	}
	add_u32(out, (uint32_t)record->field_count);
	for (size_t i = 0; i < record->field_count; i++) {
		add_field(out, &record->fields[i]);
	}
	add_u32(out, record->text);
	add_text(out, record->lead, record->lead_len);
	add_u32(out, (uint32_t)record->errnum);
	add_string(out, record->message);
}

static void take(const char **at, void *into, size_t len)
{
	memcpy(into, *at, len);
	*at += len;
}

static uint32_t take_u32(const char **at)
{
	uint32_t value;
	take(at, &value, sizeof value);
	return value;
}

static uint64_t take_u64(const char **at)
{
	uint64_t value;
	take(at, &value, sizeof value);
	return value;
}

static const char *take_text(const char **at, size_t *len)
{
	uint32_t stored = take_u32(at);
	*len = stored == ABSENT ? 0 : stored;
	if (stored == ABSENT) {
		return NULL;
	}
	const char *text = *at;
	*at += *len + 1;
	return text;
}

static void take_field(const char **at, struct record_field *field)
{
	size_t len;
	field->key = take_text(at, &len);
	field->type = (enum record_value)take_u32(at);
	field->text = take_text(at, &field->len);
	field->number = take_u64(at);
}

static void take_meta(const char **at, struct file_meta *meta)
{
	meta->have = take_u32(at);
	meta->mode = take_u32(at);
	meta->uid = take_u32(at);
	meta->gid = take_u32(at);
	meta->nlink = take_u32(at);
	meta->dev = take_u64(at);
	meta->ino = take_u64(at);
	meta->size = take_u64(at);
	meta->allocated = take_u64(at);
	struct vega_time *times[] = {&meta->mtime, &meta->ctime, &meta->atime};
	for (size_t i = 0; i < 3; i++) {
		times[i]->sec = (int64_t)take_u64(at);
		times[i]->nsec = take_u32(at);
	}
}

void record_unflatten(const char *bytes, size_t len, struct flat_record *out)
{
	const char *at = bytes;
	struct record *record = &out->record;
	size_t ignored;
	*record = (struct record){.type = (enum record_type)take_u32(&at), .dir = ""};
	record->op = take_text(&at, &ignored);
	record->name = take_text(&at, &record->name_len);
	record->file_type = (enum file_type)take_u32(&at);
	if (take_u32(&at)) {
		take_meta(&at, &out->meta);
		record->meta = &out->meta;
	}
	record->field_count = take_u32(&at);
	CHECK(record->field_count <= FLAT_FIELDS_MAX);
	for (size_t i = 0; i < record->field_count; i++) {
		take_field(&at, &out->fields[i]);
	}
	record->fields = out->fields;
	record->text = (enum record_text)take_u32(&at);
	record->lead = take_text(&at, &record->lead_len);
	record->errnum = (int)take_u32(&at);
	record->message = take_text(&at, &ignored);
	CHECK((size_t)(at - bytes) == len);
	(void)len;
}
