/* hash: a digest of each file, from its bytes or from the cache. */
#include "op/op.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h> /* the same functions, for the processor that we run on */
#endif

#include "op/sha256.h"
#include "spec/hash.h"

#define DIGEST_MAX SHA256_SIZE
#define PARTIAL_VERSION 1

static const struct algorithm {
	const char *name, *cache_name;
	size_t size;
} algorithms[] = {
        [SPEC_XXH128] = {"xxh128", "hash:xxh128:1", sizeof(XXH128_canonical_t)},
        [SPEC_SHA256] = {"sha256", "hash:sha256:1", SHA256_SIZE},
};

/* A thread's accumulator, and the state of the file that it is being fed. */
struct hash {
	struct op_thread *thread;
	const struct algorithm *algorithm;
	XXH3_state_t *xxh128; /* one of the two, by algorithm */
	struct sha256 *sha256;
	bool failed;
	uint64_t files, cached;
	unsigned __int128 bytes;
};

static int hash_open(const struct spec *spec, const struct op_output *output, void **self,
        struct vega_error *err)
{
	(void)output;
	*self = NULL;
	return hash_options(spec)->algo == SPEC_SHA256 ? sha256_load(err) : 0;
}

static void hash_thread_end(void *accumulator)
{
	struct hash *hash = accumulator;
	if (hash) {
		XXH3_freeState(hash->xxh128);
		sha256_free(hash->sha256);
		free(hash);
	}
}

static void *hash_thread_begin(struct op_thread *thread)
{
	struct hash *hash = calloc(1, sizeof *hash);
	if (!hash) {
		return NULL;
	}
	hash->thread = thread;
	hash->algorithm = &algorithms[hash_options(thread->spec)->algo];
	if (hash_options(thread->spec)->algo == SPEC_SHA256) {
		hash->sha256 = sha256_new();
	} else {
		hash->xxh128 = XXH3_createState();
	}
	if (!hash->sha256 && !hash->xxh128) {
		hash_thread_end(hash);
		return NULL;
	}
	return hash;
}

static int hash_begin_file(
        void *accumulator, const struct walk_entry *entry, const struct file_meta *meta)
{
	struct hash *hash = accumulator;
	(void)entry;
	(void)meta;
	hash->failed = hash->xxh128 ? XXH3_128bits_reset(hash->xxh128) != XXH_OK
	                            : !sha256_begin(hash->sha256);
	return 1;
}

static int hash_chunk(void *accumulator, const void *bytes, size_t len)
{
	struct hash *hash = accumulator;
	if (hash->failed) {
		return -1;
	}
	if (hash->xxh128) {
		hash->failed = XXH3_128bits_update(hash->xxh128, bytes, len) != XXH_OK;
	} else {
		hash->failed = !sha256_update(hash->sha256, bytes, len);
	}
	return hash->failed ? -1 : 0;
}

static int hash_end_file(void *accumulator, const struct walk_entry *entry,
        const struct file_meta *meta, bool whole, struct buf *result)
{
	struct hash *hash = accumulator;
	(void)meta;
	if (!whole) {
		return 0;
	}
	hash->failed = hash->failed || !buf_reserve(result, DIGEST_MAX);
	void *digest = result->data + result->len;
	if (hash->xxh128 && !hash->failed) {
		XXH128_canonicalFromHash(digest, XXH3_128bits_digest(hash->xxh128));
	} else if (!hash->failed) {
		hash->failed = !sha256_end(hash->sha256, digest);
	}
	if (hash->failed) {
		walk_error(entry, "hash", 0, "the digest could not be computed");
		return -1;
	}
	result->len += hash->algorithm->size;
	return 0;
}

static const char *hash_cache_name(const struct spec *spec)
{
	return algorithms[hash_options(spec)->algo].cache_name;
}

static bool hash_file_result(void *accumulator, const struct walk_entry *entry,
        const struct file_meta *meta, const void *result, size_t len, bool cached)
{
	struct hash *hash = accumulator;
	const struct algorithm *algorithm = hash->algorithm;
	if (len != algorithm->size) {
		return false;
	}
	char lead[DIGEST_MAX * 2 + 2], digest[DIGEST_MAX * 2 + 1];
	struct buf line = {.data = lead, .cap = sizeof lead, .max = sizeof lead};
	buf_add_hex(&line, result, algorithm->size);
	memcpy(digest, lead, line.len);
	digest[line.len] = '\0';
	buf_add(&line, "  ", 2);
	const struct record_field fields[] = {
	        {.key = "algorithm", .type = VALUE_TEXT, .text = algorithm->name},
	        {.key = "digest", .type = VALUE_TEXT, .text = digest},
	        {.key = "cached", .type = VALUE_BOOL, .number = true},
	};
	struct file_meta shown = *meta;
	shown.have &= META_SIZE | META_MTIME;
	struct record record = {
	        .type = RECORD_ENTRY,
	        .op = "hash",
	        .file_type = FILE_REGULAR,
	        .meta = &shown,
	        .fields = fields,
	        .field_count = cached ? 3 : 2,
	        .text = RECORD_TEXT_SUM,
	        .lead = lead,
	        .lead_len = line.len,
	};
	if (!walk_entry_path(entry, &record.dir, &record.dir_len, &record.name, &record.name_len)) {
		walk_error(entry, "hash", ENOMEM, NULL);
		return true;
	}
	sink_record(hash->thread->sink, &record);
	hash->files++;
	hash->cached += cached;
	hash->bytes += meta->size;
	return true;
}

static void hash_merge(void *into, void *from)
{
	struct hash *sum = into;
	const struct hash *part = from;
	sum->files += part->files;
	sum->cached += part->cached;
	sum->bytes += part->bytes;
}

static bool hash_serialize(void *accumulator, struct buf *out)
{
	const struct hash *hash = accumulator;
	pack_u64(out, PARTIAL_VERSION);
	pack_u64(out, hash->files);
	pack_u64(out, hash->cached);
	pack_u128(out, hash->bytes);
	return !out->failed;
}

static int hash_deserialize(void *accumulator, struct unpack *in)
{
	struct hash *hash = accumulator;
	bool known = unpack_u64(in) == PARTIAL_VERSION;
	hash->files = unpack_u64(in);
	hash->cached = unpack_u64(in);
	hash->bytes = unpack_u128(in);
	return known && !in->failed ? 0 : VEGA_FATAL;
}

static bool hash_finish(void *self, void *accumulator, struct json *json)
{
	const struct hash *hash = accumulator;
	(void)self;
	json_object_begin(json);
	json_member_str(json, "algorithm", hash->algorithm->name);
	json_member_u64(json, "files", hash->files);
	json_member_u128(json, "bytes", hash->bytes);
	json_member_u64(json, "cached", hash->cached);
	json_object_end(json);
	return true;
}

const struct op op_hash = {
        .name = "hash",
        .content = {.kind = OP_WHOLE},
        .types = 1u << FILE_REGULAR,
        .open = hash_open,
        .thread_begin = hash_thread_begin,
        .begin_file = hash_begin_file,
        .chunk = hash_chunk,
        .end_file = hash_end_file,
        .cache_name = hash_cache_name,
        .file_result = hash_file_result,
        .merge = hash_merge,
        .serialize = hash_serialize,
        .deserialize = hash_deserialize,
        .finish = hash_finish,
        .thread_end = hash_thread_end,
};
