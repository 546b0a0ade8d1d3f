/* The beginnings and the cuts of the parts of a walk, set against each other. */
#include "engine/places.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static int compare(const struct places_item *item, uint32_t root, const char *path, size_t path_len)
{
	if (item->root != root) {
		return item->root < root ? -1 : 1;
	}
	size_t len = item->path_len < path_len ? item->path_len : path_len;
	int order = memcmp(item->path, path, len);
	return order ? order : (item->path_len > path_len) - (item->path_len < path_len);
}

/* The first that is not before it. */
static size_t find(const struct places *places, uint32_t root, const char *path, size_t len)
{
	size_t from = 0, to = places->count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (compare(&places->items[middle], root, path, len) < 0) {
			from = middle + 1;
		} else {
			to = middle;
		}
	}
	return from;
}

static bool insert(
        struct places *places, size_t at, uint32_t root, const char *path, size_t len, int balance)
{
	if (places->count == places->cap) {
		size_t cap = places->cap ? places->cap * 2 : 16;
		struct places_item *items = reallocarray(places->items, cap, sizeof *items);
		if (!items) {
			return false;
		}
		places->items = items;
		places->cap = cap;
	}
	char *copy = malloc(len + 1);
	if (!copy) {
		return false;
	}
	memcpy(copy, path, len);
	struct places_item *item = &places->items[at];
	memmove(item + 1, item, (places->count - at) * sizeof *item);
	*item = (struct places_item){copy, len, root, balance};
	places->count++;
	return true;
}

bool places_add(struct places *places, uint32_t root, const char *path, size_t len, int balance)
{
	CHECK(balance == 1 || balance == -1);
	size_t at = find(places, root, path, len);
	struct places_item *item = at < places->count ? &places->items[at] : NULL;
	if (!item || compare(item, root, path, len) != 0) {
		return insert(places, at, root, path, len, balance);
	}
	item->balance += balance;
	if (item->balance == 0) {
		free(item->path);
		places->count--;
		memmove(item, item + 1, (places->count - at) * sizeof *item);
	}
	return true;
}

bool places_doubled(const struct places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		if (places->items[i].balance != 1 && places->items[i].balance != -1) {
			return true;
		}
	}
	return false;
}

bool places_match(const struct places *places, uint64_t roots)
{
	for (size_t i = 0; i < places->count; i++) {
		if (places->items[i].path_len > 0 || places->items[i].balance != 1) {
			return false;
		}
	}
	return places->count == roots;
}

void places_pack(const struct places *places, struct buf *out)
{
	pack_u64(out, places->count);
	for (size_t i = 0; i < places->count; i++) {
		const struct places_item *item = &places->items[i];
		pack_u64(out, item->root);
		pack_bytes(out, item->path, item->path_len);
		pack_u64(out, item->balance > 0);
	}
}

bool places_unpack(struct places *places, struct unpack *in, size_t roots)
{
	for (size_t count = unpack_count(in); count > 0; count--) {
		size_t len;
		uint32_t root = unpack_u32(in);
		const char *path = unpack_bytes(in, &len);
		bool begun = unpack_bool(in);
		if (in->failed || root >= roots) {
			in->failed = true;
			return true;
		}
		if (!places_add(places, root, path, len, begun ? 1 : -1)) {
			return false;
		}
	}
	return true;
}

void places_release(struct places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		free(places->items[i].path);
	}
	free(places->items);
	*places = (struct places){0};
}
