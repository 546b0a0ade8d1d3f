/* summarize's member of the summary. */
#include "op/summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op/owners.h"
#include "spec/summarize.h"

static void classes_json(struct json *json, const char *table, const char *key,
        const char *const *names, const struct total *totals, size_t count)
{
	json_key(json, table);
	json_array_begin(json);
	for (size_t i = 0; i < count; i++) {
		json_object_begin(json);
		json_member_str(json, key, names[i]);
		total_json(&totals[i], json);
		json_object_end(json);
	}
	json_array_end(json);
}

static void extension_json(struct json *json, const struct total_slot *slot)
{
	char text[16];
	memcpy(text, &slot->key, sizeof text);
	json_member_path(json, "extension", text, strnlen(text, sizeof text));
}

static void table_json(struct json *json, const char *name, struct total_table *table,
        void (*key)(struct json *, const struct total_slot *))
{
	struct total_slot *slots = total_table_sorted(table);
	json_key(json, name);
	json_array_begin(json);
	for (size_t i = 0; slots && i < table->count; i++) {
		json_object_begin(json);
		key(json, &slots[i]);
		total_json(&slots[i].total, json);
		json_object_end(json);
	}
	json_array_end(json);
	table->failed = table->failed || !slots;
	free(slots);
}

static void owner_json(struct json *json, const struct owner *owner)
{
	char number[24]; /* as ls does */
	snprintf(number, sizeof number, "%lu", (unsigned long)owner->uid);
	const char *text = owner->name ? owner->name : number;
	json_member_u64(json, "uid", owner->uid);
	json_member_path(json, "owner", text, strlen(text));
}

static void owners_json(struct json *json, struct total_table *table, bool numeric)
{
	struct total_slot *slots = total_table_sorted(table);
	struct owner *owners = calloc(table->count + 1, sizeof *owners);
	bool ready = slots && owners;
	for (size_t i = 0; ready && i < table->count; i++) {
		owners[i].uid = (uint32_t)number_of_key(slots[i].key);
	}
	ready = ready && (numeric || owners_find(owners, table->count) == 0);
	json_key(json, "by_owner");
	json_array_begin(json);
	for (size_t i = 0; ready && i < table->count; i++) {
		json_object_begin(json);
		owner_json(json, &owners[i]);
		total_json(&slots[i].total, json);
		json_object_end(json);
	}
	json_array_end(json);
	table->failed = table->failed || !ready;
	if (owners) {
		owners_release(owners, table->count);
	}
	free(owners);
	free(slots);
}

static void files_json(struct json *json, struct top *top)
{
	top_sort(top);
	json_key(json, "largest_files");
	json_array_begin(json);
	for (size_t i = 0; i < top->count; i++) {
		const struct top_item *item = &top->items[i];
		json_object_begin(json);
		json_member_path(json, "path", item->path, item->path_len);
		json_member_u128(json, "apparent_bytes", item->apparent);
		json_member_u128(json, "allocated_bytes", item->allocated);
		json_key(json, "mtime");
		json_time(json, item->mtime.sec, item->mtime.nsec);
		json_object_end(json);
	}
	json_array_end(json);
}

static void directories_json(struct json *json, const char *key, const struct top *top)
{
	json_key(json, key);
	json_array_begin(json);
	for (size_t i = 0; i < top->count; i++) {
		const struct top_item *item = &top->items[i];
		json_object_begin(json);
		json_member_path(json, "path", item->path, item->path_len);
		json_member_u64(json, "depth", item->depth);
		json_member_u64(json, "files", item->files);
		json_member_u64(json, "directories", item->directories);
		json_member_u128(json, "apparent_bytes", item->apparent);
		json_member_u128(json, "allocated_bytes", item->allocated);
		json_object_end(json);
	}
	json_array_end(json);
}

static int by_path(const void *a, const void *b)
{
	const struct top_item *x = a, *y = b;
	size_t len = x->path_len < y->path_len ? x->path_len : y->path_len;
	int order = memcmp(x->path, y->path, len);
	order = order ? order : (x->path_len > y->path_len) - (x->path_len < y->path_len);
	/* One that several roots show. */
	return order ? order : (x->depth > y->depth) - (x->depth < y->depth);
}

static void totals_json(struct json *json, const struct summary *a)
{
	json_member_u64(json, "files", a->files);
	json_member_u64(json, "directories", a->directories);
	json_member_u64(json, "links", a->links);
	json_member_u64(json, "others", a->others);
	json_member_u128(json, "apparent_bytes", a->all.apparent);
	json_member_u128(json, "allocated_bytes", a->all.allocated);
	json_key(json, "directory_bytes");
	json_object_begin(json);
	json_member_u128(json, "apparent", a->directory.apparent);
	json_member_u128(json, "allocated", a->directory.allocated);
	json_object_end(json);
	json_key(json, "hard_links");
	json_object_begin(json);
	json_member_u64(json, "inodes", a->linked_inodes);
	json_member_u64(json, "names", a->linked_names);
	json_member_u128(json, "saved_bytes", a->saved);
	json_object_end(json);
}

bool summary_json(struct summary *a, struct json *json)
{
	const char *age_names[SUMMARY_AGES], *size_names[SUMMARY_SIZES];
	for (size_t i = 0; i < SUMMARY_AGES; i++) {
		age_names[i] = summary_ages[i].name;
	}
	for (size_t i = 0; i < SUMMARY_SIZES; i++) {
		size_names[i] = summary_sizes[i].name;
	}
	json_object_begin(json);
	totals_json(json, a);
	table_json(json, "by_extension", &a->extension, extension_json);
	owners_json(json, &a->owner, summarize_options(a->self->spec)->numeric);
	classes_json(json, "by_age", "age", age_names, a->age, SUMMARY_AGES);
	classes_json(json, "by_size", "size", size_names, a->size, SUMMARY_SIZES);
	files_json(json, &a->files_top);
	top_sort(&a->directories_top);
	directories_json(json, "largest_directories", &a->directories_top);
	qsort(a->shallow.items, a->shallow.count, sizeof *a->shallow.items, by_path);
	directories_json(json, "by_directory", &a->shallow);
	bool whole = !a->failed && !a->extension.failed && !a->owner.failed;
	if (!whole) {
		json_member_str(json, "incomplete", "out of memory");
	}
	json_object_end(json);
	return whole;
}
