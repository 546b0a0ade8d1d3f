/* Each format's bytes for the same records, among them names that want escaping. */
#include "../tap.h"

#include <errno.h>

#include "record/format.h"
#include "spec/spec_internal.h"

static const struct format_options pipe_options = {
        .utf8 = true, .width = 80, .schemas = operation_schemas, .only = &operation_find.schema};
static const struct format_options terminal_options = {.terminal = true,
        .utf8 = true,
        .width = 80,
        .schemas = operation_schemas,
        .only = &operation_find.schema};

static const struct file_meta meta = {
        .have = META_ALL,
        .mode = 0104755,
        .uid = 1000,
        .gid = 100,
        .nlink = 2,
        .dev = 2049,
        .ino = 18446744073709551615U,
        .size = 9007199254740993,
        .allocated = 4096,
        .mtime = {0, 5},
        .ctime = {-1, 0},
        .atime = {253402300800, 0},
};

static struct record entry(const char *dir, const char *name)
{
	return (struct record){
	        .type = RECORD_ENTRY,
	        .op = "find",
	        .dir = dir,
	        .dir_len = strlen(dir),
	        .name = name,
	        .name_len = strlen(name),
	        .file_type = FILE_REGULAR,
	};
}

/* The formatted record; valid until the next call. */
static const char *formatted(
        const char *format, const struct format_options *options, const struct record *record)
{
	static struct buf out = BUF_INIT;
	buf_clear(&out);
	format_find(format)->record(&out, options, record);
	return buf_cstr(&out);
}

static void test_table(void)
{
	ok(formats[0] == format_find("text"), "the default format is text");
	ok(format_find("ndjson") && format_find("json") && format_find("csv"),
	        "ndjson, json and csv are formats");
	ok(!format_find("xml") && !format_find(""), "other names are no formats");
}

static void test_text(void)
{
	struct record record = entry("a b/", "c\n\033[31m\\");
	is_str(formatted("text", &pipe_options, &record), "a b/c\n\033[31m\\\n",
	        "text to a pipe is bytes");
	is_str(formatted("text", &terminal_options, &record), "a b/c\\n\\e[31m\\\\\n",
	        "text to a terminal is escaped");

	struct format_options null = terminal_options;
	null.null = true;
	is_str(formatted("text", &null, &record), "a b/c\n\033[31m\\",
	        "text with -0 is exact everywhere");

	struct format_options latin = terminal_options;
	latin.utf8 = false;
	record = entry("", "\xc3\xbc");
	is_str(formatted("text", &terminal_options, &record), "\xc3\xbc\n",
	        "text to a UTF-8 terminal shows UTF-8");
	is_str(formatted("text", &latin, &record), "\\303\\274\n",
	        "text to another terminal shows only ASCII");

	record.type = RECORD_ERROR;
	is_str(formatted("text", &pipe_options, &record), "", "text prints no errors");
}

static void test_sum(void)
{
	struct record record = entry("d/", "a\nb\\c\rd");
	record.text = RECORD_TEXT_SUM;
	record.lead = "DIGEST  ";
	record.lead_len = 8;
	is_str(formatted("text", &pipe_options, &record), "\\DIGEST  d/a\\nb\\\\c\\rd\n",
	        "sum lines escape as sha256sum does");
	struct record plain = entry("d/", "a\tb");
	plain.text = RECORD_TEXT_SUM;
	plain.lead = "DIGEST  ";
	plain.lead_len = 8;
	is_str(formatted("text", &pipe_options, &plain), "DIGEST  d/a\tb\n",
	        "sum lines escape only where sha256sum does");
	struct format_options null = pipe_options;
	null.null = true;
	is_str(formatted("text", &null, &record), "DIGEST  d/a\nb\\c\rd",
	        "sum lines with -0 are not escaped");
	is_str(formatted("text", &terminal_options, &record), "\\DIGEST  d/a\\nb\\\\c\\rd\n",
	        "sum lines are the same on a terminal");
}

