# What the scripts beside this file share: where services lie, and a server that ends when standard input does. Sourced.

readonly SERVICES=${MILLSTREAM_SERVICES:-${XDG_CACHE_HOME:-$HOME/.cache}/millstream/services}

fail() {
    echo "tests/services/${0##*/}: $*" >&2
    exit 1
}

# Runs a command, which gets a folder of its own as its last argument, and takes both away when standard input ends.
until_stdin_ends() {
    folder=$(mktemp -d "${TMPDIR:-/tmp}/millstream-${0##*/}.XXXXXX")
    "$@" "$folder" </dev/null &
    pid=$!
    # Not local: the trap runs when this function is long over. Whichever ends first, standard input or the server, ends the other: `cat` alone would wait on a server that is gone.
    trap 'kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; rm -rf "$folder"' EXIT
    while kill -0 "$pid" 2>/dev/null; do
        # Above 128 is the pause that ran out; anything else is the end of standard input.
        read -r -t 1 || (($? > 128)) || return 0
    done
    wait "$pid"
}
