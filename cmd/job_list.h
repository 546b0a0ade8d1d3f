/* vega-status's list of jobs. */
#ifndef VEGA_CMD_JOB_LIST_H
#define VEGA_CMD_JOB_LIST_H

#include "store/job_source.h"

struct job_list_options {
	struct store_filter filter; /* its limit is ours to set */
	bool json;
	bool limited;   /* limit was given */
	unsigned limit; /* 0: all */
};

/*
 * Print the jobs: on a terminal a table that fits, the newest 20 unless limited; else a job a line,
 * with tabs between its id, state, queue, submitter, time of submission, and what it does; or JSON.
 */
int job_list(
        struct job_source *source, const struct job_list_options *options, struct vega_error *err);

#endif
