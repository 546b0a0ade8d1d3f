/* Specifications in tests: from words, and as canonical JSON. */
#ifndef TESTS_SPEC_TEXT_H
#define TESTS_SPEC_TEXT_H

#include <stdlib.h>

#include "spec/spec.h"

#define WORDS_MAX 64

/* Parses the words up to NULL; files0_from NULL: not given. */
static inline int parse_words(
        struct spec *spec, char *files0_from, struct vega_error *err, const char *const words[])
{
	char *argv[WORDS_MAX] = {strdup("test")};
	int argc = 1;
	for (; argc < WORDS_MAX - 1 && words[argc - 1]; argc++) {
		argv[argc] = strdup(words[argc - 1]);
	}
	struct option_table tables[SPEC_TABLES];
	spec_init(spec);
	spec_tables(spec, tables);
	int rc = spec_parse_argv(spec, tables, SPEC_TABLES, &files0_from, argc, argv, err);
	while (argc > 0) {
		free(argv[--argc]);
	}
	return rc;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* The caller frees it. */
static inline char *json_of(const struct spec *spec)
{
	struct buf out = BUF_INIT;
	spec_to_json(spec, &out);
	return buf_detach(&out);
}

/* The canonical JSON of a command line, or the error's text. The caller frees it. */
static inline char *outcome_of(const char *const words[])
{
	struct spec spec;
	struct vega_error err = {0};
	int rc = parse_words(&spec, NULL, &err, words);
	char *text = rc == 0 ? json_of(&spec) : strdup(err.text);
	spec_release(&spec);
	return text;
}

#endif
