#!/usr/bin/env bats
# A store behind PgBouncer in transaction mode, where each transaction has any session that is free.
# shellcheck disable=SC2154 # $pid and $err are the library's
load ../lib/vega

# VEGA_STORE goes through the pooler, $direct does not.
setup() {
	vega_setup
	need pgbouncer psql
	start_postgres
	direct=$VEGA_STORE
	pool=$(mktemp -d /tmp/vega-pool.XXXXXX)
	cat >"$pool/ini" <<-INI
		[databases]
		vega = host=${direct#*host=} dbname=vega
		[pgbouncer]
		unix_socket_dir = $pool
		unix_socket_mode = 0777
		listen_port = 6543
		auth_type = trust
		auth_file = $pool/users
		pool_mode = transaction
		default_pool_size = 3
		logfile = $pool/log
		pidfile = $pool/pid
	INI
	echo '"tester" ""' >"$pool/users"
	if ((EUID == 0)); then
		chown -R postgres "$pool"
		start setpriv --reuid=postgres --regid=postgres --clear-groups pgbouncer -q "$pool/ini"
	else
		start pgbouncer -q "$pool/ini"
	fi
	eventually 10 test -S "$pool/.s.PGSQL.6543"
	VEGA_STORE="postgresql://tester@/vega?host=$pool&port=6543"
	small_tree in
}

teardown() {
	vega_teardown
	rm -rf "$pool"
}

# Sessions of the pool that a job's connection left something in. Prepared names are the session's own secret,
# so it is asked through the pool, once for each of its sessions.
left_in_sessions() {
	for _ in 1 2 3; do
		psql -qXAt "$VEGA_STORE" <<-'SQL' &
			BEGIN;
			SELECT count(*) FROM pg_prepared_statements;
			SELECT count(*) FROM pg_settings WHERE source = 'session' AND name NOT IN
				('client_encoding', 'application_name', 'DateStyle', 'TimeZone', 'standard_conforming_strings');
			SELECT count(*) FROM pg_listening_channels();
			SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
			SELECT pg_sleep(0.3);
			COMMIT;
		SQL
	done
	wait
}

worker_listed() {
	[[ $(vega-status --workers) ]]
}

@test "jobs are submitted, run by several workers, waited for, repeated and pruned" {
	for _ in 1 2 3; do
		start vega-run --root "$PWD" -j 2 --spool "$PWD/spool"
	done
	for _ in {1..40}; do
		vega-submit --dry-run find in
	done >specs
	mapfile -t ids < <(vega-submit --batch specs)
	((${#ids[@]} == 40))
	expect 0 vega-status --wait --timeout 30s "${ids[@]}"
	expect 0 vega-status --workers
	expect 0 vega-run --drain --root "$PWD" --spool "$PWD/spool"
	expect 0 vega-status --records "${ids[7]}"
	expect 0 vega-admin stats
	id=$(vega-status --retry --force "${ids[0]}")
	expect 0 vega-status --wait --timeout 30s "$id"
	expect 0 vega-cancel "$(vega-submit --after 1h find in)"
	expect 0 vega-admin prune --older-than 0s
	matches '42 jobs' "$out"
	for log in "$err".*; do
		run ! grep -E 'trying again|away|prepared|lost' "$log"
	done
}

@test "an output is staged and published" {
	id=$(vega-submit transform --to gzip --out out in)
	expect 0 vega-run --drain --root "$PWD" --spool "$PWD/spool"
	expect 0 vega-status --wait --timeout 10s "$id"
	[[ -s out/docs/a.txt.gz ]]
}

@test "nothing of ours stays in the sessions that others are given" {
	vega-submit find in
	expect 0 vega-run --drain --root "$PWD" --spool "$PWD/spool"
	start vega-run --root "$PWD" --spool "$PWD/spool"
	id=$(vega-submit --after 1s find in)
	expect 0 vega-status --wait --timeout 10s "$id"
	left_in_sessions | sort | uniq -c | tr -s ' ' >left
	same - left <<<$' 3 \n 12 0'
}

@test "a job is noticed, and its end, though nobody can be told" {
	start vega-run --root "$PWD" --spool "$PWD/spool"
	eventually 10 worker_listed
	local begun=$SECONDS
	id=$(vega-submit find in)
	expect 0 vega-status --wait --timeout 10s "$id"
	((SECONDS - begun <= 4))
}

@test "sessions with settings under which jobs could be lost are refused with the remedy" {
	psql -qX "$direct" -c 'ALTER ROLE tester SET synchronous_commit = off'
	expect 2 vega-submit find in
	matches 'ALTER ROLE "tester" SET synchronous_commit = on' "$err"
	psql -qX "$direct" -c 'ALTER ROLE tester RESET ALL' -c 'ALTER ROLE tester SET default_transaction_isolation = serializable'
	psql -qX "$direct" -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tester' AND pid <> pg_backend_pid()" >/dev/null
	expect 2 vega-submit find in
	matches "ALTER ROLE \"tester\" SET default_transaction_isolation = 'read committed'" "$err"
	expect 0 vega-submit --store "$direct" find in
}
