/*
 * run_spec(): spec → walk → operations → records. All that vega-walk does, and all that a job does.
 */
#ifndef VEGA_ENGINE_ENGINE_H
#define VEGA_ENGINE_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "fs/backend.h"
#include "fs/stage.h"
#include "record/format.h"
#include "spec/spec.h"

struct engine_progress {
	uint64_t entries, bytes, waiting, errors;
	uint64_t expected; /* entries in all, roughly; 0: not known */
	uint64_t elapsed_ns;
};

struct engine_config {
	const struct format *format;
	struct format_options options;
	int fd;                        /* where the records go: 1 */
	struct fs_tree *tree;          /* of all roots, for tests; NULL: each by its scheme */
	const struct strlist *allowed; /* --allow-root; NULL or empty: anywhere */
	const char *cache_url;         /* NULL: none */
	const struct stage *stage;     /* output goes there, for engine_publish(); NULL: at once to
	                                  its place */

	struct vega_time now; /* from which ages count; 0: when the run begins */

	/* Of records, summary and files; 0: as much as there is. More ends the run with VEGA_FATAL.
	 */
	uint64_t max_output;
	unsigned max_threads; /* 0: as many as is best */
	bool memory_limited; /* entries that memory ended for are no errors of theirs: VEGA_NOMEM */

	/*
	 * Non-zero ends the run soon: what is known is printed, marked incomplete. A signal
	 * handler stores the signal's number; the engine itself stores -1 when the output cannot
	 * be written.
	 */
	atomic_int *stop;

	/*
	 * Instead of returning: a file system did not answer for a second after the signal. What
	 * is known was printed; what run_spec() would return is handed over, in another thread,
	 * to end the process. With it, signals are watched (base/signal.h), which is for one run
	 * of a process. NULL: such a run does not end.
	 */
	void (*hung)(int code, const struct vega_error *err, void *context);

	/* Set (by a timer or SIGUSR1) when progress is wanted; cleared by whoever reports it:
	 * either a `progress` record (ndjson and progress_records) or the callback below, by some
	 * thread of the team. */
	atomic_int *tick; /* may be NULL */
	bool progress_records;
	void (*progress)(const struct engine_progress *progress, void *context);

	/* There will be no more progress: what is written now is the end. May be NULL. */
	void (*progress_end)(void *context);
	bool tell_facts; /* a message of what was written, where records are text and have no end
	                    that says it */
	bool verbose;    /* a message for each root: how many threads it gets, and why */

	/* An entry that could not be read, when the format has no error records; one line without
	 * its newline; under a lock. */
	void (*message)(const char *line, void *context);
	void *context;
};

/*
 * Run. Returns 0; VEGA_PARTIAL (each unread entry was named); VEGA_INTERRUPTED (stop was set; the
 * summary says complete: false); or VEGA_USAGE, VEGA_FATAL (also when no root could be
 * opened) or VEGA_NOMEM. err is filled but for 0; err->sys is EPIPE when the reader of the output
 * went away.
 */
int run_spec(const struct spec *spec, const struct engine_config *config, struct vega_error *err);

/*
 * Run one part of a walk that is split (walk/walk.h); its records go where all go, and no summary.
 * config->now must be the same for all parts. 0, VEGA_PARTIAL and VEGA_INTERRUPTED as run_spec(),
 * with the partial result (engine/partial.h) in `partial`, which is emptied first. Any other code:
 * there is none; VEGA_USAGE, too, for an operation that cannot be split.
 */
struct walk_part;
int run_part(const struct spec *spec, const struct engine_config *config,
        const struct walk_part *part, struct buf *partial, struct vega_error *err);

/* All checks of run_spec() that come before the walk, for vega-submit: regexes compile, roots can
 * be opened, the output directory is usable. */
int engine_check(const struct spec *spec, const struct strlist *allowed, struct vega_error *err);

/*
 * What becomes of a stage (see fs/stage.h) that a run of this spec has filled. Both do nothing for
 * a spec that writes no files, and use of the configuration `allowed`, `stage` and, for publishing,
 * `stop` and `message`.
 *
 * Publish it: 0; VEGA_PARTIAL: what stood in the place of some files was left alone, each was
 * named, and all others are published; VEGA_INTERRUPTED or VEGA_FATAL: not all is published, try
 * again.
 */
int engine_publish(
        const struct spec *spec, const struct engine_config *config, struct vega_error *err);

/* Remove it, and those of the job's earlier leases. VEGA_FATAL. */
int engine_discard(
        const struct spec *spec, const struct engine_config *config, struct vega_error *err);

#endif
