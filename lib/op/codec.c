/* zstd and zlib behind one set of calls: compress, or detect and expand. */
#include "op/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/fd.h"
#include "op/sparse.h"

#define OUT_SIZE ((size_t)128 << 10)
#define MAGIC_SIZE 4

/* What the bytes of the present file are put through. */
enum stage { DETECT, COMPRESS_ZSTD, COMPRESS_GZIP, EXPAND_ZSTD, EXPAND_GZIP };

struct codec {
	enum spec_codec kind;
	enum stage stage;
	struct sparse sparse; /* of what is expanded */
	uint64_t written;
	struct quota *quota; /* may be NULL */

	ZSTD_CCtx *compressor;
	ZSTD_DCtx *expander;
	z_stream gzip; /* deflate or inflate, as kind says */
	bool gzip_ready;

	bool at_end;  /* expanding: a frame or member is complete, and no other has begun */
	bool padding; /* zeros were seen behind a gzip member */
	unsigned char magic[MAGIC_SIZE];
	size_t magic_len;

	unsigned char out[OUT_SIZE];
};

static bool gzip_init(struct codec *codec, int level)
{
	/* 15: the full window; + 16: with gzip's header and trailer. */
	int code = codec->kind == SPEC_GZIP
	                   ? deflateInit2(&codec->gzip, level ? level : Z_DEFAULT_COMPRESSION,
	                             Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY)
	                   : inflateInit2(&codec->gzip, 15 + 16);
	codec->gzip_ready = code == Z_OK;
	return codec->gzip_ready;
}

void codec_add_recipe(struct buf *out, enum spec_codec kind, int level)
{
	const int gzip_default = 6; /* what Z_DEFAULT_COMPRESSION means */
	switch (kind) {
	case SPEC_ZSTD:
		buf_printf(out, "zstd %d", level ? level : ZSTD_CLEVEL_DEFAULT);
		break;
	case SPEC_GZIP:
		buf_printf(out, "gzip %d", level ? level : gzip_default);
		break;
	default:
		buf_add_str(out, "none");
	}
}

struct codec *codec_new(enum spec_codec kind, int level)
{
	struct codec *codec = calloc(1, sizeof *codec);
	if (!codec) {
		return NULL;
	}
	codec->kind = kind;
	bool ready = true;
	if (kind == SPEC_ZSTD) {
		codec->compressor = ZSTD_createCCtx();
		ready = codec->compressor &&
		        !ZSTD_isError(ZSTD_CCtx_setParameter(
		                codec->compressor, ZSTD_c_compressionLevel, level)) &&
		        !ZSTD_isError(
		                ZSTD_CCtx_setParameter(codec->compressor, ZSTD_c_checksumFlag, 1));
	} else {
		ready = gzip_init(codec, level);
	}
	if (ready && kind == SPEC_NONE) {
		codec->expander = ZSTD_createDCtx();
		ready = codec->expander != NULL;
	}
	if (!ready) {
		codec_free(codec);
		return NULL;
	}
	return codec;
}

void codec_free(struct codec *codec)
{
	if (!codec) {
		return;
	}
	ZSTD_freeCCtx(codec->compressor);
	ZSTD_freeDCtx(codec->expander);
	if (codec->gzip_ready && codec->kind == SPEC_GZIP) {
		deflateEnd(&codec->gzip);
	} else if (codec->gzip_ready) {
		inflateEnd(&codec->gzip);
	}
	free(codec);
}

void codec_begin(struct codec *codec, int fd, uint64_t size)
{
	codec->sparse = codec->kind == SPEC_NONE ? sparse_begin(fd) : (struct sparse){.fd = fd};
	codec->written = 0;
	codec->at_end = codec->padding = false;
	codec->magic_len = 0;
	switch (codec->kind) {
	case SPEC_ZSTD:
		codec->stage = COMPRESS_ZSTD;
		ZSTD_CCtx_reset(codec->compressor, ZSTD_reset_session_only);
		ZSTD_CCtx_setPledgedSrcSize(
		        codec->compressor, size ? size : ZSTD_CONTENTSIZE_UNKNOWN);
		break;
	case SPEC_GZIP:
		codec->stage = COMPRESS_GZIP;
		deflateReset(&codec->gzip);
		break;
	default:
		codec->stage = DETECT;
		ZSTD_DCtx_reset(codec->expander, ZSTD_reset_session_only);
		inflateReset(&codec->gzip);
		break;
	}
}

void codec_limit(struct codec *codec, struct quota *quota)
{
	codec->quota = quota;
}

uint64_t codec_written(const struct codec *codec)
{
	return codec->written;
}

