/* The visit that publishing and discarding a stage share. */
#ifndef VEGA_FS_STAGE_INTERNAL_H
#define VEGA_FS_STAGE_INTERNAL_H

/* All return 0, or -errno, which ends the visit. */
struct stage_visit {
	/* Everything but a directory. path: of the directory, "" or "a/b" */
	int (*file)(void *context, int dir, const char *path, const char *name);
	int (*files_end)(void *context); /* of one directory; may be NULL */
	int (*leave)(void *context, int parent, const char *name); /* all below it was visited */
	void *context;
};

/* Each directory's files, then the directories below it. Takes over `top`. 0; -errno, of a slot or
 * of its own (-ESTALE: a directory was moved). */
int stage_visit(int top, const struct stage_visit *visit);

#endif
