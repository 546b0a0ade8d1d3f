/*
 * What operations made of files with several names, so that each is read once in a walk, and not
 * once per name. Only by as many names as the inode has links: more of them prove that it is not
 * one file (union file systems make such numbers up), and are read themselves.
 *
 * Memory is bounded: once it is used up, further inodes are read by each of their names. All calls
 * but new and free are thread-safe.
 */
#ifndef VEGA_ENGINE_INODE_RESULTS_H
#define VEGA_ENGINE_INODE_RESULTS_H

#include <stdatomic.h>

#include "base/buf.h"
#include "record/meta.h"

struct inode_results;
struct inode_result;

/* NULL: no memory. */
struct inode_results *inode_results_new(void);
void inode_results_free(struct inode_results *inodes); /* NULL is fine */

enum inode_answer {
	INODE_ALONE, /* read it: it is not remembered */
	INODE_FIRST, /* read it, add what operations make of it, and end it */
	INODE_KNOWN, /* it was read: here is what they made of it; release it */
};

/* For a file just opened, with its metadata. Waits while another thread reads it, until `stop`
 * (may be NULL) is set. The result is set but for INODE_ALONE. */
enum inode_answer inode_results_begin(struct inode_results *inodes, const struct file_meta *meta,
        const atomic_int *stop, struct inode_result **result);

/* INODE_FIRST: the operation with that index made this of it. */
void inode_result_add(struct inode_result *result, unsigned op, const void *bytes, size_t len);
/* All is added that will be; others are told, unless it is not to be used. */
void inode_result_end(struct inode_results *inodes, struct inode_result *result, bool usable);

/* INODE_KNOWN: the bytes that the operation added; false: it added nothing. */
bool inode_result_find(
        const struct inode_result *result, unsigned op, const void **bytes, size_t *len);
void inode_result_release(struct inode_results *inodes, struct inode_result *result);

#endif
