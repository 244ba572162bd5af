# What pgcoro stands on. A missing piece is told with the command that installs it on Debian and Ubuntu.

if(POLICY CMP0167)
    cmake_policy(SET CMP0167 NEW) # BoostConfig.cmake, not FindBoost
endif()

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PGCORO_LIBPQ REQUIRED IMPORTED_TARGET GLOBAL libpq>=14)

# PostgreSQL's own parser comes without pkg-config or CMake files; Findpg_query.cmake is installed for those who link it.
list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}/modules")
find_package(pg_query REQUIRED)

# Several Boosts may stand side by side (Debian 12 has 1.74 and 1.81): CONFIG finds the one asked for.
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS json)
if(PGCORO_BUILD_TESTS)
    find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS unit_test_framework)
endif()
if(PGCORO_BUILD_CLI OR PGCORO_BUILD_EXAMPLES OR PGCORO_BUILD_BENCH)
    find_package(CLI11 REQUIRED)
endif()

# For pgcoro::prometheus, which is left out without it.
find_package(prometheus-cpp CONFIG QUIET)

# For pgcoro::opentelemetry, likewise. No Debian package has it; its API alone (WITH_API_ONLY) will do.
find_package(opentelemetry-cpp CONFIG QUIET)
# For pgcoro::redis, which is left out without them.
if(PGCORO_BUILD_REDIS)
    pkg_check_modules(PGCORO_HIREDIS QUIET IMPORTED_TARGET GLOBAL hiredis)
    pkg_check_modules(PGCORO_ZSTD QUIET IMPORTED_TARGET GLOBAL libzstd)
endif()
if(PGCORO_HIREDIS_FOUND) # its flags say _FILE_OFFSET_BITS, with which no precompiled header fits; its headers have no off_t
    set_target_properties(PkgConfig::PGCORO_HIREDIS PROPERTIES INTERFACE_COMPILE_OPTIONS "")
endif()
if(PGCORO_BUILD_REDIS AND NOT (PGCORO_HIREDIS_FOUND AND PGCORO_ZSTD_FOUND))
    message(STATUS "pgcoro::redis is left out: it wants hiredis and zstd (Debian: libhiredis-dev, libzstd-dev)")
endif()

# For pgcoro::monitor, which is left out without them. The browser gets Chart.js from the library itself.
if(PGCORO_BUILD_MONITOR)
    find_package(Boost 1.81 CONFIG QUIET OPTIONAL_COMPONENTS url)
    find_file(PGCORO_CHART_JS chart.min.js PATHS /usr/share/javascript PATH_SUFFIXES chart.js NO_DEFAULT_PATH)
    if(NOT TARGET Boost::url OR NOT PGCORO_CHART_JS)
        message(STATUS "pgcoro::monitor is left out: it wants Boost.URL and chart.js (Debian: libjs-chart.js)")
    endif()
endif()
if(PGCORO_BUILD_TESTS)
    # The binary alone, as cmake/setup.sh takes it from Debian's package.
    find_program(PGCORO_PROMTOOL promtool HINTS "${PROJECT_SOURCE_DIR}/build/tools")
endif()
