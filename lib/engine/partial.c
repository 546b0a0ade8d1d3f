/* Partial results of a split walk: the envelope, its sections, and their merging into one. */
#include "engine/partial.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/pack.h"
#include "engine/places.h"

#define MAGIC "VEGAPART"
#define MAGIC_SIZE (sizeof MAGIC - 1)
#define VERSION 2
#define DIGEST_SIZE sizeof(XXH128_canonical_t)
#define CHECKSUM_SIZE sizeof(XXH64_canonical_t)

struct partial {
	struct outcome outcome;
	struct op_thread op_thread[OPS_MAX];
	XXH128_canonical_t digest; /* of the spec */
	struct vega_time now;
	bool opened; /* the operations, for `now` */
	uint64_t roots_chosen;
	struct places places;
};

/* Before the sections. */
struct head {
	XXH128_canonical_t digest;
	struct vega_time now;
	uint64_t roots_chosen;
	struct outcome sums; /* the rest of it is empty */
	unsigned op_count;
};

static bool spec_digest(const struct spec *spec, XXH128_canonical_t *digest)
{
	struct buf json = BUF_INIT;
	spec_to_json(spec, &json);
	bool made = !json.failed;
	if (made) {
		XXH128_canonicalFromHash(digest, XXH3_128bits(json.data, json.len));
	}
	buf_release(&json);
	return made;
}

/* The operations of a spec, in their order. */
static void choose_ops(struct outcome *outcome, const struct spec *spec)
{
	outcome->spec = spec;
	for (unsigned i = 0; ops[i]; i++) {
		if (spec->operations >> i & 1) {
			CHECK(outcome->op_count < OPS_MAX);
			outcome->operation[outcome->op_count] = operations[i];
			outcome->op[outcome->op_count++] = ops[i];
		}
	}
}

int partial_check(const struct spec *spec, struct vega_error *err)
{
	struct outcome outcome = {0};
	choose_ops(&outcome, spec);
	for (unsigned i = 0; i < outcome.op_count; i++) {
		const struct op *op = outcome.op[i];
		if (!op->serialize || !op->deserialize) {
			return vega_fail(err, VEGA_USAGE,
			        "%s has no partial results: its walk cannot be split",
			        outcome.operation[i]->name);
		}
	}
	return 0;
}

static void pack_head(const struct head *head, const struct places *places, struct buf *out)
{
	const struct outcome *sums = &head->sums;
	buf_add(out, MAGIC, MAGIC_SIZE);
	pack_u64(out, VERSION);
	buf_add(out, &head->digest, DIGEST_SIZE);
	pack_time(out, head->now);
	pack_u64(out, head->roots_chosen);
	places_pack(places, out);
	pack_u64(out, sums->complete);
	pack_u128(out, sums->receipt);
	pack_u64(out, sums->elapsed_ns);
	pack_u64(out, sums->ledger.entries);
	pack_u64(out, sums->ledger.reported);
	pack_u64(out, sums->ledger.filtered);
	pack_u64(out, sums->ledger.errors);
	pack_u64(out, sums->ledger.left_out);
	pack_u64(out, sums->ledger.unentered);
	pack_u64(out, sums->ledger.roots);
	pack_u64(out, sums->ledger.unopened_roots);
	pack_u64(out, sums->unwritten);
	pack_u64(out, sums->content.files_read);
	pack_u64(out, sums->content.bytes_read);
	pack_u64(out, sums->content.cache_hits);
	pack_u64(out, head->op_count);
}

static void unpack_sums(struct unpack *in, struct outcome *sums)
{
	sums->complete = unpack_bool(in);
	sums->receipt = unpack_u128(in);
	sums->elapsed_ns = unpack_u64(in);
	sums->ledger.entries = unpack_u64(in);
	sums->ledger.reported = unpack_u64(in);
	sums->ledger.filtered = unpack_u64(in);
	sums->ledger.errors = unpack_u64(in);
	sums->ledger.left_out = unpack_u64(in);
	sums->ledger.unentered = unpack_u64(in);
	sums->ledger.roots = unpack_u64(in);
	sums->ledger.unopened_roots = unpack_u64(in);
	sums->unwritten = unpack_u64(in);
	sums->content.files_read = unpack_u64(in);
	sums->content.bytes_read = unpack_u64(in);
	sums->content.cache_hits = unpack_u64(in);
}

