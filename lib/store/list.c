/* list(), page by page: memory stays small, and no transaction is open while the caller prints. */

#include "store/store_internal.h"

#include <stdlib.h>

#include "base/check.h"

unsigned store_next_page(unsigned count, unsigned most)
{
	unsigned next = count < most / 2 ? 2 * count : most;
	return next ? next : 1;
}

static int list_pages(struct store *store, struct store_page *page, store_page_reader *read,
        struct job *jobs, store_each_job *each, void *context, struct vega_error *err)
{
	unsigned left = page->filter->limit ? page->filter->limit : UINT32_MAX;
	unsigned most = page->filter->parts & STORE_PART_SPEC ? STORE_PAGE_FIRST : STORE_PAGE;
	for (;;) {
		int64_t before = page->before;
		page->limit = left < most ? left : most;
		CHECK(page->limit > 0 && page->limit <= STORE_PAGE);
		int count = read(store, page, jobs, err);
		if (count < 0) {
			return count;
		}
		CHECK((unsigned)count <= page->limit);
		CHECK(count ? page->before < before : !page->more);
		bool stopped = false;
		for (int i = 0; i < count; i++) {
			stopped = stopped || each(&jobs[i], context) != 0;
			job_release(&jobs[i]);
		}
		left -= page->filter->limit ? (unsigned)count : 0;
		if (stopped || !page->more || left == 0) {
			return 0;
		}
		most = store_next_page((unsigned)count, STORE_PAGE);
	}
}

int store_list(struct store *store, const struct store_filter *filter, store_page_reader *read,
        store_each_job *each, void *context, struct vega_error *err)
{
	struct arena arena = {0};
	struct store_filter clean = *filter;
	struct store_page page = {
	        .filter = &clean, .before = filter->before ? filter->before : INT64_MAX};
	struct job *jobs = calloc(STORE_PAGE, sizeof *jobs);
	bool copied = jobs && store_clean(&arena, &clean.queue) &&
	              store_clean(&arena, &clean.submitter) && store_clean(&arena, &clean.label);
	int code = copied ? store_split_label(
	                            clean.label, &arena, &page.label_key, &page.label_value, err)
	                  : vega_fail_nomem(err);
	code = code ? code : list_pages(store, &page, read, jobs, each, context, err);
	free(jobs);
	arena_release(&arena);
	return code;
}
