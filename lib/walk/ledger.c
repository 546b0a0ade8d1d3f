/* What was seen and what came of it: the tallies of the threads, and errors. */
#include "walk/walk_internal.h"

void walk_error(const struct walk_entry *entry, const char *what, int errnum, const char *message)
{
	struct walk_thread *t = entry->thread;
	const char *dir, *name;
	size_t dir_len, name_len;
	t->entry_error = true;
	if (!walk_entry_path(entry, &dir, &dir_len, &name, &name_len)) {
		dir = "";
		dir_len = 0;
	}
	t->walk->config.visitor->error(
	        t->context, what, dir, dir_len, name, name_len, errnum, message);
}

void walk_late_error(struct walk_thread *t, const char *what, const char *dir, size_t dir_len,
        const char *name, size_t name_len, int errnum, const char *message)
{
	tally_add(&t->tallies.reported, (uint64_t)-1); /* the sum over the threads is what counts */
	tally_add(&t->tallies.errors, 1);
	t->walk->config.visitor->error(
	        t->context, what, dir, dir_len, name, name_len, errnum, message);
}

void walk_unlisted(struct walk_thread *t, const struct walk_dir *dir, const char *what, int errnum)
{
	const char *path = "", *name = walk_dir_name(dir);
	size_t len = 0;
	if (dir->parent && !(path = walk_dir_path(t, dir->parent, &len))) {
		path = "";
	}
	t->walk->config.visitor->error(
	        t->context, what, path, len, name, dir->name_len, errnum, NULL);
	tally_add(&t->tallies.entries, 1);
	tally_add(&t->tallies.errors, 1);
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
		out->directories_waiting += deque_len(&t->deque);
	}
	out->no_root = walk->roots.count > 0 && atomic_load_explicit(&walk->unopened_roots,
	                                                memory_order_relaxed) == walk->roots.count;
}