static int flush(struct codec *codec, size_t len, struct vega_error *err)
{
	bool may = quota_take(codec->quota, (int64_t)len);
	int code = !may ? -EDQUOT : sparse_write(&codec->sparse, codec->out, len);
	if (code) {
		return vega_fail_errno(err, VEGA_FATAL, -code, "writing");
	}
	codec->written += len;
	return 0;
}

static int zstd_failed(const char *what, size_t result, struct vega_error *err)
{
	int code = vega_fail(err, VEGA_FATAL, "%s: %s", what, ZSTD_getErrorName(result));
	if (err && ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) {
		err->sys = ENOMEM;
	}
	return code;
}

static int compress_zstd(struct codec *codec, const void *bytes, size_t len, ZSTD_EndDirective mode,
        struct vega_error *err)
{
	ZSTD_inBuffer in = {bytes, len, 0};
	size_t left;
	do {
		ZSTD_outBuffer out = {codec->out, OUT_SIZE, 0};
		left = ZSTD_compressStream2(codec->compressor, &out, &in, mode);
		if (ZSTD_isError(left)) {
			return zstd_failed("zstd", left, err);
		}
		int code = flush(codec, out.pos, err);
		if (code) {
			return code;
		}
	} while (mode == ZSTD_e_end ? left != 0 : in.pos < in.size);
	return 0;
}

static int compress_gzip(
        struct codec *codec, const void *bytes, size_t len, int mode, struct vega_error *err)
{
	z_stream *z = &codec->gzip;
	int code;
	z->next_in = (unsigned char *)(uintptr_t)bytes;
	z->avail_in = (unsigned)len;
	do {
		z->next_out = codec->out;
		z->avail_out = OUT_SIZE;
		code = deflate(z, mode);
		int failed = flush(codec, OUT_SIZE - z->avail_out, err);
		if (failed) {
			return failed;
		}
	} while (mode == Z_FINISH ? code == Z_OK : z->avail_out == 0);
	if (code == Z_STREAM_ERROR || (mode == Z_FINISH && code != Z_STREAM_END)) {
		return vega_fail(err, VEGA_FATAL, "gzip: %s", zError(code));
	}
	return 0;
}

static int expand_zstd(struct codec *codec, const void *bytes, size_t len, struct vega_error *err)
{
	ZSTD_inBuffer in = {bytes, len, 0};
	bool more = len > 0;
	while (more) {
		ZSTD_outBuffer out = {codec->out, OUT_SIZE, 0};
		size_t left = ZSTD_decompressStream(codec->expander, &out, &in);
		if (ZSTD_isError(left)) {
			return zstd_failed("not valid zstd data", left, err);
		}
		int code = flush(codec, out.pos, err);
		if (code) {
			return code;
		}
		codec->at_end = left == 0;
		more = in.pos < in.size || (!codec->at_end && out.pos == out.size);
	}
	return 0;
}

/* Between gzip members: pass over padding; false at the end of the input. */
static bool next_member(struct codec *codec)
{
	z_stream *z = &codec->gzip;
	while (z->avail_in && *z->next_in == 0) {
		codec->padding = true;
		z->next_in++;
		z->avail_in--;
	}
	return z->avail_in > 0;
}

static int expand_gzip(struct codec *codec, const void *bytes, size_t len, struct vega_error *err)
{
	z_stream *z = &codec->gzip;
	z->next_in = (unsigned char *)(uintptr_t)bytes;
	z->avail_in = (unsigned)len;
	do {
		if (codec->at_end) {
			if (!next_member(codec)) {
				return 0;
			}
			if (codec->padding) {
				return vega_fail(err, VEGA_FATAL, "garbage behind the gzip data");
			}
			inflateReset(z);
			codec->at_end = false;
		}
		z->next_out = codec->out;
		z->avail_out = OUT_SIZE;
		int code = inflate(z, Z_NO_FLUSH);
		if (code == Z_MEM_ERROR) {
			return vega_fail_errno(err, VEGA_FATAL, ENOMEM, "gzip");
		}
		if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
			return vega_fail(err, VEGA_FATAL, "not valid gzip data: %s",
			        z->msg ? z->msg : zError(code));
		}
		int failed = flush(codec, OUT_SIZE - z->avail_out, err);
		if (failed) {
			return failed;
		}
		codec->at_end = code == Z_STREAM_END;
	} while (z->avail_in || (!codec->at_end && z->avail_out == 0));
	return 0;
}

