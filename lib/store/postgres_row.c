/* From libpq's results to what callers see: values, jobs, and whether a page is full. */

#include "store/postgres_internal.h"

#include <stdlib.h>
#include <string.h>

const char *postgres_row_text(void *context, int column)
{
	const struct postgres_row *row = context;
	return PQgetisnull(row->result, row->number, column)
	               ? NULL
	               : PQgetvalue(row->result, row->number, column);
}

int64_t postgres_integer(const PGresult *result, int number, int column)
{
	return strtoll(PQgetvalue(result, number, column), NULL, 10);
}

int postgres_read_job(
        const PGresult *result, int number, unsigned parts, struct job *job, struct vega_error *err)
{
	struct postgres_row context = {.result = result, .number = number};
	struct store_row row = {.text = postgres_row_text, .context = &context};
	return store_read_job(job, &row, parts, err);
}

int postgres_read_jobs(
        const PGresult *result, unsigned parts, struct job *jobs, struct vega_error *err)
{
	int count = PQntuples(result);
	for (int i = 0; i < count; i++) {
		int code = postgres_read_job(result, i, parts, &jobs[i], err);
		if (code) {
			while (i > 0) {
				job_release(&jobs[--i]);
			}
			return code;
		}
	}
	return count;
}

bool postgres_page_full(const PGresult *reply)
{
	int rows = PQntuples(reply);
	return rows > 0 && strcmp(PQgetvalue(reply, rows - 1, PQnfields(reply) - 1), "t") == 0;
}
