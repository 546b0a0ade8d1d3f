/* Codecs: round trips in every cut, what other tools write, what is broken. */
#include "op/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "../tap.h"

/* Put bytes through a codec in steps; the output replaces out. */
static int run(struct codec *codec, const struct buf *in, size_t step, struct buf *out,
        struct vega_error *err)
{
	int fd = memfd_create("codec", MFD_CLOEXEC);
	*err = (struct vega_error){0};
	codec_begin(codec, fd, in->len);
	int rc = 0;
	for (size_t at = 0; at < in->len && rc == 0; at += step) {
		rc = codec_feed(
		        codec, in->data + at, in->len - at < step ? in->len - at : step, err);
	}
	if (rc == 0) {
		rc = codec_end(codec, err);
	}
	buf_clear(out);
	lseek(fd, 0, SEEK_SET);
	fd_read_all(fd, out);
	if (rc == 0 && out->len != codec_written(codec)) {
		rc = 99;
	}
	close(fd);
	return rc;
}

static bool same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void fill(struct buf *b, size_t len, bool random)
{
	uint64_t state = 88172645463325252u;
	buf_clear(b);
	while (b->len < len) {
		state ^= state << 13, state ^= state >> 7, state ^= state << 17;
		if (random) {
			buf_add(b, &state, sizeof state);
		} else {
			buf_printf(b, "line %u of a text\n", (unsigned)(state & 0xfff));
		}
	}
	b->len = len;
}

static struct buf plain, packed, twice, back;
static struct vega_error err;

static void test_round_trips(struct codec *none)
{
	static const size_t sizes[] = {0, 1, 3, 4, 5, 1000, 128 << 10, (1 << 20) + 7};
	static const size_t steps[] = {1, 3, 4096, 1 << 20};
	for (enum spec_codec kind = SPEC_ZSTD; kind <= SPEC_GZIP; kind++) {
		struct codec *codec = codec_new(kind, 0);
		unsigned good = 0, all = 0;
		for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
			for (size_t t = 0; t < sizeof steps / sizeof *steps; t++) {
				if (sizes[s] / steps[t] > 5000) {
					continue;
				}
				fill(&plain, sizes[s], s % 2);
				good += run(codec, &plain, steps[t], &packed, &err) == 0 &&
				        run(none, &packed, steps[t], &back, &err) == 0 &&
				        same(&plain, &back);
				all++;
			}
		}
		is_int(good, all, "%s: round trips", kind == SPEC_ZSTD ? "zstd" : "gzip");
		codec_free(codec);
	}
	/* A million zeros expand by far more than the output buffer at a time. */
	buf_clear(&plain);
	buf_reserve(&plain, 20 << 20);
	memset(plain.data, 0, 20 << 20);
	plain.len = 20 << 20;
	for (enum spec_codec kind = SPEC_ZSTD; kind <= SPEC_GZIP; kind++) {
		struct codec *codec = codec_new(kind, 0);
		ok(run(codec, &plain, 1 << 20, &packed, &err) == 0 &&
		                run(none, &packed, 1 << 20, &back, &err) == 0 &&
		                same(&plain, &back),
		        "20 MiB of zeros make a round trip in %zu bytes", packed.len);
		codec_free(codec);
	}
}

static void test_quota(struct codec *none)
{
	static atomic_int stop;
	struct quota quota = {.most = 300000, .stop = &stop};
	fill(&plain, 300000, false);
	struct codec *codec = codec_new(SPEC_ZSTD, 0);
	run(codec, &plain, 65536, &packed, &err);
	codec_free(codec);
	codec_limit(none, &quota);
	is_int(run(none, &packed, 65536, &back, &err), 0, "a codec may write its quota");
	is_int(stop, 0, "writing the quota does not end the run");
	ok(run(none, &packed, 65536, &back, &err) < 0, "writing more than the quota fails");
	is_int(err.sys, EDQUOT, "writing more than the quota is EDQUOT");
	is_int(back.len, 0, "writing more than the quota writes nothing");
	is_int(stop, -1, "writing more than the quota ends the run");
	codec_limit(none, NULL);
}

