#!/usr/bin/env bats
# vega-submit: the jobs that it stores and rejects, and the time at which it prints the id.
load ../lib/vega

uuid7='^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'

column() { # ID COLUMN
	sqlite3 "$XDG_STATE_HOME/vega/jobs.db" "select $2 from job where id = '$1'"
}

stored() { # how many jobs
	sqlite3 "$XDG_STATE_HOME/vega/jobs.db" 'select count(*) from job'
}

# refused REGEX ARGUMENT…: exit status 2, nothing on stdout, a line that matches, no store.
refused() {
	local regex=$1
	shift
	expect 2 vega-submit "$@"
	[[ ! -s $out ]]
	matches "^vega-submit: $regex" "$err"
	(($(grep -c '^vega-submit: ' "$err") == 1))
	[[ ! -e $XDG_STATE_HOME/vega ]]
}

@test "vega-submit prints only the id of a job that holds the specification" {
	mkdir data
	expect 0 vega-submit find -e csv --min-size 1M data
	lines 1 "$out"
	[[ $(<"$out") =~ $uuid7 ]]
	[[ ! -s $err ]]
	column "$(<"$out")" spec >stored
	expect 0 vega-submit --dry-run find -e csv --min-size 1M data
	same stored "$out"
	[[ $(<stored) == '{"v":1,"operations":["find"],"roots":["'"$PWD"'/data"],"options":{"extension":["csv"],"min_size":1048576}}' ]]
}

@test "a command tried by hand becomes a job by changing one word" {
	small_tree data
	vega-walk find -e csv --sort "$PWD/data" >direct
	expect 0 vega-submit --dry-run find -e csv --sort data
	vega-walk --spec-fd 3 3<"$out" >job
	same direct job
	lines 3 job
}

@test "the settings of the job are stored with it" {
	id=$(vega-submit --queue bulk --priority -5 --max-attempts 7 --label team=ops --label 'note=a "b"=ü' .)
	[[ $(column "$id" "queue || '|' || priority || '|' || max_attempts || '|' || submitter") == "bulk|-5|7|$(id -un)" ]]
	[[ $(column "$id" labels | jq -c .) == '{"team":"ops","note":"a \"b\"=ü"}' ]]
	id=$(vega-submit .)
	[[ $(column "$id" "queue || '|' || priority || '|' || max_attempts || '|' || labels") == 'default|0|3|{}' ]]
}

@test "--after takes a point in time, or a length of time from now" {
	id=$(vega-submit --after 2040-01-01T00:00:00Z .)
	[[ $(column "$id" not_before) == 2208988800000000 ]]
	before=$(date +%s)
	id=$(vega-submit --after 90min .)
	at=$(($(column "$id" not_before) / 1000000))
	((at >= before + 5400 && at <= $(date +%s) + 5401))
	rm -r "$XDG_STATE_HOME/vega"
	refused '--after \./x: not a time' --after ./x .
	refused '--after 5m: not a time' --after 5m .
	refused 'a job can wait for a time from 1970 to 9999 only' --after @253402300800 .
}

@test "a repeated idempotency key gives the first job's id" {
	id=$(vega-submit --idempotency-key nightly .)
	[[ $(vega-submit --idempotency-key nightly --priority 3 .) == "$id" ]]
	expect 2 vega-submit --idempotency-key nightly find .
	[[ ! -s $out ]]
	matches "^vega-submit: the idempotency key 'nightly' was used for job $id, which is not the same specification; " "$err"
	[[ $(vega-submit --idempotency-key other .) != "$id" ]]
	(($(stored) == 2))
	for i in {1..10}; do
		vega-submit --idempotency-key same . >"id.$i" &
	done
	wait
	cat id.* | sort -u >ids
	lines 1 ids
	(($(stored) == 3))
}

@test "roots and output are made absolute, links resolved" {
	mkdir -p real/in elsewhere
	ln -s real link
	expect 0 vega-submit --dry-run transform --to zstd --out elsewhere/../link/new/./x link/in real/../link/in
	[[ $(jq -c '[.roots, .options.out]' "$out") == "[[\"$PWD/real/in\",\"$PWD/real/in\"],\"$PWD/real/new/x\"]" ]]
	printf '#!/bin/sh\nexec cat\n' >run
	chmod +x run
	expect 0 vega-submit --dry-run transform --out new real/in -- ./run '{}' --x
	[[ $(jq -c .command "$out") == "[\"$PWD/./run\",\"{}\",\"--x\"]" ]]
	[[ ! -e new ]]
}

@test "names of any bytes pass through unharmed" {
	strange_tree tree
	find "$PWD/tree" -mindepth 1 -maxdepth 1 -print0 >roots
	expect 0 vega-submit --files0-from=- <roots
	column "$(<"$out")" spec | jq -r '.roots[] | if type == "object" then .b64 else @base64 end' |
		while read -r root; do
			base64 -d <<<"$root"
			printf '\0'
		done >back
	cmp roots back
	cd tree
	for name in "${strange[@]}"; do
		expect 0 vega-submit --dry-run -- "$name"
		lines 1 "$out"
		holds '.roots | length == 1' "$out"
	done
}

