#!/usr/bin/env bats
# The completions: each shell reads its file, and offers what the commands take.
load ../lib/vega

completions=$TESTS/../completions

setup() {
	vega_setup
	mkdir -p data/deep
	file notes.txt
}

# The offers of each shell for a line, sorted, one per line.
offer_bash() {
	bash --norc -c '
		source "$1"
		read -ra COMP_WORDS <<<"${2//=/ = }"
		[[ $2 == *[\ =] ]] && COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_vega
		printf "%s\n" "${COMPREPLY[@]}"' - "$completions/vega.bash" "$1" | sed 's|/$||' | sort -u
}

offer_fish() {
	fish --no-config -c 'source $argv[1]; complete --do-complete $argv[2]' "$completions/vega.fish" "$1" |
		cut -f1 | sed 's|^--[a-z-]*=||; s|/$||' | sort -u
}

offer_zsh() {
	zsh -f "$TESTS/lib/complete.zsh" "$completions" "$BATS_TEST_TMPDIR/found" "$1"
}

# offers SHELL LINE WANTED…: exactly these.
offers() {
	local shell=$1 line=$2
	shift 2
	printf '%s\n' "$@" | sed '/^$/d' | sort >"$BATS_TEST_TMPDIR/wanted"
	"offer_$shell" "$line" | sed '/^$/d' >"$BATS_TEST_TMPDIR/offered"
	same "$BATS_TEST_TMPDIR/wanted" "$BATS_TEST_TMPDIR/offered"
}

# all_long SHELL COMMAND: every long option of the table, and no other.
all_long() {
	"$2" --vega-options | awk -F '\t' '{ print "--" $2 }' | sort >"$BATS_TEST_TMPDIR/wanted"
	"offer_$1" "$2 --" | grep -- '^--' >"$BATS_TEST_TMPDIR/offered"
	same "$BATS_TEST_TMPDIR/wanted" "$BATS_TEST_TMPDIR/offered"
}

a_shell_offers() { # SHELL
	local command
	need "$1"
	for command in vega-walk vega-submit vega-run vega-status vega-cancel vega-admin; do
		all_long "$1" "$command"
	done
	offers "$1" 'vega-walk --algo ' sha256 xxh128
	offers "$1" 'vega-submit hash --algo=' sha256 xxh128
	offers "$1" 'vega-walk -a s' sha256
	offers "$1" 'vega-walk ' summarize find hash transform data notes.txt
	offers "$1" 'vega-walk fi' find
	offers "$1" 'vega-walk find ' data notes.txt
	offers "$1" 'vega-walk transform --out ' data
	offers "$1" 'vega-walk --exclude-from no' notes.txt
	offers "$1" 'vega-walk -u roo' root
	offers "$1" 'vega-walk --min-size '
	offers "$1" 'vega-admin ' prune stats
	offers "$1" 'vega-admin prune --format ' text json prometheus
}

a_shell_offers_jobs() { # SHELL
	need "$1"
	local ended pending
	pending=$(vega-submit --after 1h data)
	ended=$(vega-submit data)
	vega-cancel "$ended"
	offers "$1" 'vega-status ' "$pending" "$ended"
	offers "$1" 'vega-cancel ' "$pending"
	offers "$1" "vega-status ${ended::30}" "$(for id in "$pending" "$ended"; do
		[[ $id == "${ended::30}"* ]] && echo "$id"
	done)"
}

@test "bash reads its completions" {
	bash -n "$completions/vega.bash"
}

@test "zsh reads its completions" {
	need zsh
	zsh -n "$completions/_vega"
}

@test "fish reads its completions" {
	need fish
	fish -n "$completions/vega.fish"
}

@test "bash offers options, values, operations and files" {
	a_shell_offers bash
	offers bash 'vega-walk --type f,' f,b f,c f,d f,f f,l f,p f,s
	offers bash 'vega-walk summarize,fi' summarize,find
	offers bash 'vega-walk transform --out data data -- vega-wal' vega-walk
}

@test "zsh offers options, values, operations and files" {
	a_shell_offers zsh
	offers zsh 'vega-walk --type f,' b c d l p s
	offers zsh 'vega-walk summarize,fi' find
	offers zsh 'vega-walk transform --out data data -- vega-wal' vega-walk
}

@test "fish offers options, values, operations and files" {
	a_shell_offers fish
	offers fish 'vega-walk --type f,' f,b f,c f,d f,f f,l f,p f,s
	offers fish 'vega-walk summarize,fi' summarize,find
	offers fish 'vega-walk transform --out data data -- vega-wal' vega-walk
}

@test "bash offers jobs" {
	a_shell_offers_jobs bash
}

@test "zsh offers jobs" {
	a_shell_offers_jobs zsh
}

@test "fish offers jobs" {
	a_shell_offers_jobs fish
}
