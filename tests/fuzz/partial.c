/*
 * Partial results from anywhere: they are merged or refused in one line. Those that are merged can
 * be written and read again, and make a summary, or are told to be not all.
 */
#include "fuzz.h"

#include <xxhash.h>

#include "base/buf.h"
#include "engine/partial.h"

static struct spec spec;

/* What the input is put behind: without it, nothing would pass the first checks. */
static void add_head(struct buf *out)
{
	struct buf json = BUF_INIT;
	XXH128_canonical_t digest;
	spec_to_json(&spec, &json);
	XXH128_canonicalFromHash(&digest, XXH3_128bits(json.data, json.len));
	buf_add_str(out, "VEGAPART\x01");
	buf_add(out, &digest, sizeof digest);
	buf_release(&json);
}

static void add_checksum(struct buf *out)
{
	XXH64_canonical_t sum;
	XXH64_canonicalFromHash(&sum, XXH3_64bits(out->data, out->len));
	buf_add(out, &sum, sizeof sum);
}

static void make_spec(void)
{
	static const char json[] =
	        "{\"v\":1,\"operations\":[\"summarize\",\"find\",\"hash\"],\"roots\":[\"tree\","
	        "\"other/\"],\"options\":{\"top\":3,\"depth\":1}}";
	struct vega_error err = {0};
	spec_init(&spec);
	must(spec_parse_json(&spec, json, sizeof json - 1, &err) == 0, "the spec", err.text);
}

static struct partial *new_partial(void)
{
	struct partial *partial = NULL;
	struct vega_error err = {0};
	must(partial_new(&spec, &partial, &err) == 0, "partial_new", err.text);
	return partial;
}

static void must_read_again(struct partial *partial)
{
	struct vega_error err = {0};
	struct buf written = BUF_INIT;
	struct partial *again = new_partial();
	must(partial_write(partial, &written, &err) == 0, "not written", err.text);
	must(partial_add(again, written.data, written.len, &err) == 0, "not read", err.text);
	partial_free(again);
	buf_release(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vega_error err = {0};
	struct buf bytes = BUF_INIT, json = BUF_INIT;
	if (!spec.operations) {
		make_spec();
	}
	add_head(&bytes);
	buf_add(&bytes, data, size);
	add_checksum(&bytes);
	struct partial *partial = new_partial();
	int code = partial_add(partial, bytes.data, bytes.len, &err);
	if (code) {
		must_explain(code, &err);
	} else {
		must_read_again(partial);
		code = partial_summary(partial, &json, &err);
		must(json.len || code == VEGA_FATAL, "no summary", err.text);
	}
	partial_free(partial);
	buf_release(&bytes);
	buf_release(&json);
	return 0;
}