@test "--files0-from reads roots from a file, and rejects an empty one" {
	mkdir a b
	printf 'a\0b' >list
	expect 0 vega-submit --dry-run --files0-from list find
	[[ $(jq -c .roots "$out") == "[\"$PWD/a\",\"$PWD/b\"]" ]]
	: >empty
	printf 'a\0\0b' >gap
	refused '--files0-from empty: empty; it names no root$' --files0-from empty
	refused '--files0-from gap: root number 2 is empty' --files0-from gap
	yes / | head -c 2000004 | tr '\n' '\0' >many
	refused 'the specification holds more than 1000000 values; name fewer roots$' --files0-from many
	refused '--files0-from: cannot open none: No such file or directory$' --files0-from none
	refused "'a' cannot be given together with --files0-from" --files0-from list find a
}

@test "--root and VEGA_ROOTS restrict roots and outputs" {
	mkdir -p allowed/in outside
	ln -s ../outside allowed/link
	expect 0 vega-submit --root allowed allowed/in
	expect 0 vega-submit --root outside --root allowed allowed/in outside
	VEGA_ROOTS=$PWD/outside:$PWD/allowed expect 0 vega-submit allowed/in outside
	rm -r "$XDG_STATE_HOME/vega"
	refused "$PWD/outside lies outside the allowed directories \($PWD/allowed\)$" --root allowed allowed/in outside
	refused "$PWD/outside lies outside" --root allowed allowed/link
	refused "$PWD/outside lies outside" --root allowed allowed/../outside
	refused "$PWD lies outside" --root allowed .
	refused "--out $PWD/outside/o lies outside" --root allowed transform --to zstd --out outside/o allowed/in
	VEGA_ROOTS=$PWD/allowed refused "$PWD/outside lies outside" outside
	refused '--root none: No such file or directory$' --root none allowed
}

@test "wrong usage is rejected in one line before anything is stored" {
	mkdir data
	ln -s nowhere dangling
	refused 'none: No such file or directory$' none
	refused 'dangling: No such file or directory$' dangling
	refused 'two\\?.lines: No such file' $'two\nlines'
	refused 'unknown option --pirority; did you mean --priority\?$' --pirority 1 data
	refused '--min-size 5Q: not a size' find --min-size 5Q data
	refused '--algo belongs to the operation hash, not to find$' find --algo sha256 data
	refused '--regex \(: ' find -r '(' data
	refused '--name \[a: ' find -n '[a' data
	refused 'transform needs --out DIR' transform --to zstd data
	refused 'transform needs --to CODEC, or a command' transform --out o data
	refused '--out .*/data/o lies inside the input .*/data' transform --to zstd --out data/o data
	refused 'filter ./none: No such file' transform --out o data -- ./none
	refused '--priority 1.5: not a whole number' --priority 1.5 data
	refused '--priority -2147483648: not a whole number' --priority=-2147483648 data
	refused '--max-attempts 0: not in the range 1-1000$' --max-attempts 0 data
	refused "queue '': not 1-255 bytes" --queue '' data
	refused 'idempotency key ' --idempotency-key $'\xff' data
	refused 'idempotency key a{256}: not 1-255 bytes' --idempotency-key "$(printf 'a%.0s' {1..256})" data
	refused 'label x: not of the form K=V$' --label x data
	refused 'label =x: not of the form K=V$' --label =x data
	refused 'label a=2: a is given twice$' --label a=1 --label ab=1 --label a=2 data
	refused "'gopher:x' is no store|.*gopher" --store gopher:x data
}

@test "an id that cannot be printed is named on stderr, and its job exists" {
	expect 2 sh -c 'vega-submit . >/dev/full'
	matches '^vega-submit: job .* is stored, but its id cannot be written to standard output: No space left on device$' "$err"
	id=$(sed 's/.*job \([^ ]*\) is.*/\1/' "$err")
	[[ $(column "$id" queue) == default ]]
	expect 2 sh -c 'vega-submit . >&-'
	matches 'is stored, but .*: Bad file descriptor$' "$err"
	expect 2 sh -c 'vega-submit --dry-run . >/dev/full'
	matches 'cannot write to standard output: No space left on device$' "$err"
	(($(stored) == 2))
	expect 0 sqlite3 "$XDG_STATE_HOME/vega/jobs.db" 'pragma integrity_check'
	[[ $(<"$out") == ok ]]
}

