/* JSON as a stranger may send it. */
#include "spec_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec spec;
	struct vega_error err = {0};
	spec_init(&spec);
	int rc = spec_parse_json(&spec, (const char *)data, size, &err);
	if (rc == 0) {
		must_return(&spec);
	} else {
		must_explain(rc, &err);
	}
	spec_release(&spec);
	return 0;
}
