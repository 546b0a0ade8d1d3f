/*
 * The walk receipt: an order-independent 128-bit digest of what a walk saw. The same tree gives the
 * same receipt for any number of threads; an entry lost, doubled or changed gives another one.
 *
 * Each entry is hashed with XXH3-128 (seeded by its directory's path): its name, type, inode, size
 * and mtime; each error by its path and errno. The receipt is their sum modulo 2^128, so receipts
 * of parts that share no entry can be added. It guards against accidents, not against forgery.
 */
#ifndef VEGA_ENGINE_RECEIPT_H
#define VEGA_ENGINE_RECEIPT_H

#include "base/json.h"
#include "walk/walk.h"

/* What entries must be stat'ed for. */
#define RECEIPT_META (META_SIZE | META_MTIME)

/* One a thread; zeroed is empty. */
struct receipt {
	unsigned __int128 sum;
	uint64_t dir_serial; /* of the directory whose path has dir_hash */
	uint64_t dir_hash;
};

/* Without memory for the path, an error of the entry. */
void receipt_entry(struct receipt *receipt, const struct walk_entry *entry);
void receipt_error(struct receipt *receipt, const struct record *error);

/* The member "receipt": 32 hexadecimal digits. */
void receipt_json(unsigned __int128 sum, struct json *json);

#endif
