/* Descriptors: whole reads and writes, and small facts about them. EINTR is handled here. */
#ifndef VEGA_BASE_FD_H
#define VEGA_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

/* All of it, or -errno. Works on non-blocking descriptors too (polls). */
int fd_write_all(int fd, const void *bytes, size_t len);

/* Until the end, into out (its maximum holds): 0, -errno, or -EFBIG. */
int fd_read_all(int fd, struct buf *out);

/* Opens and reads a file; "-" is standard input. The error names the path. */
int file_read_all(const char *path, struct buf *out, struct vega_error *err);

/* mkdir -p with mode for what is missing; -errno. */
int mkdir_parents(const char *path, mode_t mode);

/* Columns of the terminal on fd, from the kernel, else COLUMNS, else 80. At least 1. */
unsigned terminal_width(int fd);

/* Its rows, from the kernel; 0 when it does not tell, or fd is no terminal. */
unsigned terminal_height(int fd);

/* Is fd a terminal that can move its cursor: TERM set and not "dumb"? */
bool terminal_moves(int fd);

/* Is colour wanted on fd: such a terminal, and NO_COLOR is unset or empty? */
bool terminal_color(int fd);

/* Raise the soft RLIMIT_NOFILE to the hard one, and return the limit now in force. */
size_t fd_raise_limit(void);

#endif
