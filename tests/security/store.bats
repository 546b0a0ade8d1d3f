#!/usr/bin/env bats
# SQLite stores are trusted as ssh trusts its files: who else may write to one does not command its worker.
# shellcheck disable=SC2154 # $alice, $bob and $err are the library's
load ../lib/vega
load ../lib/users

setup_file() {
	make_users
	export alice bob
}

teardown_file() {
	remove_users
}

setup() {
	vega_setup
	open_to_all
	mkdir -m 1777 shared
	file in/a.csv 10
}

# A job with a command that says who runs it.
submit_command() { # USER
	as "$1" vega-submit --store "sqlite:$PWD/shared/s.db" transform --out "$PWD/shared/out" "$PWD/in" -- sh -c "id -u >$PWD/shared/ran; cat"
}

# The worker says whom it does not trust, and runs nothing.
refused() { # PATH STORE [OPTION]…
	local culprit=$1 store=$2
	shift 2
	expect 2 vega-run --once --store "sqlite:$store" "$@"
	matches "as $culprit is not only yours" "$err"
	[[ ! -e shared/ran ]]
}

@test "a store that another user made has no command run as root" {
	id=$(submit_command "$alice")
	chmod 666 shared/s.db
	refused "$PWD/shared/s.db" "$PWD/shared/s.db"
	ln -s shared/s.db link
	refused "$PWD/shared/s.db" "$PWD/link"
	as "$alice" ln -s "$PWD/mine.db" shared/link
	vega-submit --store "sqlite:$PWD/mine.db" find in
	refused "$PWD/shared/link" "$PWD/shared/link"
	expect 0 vega-run --once --store "sqlite:$PWD/shared/s.db" --root "$PWD"
	[[ ! -e shared/ran ]]
	[[ $(vega-status --store "sqlite:$PWD/shared/s.db" -F json "$id" | jq -r .state) == FAILED ]]
	expect 2 vega-run --once --store "sqlite:$PWD/shared/s.db" --root "$PWD" --commands
	matches 'would run the commands of every submitter as root: start the worker as another user' "$err"
}

@test "a store that its group or others may write to is shared, by mode or access list" {
	mkdir own
	store=$PWD/own/s.db
	VEGA_STORE=sqlite:$store vega-submit find in
	for mode in 620 602; do
		chmod "$mode" own/s.db
		refused "$store" "$store"
	done
	chmod 600 own/s.db
	setfacl -m "u:$bob:rw" own/s.db
	refused "$store" "$store"
	setfacl -b own/s.db
	expect 0 vega-run --once --store "sqlite:$store"
}

@test "a store in a directory of others is shared, with the sticky bit too" {
	mkdir -p own/deep
	store=$PWD/own/deep/s.db
	VEGA_STORE=sqlite:$store vega-submit find in
	for dir in own/deep own; do
		chmod 775 "$dir"
		refused "$PWD/$dir" "$store"
		chmod 755 "$dir"
		chown "$alice" "$dir"
		refused "$PWD/$dir" "$store"
		chown root "$dir"
	done
	chmod 1777 own/deep
	refused "$PWD/own/deep" "$store"
	chmod 755 own/deep
	chmod 1777 own # on the way it is enough that nobody can rename what is ours
	expect 0 vega-run --once --store "sqlite:$store"
	refused "$PWD/shared" "$PWD/shared/not-yet.db"
}

@test "the worker's own and root's stores are private, also where they are made by it" {
	id=$(as "$alice" vega-submit transform --out "$BATS_TEST_TMPDIR/home-$alice/out" "$PWD/in" -- sh -c 'id -u; cat')
	as "$alice" vega-run --drain
	[[ $(head -n 1 "$BATS_TEST_TMPDIR/home-$alice/out/a.csv") == $(id -u "$alice") ]]
	expect 0 vega-run --drain
	umask 002
	expect 0 vega-run --drain --store "sqlite:$BATS_TEST_TMPDIR/new/below/s.db"
}

@test "files that another user left beside a store to be are not taken into it" {
	for suffix in journal wal shm; do
		as "$bob" sh -c "printf x >$PWD/shared/new.db-$suffix"
		expect 2 vega-submit --store "sqlite:$PWD/shared/new.db" find in
		matches "new.db-$suffix' is left of another store" "$err"
		[[ ! -e shared/new.db ]]
		rm "shared/new.db-$suffix"
	done
	as "$bob" touch "$PWD/shared/new.db-journal" # to be filled later
	expect 2 vega-submit --store "sqlite:$PWD/shared/new.db" find in
	rm shared/new.db-journal
	touch shared/new.db-journal # what our own SQLite leaves
	expect 0 vega-submit --store "sqlite:$PWD/shared/new.db" find in
}
