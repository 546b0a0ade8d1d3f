/* The outcome of a walk: the summary, one JSON object, and the result code. */
#include "engine/outcome.h"

#include <string.h>

#include "engine/receipt.h"
#include "record/render.h"

static void roots_json(const struct spec *spec, struct json *json)
{
	json_key(json, "roots");
	json_array_begin(json);
	for (size_t i = 0; i < spec->roots.count; i++) {
		const char *root = spec->roots.items[i];
		size_t len = strlen(root);
		if (utf8_valid(root, len)) {
			json_text(json, root, len);
		} else {
			json_object_begin(json);
			json_member_path(json, "path", root, len);
			json_object_end(json);
		}
	}
	json_array_end(json);
}

static void ledger_json(const struct outcome *outcome, struct json *json)
{
	const struct walk_ledger *ledger = &outcome->ledger;
	json_key(json, "ledger");
	json_object_begin(json);
	json_member_u64(json, "entries", ledger->entries);
	json_member_u64(json, "reported", ledger->reported);
	json_member_u64(json, "filtered", ledger->filtered);
	json_member_u64(json, "errors", ledger->errors);
	if (outcome->unwritten) {
		json_member_u64(json, "unwritten", outcome->unwritten);
	}
	json_object_end(json);
}

/* So many things, and the options that left them out. */
static void omission_json(const struct spec *spec, const char *key, const char *what, bool entering,
        uint64_t count, struct json *json)
{
	const char *name;
	if (!count) {
		return;
	}
	json_key(json, key);
	json_object_begin(json);
	json_member_u64(json, what, count);
	json_key(json, "options");
	json_array_begin(json);
	for (size_t i = 0; (name = spec_next_omission(spec, entering, &i));) {
		json_str(json, name);
	}
	json_array_end(json);
	json_object_end(json);
}

static void content_json(const struct content_stats *stats, struct json *json)
{
	json_key(json, "content");
	json_object_begin(json);
	json_member_u64(json, "files_read", stats->files_read);
	json_member_u64(json, "bytes_read", stats->bytes_read);
	json_member_u64(json, "cache_hits", stats->cache_hits);
	json_object_end(json);
}

static bool operations_json(const struct outcome *outcome, struct json *json)
{
	bool whole = true, content = false;
	for (unsigned i = 0; i < outcome->op_count; i++) {
		const struct op *op = outcome->op[i];
		json_key(json, outcome->operation[i]->name);
		whole = op->finish(outcome->self[i], outcome->accumulator[i], json) && whole;
		content = content || op->content.kind != OP_NO_CONTENT || op->round;
	}
	if (content) {
		content_json(&outcome->content, json);
	}
	return whole;
}

bool outcome_json(const struct outcome *outcome, struct buf *out)
{
	struct json json = json_writer(out);
	json_object_begin(&json);
	json_member_str(&json, "type", "summary");
	json_member_u64(&json, "v", RECORD_VERSION);
	json_key(&json, "complete");
	json_bool(&json, outcome->complete);
	roots_json(outcome->spec, &json);
	json_key(&json, "operations");
	json_array_begin(&json);
	for (unsigned i = 0; i < outcome->op_count; i++) {
		json_str(&json, outcome->operation[i]->name);
	}
	json_array_end(&json);
	json_member_u64(&json, "elapsed_ns", outcome->elapsed_ns);
	ledger_json(outcome, &json);
	const struct walk_ledger *ledger = &outcome->ledger;
	omission_json(outcome->spec, "left_out", "entries", false, ledger->left_out, &json);
	omission_json(outcome->spec, "not_entered", "directories", true, ledger->unentered, &json);
	if (outcome->has_receipt) {
		receipt_json(outcome->receipt, &json);
	}
	bool whole = operations_json(outcome, &json);
	json_object_end(&json);
	return whole;
}

void outcome_add(struct outcome *to, const struct outcome *part)
{
	to->complete = to->complete && part->complete;
	to->receipt += part->receipt;
	to->elapsed_ns += part->elapsed_ns;
	to->ledger.entries += part->ledger.entries;
	to->ledger.reported += part->ledger.reported;
	to->ledger.filtered += part->ledger.filtered;
	to->ledger.errors += part->ledger.errors;
	to->ledger.left_out += part->ledger.left_out;
	to->ledger.unentered += part->ledger.unentered;
	to->ledger.roots += part->ledger.roots;
	to->ledger.unopened_roots += part->ledger.unopened_roots;
	to->ledger.no_root = to->ledger.roots > 0 && to->ledger.roots == to->ledger.unopened_roots;
	to->unwritten += part->unwritten;
	to->content.files_read += part->content.files_read;
	to->content.bytes_read += part->content.bytes_read;
	to->content.cache_hits += part->content.cache_hits;
}

static int fail_partial(const struct outcome *outcome, struct vega_error *err)
{
	struct buf text = BUF_INIT;
	record_add_faults(&text, outcome->ledger.errors, outcome->unwritten);
	int code = buf_cstr(&text) ? vega_fail(err, VEGA_PARTIAL, "%s", text.data)
	                           : vega_fail_nomem(err);
	buf_release(&text);
	return code;
}

int outcome_code(const struct outcome *outcome, const char *first_error, struct vega_error *err)
{
	if (!outcome->complete) {
		return vega_fail(err, VEGA_INTERRUPTED, "interrupted; the result is not complete");
	}
	if (outcome->ledger.no_root) {
		return vega_fail(err, VEGA_FATAL, "nothing could be read%s%s",
		        first_error ? ": " : "", first_error ? first_error : "");
	}
	return outcome->ledger.errors ? fail_partial(outcome, err) : 0;
}
