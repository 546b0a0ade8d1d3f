# Users for tests/security, made and removed by each of its files: load ../lib/users after ../lib/vega.
# shellcheck shell=bash disable=SC2034 # $alice and $bob are for the tests

# make_users: two ordinary users of this file's own, $alice and $bob. Their names end with a number that no
# other run uses.
make_users() {
	need_root
	local user
	alice=vega-a$$ bob=vega-b$$
	for user in "$alice" "$bob"; do
		useradd --no-create-home --shell /bin/sh "$user"
	done
}

remove_users() {
	local user
	for user in "vega-a$$" "vega-b$$"; do
		! id "$user" >/dev/null 2>&1 || userdel "$user" 2>/dev/null
	done
}

# as USER COMMAND…: with a home of its own, and no more of this one's environment than the commands need.
as() {
	local user=$1
	shift
	mkdir -p "$BATS_TEST_TMPDIR/home-$user"
	chown "$user" "$BATS_TEST_TMPDIR/home-$user"
	setpriv --reuid="$user" --regid="$user" --clear-groups env HOME="$BATS_TEST_TMPDIR/home-$user" \
		XDG_STATE_HOME="$BATS_TEST_TMPDIR/home-$user/state" "$@"
}
