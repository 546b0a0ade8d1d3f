#!/usr/bin/env bats
# vega-admin, and the workers and retries of vega-status.
load ../lib/vega

setup() {
	vega_setup
	spool=$XDG_STATE_HOME/vega/results
	mkdir data
}

sql() {
	sqlite3 "$XDG_STATE_HOME/vega/jobs.db" "$1"
}

# A job that was run, in the spool when its tree is large. TREE OPTION…
completed() {
	local tree=$1
	shift
	vega-submit find "$@" "$tree"
	vega-run --drain -q
}

large_tree() { # DIRECTORY: its records do not fit into a row
	wide_tree "$1" 1000
}

# spooled COUNT: so many files are in the spool directory.
spooled() {
	[[ $(find "$spool" -type f | wc -l) == "$1" ]]
}

get() { # JQ: of the JSON that was printed
	jq -r "$1" "$out"
}

# The checks that promtool makes of a text, and some of ours: a HELP and a TYPE for each metric, before its
# samples, which stand together; names, labels and values well formed; no sample twice.
prometheus_is_valid() { # FILE
	perl -ne '
		sub bad { print "$.: $_[0]: $_\n"; $bad = 1 }
		chomp;
		if (/^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/) {
			bad "helped twice" if $help{$1}++;
			$current = $1;
		} elsif (/^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)$/) {
			bad "TYPE without HELP" if $1 ne $current;
			bad "typed twice" if $type{$1};
			$type{$1} = $2;
		} elsif (/^([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\} ([0-9]+(?:\.[0-9]+)?)$/) {
			my ($metric, $labels) = ($1, $2);
			bad "not in its group" if $metric ne $current;
			bad "no TYPE" unless $type{$metric};
			bad "a trailing comma" if $labels =~ /,$/;
			bad "twice" if $sample{"$metric $labels"}++;
			bad "_total is for counters" if ($metric =~ /_total$/) != ($type{$metric} eq "counter");
			bad "not a base unit" if $metric =~ /_(ms|milliseconds|minutes|hours|kilobytes)$/;
		} else {
			bad "not of the format";
		}
		END { exit($bad || !%sample) }' "$1"
}

@test "vega-admin rejects wrong usage" {
	expect 2 vega-admin
	matches '^vega-admin: say what to do: prune, or stats$' "$err"
	expect 2 vega-admin remove
	expect 2 vega-admin prune stats
	expect 2 vega-admin prune
	matches 'say which jobs to remove: --older-than 30d' "$err"
	expect 2 vega-admin stats --older-than 1d
	matches '^vega-admin: --older-than is for prune' "$err"
	expect 2 vega-admin prune --older-than 1d --batch 0
	matches '^vega-admin: --batch 0: not in the range' "$err"
	expect 2 vega-admin prune --older-than 1d --format prometheus
	expect 2 vega-admin prune --older-than 1d --spool nowhere
	matches '^vega-admin: --spool nowhere: No such file' "$err"
	expect 5 vega-admin stats --store "postgresql:///none?host=$PWD"
}

@test "prune removes ended jobs with their spooled files, and no other jobs" {
	large_tree many
	completed many --label team=ops >old
	completed data >small
	completed many >young
	waiting=$(vega-submit data)
	sql "update job_state set finished = finished - 7200000000 where nr <= 2"
	spooled 2
	expect 0 vega-admin prune --older-than 1h --dry-run
	matches '^would remove 2 jobs$' "$out"
	matches '^would remove 1 spooled stream, [0-9.]+ KiB$' "$out"
	spooled 2
	[[ $(vega-status | wc -l) == 4 ]]
	expect 0 vega-admin prune --older-than 1h --label team=dev --format json
	[[ $(get .jobs) == 0 ]]
	size=$(stat -c %s "$spool/$(<old)".*)
	expect 0 vega-admin prune --older-than 1h --format json --batch 1
	[[ $(get '"\(.jobs) \(.spooled) \(.spooled_bytes) \(.left_elsewhere)"') == "2 1 $size 0" ]]
	spooled 1
	expect 0 vega-status
	[[ $(cut -f 1 "$out") == "$waiting"$'\n'"$(<young)" ]]
	[[ $(sql 'select count(*) from job_result') == 1 ]]
	expect 0 vega-status --records "$(<young)"
	lines 1001 "$out"
	expect 0 vega-admin prune --older-than 1h
	[[ ! -s $out ]]
}

