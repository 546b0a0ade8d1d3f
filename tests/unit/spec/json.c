/* Canonical JSON, what is tolerated in place of it, and what is not; at random, there and back. */
#include "../tap.h"
#include "spec/spec_internal.h"
#include "spec/transform.h"
#include "spec_text.h"

static int parse_text(struct spec *spec, const char *json, size_t len, struct vega_error *err)
{
	/* Exactly as many bytes as there are, for the sanitizers. */
	char *bytes = malloc(len ? len : 1);
	memcpy(bytes, json, len);
	spec_init(spec);
	int rc = spec_parse_json(spec, bytes, len, err);
	free(bytes);
	return rc;
}

static void test_canonical(void)
{
	static const char *const canonical[] = {
	        "{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"/data\"],\"options\":{"
	        "\"extension\":[\"csv\"],\"min_size\":1048576}}",
	        "{\"v\":1,\"operations\":[\"transform\"],\"roots\":[\"/data\",{\"b64\":\"YWL/\"}],"
	        "\"options\":{\"out\":{\"b64\":\"/////w==\"},\"timeout\":9007199254740991},"
	        "\"command\":[\"gzip\",\"\",{\"b64\":\"gIE=\"}]}",
	        "{\"v\":1,\"operations\":[\"summarize\",\"hash\"],\"roots\":[\"\\n\\u001b\\\"\\\\/"
	        "é\"],"
	        "\"options\":{\"type\":[\"f\",\"l\"],\"max_size\":\"18446744073709551615\","
	        "\"empty\":true,\"newer_than\":\"1969-12-31T23:59:59.000000001Z\","
	        "\"older_than\":\"@253402300800\",\"threads\":1,\"top\":0,\"algo\":\"sha256\"}}",
	        "{\"v\":1,\"operations\":[\"transform\"],\"roots\":[\"/\"],\"options\":{"
	        "\"out\":\"/o\",\"timeout\":\"9007199254740993\"},\"command\":[\"cat\"]}",
	        "{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"/"
	        "\"],\"options\":{\"changed_after\":"
	        "\"@-62167219201.500000000\",\"changed_before\":\"0000-01-01T00:00:00Z\"}}",
	        "{\"v\":1,\"operations\":[\"summarize\"],\"roots\":[\"/\"],\"options\":{"
	        "\"show_depth\":3,\"depth\":2,\"max_depth\":7}}",
	};
	for (size_t i = 0; i < sizeof canonical / sizeof *canonical; i++) {
		struct spec spec;
		struct vega_error err = {0};
		int rc = parse_text(&spec, canonical[i], strlen(canonical[i]), &err);
		char *json = rc == 0 ? json_of(&spec) : strdup(err.text);
		is_str(json, canonical[i], "canonical JSON %zu is written as it was read", i);
		free(json);
		spec_release(&spec);
	}
}

/* What is read, and how it is then written. */
static void test_tolerated(void)
{
	static const char *const pairs[][2] = {
	        {" {\"roots\" : [\"a\"],\t\"operations\":[\"hash\",\"find\",\"find\"],\n"
	         "\"options\":{},\"command\":[], \"v\":1.0}\r\n",
	                "{\"v\":1,\"operations\":[\"find\",\"hash\"],\"roots\":[\"a\"]}"},
	        {"{\"v\":1,\"operations\":[\"find\"],\"roots\":[{\"b64\":\"YQ==\"}],\"options\":{"
	         "\"min_size\":\"1K\",\"max_size\":\"4096\",\"threads\":\"2\",\"sort\":false,"
	         "\"extension\":[\".csv\"],\"newer_than\":\"2026-01-31T13:00:00+01:00\"}}",
	                "{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"a\"],\"options\":{"
	                "\"extension\":[\"csv\"],\"min_size\":1024,\"max_size\":4096,"
	                "\"newer_than\":\"2026-01-31T12:00:00Z\",\"threads\":2}}"},
	        {"{\"v\":1,\"operations\":[\"transform\"],\"roots\":[\"a\"],\"options\":{"
	         "\"timeout\":\"1min\",\"out\":\"o\"},\"command\":[\"c\"]}",
	                "{\"v\":1,\"operations\":[\"transform\"],\"roots\":[\"a\"],\"options\":{"
	                "\"out\":\"o\",\"timeout\":60000000000},\"command\":[\"c\"]}"},
	};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct spec spec;
		struct vega_error err = {0};
		int rc = parse_text(&spec, pairs[i][0], strlen(pairs[i][0]), &err);
		char *json = rc == 0 ? json_of(&spec) : strdup(err.text);
		is_str(json, pairs[i][1], "tolerated form %zu is read", i);
		free(json);
		spec_release(&spec);
	}
}

