/* Sums, tables of sums by a key, and lists of the largest: for summarize. */
#include "op/tables.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void total_pack(const struct total *t, struct buf *out)
{
	pack_u64(out, t->files);
	pack_u128(out, t->apparent);
	pack_u128(out, t->allocated);
}

struct total total_unpack(struct unpack *in)
{
	struct total t = {.files = unpack_u64(in)};
	t.apparent = unpack_u128(in);
	t.allocated = unpack_u128(in);
	return t;
}

void total_json(const struct total *t, struct json *json)
{
	json_member_u64(json, "files", t->files);
	json_member_u128(json, "apparent_bytes", t->apparent);
	json_member_u128(json, "allocated_bytes", t->allocated);
}

struct total_key key_of_extension(const char *name, size_t len)
{
	union {
		char text[16];
		struct total_key key;
	} u = {{0}};
	const char *dot = memrchr(name, '.', len);
	if (dot && dot != name) {
		size_t extension = len - (size_t)(dot + 1 - name);
		if (extension < sizeof u.text) {
			for (size_t i = 0; i < extension; i++) {
				char c = dot[1 + i];
				u.text[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
			}
		}
	}
	return u.key;
}

struct total_key key_of_number(uint64_t number)
{
	return (struct total_key){{htole64(number), 0}};
}

uint64_t number_of_key(struct total_key key)
{
	return le64toh(key.word[0]);
}

static bool same_key(struct total_key a, struct total_key b)
{
	return a.word[0] == b.word[0] && a.word[1] == b.word[1];
}

static size_t hash_key(struct total_key key)
{
	uint64_t x = (key.word[0] ^ (key.word[1] * 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;
	return (size_t)(x ^ (x >> 32));
}

static size_t find_slot(const struct total_slot *slots, size_t cap, struct total_key key)
{
	size_t at = hash_key(key) & (cap - 1);
	while (slots[at].used && !same_key(slots[at].key, key)) {
		at = (at + 1) & (cap - 1);
	}
	return at;
}

static bool grow(struct total_table *table)
{
	size_t cap = table->cap ? table->cap * 2 : 64;
	struct total_slot *slots = calloc(cap, sizeof *slots);
	if (!slots) {
		return false;
	}
	for (size_t i = 0; i < table->cap; i++) {
		if (table->slots[i].used) {
			slots[find_slot(slots, cap, table->slots[i].key)] = table->slots[i];
		}
	}
	free(table->slots);
	table->slots = slots;
	table->cap = cap;
	return true;
}

struct total *total_table_at(struct total_table *table, struct total_key key)
{
	static _Thread_local struct total thrown_away;
	if (table->cap) {
		struct total_slot *last = &table->slots[table->last];
		if (last->used && same_key(last->key, key)) {
			return &last->total;
		}
	}
	if ((table->count + 1) * 4 > table->cap * 3 && !grow(table)) {
		table->failed = true;
		return &thrown_away;
	}
	size_t at = find_slot(table->slots, table->cap, key);
	struct total_slot *slot = &table->slots[at];
	if (!slot->used) {
		slot->used = true;
		slot->key = key;
		table->count++;
	}
	table->last = at;
	return &slot->total;
}

void total_table_merge(struct total_table *into, const struct total_table *from)
{
	for (size_t i = 0; i < from->cap; i++) {
		const struct total_slot *slot = &from->slots[i];
		if (slot->used) {
			total_add(total_table_at(into, slot->key), slot->total.files,
			        slot->total.apparent, slot->total.allocated);
		}
	}
	into->failed = into->failed || from->failed;
}

static int by_size(const void *a, const void *b)
{
	const struct total_slot *x = a, *y = b;
	if (x->total.allocated != y->total.allocated) {
		return x->total.allocated < y->total.allocated ? 1 : -1;
	}
	return memcmp(&x->key, &y->key, sizeof x->key);
}

struct total_slot *total_table_sorted(const struct total_table *table)
{
	struct total_slot *list = calloc(table->count + 1, sizeof *list);
	size_t count = 0;
	for (size_t i = 0; list && i < table->cap; i++) {
		if (table->slots[i].used) {
			list[count++] = table->slots[i];
		}
	}
	if (list) {
		qsort(list, count, sizeof *list, by_size);
	}
	return list;
}

void total_table_release(struct total_table *table)
{
	free(table->slots);
	*table = (struct total_table){0};
}

/* A key's bytes as two numbers, the lower bytes first: the same on every machine. */
static void key_pack(struct total_key key, struct buf *out)
{
	for (unsigned word = 0; word < 2; word++) {
		pack_u64(out, le64toh(key.word[word]));
	}
}

static struct total_key key_unpack(struct unpack *in)
{
	struct total_key key;
	for (unsigned word = 0; word < 2; word++) {
		key.word[word] = htole64(unpack_u64(in));
	}
	return key;
}

void total_table_pack(const struct total_table *table, struct buf *out)
{
	size_t packed = 0;
	pack_u64(out, table->count);
	for (size_t i = 0; i < table->cap; i++) {
		if (table->slots[i].used) {
			key_pack(table->slots[i].key, out);
			total_pack(&table->slots[i].total, out);
			packed++;
		}
	}
	CHECK(packed == table->count);
}

void total_table_unpack(struct total_table *table, struct unpack *in)
{
	for (size_t count = unpack_count(in); count > 0 && !in->failed; count--) {
		struct total_key key = key_unpack(in);
		struct total t = total_unpack(in);
		total_add(total_table_at(table, key), t.files, t.apparent, t.allocated);
	}
}

bool top_init(struct top *top, size_t limit)
{
	top->items = calloc(limit ? limit : 1, sizeof *top->items);
	top->count = 0;
	top->limit = limit;
	return top->items != NULL;
}

/* Does a come before b: larger, or equal with the lesser path? */
static bool before(const struct top_item *a, const struct top_item *b)
{
	if (a->allocated != b->allocated) {
		return a->allocated > b->allocated;
	}
	size_t len = a->path_len < b->path_len ? a->path_len : b->path_len;
	int order = memcmp(a->path, b->path, len);
	if (order || a->path_len != b->path_len) {
		return order ? order < 0 : a->path_len < b->path_len;
	}
	return a->depth < b->depth;
}

static void sift_down(struct top *top, size_t at)
{
	for (;;) {
		size_t least = at, child = at * 2 + 1;
		for (size_t i = child; i < child + 2 && i < top->count; i++) {
			if (before(&top->items[least], &top->items[i])) {
				least = i;
			}
		}
		if (least == at) {
			return;
		}
		struct top_item swap = top->items[at];
		top->items[at] = top->items[least];
		top->items[least] = swap;
		at = least;
	}
}

static void sift_up(struct top *top, size_t at)
{
	while (at > 0 && before(&top->items[(at - 1) / 2], &top->items[at])) {
		struct top_item swap = top->items[at];
		top->items[at] = top->items[(at - 1) / 2];
		top->items[(at - 1) / 2] = swap;
		at = (at - 1) / 2;
	}
}

/* Would it be kept? Its path may be in two pieces. */
static bool better(const struct top *top, const struct top_item *item, const char *dir,
        size_t dir_len, const char *name, size_t name_len)
{
	if (top->count < top->limit) {
		return true;
	}
	if (top->limit == 0 || item->allocated != top->items[0].allocated) {
		return top->limit && item->allocated > top->items[0].allocated;
	}
	const struct top_item *least = &top->items[0];
	size_t common = dir_len < least->path_len ? dir_len : least->path_len;
	int order = memcmp(dir, least->path, common);
	if (order || least->path_len < dir_len) {
		return order < 0;
	}
	size_t rest = least->path_len - dir_len;
	common = name_len < rest ? name_len : rest;
	order = memcmp(name, least->path + dir_len, common);
	if (order || name_len != rest) {
		return order ? order < 0 : name_len < rest;
	}
	return item->depth < least->depth;
}

/* Takes over item->path. */
static void put(struct top *top, const struct top_item *item)
{
	if (top->count < top->limit) {
		top->items[top->count++] = *item;
		sift_up(top, top->count - 1);
	} else {
		free(top->items[0].path);
		top->items[0] = *item;
		sift_down(top, 0);
	}
}

bool top_offer(struct top *top, const struct top_item *item, const char *dir, size_t dir_len,
        const char *name, size_t name_len)
{
	if (!better(top, item, dir, dir_len, name, name_len)) {
		return true;
	}
	struct top_item copy = *item;
	copy.path_len = dir_len + name_len;
	copy.path = malloc(copy.path_len + 1);
	if (!copy.path) {
		return false;
	}
	memcpy(copy.path, dir, dir_len);
	memcpy(copy.path + dir_len, name, name_len);
	copy.path[copy.path_len] = '\0';
	put(top, &copy);
	return true;
}

void top_merge(struct top *into, struct top *from)
{
	for (size_t i = 0; i < from->count; i++) {
		struct top_item *item = &from->items[i];
		if (better(into, item, item->path, item->path_len, "", 0)) {
			put(into, item);
		} else {
			free(item->path);
		}
	}
	from->count = 0;
}

static int order(const void *a, const void *b)
{
	return before(a, b) ? -1 : before(b, a);
}

void top_sort(struct top *top)
{
	qsort(top->items, top->count, sizeof *top->items, order);
}

void top_release(struct top *top)
{
	for (size_t i = 0; i < top->count; i++) {
		free(top->items[i].path);
	}
	free(top->items);
	*top = (struct top){0};
}

void top_pack(const struct top *top, struct buf *out)
{
	pack_u64(out, top->count);
	for (size_t i = 0; i < top->count; i++) {
		const struct top_item *item = &top->items[i];
		pack_bytes(out, item->path, item->path_len);
		pack_u128(out, item->allocated);
		pack_u128(out, item->apparent);
		pack_u64(out, item->files);
		pack_u64(out, item->directories);
		pack_u64(out, item->depth);
		pack_time(out, item->mtime);
	}
}

bool top_unpack_item(struct unpack *in, struct top_item *item)
{
	size_t len;
	const char *path = unpack_bytes(in, &len);
	*item = (struct top_item){.path = (char *)(uintptr_t)path, .path_len = len};
	item->allocated = unpack_u128(in);
	item->apparent = unpack_u128(in);
	item->files = unpack_u64(in);
	item->directories = unpack_u64(in);
	item->depth = unpack_u32(in);
	item->mtime = unpack_time(in);
	return !in->failed;
}

bool top_unpack(struct top *top, struct unpack *in)
{
	bool kept = true;
	for (size_t count = unpack_count(in); count > 0 && kept; count--) {
		struct top_item item;
		if (!top_unpack_item(in, &item)) {
			break;
		}
		kept = top_offer(top, &item, item.path, item.path_len, "", 0);
	}
	return kept;
}