@test "prune selects by state and queue" {
	completed data >ended
	vega-cancel "$(vega-submit data)"
	vega-cancel "$(vega-submit --queue bulk data)"
	expect 0 vega-admin prune --older-than 0s --state cancelled --queue bulk
	matches '^removed 1 job$' "$out"
	expect 0 vega-admin prune --older-than 0s --state failed,cancelled
	matches '^removed 1 job$' "$out"
	[[ $(vega-status | cut -f 1) == $(<ended) ]]
}

@test "prune leaves jobs whose records it cannot reach" {
	large_tree many
	completed many >id
	mkdir elsewhere
	expect 0 vega-admin prune --older-than 0s --spool elsewhere
	matches '^left 1 job whose records are on another host, or not in --spool; .* use --forget-host NAME$' "$out"
	sql "update job_result set records_uri = replace(records_uri, '//', '//other-')"
	expect 0 vega-admin prune --older-than 0s --format json
	[[ $(get '"\(.jobs) \(.left_elsewhere)"') == '0 1' ]]
	spooled 1
	# Nor does what is written in the store lead it to other files.
	echo precious >elsewhere/file
	sql "update job_result set records_uri = 'file://$(hostname)$PWD/elsewhere/file'"
	expect 0 vega-admin prune --older-than 0s --spool elsewhere --format json
	[[ $(get .left_elsewhere) == 1 ]]
	sql "update job_result set records_uri = 'file://$(hostname)$spool/../../work/elsewhere/file'"
	expect 0 vega-admin prune --older-than 0s --format json
	[[ $(get .left_elsewhere) == 1 && -s elsewhere/file ]]
}

@test "prune --forget-host removes the jobs of a lost host" {
	large_tree many
	completed many >here
	completed many >there
	sql "update job_result set records_uri = replace(records_uri, '//', '//old-') where nr = 2"
	mkdir other
	expect 0 vega-admin prune --older-than 0s --spool other --forget-host old --format json
	[[ $(get '"\(.jobs) \(.left_elsewhere)"') == '0 2' ]]
	expect 2 vega-admin prune --older-than 0s --forget-host "$(hostname)"
	matches 'that is this host; name its directory with --spool' "$err"
	forget=(--forget-host none --forget-host "old-$(hostname)")
	expect 0 vega-admin prune --older-than 0s "${forget[@]}" --dry-run --spool other --format json
	[[ $(get '"\(.jobs) \(.left_elsewhere)"') == '1 1' ]]
	expect 0 vega-admin prune --older-than 0s "${forget[@]}" --spool other --format json
	[[ $(get '"\(.jobs) \(.spooled) \(.left_elsewhere)"') == '1 0 1' ]]
	[[ $(vega-status | cut -f 1) == $(<here) ]]
	spooled 2
}

@test "prune continues where a killed prune ended" {
	large_tree many
	completed many >id
	rm "$spool/$(<id)".*
	expect 0 vega-admin prune --older-than 0s --format json
	[[ $(get '"\(.jobs) \(.spooled_bytes)"') == '1 0' ]]
}

