/* From C values to the parameters of a statement: text, numbers, and whole columns as arrays. */

#include "store/postgres_internal.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

void postgres_add_text(struct postgres_parameters *p, const char *text)
{
	CHECK(p->count < POSTGRES_PARAMETERS);
	p->values[p->count] = text;
	p->lengths[p->count] = 0;
	p->formats[p->count++] = 0;
}

void postgres_add_integer(struct postgres_parameters *p, int64_t value)
{
	char *number = p->numbers[p->count];
	snprintf(number, sizeof p->numbers[0], "%lld", (long long)value);
	postgres_add_text(p, number);
}

const char *postgres_state_array(uint32_t states, struct buf *out)
{
	buf_add_char(out, '{');
	for (int i = 0; i < JOB_STATES; i++) {
		if (states & 1u << i) {
			buf_add_str(out, out->len > 1 ? "," : "");
			buf_add_str(out, job_state_name((enum job_state)i));
		}
	}
	buf_add_char(out, '}');
	return buf_cstr(out);
}

/* Of the built-in types, as pg_type has them. */
enum { OID_BYTEA = 17, OID_BIGINT = 20, OID_TEXT = 25, OID_UUID = 2950 };

/* Dimensions, has NULLs, element type, length, lower bound: each a big-endian integer. */
enum { HEADER = 5 * sizeof(int32_t) };

static void add_int32(struct buf *out, int32_t value)
{
	uint32_t bytes = htobe32((uint32_t)value);
	buf_add(out, &bytes, sizeof bytes);
}

static void add_element(struct postgres_array *array, int32_t type, const void *bytes, size_t len)
{
	if (array->count++ == 0) {
		for (size_t i = 0; i < HEADER / sizeof(int32_t); i++) {
			add_int32(&array->bytes, 1);
		}
	}
	array->type = type;
	array->known = array->known || bytes;
	add_int32(&array->bytes, bytes ? (int32_t)len : -1);
	buf_add(&array->bytes, bytes, bytes ? len : 0);
}

void postgres_array_text(struct postgres_array *array, const char *text)
{
	add_element(array, OID_TEXT, text, text ? strlen(text) : 0);
}

void postgres_array_uuid(struct postgres_array *array, const char *text)
{
	unsigned char bytes[UUID_BYTES];
	bool good = uuid_bytes(text, bytes);
	add_element(array, OID_UUID, good ? bytes : NULL, sizeof bytes);
}

void postgres_array_bytes(struct postgres_array *array, const char *text)
{
	add_element(array, OID_BYTEA, text, text ? strlen(text) : 0);
}

void postgres_array_integer(struct postgres_array *array, int64_t value)
{
	uint64_t bytes = htobe64((uint64_t)value);
	add_element(array, OID_BIGINT, &bytes, sizeof bytes);
}

void postgres_array_nonzero(struct postgres_array *array, int64_t value)
{
	if (value) {
		postgres_array_integer(array, value);
	} else {
		add_element(array, OID_BIGINT, NULL, 0);
	}
}

bool postgres_add_arrays(
        struct postgres_parameters *p, struct postgres_array *arrays, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct buf *bytes = &arrays[i].bytes;
		CHECK(arrays[i].count > 0 && arrays[i].count == arrays[0].count);
		if (bytes->failed) {
			return false;
		}
		uint32_t type = htobe32((uint32_t)arrays[i].type);
		uint32_t elements = htobe32(arrays[i].count);
		memcpy(bytes->data + 2 * sizeof(int32_t), &type, sizeof type);
		memcpy(bytes->data + 3 * sizeof(int32_t), &elements, sizeof elements);
		postgres_add_text(p, arrays[i].known ? bytes->data : NULL);
		p->lengths[p->count - 1] = (int)bytes->len;
		p->formats[p->count - 1] = 1;
	}
	return true;
}

void postgres_arrays_release(struct postgres_array *arrays, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		buf_release(&arrays[i].bytes);
	}
}
