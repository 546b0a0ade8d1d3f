/* The ledger: the tallies of the threads, whose sum says what was seen and what came of it, and
 * errors. */
#include "walk/walk_internal.h"

unsigned walk_thread_count(const struct walk *walk)
{
	return atomic_load_explicit(&walk->thread_count, memory_order_acquire);
}

static void report(struct walk_thread *t, const struct record *error)
{
	t->walk->config.visitor->error(t->context, error);
}

void walk_error(const struct walk_entry *entry, const char *what, int errnum, const char *message)
{
	struct walk_thread *t = entry->thread;
	struct record error = {
	        .type = RECORD_ERROR, .op = what, .errnum = errnum, .message = message};
	t->entry_error = true;
	if (!walk_entry_path(entry, &error.dir, &error.dir_len, &error.name, &error.name_len)) {
		error.dir = "";
		error.dir_len = 0;
	}
	report(t, &error);
}

bool walk_entry_failed(const struct walk_entry *entry)
{
	return entry->thread->entry_error;
}

void walk_late_error(struct walk_thread *t, const struct record *error)
{
	tally_add(&t->tallies.reported, (uint64_t)-1); /* the sum over the threads is what counts */
	tally_add(&t->tallies.errors, 1);
	report(t, error);
}

void walk_unread(struct walk_thread *t, const struct record *error)
{
	tally_add(&t->tallies.entries, 1);
	tally_add(&t->tallies.errors, 1);
	report(t, error);
}

void walk_unlisted(struct walk_thread *t, const struct walk_dir *dir, const char *what, int errnum)
{
	struct record error = {.type = RECORD_ERROR,
	        .op = what,
	        .dir = "",
	        .name = walk_dir_name(dir),
	        .name_len = dir->name_len,
	        .errnum = errnum};
	const char *path = dir->parent ? walk_dir_path(t, dir->parent, &error.dir_len) : NULL;
	if (path) {
		error.dir = path;
	} else {
		error.dir_len = 0;
	}
	walk_unread(t, &error);
}

void walk_ledger(const struct walk *walk, struct walk_ledger *out)
{
	*out = (struct walk_ledger){0};
	for (unsigned i = 0; i < walk_thread_count(walk); i++) {
		const struct walk_thread *t = &walk->threads[i];
		out->entries += atomic_load_explicit(&t->tallies.entries, memory_order_relaxed);
		out->reported += atomic_load_explicit(&t->tallies.reported, memory_order_relaxed);
		out->filtered += atomic_load_explicit(&t->tallies.filtered, memory_order_relaxed);
		out->errors += atomic_load_explicit(&t->tallies.errors, memory_order_relaxed);
		out->left_out += atomic_load_explicit(&t->tallies.left_out, memory_order_relaxed);
		out->unentered += atomic_load_explicit(&t->tallies.unentered, memory_order_relaxed);
		out->directories_waiting += deque_len(&t->deque);
	}
	out->roots = walk->roots.count;
	out->unopened_roots = atomic_load_explicit(&walk->unopened_roots, memory_order_relaxed);
	out->no_root = out->roots > 0 && out->unopened_roots == out->roots;
}
