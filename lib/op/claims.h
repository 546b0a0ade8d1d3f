/*
 * Who writes where: finds two inputs that would give one output, before anything is written.
 *
 * Each output path is kept as a 128-bit hash with a number of its input: 24 bytes a path, at most
 * 48 with the table's room to grow. The hash is not secret and not cryptographic: two paths that
 * are made to collide get a run refused, and nothing worse. Threads add at once.
 */
#ifndef VEGA_OP_CLAIMS_H
#define VEGA_OP_CLAIMS_H

#include <stddef.h>
#include <stdint.h>

struct claims;

struct claims *claims_new(void); /* NULL: no memory */
void claims_free(struct claims *claims);

/* 0: the path is free, and now claimed by `owner`; 1: it is taken, *holder is its owner; -ENOMEM.
 */
int claims_add(
        struct claims *claims, const char *path, size_t len, uint64_t owner, uint64_t *holder);

#endif
