/* A child's stream means the same however the pipe cuts it. The first byte says where. */
#include "fuzz.h"

#include "child/stream.h"

static void read_in_pieces(
        struct stream *stream, struct spool *spool, const char *text, size_t len, size_t piece)
{
	spool_init(spool, "/nonexistent", "019b7a00-0000-7000-8000-000000000000", 1);
	stream_init(stream, spool);
	for (size_t at = 0; at < len; at += piece) {
		stream_add(stream, text + at, len - at < piece ? len - at : piece);
	}
	stream_end(stream);
}

static bool same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream whole, cut;
	struct spool whole_spool, cut_spool;
	size_t piece = size ? data[0] % 32u + 1 : 1, len = size ? size - 1 : 0;
	char *text = fuzz_string(data + (size > 0), len);
	read_in_pieces(&whole, &whole_spool, text, len, len + 1);
	read_in_pieces(&cut, &cut_spool, text, len, piece);
	must(whole.broken == cut.broken && strcmp(whole.why.text, cut.why.text) == 0,
	        whole.why.text, cut.why.text);
	must(!whole.broken || (whole.why.text[0] && !strpbrk(whole.why.text, "\r\n")),
	        "not one line", whole.why.text);
	must(same(&whole.progress, &cut.progress) && same(&whole_spool.held, &cut_spool.held),
	        "another content", text);
	must(!whole.summary == !cut.summary && whole.complete == cut.complete &&
	                (!whole.summary || strcmp(whole.summary, cut.summary) == 0),
	        "another summary", text);
	stream_release(&whole);
	stream_release(&cut);
	spool_discard(&whole_spool);
	spool_discard(&cut_spool);
	free(text);
	return 0;
}