@test "prune removes useless spooled files, and keeps the others" {
	large_tree many
	completed many >id
	result=("$spool/$(<id)".*)
	other=01890000-0000-7000-8000-000000000000
	pending=$(vega-submit data)
	touch "$spool/$(<id).7.ndjson" "$spool/$pending.0.ndjson" "$spool/$pending.1.ndjson" \
		"$spool/$other.1.ndjson" "$spool/notes.ndjson" "$spool/$other.2.ndjson.part"
	sql "update job_state set lease_seq = 1 where nr = 2"
	expect 0 vega-admin prune --older-than 1y --format json
	[[ $(get '"\(.strays) \(.left_unknown)"') == '3 1' ]]
	[[ -e ${result[0]} && -e $spool/$pending.1.ndjson && -e $spool/notes.ndjson && -e $spool/$other.1.ndjson ]]
	spooled 4
	# With --spool the directory is this store's own: but its file may be of a job that is just being stored.
	expect 0 vega-admin prune --older-than 1y --spool "$spool"
	spooled 4
	touch -d '2 hours ago' "$spool/$other.1.ndjson"
	expect 0 vega-admin prune --older-than 1y --spool "$spool" --dry-run
	matches '^would remove 1 file of no job$' "$out"
	spooled 4
	exec {held}<"$spool/$other.1.ndjson"
	flock "$held"
	expect 0 vega-admin prune --older-than 1y --spool "$spool" # a worker holds it
	spooled 4
	exec {held}<&-
	expect 0 vega-admin prune --older-than 1y --spool "$spool"
	matches '^removed 1 file of no job$' "$out"
	spooled 3
}

@test "prune removes the staging directories of lost workers, and then the jobs" {
	echo x >data/file
	id=$(vega-submit transform --to gzip --out out data)
	vega-run --drain -q
	mkdir -p "out/.vega-stage.$id.1/deep"
	echo half >"out/.vega-stage.$id.1/deep/file"
	running=$(vega-submit transform --to gzip --out out data)
	mkdir "out/.vega-stage.$running.1"
	sql "update job_state set lease_seq = 1 where nr = 2"
	mkdir outside
	expect 0 vega-admin prune --older-than 1y --root outside
	[[ ! -s $out ]]
	expect 0 vega-admin prune --older-than 1y --dry-run
	matches '^would remove 1 stage$' "$out"
	[[ -e out/.vega-stage.$id.1 ]]
	expect 0 vega-admin prune --older-than 1y
	matches '^removed 1 stage$' "$out"
	[[ ! -e out/.vega-stage.$id.1 && -e out/.vega-stage.$running.1 && -e out/file.gz ]]
}

@test "a job stays while its staging directory cannot be removed" {
	need_root
	echo x >data/file
	id=$(vega-submit transform --to gzip --out out data)
	vega-run --drain -q
	mkdir -p "out/.vega-stage.$id.1"
	mount --bind data "out/.vega-stage.$id.1"
	expect 3 vega-admin prune --older-than 0s
	matches "cannot remove the staging directories of job $id in $PWD/out" "$err"
	matches '^left 1 job that could not be removed completely$' "$out"
	[[ $(vega-status | cut -f 1) == "$id" ]]
	umount "out/.vega-stage.$id.1"
	expect 0 vega-admin prune --older-than 0s
	matches '^removed 1 job$' "$out"
}

@test "vega-status --workers lists the workers and their last heartbeats" {
	expect 0 vega-status --workers
	[[ ! -s $out ]]
	sleeper=$(vega-submit transform --out out data -- sh -c "until [ -e '$PWD/end' ]; do sleep 0.05; done")
	echo x >data/file
	start vega-run -j 3 --queue default --queue bulk
	eventually 20 bash -c "vega-status --workers -F json | grep -q '\"running\":1,'"
	expect 0 vega-status --workers
	matches "^$(hostname):$pid:[0-9a-f]{8}"$'\talive\t20[0-9T:.-]+Z\t1/3\t[0-9.]+\tdefault,bulk$' "$out"
	expect 0 vega-status --workers --format json
	[[ $(get '"\(.type) \(.pid) \(.alive) \(.lease_ms) \(.queues)"') == "worker $pid true 20000 [\"default\",\"bulk\"]" ]]
	TERM=xterm script -qec 'vega-status --workers' /dev/null </dev/null | tr -d '\r' >table
	lines 2 table
	matches '^alive +[0-9.]+m?s ago +1/3 ' table
	kill -KILL "$pid"
	touch end
	eventually 10 gone "$pid"
	sql 'update worker set seen = seen - 3600000000'
	expect 0 vega-status --workers
	matches $'\tlost\t' "$out"
	expect 0 vega-admin stats
	matches '^workers: 0 alive, 1 lost$' "$out"
	expect 0 vega-admin prune --older-than 1y
	[[ $(vega-status --workers | wc -l) == 1 ]]
	sql 'update worker set seen = seen - 24 * 3600000000'
	expect 0 vega-admin prune --older-than 1y
	matches '^removed 1 lost worker$' "$out"
	[[ $(vega-status --workers) == '' ]]
	expect 2 vega-status --workers --queue bulk
	expect 2 vega-status --workers "$sleeper"
}

