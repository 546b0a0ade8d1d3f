/*
 * Formats: how records and the summary become bytes. One file a format, one table (formats[]).
 *
 * Every slot is a pure function of its arguments that adds to `out`; any thread may call it at any
 * time. A format never writes; the sink (record/sink.h) does.
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
