/*
 * Streaming compression and decompression, one file at a time, into a descriptor.
 *
 * SPEC_ZSTD writes one frame with its checksum and, where known, its content size; SPEC_GZIP one
 * member with no name and no time, so that equal input gives equal output. SPEC_NONE decompresses
 * what begins like zstd (skippable frames too) or gzip: any number of frames or members one after
 * another, zeros behind the last gzip member passed over (tapes pad with them), anything else there
 * an error. A zstd frame may ask for at most 128 MiB of window.
 *
 * One a thread, used again for file after file. A call that fails fills err: err->sys is the errno
 * of a failed write, ENOMEM, or 0 when the input is at fault, and the text says what is wrong,
 * naming neither file.
 */
#ifndef VEGA_OP_CODEC_H
#define VEGA_OP_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/quota.h"
#include "spec/transform.h"

struct codec;

/* Add a text that differs between codecs whose outputs do: kind and level. */
void codec_add_recipe(struct buf *out, enum spec_codec kind, int level);

/* level: 0 for the codec's default. NULL: no memory. */
struct codec *codec_new(enum spec_codec kind, int level);
void codec_free(struct codec *codec);

/* What is written counts against the quota, which is borrowed; more than it is EDQUOT. */
void codec_limit(struct codec *codec, struct quota *quota);

/* Start a file; fd is borrowed until codec_end(). `size`: the input's bytes, 0 when not known; it
 * is an error for zstd when they come out different. Also ends whatever was unfinished. */
void codec_begin(struct codec *codec, int fd, uint64_t size);

int codec_feed(struct codec *codec, const void *bytes, size_t len, struct vega_error *err);

/* All was fed: write the rest. */
int codec_end(struct codec *codec, struct vega_error *err);

/*
 * May what such a codec wrote to this file of `size` bytes have been made from `input_size` bytes?
 * False when its header or trailer says otherwise, or it is no such data at all. Nothing can be
 * said of SPEC_NONE: true.
 */
bool codec_made_from(enum spec_codec kind, int fd, uint64_t size, uint64_t input_size);

/* Bytes written since codec_begin(). */
uint64_t codec_written(const struct codec *codec);

#endif
