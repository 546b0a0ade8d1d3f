/*
 * A copy of a file that its tree reads only from the front, so that it can be read anywhere: in
 * memory when it is small, else in an unnamed file in $TMPDIR (/tmp), which is gone with it.
 */
#ifndef VEGA_ENGINE_FILE_COPY_H
#define VEGA_ENGINE_FILE_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FILE_COPY_IN_MEMORY ((uint64_t)16 << 20) /* larger ones go to $TMPDIR */

struct file_copy;

/* For a file of about that size. 0 or -errno. */
int file_copy_new(uint64_t size, struct file_copy **out);
void file_copy_free(struct file_copy *copy); /* NULL is fine */

/* The bytes that follow. 0 or -errno. */
int file_copy_add(struct file_copy *copy, const void *bytes, size_t len);

/* Bytes read (0 at the end), or -errno. */
ssize_t file_copy_read(struct file_copy *copy, void *bytes, size_t len, uint64_t at);

#endif
