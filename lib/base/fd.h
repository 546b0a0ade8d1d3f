/* Descriptors: whole reads and writes, and small facts about them. EINTR is handled here. */
#ifndef VEGA_BASE_FD_H
#define VEGA_BASE_FD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

/* All of it, or -errno. Works on non-blocking descriptors too (polls). */
int fd_write_all(int fd, const void *bytes, size_t len);

/*
 * The same to a pipe that does not block, but -EINTR when `stop` (may be NULL: as above) has become
 * non-zero and the reader then takes nothing for a second. What it has by then are whole lines,
 * each ended by `end`: a write of PIPE_BUF bytes is not divided (only a line that is longer may be
 * cut). `end` FD_NO_END: the bytes are not lines, and are written as they can be.
 */
#define FD_NO_END (-1)
int fd_write_until(int fd, const void *bytes, size_t len, int end, const atomic_int *stop);

/* The pipe on fd, opened once more so that writing to it does not block, for its other writers
 * neither. -errno; -EINVAL: it is no pipe. */
int fd_reopen_pipe(int fd);

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

/* Is the user's locale one of UTF-8? The process stays in "C", so that no result depends on who
 * runs it. */
bool terminal_utf8(void);

/* Raise the soft RLIMIT_NOFILE to the hard one, and return the limit now in force. */
size_t fd_raise_limit(void);

#endif