@test "the id is printed after the job is on the disk" {
	need strace
	vega-submit . >/dev/null
	export ASAN_OPTIONS=detect_leaks=0 # impossible under strace
	expect 0 strace -f -s 64 -o trace -e trace=write,pwrite64,fsync,fdatasync vega-submit .
	id=$(<"$out")
	synced=$(grep -nE '(fsync|fdatasync)\([0-9]+\) += 0' trace | tail -n 1 | cut -d: -f1)
	printed=$(grep -n "write(1, \"$id" trace | cut -d: -f1)
	((synced && printed && synced < printed))
}

@test "an unusable store is named, and its file is left alone" {
	echo 'not a database, but long enough to be looked at as one' >corrupt
	cp corrupt copy
	expect 2 vega-submit --store sqlite:corrupt .
	matches '^vega-submit: .*corrupt' "$err"
	lines 1 "$err"
	cmp corrupt copy
	expect 2 vega-submit --store sqlite:copy/jobs.db .
	matches "^vega-submit: .*'copy" "$err"
	expect 2 vega-submit --store sqlite:. .
	lines 1 "$err"
}

@test "PostgreSQL behaves the same, and an unreachable server gives exit status 5" {
	start_postgres
	strange_tree tree
	find "$PWD/tree" -mindepth 1 -maxdepth 1 -print0 >roots
	vega-submit --files0-from=roots --dry-run find --newer-than 2026-01-31 >wanted
	id=$(vega-submit --files0-from=roots --queue q --priority -5 --label a=b --idempotency-key k find --newer-than 2026-01-31)
	[[ $id =~ $uuid7 ]]
	expect 0 vega-status --format=json "$id"
	cmp <(jq -S .spec "$out") <(jq -S . wanted)
	[[ $(jq -c '[.queue, .priority, .labels, .state]' "$out") == '["q",-5,{"a":"b"},"PENDING"]' ]]
	[[ $(vega-submit --files0-from=roots --idempotency-key k find --newer-than 2026-01-31) == "$id" ]]
	expect 2 vega-submit --idempotency-key k .
	matches "the idempotency key 'k' was used for job $id" "$err"
	stop_postgres
	expect 5 vega-submit .
	[[ ! -s $out ]]
	lines 1 "$err"
}

@test "--help and --version answer even beside wrong arguments" {
	expect 0 vega-submit transform --help
	matches '^usage: vega-submit' "$out"
	matches '^Examples:$' "$out"
	[[ ! -s $err ]]
	expect 0 vega-submit --version find --algo sha256
	matches '^vega-submit \(VegaFS\) [0-9]' "$out"
	[[ ! -e $XDG_STATE_HOME/vega ]]
}

@test "--batch submits one job per line, and prints their ids in order" {
	mkdir one two
	vega-submit --dry-run find one >specs
	vega-submit --dry-run hash two >>specs
	expect 0 vega-submit --batch specs --queue bulk --label of=batch
	lines 2 "$out"
	cp "$out" ids
	[[ $(column "$(sed -n 1p ids)" spec) == "$(sed -n 1p specs)" ]]
	[[ $(column "$(sed -n 2p ids)" "spec || queue || labels") == "$(sed -n 2p specs)bulk{\"of\":\"batch\"}" ]]
	expect 0 vega-submit --dry-run --batch - <specs
	same specs "$out"
	[[ $(stored) == 2 ]]
	printf %s "$(<specs)" >unended # no newline at its end
	expect 0 vega-submit --batch - <unended
	lines 2 "$out"
	[[ $(stored) == 4 ]]
}

@test "--batch stores nothing when a line is rejected, and names the line" {
	mkdir data
	vega-submit --dry-run find data >good
	(cat good && echo '{"v":1,"operations":["guess"],"roots":["/"]}' && cat good) >specs
	refused '--batch specs, line 2: .*guess' --batch specs
	(cat good && echo && cat good) >specs
	refused '--batch specs, line 2: empty' --batch specs
	(cat good && sed "s|$PWD/data|/nowhere|" good) >specs
	refused '--batch specs, line 2: .*nowhere' --batch specs
	refused '--batch good, line 1: .*outside' --root /usr --batch good
	refused '--batch .*empty' --batch /dev/null
	refused 'cannot open none' --batch none
	refused '--batch takes operations' --batch good data
	refused '--batch takes operations' --batch good hash
	refused '--batch takes operations' --batch good -e csv
	yes "$(<good)" | head -n 100001 >many
	refused '--batch many, line 100001: .*at most 100000' --batch many
}

@test "--batch with a key is submitted once" {
	mkdir one two
	vega-submit --dry-run find one >specs
	vega-submit --dry-run find two >>specs
	vega-submit --batch specs --idempotency-key nightly >first
	vega-submit --batch specs --idempotency-key nightly >second
	same first second
	[[ $(stored) == 2 ]]
	[[ $(column "$(tail -n 1 first)" idempotency_key) == nightly/2 ]]
	tac specs >other
	expect 2 vega-submit --batch other --idempotency-key nightly
	matches nightly/1 "$err"
}
