#!/usr/bin/env bats
# Limits of a job: exceeding one fails the job for good, names the limit, and leaves nothing.
# shellcheck disable=SC2154 # $out and $err are the library's
load ../lib/vega
load ../lib/limits

@test "a job that runs longer than --max-time fails for good" {
	file in/a 10
	run_job -- transform --out out --max-time 300ms in -- sh -c 'cat; exec sleep 100'
	failed_for_good 'it ran longer than --max-time 300ms'
	vega-status "$id" >text
	matches '^error       it ran longer than --max-time 300ms$' text
}

@test "a job that prints more than --max-output fails for good" {
	wide_tree in 2000
	run_job -- find --max-output 100K in
	failed_for_good 'vega-walk: it wrote more than --max-output 100K'
	run_job -- find --max-output 1M in
	is .state COMPLETED
	is .limits.output_bytes 1048576
}

@test "a job that writes larger files than --max-output fails for good" {
	mkdir in
	head -c 20M /dev/zero | gzip >in/zeros.gz
	file in/small 10
	gzip in/small
	run_job -- transform --to none --out out --max-output 1M in
	failed_for_good 'vega-walk: it wrote more than --max-output 1M'
	run_job -- transform --out out --max-output 1M in -- yes
	failed_for_good 'vega-walk: it wrote more than --max-output 1M'
	run_job -- transform --to none --out out --max-output 21M in
	is .state COMPLETED
	[[ $(stat -c %s out/zeros) == $((20 << 20)) ]]
}

@test "a worker's limits hold for every job" {
	wide_tree in 2000
	run_job --max-output 100K -- find --max-output 1M in
	failed_for_good 'vega-walk: it wrote more than --max-output 100K'
	is .limits.output_bytes 1048576
	run_job --max-output 1M -- find --max-output 100K in
	failed_for_good 'vega-walk: it wrote more than --max-output 100K'
	run_job --max-time 300ms -- transform --out out in -- sleep 100
	failed_for_good 'it ran longer than --max-time 300ms'
	expect 2 vega-run --drain --max-memory 1M
	matches 'max-memory must be at least 16M' "$err"
}

@test "vega-status shows the limits of a job" {
	id=$(vega-submit --max-time 90min --max-memory 512M --max-output 10GB .)
	vega-status "$id" >text
	matches '^limits      90min, 512M of memory, 9765625K of output$' text
	[[ $(vega-status -F json "$id" | jq -c .limits) == \
		'{"timeout_ms":5400000,"memory_bytes":536870912,"output_bytes":10000000000}' ]]
	id=$(vega-submit .)
	expect 0 vega-status "$id"
	run ! grep -q '^limits' "$out"
}

@test "limits that no job can keep are rejected" {
	expect 2 vega-submit --max-time 0s .
	matches '^vega-submit: --max-time must be at least 1ms$' "$err"
	expect 2 vega-submit --max-memory 15M .
	matches '^vega-submit: --max-memory must be at least 16M$' "$err"
	expect 2 vega-submit --max-output 0 .
	matches '^vega-submit: --max-output must be greater than 0$' "$err"
	expect 2 vega-submit --max-time 7 .
	matches '^vega-submit: --max-time 7: needs a unit' "$err"
	[[ -z $(vega-status) ]]
}

@test "limits hold on PostgreSQL" {
	start_postgres
	wide_tree in 2000
	run_job -- find --max-output 100K --max-time 1h in
	failed_for_good 'vega-walk: it wrote more than --max-output 100K'
	is '.limits | tojson' '{"timeout_ms":3600000,"output_bytes":102400}'
	run_job -- transform --out out --max-time 300ms in -- sleep 100
	failed_for_good 'it ran longer than --max-time 300ms'
}
