/* The summary of a run: one JSON object, made from the accumulators of all threads. */
#include "engine/run_internal.h"

#include <string.h>

#include "base/clock.h"

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

uint64_t run_unwritten(const struct run *run)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < walk_thread_count(run->walk); i++) {
		sum += run_thread_at(run, i)->unwritten;
	}
	return sum;
}

static void ledger_json(const struct run *run, struct json *json)
{
	struct walk_ledger ledger;
	walk_ledger(run->walk, &ledger);
	json_key(json, "ledger");
	json_object_begin(json);
	json_member_u64(json, "entries", ledger.entries);
	json_member_u64(json, "reported", ledger.reported);
	json_member_u64(json, "filtered", ledger.filtered);
	json_member_u64(json, "errors", ledger.errors);
	if (run_unwritten(run)) {
		json_member_u64(json, "unwritten", run_unwritten(run));
	}
	json_object_end(json);
}

static void content_json(const struct run *run, struct json *json)
{
	struct content_stats stats = {0};
	for (unsigned i = 0; i < walk_thread_count(run->walk); i++) {
		content_stats_add(run_thread_at(run, i)->content, &stats);
	}
	json_key(json, "content");
	json_object_begin(json);
	json_member_u64(json, "files_read", stats.files_read);
	json_member_u64(json, "bytes_read", stats.bytes_read);
	json_member_u64(json, "cache_hits", stats.cache_hits);
	json_object_end(json);
}

bool run_summarize(struct run *run, bool complete, struct buf *out)
{
	struct json json = json_writer(out);
	bool whole = true;
	struct run_thread *first = run_thread_at(run, 0);
	json_object_begin(&json);
	json_member_str(&json, "type", "summary");
	json_member_u64(&json, "v", RECORD_VERSION);
	json_key(&json, "complete");
	json_bool(&json, complete);
	roots_json(run->spec, &json);
	json_key(&json, "operations");
	json_array_begin(&json);
	for (unsigned i = 0; i < run->op_count; i++) {
		json_str(&json, run->operation[i]->name);
	}
	json_array_end(&json);
	json_member_u64(&json, "elapsed_ns", monotonic_ns() - run->started_ns);
	ledger_json(run, &json);
	if (run->receipt) {
		unsigned __int128 sum = 0;
		for (unsigned i = 0; i < walk_thread_count(run->walk); i++) {
			sum += run_thread_at(run, i)->receipt.sum;
		}
		receipt_json(sum, &json);
	}
	for (unsigned i = 0; i < run->op_count; i++) {
		const struct op *op = run->op[i];
		for (unsigned other = 1; op->merge && other < walk_thread_count(run->walk);
		        other++) {
			op->merge(first->accumulator[i], run_thread_at(run, other)->accumulator[i]);
		}
		json_key(&json, run->operation[i]->name);
		whole = op->finish(run->self[i], first->accumulator[i], &json) && whole;
	}
	if (run->content.op_count > 0) {
		content_json(run, &json);
	}
	json_object_end(&json);
	return whole;
}