static void test_levels(void)
{
	fill(&plain, 300000, false);
	for (enum spec_codec kind = SPEC_ZSTD; kind <= SPEC_GZIP; kind++) {
		struct codec *fast = codec_new(kind, 1), *best = codec_new(kind, 9);
		is_int(run(fast, &plain, 65536, &packed, &err), 0, "level 1 compresses");
		size_t first = packed.len;
		is_int(run(best, &plain, 65536, &packed, &err), 0, "level 9 compresses");
		ok(packed.len < first, "a higher level packs tighter: %zu < %zu", packed.len,
		        first);
		is_int(run(best, &plain, 65536, &twice, &err), 0, "level 9 compresses again");
		ok(same(&packed, &twice), "equal input gives equal output");
		codec_free(fast);
		codec_free(best);
	}
	struct codec *zstd = codec_new(SPEC_ZSTD, 0);
	run(zstd, &plain, 65536, &packed, &err);
	is_int(ZSTD_getFrameContentSize(packed.data, packed.len), 300000,
	        "zstd data have the size of their input");
	codec_begin(zstd, -1, 100);
	int rc = codec_feed(zstd, plain.data, 200, &err);
	ok(rc != 0 || codec_end(zstd, &err) != 0, "zstd rejects more bytes than announced");
	codec_free(zstd);
}

/* Members and frames one after another, cut at every byte. */
static void test_concatenated(struct codec *none)
{
	for (enum spec_codec kind = SPEC_ZSTD; kind <= SPEC_GZIP; kind++) {
		const char *name = kind == SPEC_ZSTD ? "zstd" : "gzip";
		struct codec *codec = codec_new(kind, 0);
		struct buf all = BUF_INIT, want = BUF_INIT;
		size_t ends[3];
		for (size_t i = 0; i < 3; i++) {
			fill(&plain, i * 100, false); /* the first is empty */
			run(codec, &plain, 4096, &packed, &err);
			buf_add(&all, packed.data, packed.len);
			buf_add(&want, plain.data, plain.len);
			ends[i] = all.len;
		}
		for (size_t step = 1; step < 8; step++) {
			ok(run(none, &all, step, &back, &err) == 0 && same(&want, &back),
			        "%s: three streams in a row are expanded, in pieces of %zu", name,
			        step);
		}
		size_t length = all.len;
		unsigned wrong = 0;
		for (size_t cut = 0; cut < length; cut++) {
			bool boundary = cut == ends[0] || cut == ends[1];
			all.len = cut;
			wrong += (run(none, &all, 7, &back, &err) == 0) != boundary;
			wrong += !boundary && cut >= 4 && !strstr(err.text, "truncated");
		}
		is_int(wrong, 0, "%s: a cut anywhere but between two is an error", name);
		all.len = length;
		buf_add_str(&all, "garbage");
		ok(run(none, &all, 4096, &back, &err) != 0 && err.sys == 0 && *err.text,
		        "%s: garbage at the end is an error: %s", name, err.text);
		all.len = length;
		all.data[length / 2] ^= 0x10;
		all.data[length - 6] ^= 0x10;
		ok(run(none, &all, 4096, &back, &err) != 0 && err.sys == 0,
		        "%s: corrupt data are an error: %s", name, err.text);
		buf_release(&all);
		buf_release(&want);
		codec_free(codec);
	}
}