static bool pack_sections(const struct outcome *outcome, struct buf *out)
{
	struct buf section = BUF_INIT;
	bool whole = true;
	for (unsigned i = 0; i < outcome->op_count; i++) {
		const struct op *op = outcome->op[i];
		buf_clear(&section);
		whole = op->serialize(outcome->accumulator[i], &section) && whole;
		const char *name = outcome->operation[i]->name;
		pack_bytes(out, name, strlen(name));
		pack_bytes(out, section.data, section.len);
	}
	buf_release(&section);
	return whole;
}

static bool pack(const struct head *head, const struct places *places,
        const struct outcome *outcome, struct buf *out)
{
	buf_clear(out);
	pack_head(head, places, out);
	bool whole = pack_sections(outcome, out);
	if (!out->failed) {
		XXH64_canonical_t sum;
		XXH64_canonicalFromHash(&sum, XXH3_64bits(out->data, out->len));
		buf_add(out, &sum, CHECKSUM_SIZE);
	}
	return whole && !out->failed;
}

/* Where the part really began, and where it really was cut. */
static bool places_of(const struct walk *walk, const struct walk_part *part, struct places *places)
{
	bool added = true;
	for (size_t i = 0; i < part->begin_count; i++) {
		const struct walk_place *at = &part->begin[i];
		if (at->path[0] || walk_root_chosen(walk, at->root)) {
			added = places_add(places, at->root, at->path, strlen(at->path), 1) &&
			        added;
		}
	}
	for (size_t i = 0; i < part->cut_count; i++) {
		const struct walk_place *at = &part->cut[i];
		if (walk_part_met(walk, i)) {
			added = places_add(places, at->root, at->path, strlen(at->path), -1) &&
			        added;
		}
	}
	return added;
}

bool partial_pack(const struct outcome *outcome, const struct walk *walk,
        const struct walk_part *part, struct vega_time now, struct buf *out)
{
	struct head head = {.now = now,
	        .roots_chosen = walk_roots_chosen(walk),
	        .sums = *outcome,
	        .op_count = outcome->op_count};
	struct places places = {0};
	bool whole = spec_digest(outcome->spec, &head.digest) && places_of(walk, part, &places);
	whole = whole && pack(&head, &places, outcome, out);
	places_release(&places);
	return whole;
}

int partial_new(const struct spec *spec, struct partial **out, struct vega_error *err)
{
	int code = partial_check(spec, err);
	if (code) {
		return code;
	}
	struct partial *partial = calloc(1, sizeof *partial);
	if (!partial || !spec_digest(spec, &partial->digest)) {
		free(partial);
		return vega_fail_nomem(err);
	}
	choose_ops(&partial->outcome, spec);
	partial->outcome.complete = true;
	partial->outcome.has_receipt = true;
	*out = partial;
	return 0;
}

/* An empty accumulator per operation, once the time is known. */
static int open_ops(struct partial *partial, struct vega_error *err)
{
	struct outcome *outcome = &partial->outcome;
	const struct op_output output = {.now = partial->now, .part = true};
	for (unsigned i = 0; i < outcome->op_count; i++) {
		const struct op *op = outcome->op[i];
		int code = op->open ? op->open(outcome->spec, &output, &outcome->self[i], err) : 0;
		if (code) {
			return code;
		}
		partial->op_thread[i] =
		        (struct op_thread){.spec = outcome->spec, .self = outcome->self[i]};
		outcome->accumulator[i] = op->thread_begin(&partial->op_thread[i]);
		if (!outcome->accumulator[i]) {
			return vega_fail_nomem(err);
		}
	}
	partial->opened = true;
	return 0;
}

static int fail_damaged(struct vega_error *err)
{
	return vega_fail(err, VEGA_FATAL, "a partial result is damaged");
}

static bool is_whole(const uint8_t *bytes, size_t len)
{
	XXH64_canonical_t sum;
	if (len < MAGIC_SIZE + CHECKSUM_SIZE) {
		return false;
	}
	XXH64_canonicalFromHash(&sum, XXH3_64bits(bytes, len - CHECKSUM_SIZE));
	return memcmp(&sum, bytes + len - CHECKSUM_SIZE, CHECKSUM_SIZE) == 0;
}

static bool raw(struct unpack *in, void *to, size_t len)
{
	if (in->failed || (size_t)(in->end - in->at) < len) {
		in->failed = true;
		return false;
	}
	memcpy(to, in->at, len);
	in->at += len;
	return true;
}

