/* hash: known digests, however the bytes are cut, and what is reported of them. */
#include "op/op.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "spec/hash.h"
#include "../tap.h"

static struct spec spec;
static struct op_thread op_thread = {.spec = &spec};
static struct walk_entry entry;
static const struct file_meta meta = {.have = META_ALL, .size = 3, .mtime = {86400, 0}};

static void hex_of(const struct buf *result, char hex[65])
{
	struct buf out = BUF_INIT;
	buf_add_hex(&out, result->data, result->len);
	memcpy(hex, out.data, out.len);
	hex[out.len] = '\0';
	buf_release(&out);
}

/* The digest of the bytes, fed `step` at a time. */
static const char *digest(void *hash, const char *bytes, size_t len, size_t step)
{
	static char hex[65];
	struct buf result = {.max = OP_RESULT_MAX};
	if (op_hash.begin_file(hash, &entry, &meta) != 1) {
		return "not begun";
	}
	for (size_t at = 0; at < len; at += step) {
		size_t part = len - at < step ? len - at : step;
		if (op_hash.chunk(hash, bytes + at, part) != 0) {
			return "not fed";
		}
	}
	if (op_hash.end_file(hash, &entry, &meta, true, &result) != 0) {
		return "not ended";
	}
	hex_of(&result, hex);
	buf_release(&result);
	return hex;
}

static void known_digests(void)
{
	/* FIPS 180-2's examples; the xxh128 ones are what xxhsum -H128 prints. */
	static const char fips[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	static const struct {
		const char *text, *xxh128, *sha256;
	} cases[] = {
	        {"", "99aa06d3014798d86001c324468d497f",
	                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	        {"abc", "06b05ab6733a618578af5f94892f3950",
	                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	        {fips, NULL, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	for (unsigned algo = SPEC_XXH128; algo <= SPEC_SHA256; algo++) {
		hash_options_of(&spec)->algo = algo;
		void *self;
		struct vega_error err = {0};
		is_int(op_hash.open(&spec, NULL, &self, &err), 0, "the operation opens %s",
		        err.text);
		void *hash = op_hash.thread_begin(&op_thread);
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
			const char *wanted =
			        algo == SPEC_SHA256 ? cases[i].sha256 : cases[i].xxh128;
			if (wanted) {
				is_str(digest(hash, cases[i].text, strlen(cases[i].text), 7),
				        wanted, "the digest of \"%.8s\" is known", cases[i].text);
			}
		}
		size_t len = 1000003;
		char *bytes = malloc(len), whole[65];
		for (size_t i = 0; i < len; i++) {
			bytes[i] = (char)(i * 31 + i / 257);
		}
		snprintf(whole, sizeof whole, "%s", digest(hash, bytes, len, len));
		is_str(digest(hash, bytes, len, 1021), whole,
		        "the digest in odd pieces is that of the whole");
		is_str(digest(hash, bytes, len, 262144), whole,
		        "the digest in large pieces is that of the whole");
		struct buf result = BUF_INIT;
		op_hash.begin_file(hash, &entry, &meta);
		op_hash.chunk(hash, bytes, 100);
		is_int(op_hash.end_file(hash, &entry, &meta, false, &result), 0,
		        "a file that is broken off ends");
		ok(result.len == 0, "a file that is broken off has no result");
		is_str(digest(hash, bytes, len, 999999), whole,
		        "a file that is broken off does not change the next digest");
		free(bytes);
		op_hash.thread_end(hash);
	}
}

static void reports(void)
{
	static const struct format_options options = {0};
	union {
		struct walk_dir dir;
		char room[sizeof(struct walk_dir) + 32];
	} root = {.dir = {.name_len = 8}};
	unsigned char result[16];
	struct buf out = BUF_INIT, summary = BUF_INIT;
	int fds[2];
	memcpy(root.dir.data, "odd\nname", 9);
	memset(result, 0xab, sizeof result);
	entry = (struct walk_entry){
	        .dir = &root.dir, .name = "odd\nname", .name_len = 8, .is_root = true};
	if (pipe(fds) != 0) {
		printf("Bail out! no pipe\n");
		exit(1);
	}
	hash_options_of(&spec)->algo = SPEC_XXH128;
	struct sink *sink = sink_new(fds[1], format_find("ndjson"), &options, false);
	op_thread.sink = sink_thread_new(sink);
	void *hash = op_hash.thread_begin(&op_thread), *other = op_hash.thread_begin(&op_thread);
	ok(op_hash.file_result(hash, &entry, &meta, result, sizeof result, false) &&
	                op_hash.file_result(other, &entry, &meta, result, sizeof result, true),
	        "results are reported");
	ok(!op_hash.file_result(hash, &entry, &meta, result, sizeof result - 1, true),
	        "but none of another length");
	op_hash.merge(hash, other);
	struct json json = json_writer(&summary);
	op_hash.finish(NULL, hash, &json);
	is_str(buf_cstr(&summary),
	        "{\"algorithm\":\"xxh128\",\"files\":2,\"bytes\":6,\"cached\":1}",
	        "the summary counts the files of both threads");
	op_hash.thread_end(hash);
	op_hash.thread_end(other);
	sink_finish(sink, NULL, 0, NULL);
	close(fds[1]);
	fd_read_all(fds[0], &out);
	close(fds[0]);
	const char *text = buf_cstr(&out);
	const char *cached = strstr(text, ",\"cached\":true}\n");
	ok(strstr(text, "\"path\":\"odd\\nname\"") &&
	                strstr(text, "\"digest\":\"abababababababababababababababab\"}"),
	        "a file that was read has a record");
	ok(cached && cached > strchr(text, '\n') && strlen(cached) == strlen(",\"cached\":true}\n"),
	        "a digest from the cache has a record that says so");
	buf_release(&out);
	buf_release(&summary);
}

int main(void)
{
	spec_init(&spec);
	known_digests();
	reports();
	spec_release(&spec);
	return done();
}
