# shellcheck shell=bash
# For the scripts beside: switches, and one line a step, with all that a step said if it fails.

# on_off <a variable's text>: CMake's word for a switch that is on unless it is empty or 0.
on_off() { if [ "${1:-0}" = 0 ]; then echo OFF; else echo ON; fi; }

# step <what> <log file> <command...>
step() {
    local what=$1 log=$2 start=$SECONDS status=0
    shift 2
    printf '%s ... ' "$what"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" != 0 ]; then
        printf 'failed after %d s (status %d)\n' $((SECONDS - start)) "$status"
        cat "$log" >&2
        return "$status"
    fi
    printf 'done in %d s\n' $((SECONDS - start))
}
