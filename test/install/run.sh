#!/usr/bin/env bash
# run.sh [--all] [build folder]: is what people install fit for use? Installs the build (build/release by default) into
# a folder of its own, moves that, and has a project outside of the tree find it by CMake and by pkg-config; the same
# with the Debian package; and within another project's build. With --all also what takes minutes: the library as a
# shared one, and built to the end within another project.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/test/install

all=
if [ "${1:-}" = --all ]; then
    all=1
    shift
fi
build=${1:-$root/build/release}
build=$(cd "$build" && pwd)
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log

say() { printf 'install: %s\n' "$*"; }
fail() {
    say "$*" >&2
    exit 1
}
quietly() {
    "$@" >"$log" 2>&1 </dev/null || {
        say "failed: $*" >&2
        cat "$log" >&2
        exit 1
    }
}
compiler=$(cached CMAKE_CXX_COMPILER)
launcher=$(cached CMAKE_CXX_COMPILER_LAUNCHER)
configure() {
    quietly cmake -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" "$@"
}
components=
[ ! -e "$build/package/pgcoro-monitor.pc" ] || components+="monitor;"
[ ! -e "$build/package/pgcoro-prometheus.pc" ] || components+="prometheus;"
[ ! -e "$build/package/pgcoro-redis.pc" ] || components+="redis;"
version=$(sed -n 's/.*VERSION_STRING "\(.*\)"/\1/p' "$root/include/pgcoro/version.hpp")

# consumer <what> <prefix> [cmake option...]: finds it with CMake, and uses it on a server.
consumer() {
    local what=$1 prefix=$2
    shift 2
    configure -S "$here/consumer" -B "$work/consumer-$what" -DCMAKE_PREFIX_PATH="$prefix" \
        -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF -DPGCORO_WANTED="${version%.*}" \
        -DEXPECTED_COMPONENTS="$components" "$@"
    quietly cmake --build "$work/consumer-$what"
    quietly "$work/consumer-$what/consumer"
    say "find_package, $what: $(tail -n 1 "$log")"
}

# small <what> <prefix> [pkg-config option...]: finds it with pkg-config.
small() {
    local what=$1 prefix=$2 flags
    shift 2
    flags=$(PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name pgcoro.pc)") pkg-config "$@" --cflags --libs pgcoro)
    # shellcheck disable=SC2086 # flags are words
    quietly "$compiler" -std=c++20 "$here/small.cpp" -o "$work/small" $flags
    quietly env LD_LIBRARY_PATH="$(dirname "$(find "$prefix" -name 'libpgcoro.*' | head -n 1)")" "$work/small"
    say "pkg-config, $what: $(tail -n 1 "$log")"
}

# What is not there is refused, and the refusal says what to do.
refused() {
    local prefix=$1 what=$2 expected=$3
    printf 'cmake_minimum_required(VERSION 3.25)\nproject(x CXX)\nfind_package(pgcoro %s)\n' "$what" >"$work/CMakeLists.txt"
    rm -rf "$work/refused"
    if cmake -G Ninja -S "$work" -B "$work/refused" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix" \
        >"$log" 2>&1; then
        fail "find_package(pgcoro $what) was content"
    fi
    tr -s ' \n' ' ' <"$log" | grep -q "$expected" || {
        cat "$log" >&2
        fail "find_package(pgcoro $what) does not say '$expected'"
    }
}

# A header that opens the namespace without PGCORO_API would be hidden in a shared library.
if grep -rlE '^namespace pgcoro' "$root/include" >"$log"; then
    fail "these do not open the namespace with PGCORO_API (pgcoro/export.hpp): $(tr '\n' ' ' <"$log")"
fi

# The tree is moved before it is used: no path of its first place may be in it.
quietly cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$work/moved"
if grep -rIlE "$work/first|$root" "$work/moved" >"$log"; then
    fail "paths of the build are in $(cat "$log")"
fi
consumer static "$work/moved"
small static "$work/moved"
refused "$work/moved" "99.0 REQUIRED" "version: $version"
refused "$work/moved" "REQUIRED COMPONENTS nonsense" "has no component 'nonsense'"
for component in monitor prometheus redis; do
    [[ $components == *$component* ]] ||
        refused "$work/moved" "REQUIRED COMPONENTS $component" "was built without pgcoro::$component"
done
quietly env PATH="$work/moved/bin" pgcoro --version
say "the command: $(cat "$log")"

if command -v dpkg-deb >/dev/null && command -v dpkg-shlibdeps >/dev/null; then
    quietly cpack --config "$build/CPackConfig.cmake" -B "$work/packages"
    for package in "$work"/packages/*.deb; do
        quietly dpkg-deb -x "$package" "$work/unpacked"
        say "$(basename "$package"), $(du -h "$package" | cut -f 1): needs $(dpkg-deb -f "$package" Depends)"
    done
    small "the .deb" "$work/unpacked/usr"
    if [ -n "$all" ]; then consumer "the .deb" "$work/unpacked/usr"; fi
else
    say "no .deb here: dpkg-dev is missing"
fi

# Within another project: configured wholly, and compiled up to a first source of the library and its user.
for way in add_subdirectory FetchContent; do
    fetched=OFF
    [ "$way" = add_subdirectory ] || fetched=ON
    configure -S "$here/subproject" -B "$work/$way" -DPGCORO_SOURCE="$root" -DFETCHED=$fetched \
        -DCMAKE_CXX_FLAGS=-O0
    if [ -n "$all" ] && [ "$way" = FetchContent ]; then
        quietly ninja -C "$work/$way" small
        quietly "$work/$way/small"
        say "$way: $(tail -n 1 "$log")"
    else
        # shellcheck disable=SC2046 # two words
        quietly ninja -C "$work/$way" $(ninja -C "$work/$way" -t targets all |
            sed -n 's/^\(.*\(pgcoro\.dir.*oid\|small\)\.cpp\.o\):.*/\1/p')
        say "$way: configured, and compiled in part"
    fi
done

# The port and the recipe are for tools that are seldom there: at least they are what those can read.
quietly python3 "$root/packaging/check.py"
say "$(tail -n 1 "$log")"

[ -n "$all" ] || exit 0
configure -S "$root" -B "$work/shared" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DPGCORO_BUILD_TESTS=OFF \
    -DPGCORO_BUILD_EXAMPLES=OFF -DPGCORO_BUILD_BENCH=OFF
quietly cmake --build "$work/shared"
quietly cmake --install "$work/shared" --prefix "$work/shared-tree"
consumer shared "$work/shared-tree"
# Also for who hides everything himself: what is thrown must be caught all the same.
consumer "shared, to a consumer that hides its symbols" "$work/shared-tree" -DCMAKE_CXX_VISIBILITY_PRESET=hidden \
    -DCMAKE_VISIBILITY_INLINES_HIDDEN=ON
small shared "$work/shared-tree"
library=$(find "$work/shared-tree" -name 'libpgcoro.so')
if nm -DC --defined-only "$library" | grep -E ' [TtDdRrBb] ' | grep -v 'pgcoro::'; then
    fail "$library shows what is not its own"
fi
if nm -DC --defined-only "$library" | grep -F 'pgcoro::detail::pool_core::'; then
    fail "$library shows its inside"
fi
say "the shared library: $(nm -D --defined-only "$library" | wc -l) symbols, $(du -h "$(readlink -f "$library")" | cut -f 1)"
