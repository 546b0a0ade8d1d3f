/* What must hold of anything that was read: it comes back from its canonical JSON as it was. */
#ifndef TESTS_SPEC_FUZZ_H
#define TESTS_SPEC_FUZZ_H

#include "fuzz.h"

#include "base/json.h"
#include "spec/spec.h"

static inline void must_return(const struct spec *spec)
{
	struct spec back;
	struct vega_error err = {0};
	struct buf json = BUF_INIT, again = BUF_INIT;
	spec_to_json(spec, &json);
	must(!json.failed && utf8_valid(json.data, json.len), "bad JSON", buf_cstr(&json));
	spec_init(&back);
	must(spec_parse_json(&back, json.data, json.len, &err) == 0, buf_cstr(&json), err.text);
	spec_to_json(&back, &again);
	must(strcmp(buf_cstr(&json), buf_cstr(&again)) == 0, buf_cstr(&json), buf_cstr(&again));
	spec_release(&back);
	buf_release(&json);
	buf_release(&again);
}

#endif
