/*
 * The words of other tools: find, fd, du, dust, ncdu, rclone, rsync, squeue, sbatch, scancel, psql
 * and their like. Fingers know them; a word of theirs that no command of ours takes is refused with
 * ours for it.
 */
#ifndef VEGA_BASE_OPTION_WORDS_H
#define VEGA_BASE_OPTION_WORDS_H

#include "base/option.h"

/*
 * Our words for `word` ("--include", "-newer", "-S", or "du" for a first operand), in a command
 * with these tables, as the rest of a sentence: "write --name GLOB". NULL: none is known.
 */
const char *option_word(const struct option_table *tables, size_t table_count, const char *word);

/* The same for a value that a row of ours would take and that means something else elsewhere:
 * "--type" and "x", or "-n" and "10". */
const char *option_word_value(const struct option_table *tables, size_t table_count,
        const char *option, const char *value);

#endif
