/*
 * Formats: how records and the summary become bytes. One file per format, one table (formats[]).
 *
 * Formats of lines turn each record into bytes at once: their slots are pure functions of their
 * arguments that add to `out`; any thread may call them at any time. Formats of blocks put many
 * records together first, and have a builder per thread (struct block_format). A format never
 * writes; the sink (record/sink.h) does.
 */
#ifndef VEGA_RECORD_FORMAT_H
#define VEGA_RECORD_FORMAT_H

#include "base/buf.h"
#include "record/record.h"
#include "record/schema.h"

/* How the output is wanted: read-only during a run. */
struct format_options {
	bool terminal; /* stdout is a terminal: escape names, draw */
	bool color;
	bool utf8;       /* the locale's character set is UTF-8: lines may be drawn */
	unsigned width;  /* columns */
	unsigned height; /* rows that a picture should fit into; 0: as many as it takes */
	bool null;       /* -0: text records end in NUL, names are not escaped */

	/* What the operations put out: all of them, NULL-terminated (NULL: none); and the one that
	 * runs, NULL when several do. */
	const struct record_schema *const *schemas, *only;
};

/* A block that was written: what the footer is made from. */
struct format_block {
	uint64_t offset; /* of its first byte, in the output */
	uint64_t len;
	const void *note; /* what end_block() noted of it */
	size_t note_len;
};

/*
 * The output is: begin(), then blocks of all threads, each in one piece, in the order in which they
 * were finished, then the footer. A run that fails or has no summary has no footer: by that its
 * output can be told from a whole one. Errors are records of RECORD_ERROR; progress never comes.
 */
struct block_format {
	/* The sink ends a block that has so many bytes or more. */
	size_t block_size;

	/* A builder, used by one thread at a time. NULL: no memory. */
	void *(*open)(const struct format_options *options);

	/* Adds a record to the builder's block; *size: about how many bytes the block has now, 0
	 * when it is still empty. False: no memory; the builder is not used again, but for close().
	 */
	bool (*add)(void *builder, const struct record *record, size_t *size);

	/* Ends the block, which is not empty: adds its bytes to `out`, and to `note` what the
	 * footer needs to know of it. The builder's next block is empty. A buffer that fails ends
	 * the run. */
	void (*end_block)(void *builder, struct buf *out, struct buf *note);

	/* After the last block, which ended at `offset`: the footer; json as for format.summary. A
	 * pure function; blocks are in the order of their offsets. */
	void (*footer)(struct buf *out, const struct format_options *options,
	        const struct format_block *blocks, size_t count, uint64_t offset, const char *json,
	        size_t len);

	void (*close)(void *builder);
};

struct format {
	const char *name;
	const char *help;

	/* It has error records. Otherwise whoever runs the operation names what could not be read
	 * on stderr. */
	bool error_records;

	bool whole_summary; /* it prints all members of the summary, for programs to read */
	bool picture;       /* its summary is a picture, for people to see */

	unsigned meta; /* the meta_fields that its entry records show, to be stat'ed for them */

	/* Before the first record (csv's header). NULL: nothing. */
	void (*begin)(struct buf *out, const struct format_options *options);

	/* A format of blocks: then record and summary are NULL. */
	const struct block_format *blocks;

	/* One record. NULL: this format prints no records (json). */
	void (*record)(
	        struct buf *out, const struct format_options *options, const struct record *record);

	/*
	 * After the last record: the summary, one complete JSON object of `len` bytes. NULL: not
	 * printed.
	 */
	void (*summary)(struct buf *out, const struct format_options *options, const char *json,
	        size_t len);
};

extern const struct format *const formats[];        /* NULL-terminated; the first is the default */
const struct format *format_find(const char *name); /* NULL when there is none */

#endif
