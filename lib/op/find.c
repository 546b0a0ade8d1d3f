/* find: every selected entry is a record. */
#include "op/op.h"

#include <stdlib.h>

#define PARTIAL_VERSION 1

struct finder {
	struct op_thread *thread;
	struct record record; /* only what differs is set for each entry */
	uint64_t matched;
};

static unsigned find_want(const struct spec *spec)
{
	(void)spec;
	return 0;
}

static void *find_thread_begin(struct op_thread *thread)
{
	struct finder *f = calloc(1, sizeof *f);
	if (f) {
		f->thread = thread;
		f->record.type = RECORD_ENTRY;
		f->record.op = "find";
	}
	return f;
}

static void find_entry(void *accumulator, const struct walk_entry *entry)
{
	struct finder *f = accumulator;
	struct record *r = &f->record;
	if (!walk_entry_path(entry, &r->dir, &r->dir_len, &r->name, &r->name_len)) {
		walk_error(entry, "find", 0, "out of memory for its path");
		return;
	}
	r->file_type = entry->type;
	r->meta = entry->meta->have ? entry->meta : NULL;
	sink_record(f->thread->sink, r);
	f->matched++;
}

static void find_merge(void *into, void *from)
{
	((struct finder *)into)->matched += ((struct finder *)from)->matched;
}

static bool find_serialize(void *accumulator, struct buf *out)
{
	pack_u64(out, PARTIAL_VERSION);
	pack_u64(out, ((struct finder *)accumulator)->matched);
	return !out->failed;
}

static int find_deserialize(void *accumulator, struct unpack *in)
{
	bool known = unpack_u64(in) == PARTIAL_VERSION;
	((struct finder *)accumulator)->matched = unpack_u64(in);
	return known && !in->failed ? 0 : VEGA_FATAL;
}

static bool find_finish(void *self, void *accumulator, struct json *json)
{
	(void)self;
	json_object_begin(json);
	json_member_u64(json, "matched", ((struct finder *)accumulator)->matched);
	json_object_end(json);
	return true;
}

const struct op op_find = {
        .name = "find",
        .types = UINT32_MAX,
        .want = find_want,
        .thread_begin = find_thread_begin,
        .entry = find_entry,
        .merge = find_merge,
        .serialize = find_serialize,
        .deserialize = find_deserialize,
        .finish = find_finish,
        .thread_end = free,
};
