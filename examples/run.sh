#!/usr/bin/env bash
# run.sh [example] [option...]: installs what is missing, builds, and runs an example, by default `transfers`, with the
# options given. `run.sh --help` shows those of the default.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

name=transfers
case ${1:-} in
'' | -*) ;;
*)
    name=$1
    shift
    ;;
esac
if [ ! -e "$root/examples/$name" ]; then
    echo "run.sh: no example '$name'; there are:" >&2
    for folder in "$root"/examples/*/; do echo "  $(basename "$folder")" >&2; done
    exit 2
fi

# Standard output belongs to the example: it may be JSON.
"$root/cmake/build.sh" "$name" >&2
exec "$root/build/release/examples/$name/$name" "$@"
