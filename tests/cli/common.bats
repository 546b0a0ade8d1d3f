#!/usr/bin/env bats
# Properties of every command.
load ../lib/vega

commands=(vega-walk vega-submit vega-run vega-status vega-cancel vega-admin)

@test "--help and --version print to stdout, and report a full disk" {
	for command in "${commands[@]}"; do
		expect 0 "$command" --help
		matches "^usage: $command" "$out"
		[[ ! -s $err ]]
		expect 0 "$command" --version
		matches "^$command \(VegaFS\) [0-9]" "$out"
		expect 2 bash -c '"$0" --help >/dev/full' "$command"
		matches "^$command: cannot write to standard output: No space left" "$err"
	done
}

@test "options that contradict each other are rejected" {
	mkdir data
	for format in ndjson json csv; do
		expect 2 vega-walk find -0 --format "$format" data
		matches '^vega-walk: --null is for the text format' "$err"
	done
	expect 2 vega-walk --spec-fd 4294967299 3< <(echo '{"v":1,"operations":["find"],"roots":["."]}')
	matches 'descriptor 4294967299: Bad file descriptor' "$err"
}