static void is_refused(const char *json, size_t len, const char *reason)
{
	struct spec spec;
	struct vega_error err = {0};
	int rc = parse_text(&spec, json, len, &err);
	is_int(rc, VEGA_USAGE, "the JSON is rejected: %.60s", json);
	if (!ok(strstr(err.text, reason) && !strchr(err.text, '\n'),
	            "the JSON is rejected because: %s", reason)) {
		printf("# got %s\n", err.text);
	}
	spec_release(&spec);
}

#define FIND "{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"a\"]"

static void test_refused(void)
{
	static const char *const bad[][2] = {
	        {"", "not JSON, from byte 0"},
	        {"   ", "not JSON"},
	        {"{", "not JSON"},
	        {"nul", "not JSON"},
	        {FIND "} x", "not JSON, from byte 44"},
	        {FIND "}{}", "not JSON"},
	        {FIND "}]", "not JSON"},
	        {FIND ",}", "not JSON"},
	        {"[]", "not a JSON object"},
	        {"\"v\"", "not a JSON object"},
	        {"null", "not a JSON object"},
	        {"{}", "has no \"v\""},
	        {"{\"v\":1}", "has no \"operations\""},
	        {"{\"v\":1,\"operations\":[\"find\"]}", "has no \"roots\""},
	        {"{\"v\":2,\"operations\":0,\"roots\":0,\"new\":1}",
	                "newer VegaFS; upgrade this one"},
	        {"{\"v\":9007199254740993,\"operations\":0,\"roots\":0}", "\"v\""},
	        {"{\"v\":\"1\",\"operations\":[\"find\"],\"roots\":[\"a\"]}", "\"v\""},
	        {"{\"v\":0,\"operations\":[\"find\"],\"roots\":[\"a\"]}", "\"v\""},
	        {"{\"v\":-1,\"operations\":[\"find\"],\"roots\":[\"a\"]}", "\"v\""},
	        {"{\"v\":1.5,\"operations\":[\"find\"],\"roots\":[\"a\"]}", "\"v\""},
	        {"{\"v\":1e999,\"operations\":[\"find\"],\"roots\":[\"a\"]}", "\"v\""},
	        {"{\"v\":null,\"operations\":[\"find\"],\"roots\":[\"a\"]}", "\"v\""},
	        {FIND ",\"v\":1}", "\"v\" twice"},
	        {FIND ",\"roots\":[]}", "\"roots\" twice"},
	        {FIND ",\"Options\":{}}", "member \"Options\""},
	        {FIND ",\"options\":[]}", "\"options\""},
	        {FIND ",\"options\":null}", "\"options\""},
	        {FIND ",\"options\":{\"nmae\":[]}}", "\"nmae\""},
	        {FIND ",\"options\":{\"min-size\":1}}", "\"min-size\""},
	        {FIND ",\"options\":{\"exclude_from\":[\"/etc/passwd\"]}}", "\"exclude_from\""},
	        {FIND ",\"options\":{\"said_not\":true}}", "\"said_not\""},
	        {FIND ",\"options\":{\"not\":true}}", "\"not\""},
	        {FIND ",\"not\":{}}", "\"not\" in the specification is to be an array"},
	        {FIND ",\"not\":[3]}", "\"not\" in the specification is to be an object"},
	        {FIND ",\"not\":[{}]}", "--not needs a predicate"},
	        {FIND ",\"not\":[{\"threads\":2}]}", "\"threads\""},
	        {FIND ",\"or\":[[]]}", "\"or\" in the specification is to be an array of objects"},
	        {FIND ",\"or\":[{\"options\":{\"empty\":true}}]}", "--or needs a predicate"},
	        {FIND ",\"options\":{\"empty\":true},\"or\":[{}]}", "--or needs a predicate"},
	        {FIND ",\"or\":[{\"or\":[]}]}", "made of"},
	        {FIND ",\"or\":[{\"not\":[],\"not\":[]}]}", "\"not\" twice"},
	        {FIND ",\"or\":[{\"options\":{\"out\":\"x\"}}]}", "\"out\""},
	        {FIND ",\"options\":{\"sort\":true,\"sort\":true}}", "\"sort\" twice"},
	        {FIND ",\"options\":{\"sort\":1}}", "\"sort\""},
	        {FIND ",\"options\":{\"sort\":\"true\"}}", "\"sort\""},
	        {FIND ",\"options\":{\"name\":\"a\"}}", "\"name\""},
	        {FIND ",\"options\":{\"name\":[1]}}", "\"name\""},
	        {FIND ",\"options\":{\"name\":[[]]}}", "\"name\""},
	        {FIND ",\"options\":{\"name\":[{}]}}", "\"name\""},
	        {FIND ",\"options\":{\"name\":[{\"b64\":1}]}}", "\"name\""},
	        {FIND ",\"options\":{\"name\":[{\"B64\":\"\"}]}}", "\"name\""},
	        {FIND ",\"options\":{\"name\":[{\"b64\":\"YQ==\",\"b64\":\"YQ==\"}]}}", "\"name\""},
	        {FIND ",\"options\":{\"name\":[{\"b64\":\"YQ\"}]}}", "base64"},
	        {FIND ",\"options\":{\"name\":[{\"b64\":\"Y===\"}]}}", "base64"},
	        {FIND ",\"options\":{\"name\":[{\"b64\":\"====\"}]}}", "base64"},
	        {FIND ",\"options\":{\"name\":[{\"b64\":\"YR==\"}]}}", "base64"},
	        {FIND ",\"options\":{\"name\":[{\"b64\":\"YQ==YQ==\"}]}}", "base64"},
	        {FIND ",\"options\":{\"name\":[{\"b64\":\"Y=Q=\"}]}}", "base64"},
	        {FIND ",\"options\":{\"name\":[{\"b64\":\"Y Q=\"}]}}", "base64"},
	        {FIND ",\"options\":{\"name\":[{\"b64\":\"AGE=\"}]}}", "NUL"},
	        {FIND ",\"options\":{\"name\":[\"a\\u0000b\"]}}", "NUL"},
	        {FIND ",\"options\":{\"name\":[\"\\ud800\"]}}", "not JSON"},
	        {FIND ",\"options\":{\"name\":[\"\\udc00\\ud800\"]}}", "not JSON"},
	        {FIND ",\"options\":{\"name\":[\"\xff\"]}}", "b64"},
	        {FIND ",\"options\":{\"min_size\":-1}}", "\"min_size\""},
	        {FIND ",\"options\":{\"min_size\":1.5}}", "\"min_size\""},
	        {FIND ",\"options\":{\"min_size\":9007199254740992}}", "larger one as a string"},
	        {FIND ",\"options\":{\"min_size\":1e400}}", "\"min_size\""},
	        {FIND ",\"options\":{\"min_size\":true}}", "\"min_size\""},
	        {FIND ",\"options\":{\"min_size\":\"18446744073709551616\"}}", "too large"},
	        {FIND ",\"options\":{\"newer_than\":5}}", "\"newer_than\""},
	        {FIND ",\"options\":{\"newer_than\":\"/etc/passwd\"}}", "\"newer_than\""},
	        {FIND ",\"options\":{\"newer_than\":\"soon\"}}", "soon"},
	        {FIND ",\"options\":{\"type\":[\"?\"]}}", "--type"},
	        {FIND ",\"options\":{\"type\":[\"\"]}}", "--type"},
	        {FIND ",\"options\":{\"type\":\"f\"}}", "\"type\""},
	        {FIND ",\"options\":{\"algo\":\"sha256\"}}", "belongs to the operation hash"},
	        {FIND ",\"options\":{\"min_depth\":3,\"max_depth\":2}}", "--min-depth"},
	        {FIND ",\"command\":[\"cat\"]}", "transform"},
	        {FIND ",\"command\":\"cat\"}", "\"command\""},
	        {"{\"v\":1,\"operations\":[],\"roots\":[\"a\"]}", "no operation"},
	        {"{\"v\":1,\"operations\":\"find\",\"roots\":[\"a\"]}", "\"operations\""},
	        {"{\"v\":1,\"operations\":[\"Find\"],\"roots\":[\"a\"]}", "\"Find\""},
	        {"{\"v\":1,\"operations\":[1],\"roots\":[\"a\"]}", "operation"},
	        {"{\"v\":1,\"operations\":[\"find\"],\"roots\":[]}", "no root"},
	        {"{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"\"]}", "root number 1 is empty"},
	        {"{\"v\":1,\"operations\":[\"find\"],\"roots\":\"a\"}", "\"roots\""},
	        {"{\"v\":1,\"operations\":[\"transform\"],\"roots\":[\"a\"],\"options\":{\"out\":"
	         "\"o\",\"to\":\"\"}}",
	                "--to"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		is_refused(bad[i][0], strlen(bad[i][0]), bad[i][1]);
	}
	is_refused(FIND "}\0", sizeof FIND + 1, "NUL");
	is_refused("{\"v\":1\0}", 8, "NUL");
}

static void test_bombs(void)
{
	size_t len = (size_t)100 << 20;
	char *bomb = malloc(len);
	memset(bomb, '[', len);
	is_refused(bomb, 1 << 20, "nested too deeply");
	is_refused(bomb, len, "larger than 16 MiB");
	for (size_t i = 0; i + 1 < len; i += 2) {
		memcpy(bomb + i, "0,", 2);
	}
	bomb[0] = '[';
	is_refused(bomb, (size_t)8 << 20, "holds more than 1000000 values");
	memset(bomb, '\\', len);
	bomb[0] = '"';
	is_refused(bomb, (size_t)8 << 20, "not JSON");
	memset(bomb, '9', len);
	is_refused(bomb, (size_t)8 << 20, "not a JSON object");
	free(bomb);
}

static uint64_t seed = 42;

/* Marsaglia's xorshift64*, so that a failure can be repeated. */
static uint64_t dice(uint64_t sides)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (seed * UINT64_C(2685821657736338717) >> 11) % sides;
}

