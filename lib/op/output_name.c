/* An output's name, made from its input's. */
#include "op/output_name.h"

#include <limits.h>
#include <string.h>

#include "op/filter.h"
#include "spec/transform.h"

static void add_codec_name(struct buf *out, enum spec_codec codec, const char *name, size_t len)
{
	static const char *const endings[] = {".gz", ".zst", ".zstd"};
	if (codec == SPEC_NONE) {
		for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
			size_t cut = strlen(endings[i]);
			if (len > cut && memcmp(name + len - cut, endings[i], cut) == 0) {
				len -= cut;
				break;
			}
		}
	}
	buf_add(out, name, len);
	if (codec != SPEC_NONE) {
		buf_add_str(out, codec == SPEC_ZSTD ? ".zst" : ".gz");
	}
}

static void add_template_name(struct buf *out, const char *template, const char *name, size_t len)
{
	for (const char *at = template; *at;) {
		if (strncmp(at, "{/}", 3) == 0) {
			buf_add(out, name, len);
			at += 3;
		} else if (strncmp(at, "{/.}", 4) == 0) {
			buf_add(out, name, filter_stem(name, len));
			at += 4;
		} else {
			buf_add_char(out, *at++);
		}
	}
}

void output_name_add(struct buf *out, const struct spec *spec, const char *name, size_t len)
{
	const struct transform_options *own = transform_options(spec);
	if (spec->command.count == 0) {
		add_codec_name(out, (enum spec_codec)own->to, name, len);
	} else {
		add_template_name(out, own->output_name ? own->output_name : "{/}", name, len);
	}
}

const char *output_name_fault(const char *name, size_t len)
{
	if (len > NAME_MAX) {
		return "the output's name would be longer than 255 bytes";
	}
	bool dots = len <= 2 && memcmp(name, "..", len) == 0; /* "", "." and ".." */
	return dots || memchr(name, '/', len) ? "the output's name would not be a plain name"
	                                      : NULL;
}

bool output_name_unique(const struct spec *spec)
{
	const struct transform_options *own = transform_options(spec);
	return spec->command.count ? !own->output_name || !strstr(own->output_name, "{/.}")
	                           : own->to != SPEC_NONE;
}
