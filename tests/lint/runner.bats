#!/usr/bin/env bats
# The runner must not let a failure pass.

load ../lib/vega

runner=$TESTS/lib/run-tests

program() { # NAME, its text on stdin
	{
		echo '#!/bin/sh'
		cat
	} >"$1"
	chmod +x "$1"
}

setup() {
	vega_setup
	unset CI
	export VEGA_TALLY=$BATS_TEST_TMPDIR/tally
	program good <<<'echo ok 1 - fine; echo 1..1'
}

@test "what passes is counted" {
	program two <<<'echo ok 1 - a; echo ok 2; echo 1..2'
	expect 0 "$runner" -l label ./good ./two
	matches '^label: 3 passed, 0 failed$' "$out"
	matches '^3 0 0 label$' "$VEGA_TALLY"
}

@test "a failed point fails the run and is named" {
	program bad <<<'echo ok 1 - a; echo not ok 2 - "the point"; echo "# why"; echo 1..2; exit 1'
	expect 1 "$runner" -l label ./good ./bad
	matches '^label: 2 passed, 1 failed$' "$out"
	matches '# why' "$out"
	matches '^label: ./bad: the point$' "$VEGA_TALLY.failures"
}

@test "a crash, a short run, a missing plan and a bad status are failures" {
	program crash <<<'echo ok 1; kill -SEGV $$'
	program short <<<'echo 1..3; echo ok 1'
	program planless <<<'echo ok 1'
	program status <<<'echo ok 1; echo 1..1; exit 3'
	program silent <<<':'
	for test in crash short planless status silent; do
		expect 1 "$runner" "./$test"
		matches ' [1-9] failed$' "$out"
	done
	expect 1 "$runner" ./does-not-exist
	expect 1 "$runner"
}

@test "a hanging test is stopped" {
	program hang <<<'echo ok 1; echo 1..1; sleep 60'
	VEGA_TEST_TIMEOUT=1 expect 1 "$runner" ./hang
	matches 'stopped after 1 seconds' "$out"
}

@test "a skip is shown, and fails in CI" {
	program skip <<<'echo "ok 1 - a # skip no server"; echo 1..1'
	expect 0 "$runner" ./good ./skip
	matches '^tests: 1 passed, 0 failed, 1 skipped$' "$out"
	CI=true expect 1 "$runner" ./good ./skip
	matches '^tests: 1 passed, 1 failed$' "$out"
}

@test "a process left behind is a failure and is ended" {
	program leave <<<'sleep 61 & echo $! >"$VEGA_TALLY.pid"; echo ok 1; echo 1..1'
	expect 1 "$runner" ./leave
	matches 'left a process behind: sleep 61' "$out"
	eventually 5 gone "$(cat "$VEGA_TALLY.pid")"
}

@test "stopping the runner ends what the tests started" {
	program daemon <<<'setsid sleep 62 & echo $! >"$VEGA_TALLY.pid"; sleep 63'
	start "$runner" ./daemon
	eventually 5 test -s "$VEGA_TALLY.pid"
	kill -TERM "$pid"
	eventually 10 gone "$pid"
	gone "$(<"$VEGA_TALLY.pid")"
}

@test "a sanitizer report of a child is a failure" {
	program report <<'END'
path=${ASAN_OPTIONS##*log_path=}
echo 'ERROR: AddressSanitizer: made up' >"${path%%:*}.1"
echo ok 1
echo 1..1
END
	expect 1 "$runner" ./report
	matches 'sanitizer report: ERROR: AddressSanitizer: made up' "$out"
}

@test "bats files are run" {
	printf '@test "one" {\n\ttrue\n}\n@test "two" {\n\tfalse\n}\n' >some.bats
	expect 1 "$runner" ./some.bats
	matches '^tests: 1 passed, 1 failed$' "$out"
}

@test "a name runs one test of a program, and fails where no test has it" {
	program named <<'END'
echo "# ${1:-all}: title"
echo ok 1 - "$@"
echo 1..1
END
	expect 0 "$runner" -n "this" ./named
	expect 1 "$runner" -n "this that" ./named
	matches 'has no test that is named that$' "$out"
	expect 1 "$runner" -n "this" ./good
	matches 'has no test that is named this$' "$out"
	printf '@test "one" {\n\ttrue\n}\n@test "two" {\n\tfalse\n}\n' >some.bats
	expect 0 "$runner" -n one ./some.bats
	matches '^tests: 1 passed, 0 failed$' "$out"
	expect 1 "$runner" -n three ./some.bats
}