@test "vega-status --workers omits a worker that signed off" {
	vega-submit data
	expect 0 vega-run --drain
	expect 0 vega-status --workers
	[[ ! -s $out ]]
}

@test "stats counts jobs by queue and state" {
	expect 0 vega-admin stats
	matches '^no jobs$' "$out"
	completed data >id
	vega-cancel "$(vega-submit --queue $'odd "\\\nqueue' data)"
	vega-submit --queue later --after 1h data
	vega-submit data
	sql "update job set created = created - 90061500000 where queue = 'default'"
	expect 0 vega-admin stats
	matches '^PENDING +RUNNING .*  QUEUE$' "$out"
	matches '^ +1 +0 +1 +0 +0 +0 +1 +1d 1h +0 +0  default$' "$out"
	matches '  odd "\\\\\\nqueue$' "$out"
	expect 0 vega-admin stats --format json
	[[ $(get '.queues | map(.queue) | join(",")') == $'default,later,odd "\\\nqueue' ]]
	[[ $(get '.queues[0] | "\(.pending) \(.due) \(.completed) \(.completed_last_minute) \(.completed_last_hour)"') == '1 1 1 1 1' ]]
	(($(get '.queues[0].oldest_due_ms') >= 90061500))
	[[ $(get '.queues[1] | "\(.pending) \(.due) \(.oldest_due_ms)"') == '1 0 0' ]]
	[[ $(get '.queues[2] | "\(.cancelled) \(.cancelled_last_minute)"') == '1 1' ]]
	[[ $(get .workers_alive) == 0 ]]
}

@test "stats counts completed jobs with errors, jobs without a state, and no time before a job was there" {
	completed data >id
	file data/x 10
	vega-submit transform --out o data -- false
	expect 0 vega-run --drain
	vega-submit data
	vega-submit data
	sql "update job_state set due = -210866803200000000 where nr = 3; delete from job_state where nr = 4"
	expect 0 vega-admin stats --format json
	[[ $(get '.queues[0] | "\(.partial) \(.stateless) \(.due) \(.oldest_due_ms < 60000)"') == '1 1 1 true' ]]
	expect 0 vega-admin stats --format prometheus
	prometheus_is_valid "$out"
	grep -qxF 'vega_jobs_partial{queue="default"} 1' "$out"
}

@test "stats --format prometheus is what Prometheus reads" {
	expect 0 vega-admin stats --format prometheus
	prometheus_is_valid "$out"
	completed data >id
	vega-cancel "$(vega-submit --queue $'odd "\\\nqueue' data)"
	vega-submit data
	sql "update job set created = created - 90061500000 where queue = 'default'"
	expect 0 vega-admin stats --format prometheus
	prometheus_is_valid "$out"
	grep -qxF 'vega_jobs{queue="default",state="completed"} 1' "$out"
	grep -qxF 'vega_jobs{queue="odd \"\\\nqueue",state="cancelled"} 1' "$out"
	matches '^vega_jobs_oldest_due_age_seconds\{queue="default"\} 9006[0-9]\.[0-9]{3}$' "$out"
	grep -qxF 'vega_workers{state="alive"} 0' "$out"
	# The checker knows what is wrong.
	for edit in 's/^# TYPE vega_jobs .*//' 's/^# TYPE vega_jobs gauge/# TYPE vega_jobs counter/; s/vega_jobs /vega_jobs_total /' \
		's/\\"/"/' 's/} 1$/} one/' 's/} 1$/} -/' '/vega_workers{state="alive"}/p' 's/^# HELP vega_leases.*//' '$a vega_jobs{queue="x"} 1' \
		's/",state/",,state/' '1i\ '; do
		sed "$edit" "$out" >wrong
		run ! prometheus_is_valid wrong
	done
}