static char *random_bytes(size_t least)
{
	size_t len = least + dice(12);
	char *bytes = malloc(len + 1);
	for (size_t i = 0; i < len; i++) {
		bytes[i] = (char)(dice(3) ? 'a' + (int)dice(26) : 1 + (int)dice(255));
	}
	bytes[len] = '\0';
	return bytes;
}

static void random_list(struct strlist *list, size_t least)
{
	for (size_t n = least + dice(3); n > 0; n--) {
		char *bytes = random_bytes(1);
		strlist_add(list, bytes);
		free(bytes);
	}
}

static uint64_t random_number(void)
{
	uint64_t edges[] = {0, 1, (UINT64_C(1) << 53) - 1, UINT64_C(1) << 53,
	        (UINT64_C(1) << 53) + 1, UINT64_MAX};
	return dice(2) ? edges[dice(6)] : dice(UINT64_MAX) >> dice(64);
}

static void random_field(const struct option_row *row, struct spec *spec)
{
	void *field = (char *)spec + row->offset;
	switch (row->type) {
	case OPT_FLAG:
		*(bool *)field = true;
		break;
	case OPT_NUMBER:
	case OPT_SIZE:
	case OPT_DURATION:
		*(struct option_number *)field = (struct option_number){random_number(), true};
		break;
	case OPT_TIME:
		*(struct option_time *)field = (struct option_time){
		        {(int64_t)(dice(UINT64_MAX) >> dice(64)) - (dice(2) ? INT64_C(1) << 40 : 0),
		                dice(2) ? (uint32_t)dice(1000000000) : 0},
		        true};
		break;
	case OPT_TEXT:
		free(*(char **)field);
		*(char **)field = random_bytes(0);
		break;
	case OPT_LIST:
		random_list(field, 1);
		break;
	case OPT_CHOICES:
		*(uint32_t *)field = (uint32_t)(1 + dice(127)) << 1;
		break;
	case OPT_CHOICE:
	case OPT_COUNT:
		*(unsigned *)field = 1;
		break;
	}
}

