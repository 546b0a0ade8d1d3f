/*
 * A ceiling on the calls to the local file system, for all threads of the process: a backend in
 * front of fs_local, whose every call waits for its turn. A walk without a ceiling uses fs_local
 * itself, and pays nothing.
 *
 * What counts is each getdents64, open, statx, fstatfs and read, those that fail and the last,
 * empty ones too: opening a file is two (open and statx), and so is a root. Closing is free.
 *
 * A thread takes the turns of a batch at once, and at a high rate some on loan for the next calls
 * (10 ms' worth, at most LIMITED_LOAN), so the word that all threads share is not on the way of
 * each call. Waiting ends within 20 ms of a stop; then nothing waits any more.
 */
#ifndef VEGA_FS_LIMITED_H
#define VEGA_FS_LIMITED_H

#include <stdatomic.h>
#include <stdint.h>

#include "fs/backend.h"

#define LIMITED_LOAN 64

/*
 * From now on, backend_for() gives fs_limited where it gave fs_local; per_second 0: no longer. Not
 * while a walk runs. `stop` may be NULL.
 */
void fs_limit(uint64_t per_second, const atomic_int *stop);

/* What reads paths of this machine: fs_limited, or without a ceiling fs_local. */
const struct backend *fs_here(void);

extern const struct backend fs_limited;

#endif
