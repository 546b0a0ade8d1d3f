/* The declarations of operations: what must hold of each, and of all together. */
#include "../tap.h"

#include "spec/spec_internal.h"

static bool named(const struct record_column *column)
{
	return column->key && *column->key && column->text && *column->text;
}

static bool has_number(const struct record_schema *schema, enum record_unit unit)
{
	for (size_t i = 0; i < schema->number_count; i++) {
		if (schema->numbers[i].unit == unit) {
			return true;
		}
	}
	return false;
}

static void test_rows(const struct operation *operation, uint32_t bit)
{
	bool own = true, placed = true;
	for (size_t i = 0; i < operation->row_count; i++) {
		const struct option_row *row = &operation->rows[i];
		own = own && row->groups == bit && strcmp(row->heading, operation->name) == 0;
		placed = placed && row->offset >= offsetof(struct spec, out) &&
		         row->offset < sizeof(struct spec);
	}
	ok(own, "%s: its options are its own", operation->name);
	ok(placed, "%s: their fields are those of operations", operation->name);
}

static void test_columns(const struct record_schema *schema)
{
	bool good = true;
	for (size_t i = 0; i < schema->field_count; i++) {
		good = good && named(&schema->fields[i]);
		for (size_t j = 0; j < STANDARD_COUNT; j++) {
			good = good && strcmp(schema->fields[i].key, record_standard[j].key) != 0;
		}
	}
	for (size_t i = 0; i < schema->number_count; i++) {
		good = good && named(&schema->numbers[i]);
	}
	ok(good, "%s: its columns have names, and none that every record has", schema->name);
	ok(!(schema->standard & ~STANDARD_ALL), "%s: standard columns that there are",
	        schema->name);
}

static void test_summary(const struct record_schema *schema)
{
	bool facts = true, tables = true;
	for (size_t i = 0; i < schema->fact_count; i++) {
		const struct record_fact *fact = &schema->facts[i];
		facts = facts && fact->many &&
		        (fact->unit == UNIT_BYTES || (fact->unit == UNIT_COUNT && fact->one));
		facts = facts && !fact->from == !fact->to;
	}
	for (size_t i = 0; i < schema->table_count; i++) {
		const struct record_table *table = &schema->tables[i];
		bool drawn = table->kind == TABLE_RANKING || table->kind == TABLE_SCALE;
		tables = tables && table->path && table->row && table->section && table->title &&
		         drawn == (table->place >= 1 && table->place <= SCHEMA_TABLES_MAX);
	}
	ok(facts, "%s: its facts can be said", schema->name);
	ok(tables, "%s: its tables can be drawn", schema->name);
	ok(schema->table_count <= SCHEMA_TABLES_MAX && schema->number_count <= SCHEMA_NUMBERS_MAX,
	        "%s: no more tables and numbers than there may be", schema->name);
	ok(!schema->table_count ||
	                (has_number(schema, UNIT_COUNT) && has_number(schema, UNIT_BYTES)),
	        "%s: rows of tables have a count and bytes", schema->name);
}

/* No two options of one name, letter or field. */
static void test_unique(void)
{
	const struct option_row *a, *b;
	unsigned same = 0;
	for (size_t i = 0; (a = spec_row_at(i)); i++) {
		for (size_t j = 0; j < i && (b = spec_row_at(j)); j++) {
			same += strcmp(a->name, b->name) == 0 ||
			        (a->letter && a->letter == b->letter) || a->offset == b->offset;
		}
	}
	is_int(same, 0, "no two options share a name, a letter or a field");
}

int main(void)
{
	for (unsigned i = 0; operations[i]; i++) {
		const struct operation *operation = operations[i];
		is_str(operation->schema.name, operation->name, "%s has one name", operation->name);
		ok(operation_schemas[i] == &operation->schema, "%s: its schema is listed",
		        operation->name);
		ok(operation->help && *operation->help, "%s: --help says what it does",
		        operation->name);
		ok(spec_operation_bit(operation->name, strlen(operation->name)) == UINT32_C(1) << i,
		        "%s: found by its name", operation->name);
		test_rows(operation, UINT32_C(1) << i);
		test_columns(&operation->schema);
		test_summary(&operation->schema);
	}
	is_int(operations[OPERATION_COUNT] == NULL && operation_schemas[OPERATION_COUNT] == NULL, 1,
	        "the lists end");
	test_unique();
	return done();
}
