/* Each entry and each error becomes 128 bits, which are added. */
#include "engine/receipt.h"

#include <errno.h>
#include <stdio.h>
#include <xxhash.h>

static unsigned __int128 digest(
        const void *head, size_t head_len, const char *name, size_t name_len, uint64_t seed)
{
	/* What is fixed, then the name; long names (a root's path) go in two steps. */
	char bytes[320];
	if (head_len + name_len > sizeof bytes) {
		seed = XXH3_64bits_withSeed(name, name_len, seed);
		name_len = 0;
	}
	/* The lengths were compared above: a second check here would cost 2 % of a walk. */
	__builtin_memcpy(bytes, head, head_len);
	__builtin_memcpy(bytes + head_len, name, name_len);
	XXH128_hash_t hash = XXH3_128bits_withSeed(bytes, head_len + name_len, seed);
	return (unsigned __int128)hash.high64 << 64 | hash.low64;
}

void receipt_entry(struct receipt *receipt, const struct walk_entry *entry)
{
	struct {
		uint64_t type, ino, size, seconds, nanoseconds;
	} head = {entry->type, entry->ino, entry->meta->size, (uint64_t)entry->meta->mtime.sec,
	        entry->meta->mtime.nsec};
	const char *dir, *name;
	size_t dir_len, name_len;
	if (!walk_entry_path(entry, &dir, &dir_len, &name, &name_len)) {
		walk_error(entry, "receipt", ENOMEM, NULL);
		return;
	}
	if (entry->is_root) {
		receipt->sum += digest(&head, sizeof head, name, name_len, 0);
		return;
	}
	if (receipt->dir_serial != entry->dir->serial) {
		receipt->dir_serial = entry->dir->serial;
		receipt->dir_hash = XXH3_64bits(dir, dir_len);
	}
	receipt->sum += digest(&head, sizeof head, name, name_len, receipt->dir_hash);
}

void receipt_error(struct receipt *receipt, const struct record *error)
{
	uint64_t head[] = {UINT64_MAX, (uint64_t)error->errnum};
	uint64_t seed = error->dir_len ? XXH3_64bits(error->dir, error->dir_len) : 0;
	receipt->sum += digest(head, sizeof head, error->name, error->name_len, seed);
}

void receipt_json(unsigned __int128 sum, struct json *json)
{
	char text[33];
	snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)(sum >> 64),
	        (unsigned long long)sum);
	json_member_str(json, "receipt", text);
}
