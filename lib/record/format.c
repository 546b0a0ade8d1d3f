/* The formats, in the order of --help. */
#include "record/format.h"

#include <string.h>

#include "record/record_internal.h"

const struct format *const formats[] = {
        &format_text, &format_ndjson, &format_json, &format_csv, NULL};

const struct format *format_find(const char *name)
{
	for (size_t i = 0; formats[i]; i++) {
		if (strcmp(formats[i]->name, name) == 0) {
			return formats[i];
		}
	}
	return NULL;
}
