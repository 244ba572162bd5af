# What pgcoro stands on. A missing piece is told with the command that installs it on Debian and Ubuntu.

if(POLICY CMP0167)
    cmake_policy(SET CMP0167 NEW) # BoostConfig.cmake, not FindBoost
endif()

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PGCORO_LIBPQ REQUIRED IMPORTED_TARGET GLOBAL libpq>=14)

# Several Boosts may stand side by side (Debian 12 has 1.74 and 1.81): CONFIG finds the one asked for.
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS json)
if(PGCORO_BUILD_TESTS)
    find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS unit_test_framework)
endif()
if(PGCORO_BUILD_EXAMPLES OR PGCORO_BUILD_BENCH)
    find_package(CLI11 REQUIRED)
endif()

# PostgreSQL's own parser; it comes without a pkg-config file.
find_path(PGCORO_PG_QUERY_INCLUDE pg_query.h)
find_library(PGCORO_PG_QUERY_LIBRARY pg_query)
if(NOT PGCORO_PG_QUERY_INCLUDE OR NOT PGCORO_PG_QUERY_LIBRARY)
    message(FATAL_ERROR "libpg_query is missing: apt-get install libpg-query-dev")
endif()
add_library(pg_query UNKNOWN IMPORTED GLOBAL)
set_target_properties(pg_query PROPERTIES IMPORTED_LOCATION "${PGCORO_PG_QUERY_LIBRARY}"
                                          INTERFACE_INCLUDE_DIRECTORIES "${PGCORO_PG_QUERY_INCLUDE}")