static void test_ndjson(void)
{
	struct record record = entry("d/", "\"\n\xff\xc2\x9b");
	is_str(formatted("ndjson", &pipe_options, &record),
	        "{\"type\":\"entry\",\"v\":1,\"op\":\"find\",\"path\":\"d/"
	        "\\\"\\n\xef\xbf\xbd\\u009b\",\"path_b64\":\"ZC8iCv/Cmw==\",\"file_type\":\"f\"}\n",
	        "ndjson keeps the bytes of names that are not UTF-8");

	const struct record_field fields[] = {
	        {.key = "algorithm", .type = VALUE_TEXT, .text = "sha256"},
	        {.key = "output", .type = VALUE_BYTES, .text = "x\xfey", .len = 3},
	        {.key = "n", .type = VALUE_U64, .number = UINT64_MAX},
	        {.key = "cached", .type = VALUE_BOOL, .number = 1},
	};
	record = entry("", "a");
	record.meta = &meta;
	record.fields = fields;
	record.field_count = 4;
	is_str(formatted("ndjson", &pipe_options, &record),
	        "{\"type\":\"entry\",\"v\":1,\"op\":\"find\",\"path\":\"a\",\"file_type\":\"f\","
	        "\"size\":9007199254740993,\"allocated\":4096,"
	        "\"mtime\":\"1970-01-01T00:00:00.000000005Z\","
	        "\"ctime\":\"1969-12-31T23:59:59Z\",\"atime\":\"@253402300800\","
	        "\"uid\":1000,\"gid\":100,\"mode\":\"4755\",\"dev\":2049,"
	        "\"ino\":18446744073709551615,\"nlink\":2,\"algorithm\":\"sha256\","
	        "\"output\":\"x\xef\xbf\xbdy\",\"output_b64\":\"eP55\","
	        "\"n\":18446744073709551615,\"cached\":true}\n",
	        "ndjson has exact metadata and fields");

	record = entry("d/", "f");
	record.type = RECORD_ERROR;
	record.op = "open";
	record.errnum = EACCES;
	is_str(formatted("ndjson", &pipe_options, &record),
	        "{\"type\":\"error\",\"v\":1,\"op\":\"open\",\"path\":\"d/f\",\"errno\":\"EACCES\","
	        "\"message\":\"Permission denied\"}\n",
	        "ndjson has a record of an error");
	record.errnum = 0;
	record.message = "changed while it was read";
	is_str(formatted("ndjson", &pipe_options, &record),
	        "{\"type\":\"error\",\"v\":1,\"op\":\"open\",\"path\":\"d/f\","
	        "\"message\":\"changed while it was read\"}\n",
	        "ndjson has a record of an error without errno");

	record = (struct record){
	        .type = RECORD_PROGRESS, .entries = 1, .bytes = 2, .waiting = 3, .errors = 4};
	is_str(formatted("ndjson", &pipe_options, &record),
	        "{\"type\":\"progress\",\"v\":1,\"entries\":1,\"bytes\":2,\"waiting\":3,"
	        "\"errors\":4}\n",
	        "ndjson has a record of progress");
}

static void test_long_path(void)
{
	static char dir[200001];
	memset(dir, 'x', 200000);
	dir[199999] = '/';
	struct record record = entry(dir, "end");
	const char *line = formatted("ndjson", &pipe_options, &record);
	ok(strlen(line) > 200000 && strstr(line, "x/end\""),
	        "ndjson holds a path longer than PATH_MAX");
}

static void test_csv(void)
{
	struct record record = entry("a,b/", "c\"d\ne");
	is_str(formatted("csv", &pipe_options, &record), "\"a,b/c\"\"d\ne\",f,,,,,,,,,,\n",
	        "csv quotes where needed");
	is_str(formatted("csv", &terminal_options, &record), "\"a,b/c\"\"d\\ne\",f,,,,,,,,,,\n",
	        "csv escapes on a terminal");
	record = entry("", "\xff\x01 ");
	record.meta = &meta;
	is_str(formatted("csv", &pipe_options, &record),
	        "\xef\xbf\xbd\x01 "
	        ",f,9007199254740993,4096,1970-01-01T00:00:00.000000005Z,4755,1000,"
	        "100,2,2049,18446744073709551615,/wEg\n",
	        "csv is UTF-8, and has the raw bytes of other paths in path_b64");

	const struct record_field fields[] = {
	        {.key = "digest", .type = VALUE_TEXT, .text = "abcd"},
	        {.key = "algorithm", .type = VALUE_TEXT, .text = "xxh128"},
	};
	struct format_options hash = pipe_options;
	hash.only = &operation_hash.schema;
	record.fields = fields;
	record.field_count = 2;
	record.op = "hash";
	is_str(formatted("csv", &hash, &record),
	        "\xef\xbf\xbd\x01 ,9007199254740993,1970-01-01T00:00:00.000000005Z,xxh128,abcd,"
	        "/wEg\n",
	        "csv finds fields by their key");
	hash.only = NULL;
	is_str(formatted("csv", &hash, &record),
	        "hash,\xef\xbf\xbd\x01 "
	        ",f,9007199254740993,4096,1970-01-01T00:00:00.000000005Z,4755,"
	        "1000,100,2,2049,18446744073709551615,xxh128,abcd,,,,,,,,,,/wEg,,\n",
	        "csv has all columns for several operations");
	record.type = RECORD_ERROR;
	is_str(formatted("csv", &hash, &record), "", "csv prints no errors");
}