static void random_sets(struct spec *spec)
{
	struct spec *set, *negated;
	random_list(&spec->name, 1);
	spec_add_set(&spec->without, &negated, NULL);
	negated->links = strdup("+1");
	spec_add_set(&spec->others, &set, NULL);
	random_list(&set->path, 1);
	spec_add_set(&spec->others, &set, NULL);
	spec_add_set(&set->without, &negated, NULL);
	random_list(&negated->regex, 1);
}

/*
 * Any specification that spec_check() accepts comes back from its JSON as it was. A random one
 * rarely is acceptable, so the fields in which nearly every value is refused get good ones.
 */
static bool random_spec(struct spec *spec)
{
	spec_init(spec);
	spec->operations = 1 + (uint32_t)dice(15);
	random_list(&spec->roots, 1);
	const struct option_row *row;
	for (size_t i = 0; (row = spec_row_at(i)); i++) {
		size_t offset = row->offset;
		bool special = offset == offsetof(struct spec, user) ||
		               offset == offsetof(struct spec, group) ||
		               offset == offsetof(struct spec, perm) ||
		               offset == offsetof(struct spec, threads) ||
		               offset == offsetof(struct spec, max_iops) ||
		               offset == offsetof(struct spec, exclude_from) ||
		               offset == offsetof(struct spec, links) ||
		               offset == offsetof(struct spec, said_not) ||
		               offset == offsetof(struct spec, said_or) ||
		               strcmp(row->name, "to") == 0 || strcmp(row->name, "level") == 0 ||
		               strcmp(row->name, "output-name") == 0 ||
		               strcmp(row->name, "top") == 0;
		bool owned = !row->groups || (row->groups & spec->operations);
		if (!special && owned && dice(6) == 0) {
			random_field(row, spec);
		}
	}
	if (dice(4) == 0) {
		random_sets(spec);
	}
	if (dice(4) == 0) {
		strlist_add(&spec->user, "0");
		spec->perm = strdup("-u+w");
		spec->threads = (struct option_number){1 + dice(1024), true};
		spec->max_iops = (struct option_number){1 + dice(1000000), true};
	}
	if (spec->operations & SPEC_TRANSFORM) {
		free(spec->out);
		spec->out = random_bytes(1);
		if (dice(2)) {
			struct transform_options *own = transform_options_of(spec);
			own->to = SPEC_ZSTD;
			own->level = (struct option_number){1 + dice(19), dice(2)};
			own->timeout.set = false;
		} else {
			random_list(&spec->command, 1);
		}
	}
	return spec_check(spec, NULL) == 0;
}

