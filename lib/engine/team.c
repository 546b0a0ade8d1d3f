/* The largest number of threads that suits any root, and the lines that say why. */
#include "engine/team.h"

#include <omp.h>

#include "base/escape.h"
#include "base/parse.h"

#define ROOTS_ASKED 64 /* of thousands, from --files0-from say: the walk should begin, too */

static const enum medium media[] = {MEDIUM_LOCAL, MEDIUM_SPINNING, MEDIUM_NETWORK, MEDIUM_FUSE};

static unsigned processors(void)
{
	return (unsigned)omp_get_num_procs();
}

/* It does not depend on what the roots lie on. */
static bool fixed(const struct spec *spec)
{
	return spec->threads.set || spec_computes(spec);
}

unsigned team_most(const struct spec *spec)
{
	if (spec->threads.set) {
		return (unsigned)spec->threads.value;
	}
	unsigned one_each = processors(), most = one_each;
	for (size_t i = 0; !spec_computes(spec) && i < sizeof media / sizeof *media; i++) {
		unsigned threads = medium_threads_waiting(media[i], one_each);
		most = threads > most ? threads : most;
	}
	return most;
}

static enum medium root_medium(
        const struct spec *spec, const struct fs_trees *trees, size_t root, struct buf *name)
{
	struct fs_tree *tree = fs_tree_at(trees, root);
	return tree->backend->medium(tree, spec->roots.items[root], name);
}

struct team team_for(const struct spec *spec, const struct fs_trees *trees)
{
	struct team team = {0};
	unsigned one_each = processors();
	if (fixed(spec)) {
		team.begin = team.most = team_most(spec);
		return team;
	}
	bool grows = !spec->max_iops.set; /* else it waits for its turn */
	for (size_t i = 0; i < spec->roots.count && i < ROOTS_ASKED; i++) {
		enum medium medium = root_medium(spec, trees, i, NULL);
		unsigned first = medium_threads(medium, one_each);
		unsigned most = medium_threads_waiting(medium, one_each);
		team.begin = first > team.begin ? first : team.begin;
		team.most = most > team.most ? most : team.most;
		grows = grows && most > first;
	}
	team.most = grows ? team.most : team.begin;
	return team;
}

/* The operation whose work keeps a processor busy. */
static const char *computing(const struct spec *spec)
{
	for (unsigned i = 0; operations[i]; i++) {
		if ((spec->operations & (1u << i)) && operations[i]->computes) {
			return operations[i]->name;
		}
	}
	return NULL;
}

static const char *reason(const struct spec *spec, enum medium medium)
{
	if (spec->threads.set) {
		return "as --threads says";
	}
	switch (medium) {
	case MEDIUM_SPINNING:
		return "its disk seeks";
	case MEDIUM_NETWORK:
		return "over a network";
	case MEDIUM_FUSE:
		return "served by a process";
	default:
		return "one per processor";
	}
}

void team_tell(const struct spec *spec, const struct fs_trees *trees, const struct team *team,
        void (*line)(void *context, const char *text), void *context)
{
	for (size_t i = 0; i < spec->roots.count; i++) {
		const char *root = spec->roots.items[i];
		struct buf text = BUF_INIT, name = BUF_INIT;
		enum medium medium = root_medium(spec, trees, i, &name);
		unsigned threads = fixed(spec) ? team->begin : medium_threads(medium, processors());
		escape_terminal(&text, root, strlen(root));
		buf_printf(&text, ": %s, ", buf_cstr(&name) ? name.data : "");
		format_counted(&text, threads, "thread", "threads");
		if (!spec->threads.set && computing(spec)) {
			buf_printf(&text, " (one per processor, for %s", computing(spec));
		} else {
			buf_printf(&text, " (%s", reason(spec, medium));
		}
		if (team->most > team->begin) {
			buf_printf(&text, ", up to %u while they wait for a disk", team->most);
		}
		buf_add_char(&text, ')');
		if (buf_cstr(&text)) {
			line(context, text.data);
		}
		buf_release(&name);
		buf_release(&text);
	}
}
