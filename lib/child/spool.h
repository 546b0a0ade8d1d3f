/*
 * The record stream of one attempt: in memory while it is small (it then goes into the job's row),
 * else in a file of the spool directory. The file is written as ID.LEASE_SEQ.ndjson.part under an
 * exclusive flock(), synced as it grows so that no single sync stalls the worker's loop, and gets
 * its final name only when it is complete and on disk.
 */
#ifndef VEGA_CHILD_SPOOL_H
#define VEGA_CHILD_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/uuid.h"

#define SPOOL_INLINE_MAX ((size_t)64 * 1024)

struct spool {
	const char *dir; /* borrowed, absolute */
	char id[UUID_TEXT];
	uint64_t lease_seq;
	struct buf held; /* everything while fd is -1, then what is not yet written */
	int fd;
	bool published;  /* the file has its final name */
	uint64_t size;   /* bytes added */
	uint64_t synced; /* bytes of the file whose writing to disk was begun */
	struct XXH3_state_s *hash;
	char *uri, *digest; /* set by spool_finish() */
};

/* Make the directory (mode 0700) and remove the .part files that no process holds. VEGA_FATAL; also
 * when it belongs to others, or others may write to it. */
int spool_prepare(const char *dir, struct vega_error *err);

/* Nothing is created before the stream outgrows SPOOL_INLINE_MAX. */
void spool_init(struct spool *spool, const char *dir, const char *id, uint64_t lease_seq);

/* VEGA_FATAL names the file (a full disk, say); the stream is then useless. */
int spool_add(struct spool *spool, const char *bytes, size_t len, struct vega_error *err);

/*
 * The stream is whole: sets digest ("xxh128:HEX", canonical) and, for a spooled one, uri
 * ("file://HOST/PATH"); a small one is in `held`. The file and its name are durable afterwards.
 */
int spool_finish(struct spool *spool, struct vega_error *err);

/* Remove the file, whatever its state, and free the memory: this attempt counts for nothing. */
void spool_discard(struct spool *spool);

/* Free the memory and leave a published file alone. */
void spool_release(struct spool *spool);

/*
 * Open a spooled stream for reading, at its beginning, after checking its size and digest.
 * VEGA_FATAL says when it is on another host, gone, or not what was stored.
 */
int spool_open(const char *uri, uint64_t size, const char *digest, int *fd, struct vega_error *err);

/*
 * Remove the file that a job's records_uri names, and add its size to *bytes. 0: it is gone now;
 * VEGA_NO: it is on another host, or not a file of this job in `dir` (a real path), and was left
 * alone; VEGA_FATAL: it could not be removed. With `look_only` nothing is removed.
 */
int spool_remove(const char *dir, const char *id, const char *uri, bool look_only, uint64_t *bytes,
        struct vega_error *err);

/* A file of a spool directory that no process holds, as a worker that writes or has not yet stored
 * it does. */
struct spool_file {
	const char *name;
	char id[UUID_TEXT];
	uint64_t lease_seq;
	bool part; /* incomplete */
	uint64_t size;
	int64_t modified; /* seconds since 1970 */
};

/* Call judge() for each: true removes it. 0, also when there is no such directory, or VEGA_FATAL:
 * one could not be removed, or the directory not read. */
int spool_sweep(const char *dir, bool (*judge)(const struct spool_file *file, void *context),
        void *context, struct vega_error *err);

/* The digest of `len` bytes as stored with inline records; false when there is no memory. */
bool spool_digest(const char *bytes, size_t len, struct buf *out);

#endif
