#!/bin/bash
# Stop what start.sh started:  stop.sh [DIR | PORT] [--wipe]
# Ends only the processes whose ids are in DIR and whose command line still
# names this directory or port.
set -u
arg=${1:-18069}
case $arg in
*/*) dir=$arg ;;
*) dir=/tmp/headrace-tryton-$arg ;;
esac
[ -e "$dir/.headrace-tryton" ] || { echo "tryton: nothing in $dir" >&2; exit 0; }
port=$(sed -n 's/^listen = 127.0.0.1://p' "$dir/trytond.conf" 2>/dev/null)

# a process that has ended but was not collected yet counts as gone
running() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" \
        2>/dev/null)
    [ -n "$state" ] && [ "$state" != Z ]
}
ours() {
    running "$1" || return 1
    { tr '\0' ' ' < "/proc/$1/cmdline"; } 2>/dev/null \
        | grep -qE "$dir([/ ]|$)|headrace-tryton-${port:-none} "
}
end() {
    local pid
    [ -s "$1" ] || return 0
    pid=$(head -1 "$1")
    if ours "$pid"; then
        kill -TERM "$pid" 2>/dev/null
        kill -CONT "$pid" 2>/dev/null
        for _ in $(seq 1 100); do
            running "$pid" || break
            sleep 0.05
        done
        if ours "$pid"; then kill -KILL "$pid" 2>/dev/null; fi
    fi
    rm -f "$1"
}
end "$dir/worker.pid"
end "$dir/front.pid"
if [ -s "$dir/pg/postmaster.pid" ]; then
    pid=$(head -1 "$dir/pg/postmaster.pid")
    if ours "$pid"; then
        kill -INT "$pid" 2>/dev/null        # fast shutdown
        for _ in $(seq 1 200); do
            running "$pid" || break
            sleep 0.05
        done
    fi
fi
if [ "${2:-}" = --wipe ]; then
    sock=$(cat "$dir/sock" 2>/dev/null)
    case $sock in /tmp/hr??????) rmdir "$sock" 2>/dev/null ;; esac
    rm -rf "$dir"
fi
exit 0