static int unpack_head(
        struct partial *partial, struct unpack *in, struct head *head, struct vega_error *err)
{
	if (unpack_u64(in) != VERSION) {
		return vega_fail(err, VEGA_FATAL, "a partial result is of another version");
	}
	*head = (struct head){0};
	raw(in, &head->digest, DIGEST_SIZE);
	head->now = unpack_time(in);
	if (!in->failed && memcmp(&head->digest, &partial->digest, DIGEST_SIZE) != 0) {
		return vega_fail(err, VEGA_FATAL, "a partial result is of another specification");
	}
	if (!in->failed && partial->opened && vega_time_compare(head->now, partial->now) != 0) {
		return vega_fail(err, VEGA_FATAL, "a partial result counts from another time");
	}
	head->roots_chosen = unpack_u64(in);
	if (!in->failed && partial->opened && head->roots_chosen != partial->roots_chosen) {
		return vega_fail(err, VEGA_FATAL, "a partial result is of other roots");
	}
	size_t roots = partial->outcome.spec->roots.count;
	if (!places_unpack(&partial->places, in, roots)) {
		return vega_fail_nomem(err);
	}
	unpack_sums(in, &head->sums);
	bool known = unpack_u64(in) == partial->outcome.op_count;
	return known && !in->failed ? 0 : fail_damaged(err);
}

static int merge_section(
        struct partial *partial, unsigned index, struct unpack *in, struct vega_error *err)
{
	const struct op *op = partial->outcome.op[index];
	size_t name_len, len;
	const char *name = unpack_bytes(in, &name_len);
	const char *bytes = unpack_bytes(in, &len);
	const char *known = partial->outcome.operation[index]->name;
	if (in->failed || name_len != strlen(known) || memcmp(name, known, name_len) != 0) {
		return fail_damaged(err);
	}
	struct unpack section = unpack_begin(bytes, len);
	void *accumulator = op->thread_begin(&partial->op_thread[index]);
	if (!accumulator) {
		return vega_fail_nomem(err);
	}
	int code = op->deserialize(accumulator, &section);
	if (code == VEGA_NOMEM) {
		vega_fail_nomem(err);
	} else if (code || !unpack_ended(&section)) {
		code = fail_damaged(err);
	} else {
		op->merge(partial->outcome.accumulator[index], accumulator);
	}
	op->thread_end(accumulator);
	return code;
}

int partial_add(struct partial *partial, const void *bytes, size_t len, struct vega_error *err)
{
	struct head head;
	if (len < MAGIC_SIZE || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0) {
		return vega_fail(err, VEGA_FATAL, "this is no partial result");
	}
	if (!is_whole(bytes, len)) {
		return fail_damaged(err);
	}
	struct unpack in = unpack_begin(bytes, len - CHECKSUM_SIZE);
	in.at += MAGIC_SIZE;
	int code = unpack_head(partial, &in, &head, err);
	if (!code && !partial->opened) {
		partial->now = head.now;
		partial->roots_chosen = head.roots_chosen;
		code = open_ops(partial, err);
	}
	for (unsigned i = 0; i < partial->outcome.op_count && !code; i++) {
		code = merge_section(partial, i, &in, err);
	}
	if (!code && !unpack_ended(&in)) {
		code = fail_damaged(err);
	}
	if (!code && places_doubled(&partial->places)) {
		code = vega_fail(err, VEGA_FATAL, "a part of the walk was given twice");
	}
	if (!code) {
		outcome_add(&partial->outcome, &head.sums);
	}
	return code;
}

int partial_write(struct partial *partial, struct buf *out, struct vega_error *err)
{
	const struct head head = {.digest = partial->digest,
	        .now = partial->now,
	        .roots_chosen = partial->roots_chosen,
	        .sums = partial->outcome,
	        .op_count = partial->outcome.op_count};
	CHECK(partial->opened);
	bool written = pack(&head, &partial->places, &partial->outcome, out);
	return written ? 0 : vega_fail_nomem(err);
}

int partial_summary(struct partial *partial, struct buf *json, struct vega_error *err)
{
	if (!partial->opened || !places_match(&partial->places, partial->roots_chosen)) {
		return vega_fail(err, VEGA_FATAL, "a part of the walk is missing");
	}
	bool whole = outcome_json(&partial->outcome, json);
	if (!whole || json->failed) {
		return vega_fail_nomem(err);
	}
	return outcome_code(&partial->outcome, NULL, err);
}

void partial_free(struct partial *partial)
{
	if (!partial) {
		return;
	}
	struct outcome *outcome = &partial->outcome;
	for (unsigned i = 0; i < outcome->op_count; i++) {
		if (outcome->accumulator[i]) {
			outcome->op[i]->thread_end(outcome->accumulator[i]);
		}
		if (outcome->op[i]->close) {
			outcome->op[i]->close(outcome->self[i]);
		}
	}
	places_release(&partial->places);
	free(partial);
}