@test "--retry submits a failed job as a new one, once" {
	echo x >data/file
	id=$(vega-submit --queue bulk --priority 3 --max-attempts 1 --label team=ops --label retry-of=x transform --out out data -- false)
	vega-cancel "$id"
	expect 0 vega-status --retry "$id"
	again=$(<"$out")
	[[ $again != "$id" ]]
	expect 0 vega-status --format json "$id" "$again"
	[[ $(jq -r .state "$out") == $'CANCELLED\nPENDING' ]]
	[[ $(jq -c '[.spec, .queue, .priority, .max_attempts]' "$out" | uniq | wc -l) == 1 ]]
	[[ $(jq -c 'select(.state == "PENDING") | .labels' "$out") == "{\"team\":\"ops\",\"retry-of\":\"$id\"}" ]]
	for _ in {1..8}; do
		vega-status --retry "$id" >>ids &
	done
	wait
	[[ $(sort -u ids) == "$again" ]]
	expect 1 vega-status --retry "$again"
	matches "job $again is PENDING: it can be retried when it has ended" "$err"
	# A retry of a job whose retry failed, too, retries that one.
	vega-cancel "$again"
	expect 0 vega-status --retry "$id"
	third=$(<"$out")
	[[ $third != "$again" && $third != "$id" ]]
	[[ $(vega-status -F json "$third" | jq -r '.labels["retry-of"]') == "$again" ]]
	[[ $(vega-status --retry "$again") == "$third" ]]
}

@test "--retry accepts a COMPLETED job only with --force" {
	completed data >id
	expect 1 vega-status --retry "$(<id)"
	matches "job $(<id) COMPLETED; use --force to repeat it" "$err"
	expect 0 vega-status --retry --force "$(<id)"
	again=$(<"$out")
	[[ $again != $(<id) ]]
	vega-cancel "$again"
	expect 1 vega-status --retry 01890000-0000-7000-8000-000000000000 "$again"
	matches 'no job 01890000' "$err"
	lines 1 "$out"
	expect 2 vega-status --retry
	expect 2 vega-status --force "$again"
	expect 2 vega-status --retry --wait "$again"
	expect 2 vega-status --retry --state failed
}

@test "--retry makes one job per submitter" {
	id=$(vega-submit data)
	vega-cancel "$id"
	mine=$(vega-status --retry "$id")
	sql "update job set submitter = 'another' where id = '$mine'"
	[[ $(vega-status --retry "$id") != "$mine" ]]
	[[ $(vega-status | wc -l) == 3 ]]
}

@test "vega-admin does the same on PostgreSQL" {
	start_postgres
	export VEGA_ROOTS=$PWD
	large_tree many
	completed many >id
	vega-submit --after 1h data >later
	expect 0 vega-admin stats --format prometheus
	prometheus_is_valid "$out"
	grep -qxF 'vega_jobs{queue="default",state="completed"} 1' "$out"
	expect 0 vega-admin prune --older-than 0s --dry-run
	matches '^would remove 1 job$' "$out"
	spooled 1
	expect 0 vega-admin prune --older-than 0s --batch 1
	matches '^removed 1 job$' "$out"
	spooled 0
	[[ $(vega-status | cut -f 1) == $(<later) ]]
	vega-cancel "$(<later)"
	for _ in {1..8}; do
		vega-status --retry "$(<later)" >>ids &
	done
	wait
	[[ $(sort -u ids | wc -l) == 1 ]]
}
