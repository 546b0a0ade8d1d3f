/*
 * Whom the processes of a job run as: the system user who belongs to the job's submitter, with no
 * way back.
 *
 * The submitter is a database role that the database itself has written into the job. A map says
 * which system user belongs to it: a file with a line "ROLE USER" for each ('#' begins a comment),
 * or, without a file, the user of the same name.
 */
#ifndef VEGA_CHILD_IDENTITY_H
#define VEGA_CHILD_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/strlist.h"

struct identity_map {
	const char *path;            /* borrowed; "" : no file, the same names */
	struct strlist roles, users; /* as many of each */
	bool allow_root;             /* may one of them have the uid 0? */
	bool allow_worker;           /* or ours, to which the store's password belongs? */
};

/*
 * Into a map that is empty but for its path and what it allows. VEGA_USAGE names what is wrong: a
 * line that is not understood, a user who does not exist or may not be meant, a file that others
 * than its owner may write to or that is not ours or root's, or a capability that this process
 * lacks. Whatever it returns, release the map.
 */
int identity_map_load(struct identity_map *map, struct vega_error *err);
void identity_map_release(struct identity_map *map);

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	int group_count;
	char *user; /* NULL: nobody in particular */
	char *home, *shell;
};

/* VEGA_NO says why the submitter (may be NULL) has nobody to run as; VEGA_FATAL: it cannot be told
 * now. */
int identity_find(const struct identity_map *map, const char *submitter, struct identity *out,
        struct vega_error *err);
void identity_release(struct identity *identity);

/*
 * Become it, in a new process that is about to exec: only calls that are safe after fork(). All of
 * user, groups, capabilities, umask, directory, and a session of its own, since it could put input
 * into the worker's terminal; what is executed can get no more. An identity with uid 0 keeps its
 * capabilities: it would be root in name only. False with errno when anything of that is not so
 * afterwards.
 */
bool identity_assume(const struct identity *identity);

#endif
