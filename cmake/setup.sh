#!/usr/bin/env bash
# Installs with apt what a build of pgcoro, its tests and its examples needs and this machine lacks, and says what. Does
# nothing, and asks the network nothing, when all is there. Needs root or sudo only if something is missing.
#   setup.sh [fuzz] [browser] [docs] [failover] [tidy] [coverage]
#       with fuzz: also a clang with libFuzzer and its symbolizer; with browser: what the dashboard's test wants; with
#       docs: Doxygen; with failover: Patroni and etcd; with tidy: that clang and its clang-tidy; with coverage: gcovr
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

least_boost=1.81

say() { printf 'setup: %s\n' "$*"; }
wanted=" $* "
wants() { [[ $wanted == *" $1 "* ]]; }
has() { command -v "$1" >/dev/null 2>&1; }

# True if a file matches one of the patterns.
any_of() { compgen -G "$1" >/dev/null || { shift && [ $# -gt 0 ] && any_of "$@"; }; }

boost_is_there() {
    local prefix header version
    for prefix in ${BOOST_ROOT:+"$BOOST_ROOT"} /usr/local /usr; do
        header=$prefix/include/boost/version.hpp
        [ -r "$header" ] || continue
        version=$(sed -n 's/^#define BOOST_LIB_VERSION "\([0-9]*\)_\([0-9]*\).*/\1.\2/p' "$header")
        printf '%s\n%s\n' "$least_boost" "$version" | sort -V -C || continue
        any_of "$prefix"/lib{,64,/*}/cmake/boost_"$1"-"$version"* && return
    done
    return 1
}

# Where pgcoro::testing looks, too.
postgres_is_there() {
    [ -n "${PGCORO_PG_BIN:-}" ] || has initdb || any_of '/usr/lib/postgresql/*/bin/initdb' ||
        { has pg_config && [ -x "$(pg_config --bindir)/initdb" ]; }
}

# By which sanitizers name functions. Without it test/tsan.supp does not know what it is shown. Debian's clang looks
# for that of its own version only.
symbolizer_is_there() { [ -x "/usr/bin/llvm-symbolizer-$clang" ] || { ! has apt-get && has llvm-symbolizer; }; }

# Package names, where boost-… stands for the Boost that apt has, fuzzing-clang for its clang, and clang-tidy and
# symbolizer for the same version of that.
missing=()
has c++ || missing+=(g++)
has cmake || missing+=(cmake)
has ninja || missing+=(ninja-build)
has ccache || missing+=(ccache)
has pkg-config || missing+=(pkg-config)
{ has pkg-config && pkg-config --exists 'libpq >= 14'; } || missing+=(libpq-dev)
{ has pkg-config && pkg-config --exists openssl; } || missing+=(libssl-dev)
any_of /usr{,/local}/include/pg_query.h || missing+=(libpg-query-dev)
boost_is_there headers || missing+=(boost-dev)
boost_is_there url || missing+=(boost-url-dev)
boost_is_there json || missing+=(boost-json-dev)
boost_is_there unit_test_framework || missing+=(boost-test-dev)
any_of /usr/share/javascript/chart.js/chart.min.js || missing+=(libjs-chart.js)
any_of /usr{,/local}/include/CLI/CLI.hpp || missing+=(libcli11-dev)
postgres_is_there || missing+=(postgresql)
{ has pgbouncer || [ -x /usr/sbin/pgbouncer ]; } || missing+=(pgbouncer)
{ has pkg-config && pkg-config --exists hiredis; } || missing+=(libhiredis-dev)
{ has pkg-config && pkg-config --exists libzstd; } || missing+=(libzstd-dev)
has redis-server || missing+=(redis-server)
has tmux || missing+=(tmux) # the command's screens are tested in it
{ has python3 && python3 -c 'import jsonschema' 2>/dev/null; } || missing+=(python3-jsonschema) # and its JSON by it
here=$(dirname "${BASH_SOURCE[0]}")
clang= # the version of the one that fuzzes, which its tools have in their names
if wants fuzz || wants tidy; then
    if compiler=$("$here/fuzzing_clang.sh"); then
        clang=$("$compiler" -dumpversion | cut -d . -f 1)
    else
        missing+=(fuzzing-clang)
    fi
fi
if wants fuzz && ! symbolizer_is_there; then missing+=(symbolizer); fi
if wants failover; then
    has patroni || missing+=(patroni)
    has etcd || missing+=(etcd-server)
    /usr/bin/python3 -c 'import etcd' 2>/dev/null || missing+=(python3-etcd) # by which Patroni speaks to it
fi
if wants tidy && ! "$here/clang_tidy.sh" >/dev/null; then missing+=(clang-tidy); fi
if wants coverage; then has gcovr || missing+=(gcovr); fi
# Of use, but not needed: only where they can be had without asking anybody.
promtool=$(dirname "${BASH_SOURCE[0]}")/../build/tools/promtool
if has apt-get && { [ "$(id -u)" = 0 ] || has sudo; }; then
    any_of /usr{,/local}/include/prometheus/collectable.h || missing+=(prometheus-cpp-dev)
    has promtool || [ -x "$promtool" ] || missing+=(promtool)
    has dpkg-shlibdeps || missing+=(dpkg-dev) # for packages, as is:
    has file || missing+=(file)
    if wants docs; then has doxygen || missing+=(doxygen); fi
    { has haproxy || [ -x /usr/sbin/haproxy ]; } || missing+=(haproxy) # without it its tests are left out
    any_of '/usr/lib/*/faketime/libfaketime.so.1' || missing+=(libfaketime) # the chaos test's clock
    if wants browser && apt-cache policy chromium | grep 'Candidate: [0-9]' >/dev/null; then # not on Ubuntu, which has a snap
        has chromium || missing+=(chromium)
        has node || missing+=(nodejs)
        has npm || missing+=(npm)
    fi
fi

# Playwright drives the browser; without it the dashboard's test is left out.
add_playwright() {
    local from to log status=0
    from=$(cd "$(dirname "${BASH_SOURCE[0]}")/../test/browser" && pwd)
    to=$from/../../build/tools/browser
    mkdir -p "$to"
    cmp -s "$from/package-lock.json" "$to/package-lock.json" && [ -d "$to/node_modules" ] && return
    cp "$from/package.json" "$from/package-lock.json" "$to"
    log=$(mktemp)
    step "setup: getting what drives a browser from npm" "$log" npm ci --prefix "$to" --no-audit --no-fund || status=$?
    rm -f "$log"
    if [ "$status" != 0 ]; then
        rm -f "$to/package-lock.json"
        say "going on without it: the dashboard's test is left out" >&2
    fi
}
add_what_no_package_has() {
    if wants browser && has chromium && has npm; then add_playwright; fi
}
if [ ${#missing[@]} = 0 ]; then
    add_what_no_package_has
    exit 0
fi

if ! has apt-get; then
    say "missing here, by the names of Debian's packages: ${missing[*]} (Boost $least_boost or later, libpq 14 or later)" >&2
    say "this machine has no apt-get: install them with its own package manager, then run this again" >&2
    exit 1
fi

log=$(mktemp)
conf=/etc/postgresql-common/createcluster.conf
saved=
policy=/usr/sbin/policy-rc.d
policy_is_ours=
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
finish() {
    [ -z "$saved" ] || as_root mv "$saved" "$conf"
    [ -z "$policy_is_ours" ] || as_root rm -f "$policy"
    rm -f "$log"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

may_install=1
if [ "$(id -u)" != 0 ] && ! has sudo; then
    may_install=
elif [ "$(id -u)" != 0 ]; then
    sudo -v # asks for the password here, not in the middle of a step
fi
if [ -n "$may_install" ]; then
    step "setup: reading the package lists" "$log" as_root apt-get update || say "going on with the lists of before" >&2
fi

# libboost-X-dev if that is new enough, else the newest libboost-X1.N-dev: on Debian 12 the default is too old.
boost= # what goes before "-dev"
default=$(apt-cache policy libboost-dev | sed -n 's/ *Candidate: \([0-9].*\)/\1/p')
if ! printf '%s\n%s\n' "$least_boost" "$default" | sort -V -C; then
    newest=$(apt-cache pkgnames libboost1. | sed -n 's/^libboost\(1\.[0-9]*\)-dev$/\1/p' | sort -V | tail -n 1)
    if ! printf '%s\n%s\n' "$least_boost" "$newest" | sort -V -C; then
        say "needs Boost $least_boost or later; apt offers ${newest:-${default:-none}}" >&2
        exit 1
    fi
    boost=$newest
fi
# Debian 12's default clang is too old as well, and libFuzzer's package has the version in its name everywhere.
clang_version() {
    local version
    version=$(apt-cache policy libclang-rt-dev | sed -n 's/ *Candidate: \([0-9]*:\)\{0,1\}\([0-9]*\)\..*/\2/p')
    if [ "${version:-0}" -lt 15 ]; then # then the first that will do
        version=$(apt-cache pkgnames libclang-rt- | sed -n 's/^libclang-rt-\([0-9]*\)-dev$/\1/p' | sort -n |
            awk '$1 >= 15 && !found { print; found = 1 }')
    fi
    if [ -z "$version" ]; then
        say "fuzzing needs clang 15 or later with libclang-rt, which apt does not offer" >&2
        return 1
    fi
    echo "$version"
}

packages=()
want_promtool=
for name in "${missing[@]}"; do
    case $name in
    promtool) want_promtool=1 ;;
    boost-*) packages+=("lib${name%-dev}$boost-dev") ;;
    fuzzing-clang)
        clang=$(clang_version)
        packages+=("clang-$clang" "libclang-rt-$clang-dev")
        ;;
    clang-tidy) packages+=("clang-tidy-$clang") ;;
    symbolizer) packages+=("llvm-$clang") ;;
    *) packages+=("$name") ;;
    esac
done

if [ -z "$may_install" ]; then
    say "missing here, and neither root nor sudo to install it; have someone run:" >&2
    say "  apt-get install ${packages[*]}" >&2
    exit 1
fi

install() {
    # --no-remove: rather stop than take away another Boost that somebody put here
    step "setup: installing $*" "$log" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends --no-remove "$@"
}

# Debian's server packages make a database cluster and start it, which nobody here asked for. Switched off while we
# install; the file comes with postgresql-common and is put back as it was.
server=
others=()
for name in "${packages[@]}"; do
    if [ "$name" = postgresql ]; then
        server=$name
        others+=(postgresql-common)
    else
        others+=("$name")
    fi
done
# Nor were these asked to run as services: Debian's way to say so to all that packages would start.
if [[ " ${others[*]} " =~ " "(pgbouncer|redis-server|haproxy|patroni|etcd-server)" " ]] && [ ! -e "$policy" ]; then
    policy_is_ours=1
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
fi
[ ${#others[@]} = 0 ] || install "${others[@]}"
if [ -n "$server" ]; then
    if [ -e "$conf" ]; then
        as_root cp -p "$conf" "$conf.pgcoro-setup"
        saved=$conf.pgcoro-setup
        printf '\ncreate_main_cluster = false\n' | as_root tee -a "$conf" >/dev/null
    fi
    install "$server"
fi

# promtool is in Debian's package of the Prometheus server, which would start a service and bring much else: the one
# program is taken out of it. Without it a test is left out.
take_promtool() {
    local there
    there=$(mktemp -d)
    chmod 755 "$there"
    (cd "$there" && apt-get download prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb >all.tar &&
        tar -xf all.tar ./usr/bin/promtool) || { rm -rf "$there"; return 1; }
    mkdir -p "$(dirname "$promtool")"
    mv "$there/usr/bin/promtool" "$promtool"
    rm -rf "$there"
}
if [ -n "$want_promtool" ]; then
    step "setup: taking promtool out of the package prometheus" "$log" take_promtool ||
        say "going on without promtool: its test is left out" >&2
fi
add_what_no_package_has
