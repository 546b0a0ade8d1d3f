#!/usr/bin/env bats
# vega-cancel: before, while and after a job runs.
load ../lib/vega

nobody_home=01890000-0000-7000-8000-000000000000 # an id that no job has

state() {
	vega-status -F json "$1" | jq -r .state
}

@test "a PENDING job is cancelled at once, and stays cancelled" {
	mkdir data
	a=$(vega-submit data)
	b=$(vega-submit data)
	expect 0 vega-cancel "$a"
	[[ ! -s $out && ! -s $err ]]
	[[ $(state "$a") == CANCELLED ]]
	expect 0 vega-run --drain
	[[ $(state "$a") == CANCELLED ]]
	[[ $(state "$b") == COMPLETED ]]
	expect 0 vega-cancel -v "$a"
	[[ $(<"$out") == "$a CANCELLED" ]]
}

@test "a PROCESSING job is ended" {
	mkdir in
	echo x >in/file
	cat >filter <<-'END'
		echo $$ >began.new
		mv began.new began
		while kill -0 $PPID; do sleep 0.05; done
	END
	id=$(vega-submit transform --out out in -- sh "$PWD/filter")
	start vega-run --lease 2s
	eventually 20 test -s began
	expect 0 vega-cancel -v "$id"
	[[ $(<"$out") == "$id PROCESSING" ]]
	expect 0 vega-cancel -v --wait "$id"
	[[ $(<"$out") == "$id CANCELLED" ]]
	eventually 10 gone "$(<began)"
	[[ ! -e out/file ]]
	eventually 10 matches "^vega-run: $id cancelled\$" "$err.$pid"
	expect 4 vega-status --wait "$id"
}

@test "an ended job is not cancelled" {
	mkdir data
	id=$(vega-submit data)
	vega-run --drain -q
	vega-status -F json "$id" >before
	expect 1 vega-cancel "$id"
	matches "^vega-cancel: job $id had already COMPLETED\$" "$err"
	vega-status -F json "$id" >after
	same before after
}

@test "each job is tried, whatever happens to the others" {
	mkdir data
	a=$(vega-submit data)
	b=$(vega-submit data)
	expect 1 vega-cancel --wait "$a" "$nobody_home" "$b"
	matches "no job $nobody_home" "$err"
	lines 1 "$err"
	[[ $(state "$a") == CANCELLED ]]
	[[ $(state "$b") == CANCELLED ]]
}

@test "wrong usage is rejected before anything is cancelled" {
	mkdir data
	id=$(vega-submit data)
	expect 2 vega-cancel
	expect 2 vega-cancel "$id" x
	matches "'x' is not a job id" "$err"
	expect 2 vega-cancel --what "$id"
	expect 5 vega-cancel --store "postgresql:///x?host=$PWD" "$id"
	expect 2 vega-cancel --store gopher://x "$id"
	[[ $(state "$id") == PENDING ]]
}
