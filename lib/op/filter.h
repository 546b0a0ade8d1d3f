/*
 * Filters: a command is run for each file, its standard input is the file's content, its standard
 * output becomes the output file.
 *
 * An argument vector, never a shell. A token that is exactly one of these is replaced:
 *   {}    the path            {.}   the path without the name's extension
 *   {/}   the name            {/.}  the name without its extension
 *   {//}  the directory ("." when the path has none)
 * and what then begins with '-' gets "./" put before it, so that no name is taken for an option.
 *
 * The process leads its own group, has an empty signal mask, default dispositions and no descriptor
 * but 0, 1 and 2; and it is killed when this process is (but not what it has started in turn). Its
 * output is complete when every holder of its standard output has closed it and it has exited; then
 * whatever is left of its group is killed. It may close its input early: what it wrote counts if it
 * exits 0.
 *
 * One a thread, used again for file after file. A call that fails has ended the process and its
 * group, and fills err with one line: err->sys is ETIMEDOUT after a timeout, EINTR when `stop` was
 * set, the errno of a failed write to the output, else 0, and the text ends in the tail of its
 * standard error.
 */
#ifndef VEGA_OP_FILTER_H
#define VEGA_OP_FILTER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/quota.h"
#include "base/strlist.h"

/* Length of the name without its extension: what stands before the last dot, if that is not its
 * first byte. */
size_t filter_stem(const char *name, size_t len);

/* Add the token as the command gets it for this path, with a NUL behind it. */
void filter_argument(struct buf *out, const char *token, const char *path, size_t path_len);

/* Can the program be found and executed? VEGA_FATAL names it. */
int filter_check(const struct strlist *command, struct vega_error *err);

struct filter;

/* `command` and `stop` are borrowed. timeout_ns: 0 for none; of each process. NULL: no memory. */
struct filter *filter_new(
        const struct strlist *command, uint64_t timeout_ns, const atomic_int *stop);
void filter_free(struct filter *filter); /* ends a running process */

/* `turn` is called, by the thread that waits, at least ten times a second while a process runs. */
void filter_on_turn(struct filter *filter, void (*turn)(void *context), void *context);

/* What it writes counts against the quota, which is borrowed; more ends it (EDQUOT). */
void filter_limit(struct filter *filter, struct quota *quota);

/* Start the process for this path; its output goes to fd, which is borrowed until the end. */
int filter_begin(
        struct filter *filter, const char *path, size_t path_len, int fd, struct vega_error *err);

/* 0, or 1: it has closed its input and needs no more; negative: it has failed and was ended. */
int filter_feed(struct filter *filter, const void *bytes, size_t len, struct vega_error *err);

/* End its input, wait for it. 0 only when it exited with 0. */
int filter_end(struct filter *filter, struct vega_error *err);

/* Kill it; nothing when none runs. */
void filter_abort(struct filter *filter);

/* Bytes that it wrote to its output since filter_begin(). */
uint64_t filter_written(const struct filter *filter);

#endif
