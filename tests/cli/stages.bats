#!/usr/bin/env bats
# Staging directories in an output directory that others may write to.
load ../lib/vega

setup() {
	vega_setup
	open_to_all
	mkdir in
	file in/a.csv 100
	mkdir -m 1777 shared
	mkdir shared/sub
	echo theirs >shared/sub/b.csv.gz
}

# Somebody who knows a job's id makes the staging directory of its first attempt.
plant() { # MODE
	stage=shared/.vega-stage.$id.1
	as_nobody mkdir -m "$1" "$stage" "$stage/sub"
	as_nobody sh -c "echo planted >'$stage/sub/b.csv.gz'"
}

@test "a staging directory that another user made is not published" {
	need_root
	for mode in 777 700; do
		id=$(vega-submit transform -n nothing --to gzip --overwrite --out shared in)
		plant "$mode"
		expect 0 vega-run --drain --root "$PWD"
		[[ $(vega-status -F json "$id" | jq -r .state) == FAILED ]]
		matches 'cannot make a staging directory in --out .*shared' <(vega-status "$id")
		[[ $(<shared/sub/b.csv.gz) == theirs ]]
	done
}

@test "a staging directory that others may enter is not used" {
	id=$(vega-submit transform --to gzip --out shared in)
	mkdir -m 755 "shared/.vega-stage.$id.1"
	expect 0 vega-run --drain --root "$PWD"
	[[ $(vega-status -F json "$id" | jq -r .state) == FAILED ]]
	[[ ! -e shared/a.csv.gz ]]
}

@test "prune removes from a planted staging directory nothing of another user" {
	need_root
	id=$(vega-submit transform --to gzip --out shared in)
	vega-run --drain -q
	plant 777
	mkdir "$stage/moved"
	echo precious >"$stage/moved/file"
	expect 3 vega-admin prune --older-than 1y
	matches "cannot remove the staging directories of job $id" "$err"
	[[ $(<"$stage/moved/file") == precious ]]
}