static bool detect(struct codec *codec)
{
	const unsigned char *m = codec->magic;
	uint32_t word = 0;
	for (size_t i = codec->magic_len; i-- > 0;) {
		word = word << 8 | m[i];
	}
	if (codec->magic_len == MAGIC_SIZE &&
	        (word == ZSTD_MAGICNUMBER ||
	                (word & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START)) {
		codec->stage = EXPAND_ZSTD;
	} else if (codec->magic_len >= 2 && m[0] == 0x1f && m[1] == 0x8b) {
		codec->stage = EXPAND_GZIP;
	}
	return codec->stage != DETECT;
}

static int expand(struct codec *codec, const void *bytes, size_t len, struct vega_error *err)
{
	return codec->stage == EXPAND_ZSTD ? expand_zstd(codec, bytes, len, err)
	                                   : expand_gzip(codec, bytes, len, err);
}

/* The first bytes of a file to expand, which may come one by one. */
static int expand_first(struct codec *codec, const unsigned char *bytes, size_t len, bool end,
        struct vega_error *err)
{
	size_t take = MAGIC_SIZE - codec->magic_len;
	take = take < len ? take : len;
	if (take) {
		memcpy(codec->magic + codec->magic_len, bytes, take);
		codec->magic_len += take;
	}
	if (codec->magic_len < MAGIC_SIZE && !end) {
		return 0;
	}
	if (!detect(codec)) {
		return vega_fail(err, VEGA_FATAL, "neither zstd nor gzip data");
	}
	int code = expand(codec, codec->magic, codec->magic_len, err);
	return code || len == take ? code : expand(codec, bytes + take, len - take, err);
}

static int feed(struct codec *codec, const void *bytes, size_t len, struct vega_error *err)
{
	switch (codec->stage) {
	case COMPRESS_ZSTD:
		return compress_zstd(codec, bytes, len, ZSTD_e_continue, err);
	case COMPRESS_GZIP:
		return compress_gzip(codec, bytes, len, Z_NO_FLUSH, err);
	case DETECT:
		return expand_first(codec, bytes, len, false, err);
	default:
		return expand(codec, bytes, len, err);
	}
}

int codec_feed(struct codec *codec, const void *bytes, size_t len, struct vega_error *err)
{
	const size_t step_max = (size_t)1 << 30; /* zlib counts in unsigned */
	const char *from = bytes;
	int code = 0;
	while (len && code == 0) {
		size_t step = len < step_max ? len : step_max;
		code = feed(codec, from, step, err);
		from += step;
		len -= step;
	}
	return code;
}

int codec_end(struct codec *codec, struct vega_error *err)
{
	int code = 0;
	switch (codec->stage) {
	case COMPRESS_ZSTD:
		return compress_zstd(codec, NULL, 0, ZSTD_e_end, err);
	case COMPRESS_GZIP:
		return compress_gzip(codec, NULL, 0, Z_FINISH, err);
	case DETECT:
		code = expand_first(codec, NULL, 0, true, err);
		break;
	default:
		break;
	}
	if (code == 0 && !codec->at_end) {
		code = vega_fail(err, VEGA_FATAL, "truncated %s data",
		        codec->stage == EXPAND_ZSTD ? "zstd" : "gzip");
	}
	int error = code ? 0 : sparse_end(&codec->sparse);
	return error ? vega_fail_errno(err, VEGA_FATAL, -error, "writing") : code;
}

/* RFC 8878, 3.1.1.1: the longest header of a frame. RFC 1952, 2.3: a member ends in its input's
 * size, modulo 2^32. */
#define ZSTD_HEADER_MAX 18
#define GZIP_LEAST 18

bool codec_made_from(enum spec_codec kind, int fd, uint64_t size, uint64_t input_size)
{
	unsigned char head[ZSTD_HEADER_MAX], tail[4];
	ssize_t got = kind == SPEC_NONE ? 0 : pread(fd, head, sizeof head, 0);
	if (kind == SPEC_ZSTD) {
		unsigned long long told = ZSTD_getFrameContentSize(head, got < 0 ? 0 : (size_t)got);
		return told == ZSTD_CONTENTSIZE_UNKNOWN ? input_size == 0 : told == input_size;
	}
	if (kind == SPEC_GZIP) {
		bool ends = size >= GZIP_LEAST && got > 2 && head[0] == 0x1f && head[1] == 0x8b &&
		            pread(fd, tail, sizeof tail, (off_t)size - 4) == 4;
		uint32_t told = ends ? (uint32_t)tail[3] << 24 | (uint32_t)tail[2] << 16 |
		                                (uint32_t)tail[1] << 8 | tail[0]
		                     : 0;
		return ends && told == (uint32_t)input_size;
	}
	return true;
}
