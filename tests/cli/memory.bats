#!/usr/bin/env bats
# --max-memory. Not for sanitizers, which map terabytes: the Makefile leaves it out there.
load ../lib/vega
load ../lib/limits

@test "a job that needs more than --max-memory fails for good" {
	mkdir in
	truncate -s 40M in/zeros
	run_job -- transform --to zstd --level 19 --out out --max-memory 16M in
	failed_for_good 'vega-walk: it needed more memory than --max-memory 16M'
}

@test "a filter that needs more than --max-memory fails on its file" {
	mkdir in
	truncate -s 64M in/zeros
	file in/small 10
	run_job -- transform --out out --max-memory 32M in -- tail -c 64M
	is .state COMPLETED
	is .exit_code 3
	is '.summary.transform | "\(.written) \(.failed)"' '1 1'
	[[ $(ls out) == small ]]
}
