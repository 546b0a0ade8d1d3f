/* A record as bytes, for a format that wants it again after it was kept (--sort and blocks). */
#ifndef VEGA_RECORD_FLAT_H
#define VEGA_RECORD_FLAT_H

#include "base/buf.h"
#include "record/record.h"

#define FLAT_FIELDS_MAX 16

/* What record_unflatten() fills: the record's pointers lead here and into the bytes. */
struct flat_record {
	struct record record;
	struct file_meta meta;
	struct record_field fields[FLAT_FIELDS_MAX];
};

/* Adds the bytes, the same for equal records. At most FLAT_FIELDS_MAX fields. */
void record_flatten(struct buf *out, const struct record *record);

/* `bytes` are those of record_flatten(), and outlive the record. Its path is whole, in `name`. */
void record_unflatten(const char *bytes, size_t len, struct flat_record *out);

#endif