static void test_formats(struct codec *none)
{
	struct codec *gzip = codec_new(SPEC_GZIP, 0), *zstd = codec_new(SPEC_ZSTD, 0);
	fill(&plain, 1000, false);
	run(gzip, &plain, 4096, &packed, &err);
	buf_add(&packed, "\0\0\0\0\0", 5);
	ok(run(none, &packed, 3, &back, &err) == 0 && same(&plain, &back),
	        "gzip data may be followed by zeros");
	buf_add(&packed, "\x1f\x8b", 2);
	ok(run(none, &packed, 3, &back, &err) != 0,
	        "gzip data with garbage after the zeros are an error");

	buf_clear(&twice);
	buf_add(&twice, "\x53\x2a\x4d\x18\3\0\0\0abc", 11); /* a skippable frame */
	run(zstd, &plain, 4096, &packed, &err);
	buf_add(&twice, packed.data, packed.len);
	ok(run(none, &twice, 5, &back, &err) == 0 && same(&plain, &back),
	        "zstd data may have a frame to skip");

	run(gzip, &plain, 4096, &packed, &err);
	buf_add(&twice, packed.data, packed.len);
	ok(run(none, &twice, 4096, &back, &err) != 0, "gzip data after zstd data are an error");

	static const char *const bad[] = {"", "a", "\x1f", "\x1f\x8b", "\x28\xb5\x2f",
	        "plain text\n", "\x1f\x9d compress", "PK\3\4", "BZh9", "\xfd\x37zXZ"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		buf_clear(&packed);
		buf_add_str(&packed, bad[i]);
		ok(run(none, &packed, 1, &back, &err) != 0 && back.len == 0 && err.sys == 0,
		        "other data are not expanded: %s", err.text);
	}
	run(gzip, &plain, 4096, &packed, &err);
	ok(run(none, &packed, 4096, &back, &err) == 0 && same(&plain, &back),
	        "a codec is usable after an error");
	codec_free(gzip);
	codec_free(zstd);
}

static void test_write_failure(struct codec *none)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	fill(&plain, 4 << 20, true);
	for (enum spec_codec kind = SPEC_ZSTD; kind <= SPEC_GZIP; kind++) {
		struct codec *codec = codec_new(kind, 0);
		codec_begin(codec, full, plain.len);
		err.sys = 0;
		ok(codec_feed(codec, plain.data, plain.len, &err) != 0 && err.sys == ENOSPC,
		        "a full disk is an error: %s", err.text);
		run(codec, &plain, plain.len, &packed, &err);
		codec_begin(none, full, 0);
		err.sys = 0;
		ok(codec_feed(none, packed.data, packed.len, &err) != 0 && err.sys == ENOSPC,
		        "a full disk is an error while expanding");
		codec_free(codec);
	}
	close(full);
}

/* What a codec wrote tells the size of what it was made from. */
static void test_made_from(void)
{
	static const enum spec_codec kinds[] = {SPEC_ZSTD, SPEC_GZIP};
	static const size_t sizes[] = {0, 1, 255, 256, 70000, 3000000};
	for (size_t i = 0; i < 12; i++) {
		enum spec_codec kind = kinds[i % 2];
		size_t size = sizes[i / 2];
		struct codec *codec = codec_new(kind, 0);
		fill(&plain, size, false);
		bool fine = run(codec, &plain, 4096, &packed, &err) == 0;
		int fd = memfd_create("made", MFD_CLOEXEC);
		fine = fine && fd_write_all(fd, packed.data, packed.len) == 0;
		ok(fine && codec_made_from(kind, fd, packed.len, size),
		        "data are recognized as made from %zu bytes", size);
		ok(!codec_made_from(kind, fd, packed.len, size + 1) &&
		                !(size && codec_made_from(kind, fd, packed.len, size - 1)),
		        "data are not taken as made from another number of bytes");
		ok(!codec_made_from(kinds[1 - i % 2], fd, packed.len, size),
		        "data are not taken as made by the other codec");
		ok(codec_made_from(SPEC_NONE, fd, packed.len, 7),
		        "plain data could be made from any number of bytes");
		if (kind == SPEC_GZIP && size) {
			ok(!codec_made_from(kind, fd, packed.len - 1, size),
			        "truncated data were made from no number of bytes");
		}
		ok(ftruncate(fd, 0) == 0 && !codec_made_from(kind, fd, 0, size),
		        "an empty file was made by no codec");
		close(fd);
		codec_free(codec);
	}
}

int main(void)
{
	struct codec *none = codec_new(SPEC_NONE, 0);
	test_round_trips(none);
	test_levels();
	test_quota(none);
	test_concatenated(none);
	test_formats(none);
	test_write_failure(none);
	test_made_from();
	codec_free(none);
	buf_release(&plain);
	buf_release(&packed);
	buf_release(&twice);
	buf_release(&back);
	return done();
}
