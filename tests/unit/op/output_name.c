/* The names of outputs. */
#include "op/output_name.h"

#include "../tap.h"
#include "spec/transform.h"

static void is_name(struct spec *spec, const char *name, const char *want)
{
	const struct transform_options *own = transform_options(spec);
	struct buf out = BUF_INIT;
	output_name_add(&out, spec, name, strlen(name));
	is_str(buf_cstr(&out), want, "%s of %s", own->output_name ? own->output_name : "output",
	        name);
	buf_release(&out);
}

int main(void)
{
	struct spec spec;
	struct transform_options *own = transform_options_of(&spec);
	spec_init(&spec);
	own->to = SPEC_ZSTD;
	is_name(&spec, "a.csv", "a.csv.zst");
	ok(output_name_unique(&spec), "zstd names are unique");
	own->to = SPEC_GZIP;
	is_name(&spec, "a.csv", "a.csv.gz");
	is_name(&spec, "a.gz", "a.gz.gz");
	ok(output_name_unique(&spec), "gzip names are unique");
	own->to = SPEC_NONE;
	is_name(&spec, "a.csv.gz", "a.csv");
	is_name(&spec, "a.zst", "a");
	is_name(&spec, "a.zstd", "a");
	is_name(&spec, "a.csv", "a.csv");
	is_name(&spec, "a.gz.zst", "a.gz");
	is_name(&spec, ".gz", ".gz");
	is_name(&spec, "gz", "gz");
	ok(!output_name_unique(&spec), "decompressed names may collide");

	own->to = SPEC_CODEC_UNSET;
	strlist_add(&spec.command, "cat");
	is_name(&spec, "a.csv", "a.csv");
	ok(output_name_unique(&spec), "a filter's unchanged names are unique");
	static char with_name[] = "x-{/}.txt", with_stem[] = "{/.}.txt", odd[] = "{/{/}{/.}}{}";
	own->output_name = with_name;
	is_name(&spec, "a.csv", "x-a.csv.txt");
	ok(output_name_unique(&spec), "a template with the whole name gives unique names");
	own->output_name = with_stem;
	is_name(&spec, "a.b.csv", "a.b.txt");
	is_name(&spec, ".hidden", ".hidden.txt");
	is_name(&spec, "\xff\n.c", "\xff\n.txt");
	ok(!output_name_unique(&spec), "a template without the extension may collide");
	own->output_name = odd;
	is_name(&spec, "a.b", "{/a.ba}{}");
	own->output_name = NULL;
	spec_release(&spec);

	char long_name[257];
	memset(long_name, 'n', sizeof long_name);
	ok(!output_name_fault(long_name, 255) && output_name_fault(long_name, 256),
	        "a name has at most 255 bytes");
	ok(output_name_fault("", 0) && output_name_fault(".", 1) && output_name_fault("..", 2) &&
	                output_name_fault("a/b", 3),
	        "a name that is empty, dots, or has a slash is rejected");
	ok(!output_name_fault("...", 3) && !output_name_fault("-", 1) &&
	                !output_name_fault(".a", 2),
	        "a name that begins with a dot or hyphen is accepted");
	return done();
}