static bool same_fields(const struct spec *a, const struct spec *b)
{
	return a->operations == b->operations && a->roots.count == b->roots.count &&
	       strcmp(a->roots.items[0], b->roots.items[0]) == 0 &&
	       a->min_size.value == b->min_size.value && a->min_size.set == b->min_size.set &&
	       vega_time_compare(a->newer_than.value, b->newer_than.value) == 0 &&
	       a->command.count == b->command.count && a->type == b->type;
}

static void test_random(void)
{
	unsigned accepted = 0, same = 0;
	for (unsigned i = 0; i < 20000; i++) {
		struct spec spec, back;
		struct vega_error err = {0};
		if (random_spec(&spec)) {
			accepted++;
			char *json = json_of(&spec);
			int rc = parse_text(&back, json, strlen(json), &err);
			char *again = rc == 0 ? json_of(&back) : strdup(err.text);
			if (strcmp(json, again) == 0 && same_fields(&spec, &back)) {
				same++;
			} else {
				printf("# %s\n# %s\n", json, again);
			}
			free(again);
			free(json);
			spec_release(&back);
		}
		spec_release(&spec);
	}
	ok(accepted > 2000, "%u random specifications were acceptable", accepted);
	is_int(same, accepted, "each random specification is read from its JSON as it was");
}

int main(void)
{
	test_canonical();
	test_tolerated();
	test_refused();
	test_bombs();
	test_random();
	return done();
}
