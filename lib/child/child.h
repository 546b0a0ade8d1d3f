/*
 * One `vega-walk` child: its process and its pipes.
 *
 * It leads its own process group, reads the spec on descriptor 3 (a memfd), has /dev/null as stdin
 * and pipes as stdout and stderr, inherits nothing else, is killed by the kernel when the worker
 * dies, and sees no PG* variable, no VEGA_STORE and nothing of a service manager. The caller polls
 * `out` and `err`.
 *
 * When it runs as the job's submitter, who could look into it, it gets nothing else of the worker's
 * environment than PATH, the locale and the time zone, and no cache.
 */
#ifndef VEGA_CHILD_CHILD_H
#define VEGA_CHILD_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/strlist.h"
#include "child/identity.h"

#define CHILD_TAIL_MAX ((size_t)8 * 1024)

/* How all children of a process are run. Everything is borrowed, for child_command_init() alone but
 * for the submitters. */
struct child_config {
	const char *walk_path; /* NULL: beside our own binary, else from PATH */
	const char *cache_url; /* their VEGA_CACHE; NULL: none */
	const struct strlist *roots;
	const struct identity_map *submitters; /* whom they run as; NULL: as this process */
	bool refuse_commands;
	uint64_t progress_ms; /* how often each reports */
};

/* The same for all of them. argv and envp end in NULL. */
struct child_command {
	char *path;
	struct strlist argv, envp;
	const struct identity_map *submitters; /* borrowed; NULL: all run as this process */
};

/*
 * What the configuration says of the children. The cache's URL may hold a password, so it goes in
 * VEGA_CACHE and not in argv, which everyone may read. VEGA_FATAL: there is no vega-walk.
 */
int child_command_init(
        struct child_command *command, const struct child_config *config, struct vega_error *err);
void child_command_release(struct child_command *command);

struct child {
	pid_t pid;       /* 0: none, or reaped */
	int out, err;    /* non-blocking; -1: closed */
	int status;      /* as of waitpid(), once pid is 0 */
	struct buf tail; /* the end of stderr: CHILD_TAIL_MAX bytes at least, when there were */
};

#define CHILD_OPTIONS_MAX 4

/*
 * `options`: up to CHILD_OPTIONS_MAX more than the command's, ended by NULL. `identity`: whom it
 * runs as, NULL: as the worker. When it could not be started, VEGA_FATAL with errno in err->sys, or
 * VEGA_NO: this identity could not run it.
 */
int child_start(struct child *child, const struct child_command *command,
        const char *const *options, const struct identity *identity, const char *spec,
        struct vega_error *err);

/*
 * Read what is there, once, into block: the number of bytes, 0 at the end (*fd is then closed and
 * -1), or -1 for "nothing now".
 */
ssize_t child_read(int *fd, char *block, size_t size);

/* Read stderr once and keep its tail. Returns as child_read(). */
ssize_t child_read_err(struct child *child, char *block, size_t size);

/* Signal the process group; does nothing when it is over. */
void child_signal(const struct child *child, int number);

/*
 * True when the child has ended. Its group is then killed, so that nothing which it left behind
 * keeps the pipes open; it stays unreaped, and the pipes hold its last words.
 */
bool child_ended(const struct child *child);

/* Collect the status of one that has ended, and close its pipes. */
void child_reap(struct child *child);

/* Kill and reap if need be, close, free. */
void child_release(struct child *child);

/* The last CHILD_TAIL_MAX bytes of stderr as valid UTF-8, or NULL when there were none. */
char *child_stderr_tail(const struct child *child);

/* Its last message: the last "vega-walk: " line of stderr, else the last line; NULL: none. */
char *child_last_message(const struct child *child);

#endif