static const char *header(const struct operation *operation)
{
	static struct buf out = BUF_INIT;
	struct format_options options = pipe_options;
	options.only = operation ? &operation->schema : NULL;
	buf_clear(&out);
	format_find("csv")->begin(&out, &options);
	return buf_cstr(&out);
}

static void test_csv_header(void)
{
	is_str(header(&operation_find),
	        "path,type,size,allocated,mtime,mode,uid,gid,nlink,dev,ino,path_b64\n",
	        "the csv header of find is right");
	is_str(header(&operation_hash), "path,size,mtime,algorithm,digest,path_b64\n",
	        "the csv header of hash is right");
	is_str(header(&operation_transform),
	        "path,output,status,input_bytes,output_bytes,path_b64,output_b64\n",
	        "the csv header of transform is right");
	is_str(header(&operation_summarize),
	        "section,key,files,apparent_bytes,allocated_bytes,key_b64\n",
	        "the csv header of summarize is right");
	is_str(header(NULL),
	        "op,path,type,size,allocated,mtime,mode,uid,gid,nlink,dev,ino,algorithm,digest,"
	        "output,status,input_bytes,output_bytes,section,key,files,apparent_bytes,"
	        "allocated_bytes,path_b64,output_b64,key_b64\n",
	        "the csv header of several operations is right");
}

static void test_csv_summary(void)
{
	/* As PostgreSQL's jsonb prints it: spaces, other order; and a sum above 2^64. */
	static const char json[] =
	        "{\"summarize\": {\"links\": 3, \"files\": 9007199254740993, \"others\": 0, "
	        "\"by_extension\": [{\"extension\": \"a,\\\"b\", \"files\": 2, "
	        "\"apparent_bytes\": 55340232221128654845, \"allocated_bytes\": 1}], "
	        "\"by_owner\": [{\"uid\": 7, \"owner\": \"\\u00e9\", \"files\": 1}], "
	        "\"largest_files\": [{\"path\": \"?\", \"path_b64\": \"/wA=\", "
	        "\"allocated_bytes\": 4}, {\"path\": \"]}\\\\\"}], \"by_age\": [], "
	        "\"directories\": 5, \"apparent_bytes\": 12, \"allocated_bytes\": 13, "
	        "\"directory_bytes\": {\"apparent\": 6, \"allocated\": 7}}, \"type\": \"summary\"}";
	static const char wanted[] = "total,bytes,,12,13,\n"
	                             "total,files,9007199254740993,,,\n"
	                             "total,directories,5,6,7,\n"
	                             "total,links,3,,,\n"
	                             "total,others,0,,,\n"
	                             "extension,\"a,\"\"b\",2,55340232221128654845,1,\n"
	                             "owner,\xc3\xa9,1,,,\n"
	                             "largest_file,\xef\xbf\xbd";
	struct format_options options = pipe_options;
	options.only = &operation_summarize.schema;
	struct buf out = BUF_INIT;
	format_find("csv")->summary(&out, &options, json, sizeof json - 1);
	ok(out.len > sizeof wanted && memcmp(out.data, wanted, sizeof wanted - 1) == 0,
	        "csv has the rows of a summary");
	is_str(buf_cstr(&out) + sizeof wanted, ",,,4,/wA=\nlargest_file,]}\\,,,,\n",
	        "csv has the exact bytes of a path, NUL included");
	size_t torn = 0;
	for (size_t len = 0; len < sizeof json - 1; len++) {
		buf_clear(&out);
		format_find("csv")->summary(&out, &options, json, len);
		torn += out.len && out.data[out.len - 1] != '\n';
	}
	is_int(torn, 0, "csv of a truncated summary has only whole rows");
	buf_release(&out);
}

int main(void)
{
	test_table();
	test_text();
	test_sum();
	test_ndjson();
	test_long_path();
	test_csv();
	test_csv_header();
	test_csv_summary();
	return done();
}
