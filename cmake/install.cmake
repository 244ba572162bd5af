# `cmake --install`: libraries, headers, and what finds them: pgcoroConfig.cmake and pkg-config's files. The command
# installs itself (src/cli). Everything is relative to the prefix, which may be moved.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pgcoro)
set(components) # those that are built; the others' reasons are told by pgcoroConfig.cmake
if(PGCORO_BUILD_MONITOR AND NOT TARGET Boost::url)
    set(missing_monitor "Boost.URL (Debian: libboost-url-dev)")
elseif(PGCORO_BUILD_MONITOR AND NOT PGCORO_CHART_JS)
    set(missing_monitor "Chart.js (Debian: libjs-chart.js)")
elseif(NOT PGCORO_BUILD_MONITOR)
    set(missing_monitor "the option PGCORO_BUILD_MONITOR")
endif()
set(missing_prometheus "prometheus-cpp (Debian: prometheus-cpp-dev)")
set(missing_redis "hiredis and zstd (Debian: libhiredis-dev, libzstd-dev)")
set(missing_opentelemetry "opentelemetry-cpp")
set(missing_testing "the option PGCORO_BUILD_TESTING")

# pgcoro_install(<target> <name>): a library with its own file of exported targets and, for pkg-config, <target>.pc.
# LIBS, PRIVATE_LIBS, REQUIRES, PRIVATE_REQUIRES and DESCRIPTION are what the latter says. Nobody without a static
# library asks for --static, so where there is nothing else its private needs are named to all.
function(pgcoro_install target name)
    cmake_parse_arguments(PARSE_ARGV 2 pc "" "DESCRIPTION" "LIBS;PRIVATE_LIBS;REQUIRES;PRIVATE_REQUIRES")
    install(TARGETS ${target} EXPORT ${target} COMPONENT dev)
    install(EXPORT ${target} FILE ${target}.cmake NAMESPACE pgcoro:: DESTINATION ${package_dir} COMPONENT dev)

    string(REPLACE "_" "-" pc_name ${target})
    if(NOT BUILD_SHARED_LIBS)
        list(APPEND pc_LIBS ${pc_PRIVATE_LIBS})
        list(APPEND pc_REQUIRES ${pc_PRIVATE_REQUIRES})
        set(pc_PRIVATE_LIBS)
        set(pc_PRIVATE_REQUIRES)
    endif()
    list(JOIN pc_LIBS " " pc_LIBS)
    list(JOIN pc_PRIVATE_LIBS " " pc_PRIVATE_LIBS)
    list(JOIN pc_REQUIRES ", " pc_REQUIRES)
    list(JOIN pc_PRIVATE_REQUIRES ", " pc_PRIVATE_REQUIRES)
    file(RELATIVE_PATH to_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" to_prefix "${to_prefix}")
    configure_file(${PROJECT_SOURCE_DIR}/cmake/pgcoro.pc.in ${PROJECT_BINARY_DIR}/package/${pc_name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/package/${pc_name}.pc
            DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endfunction()

# Boost has no file for pkg-config. It is named by flags, with its folders only where no compiler looks by itself.
get_target_property(boost_include Boost::headers INTERFACE_INCLUDE_DIRECTORIES)
set(pc_cflags)
if(NOT boost_include IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    set(pc_cflags "-I${boost_include}")
endif()
# pgcoro_boost_flags(<variable> <library>...)
function(pgcoro_boost_flags variable)
    set(flags)
    foreach(library IN LISTS ARGN)
        set(flag -lboost_${library}) # unless its file has another name
        foreach(property IN ITEMS IMPORTED_LOCATION_RELEASE IMPORTED_LOCATION_NONE IMPORTED_LOCATION)
            get_target_property(file Boost::${library} ${property})
            if(file)
                cmake_path(GET file PARENT_PATH folder)
                if(NOT folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
                    list(APPEND flags -L${folder})
                endif()
                cmake_path(GET file STEM stem)
                string(REGEX REPLACE "^lib" "-l" flag "${stem}")
                break()
            endif()
        endforeach()
        list(APPEND flags ${flag})
    endforeach()
    set(${variable} ${flags} PARENT_SCOPE)
endfunction()

pgcoro_boost_flags(boost_libs json)
pgcoro_install(pgcoro pgcoro DESCRIPTION "${PROJECT_DESCRIPTION}" REQUIRES "libpq >= 14"
               LIBS ${boost_libs} -pthread PRIVATE_REQUIRES libssl PRIVATE_LIBS -lpg_query)
set(left_out PATTERN observe/prometheus.hpp EXCLUDE PATTERN observe/opentelemetry.hpp EXCLUDE
             PATTERN cache/redis.hpp EXCLUDE PATTERN monitor EXCLUDE PATTERN testing EXCLUDE)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/pgcoro DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev ${left_out})

if(TARGET pgcoro_monitor)
    list(APPEND components monitor)
    pgcoro_boost_flags(boost_libs url)
    set(prometheus)
    if(TARGET pgcoro_prometheus)
        set(prometheus "pgcoro-prometheus = ${PROJECT_VERSION}")
    endif()
    pgcoro_install(pgcoro_monitor monitor DESCRIPTION "pgcoro's HTTP API and dashboard"
                   REQUIRES "pgcoro = ${PROJECT_VERSION}" PRIVATE_REQUIRES ${prometheus} libcrypto
                   PRIVATE_LIBS ${boost_libs})
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/pgcoro/monitor DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/pgcoro
            COMPONENT dev)
endif()
# pgcoro_install_adapter(<name> <header> <description> [what else pgcoro_install takes]...): a library with one header,
# for what somebody else's library wants.
function(pgcoro_install_adapter name header description)
    if(TARGET pgcoro_${name})
        set(components ${components} ${name} PARENT_SCOPE)
        pgcoro_install(pgcoro_${name} ${name} DESCRIPTION "${description}" ${ARGN})
        cmake_path(GET header PARENT_PATH folder)
        install(FILES ${PROJECT_SOURCE_DIR}/include/pgcoro/${header}
                DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/pgcoro/${folder} COMPONENT dev)
    endif()
endfunction()
set(pgcoro_itself "pgcoro = ${PROJECT_VERSION}")
pgcoro_install_adapter(prometheus observe/prometheus.hpp "pgcoro's figures for prometheus-cpp"
                       REQUIRES "${pgcoro_itself}" prometheus-cpp-core)
pgcoro_install_adapter(redis cache/redis.hpp "Redis behind pgcoro's query cache"
                       REQUIRES "${pgcoro_itself}" PRIVATE_REQUIRES hiredis libzstd)
pgcoro_install_adapter(opentelemetry observe/opentelemetry.hpp "pgcoro's spans for OpenTelemetry"
                       REQUIRES "${pgcoro_itself}" opentelemetry_api)
if(TARGET pgcoro_testing)
    list(APPEND components testing)
    pgcoro_install(pgcoro_testing testing DESCRIPTION "A private PostgreSQL server for tests" LIBS -pthread)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/pgcoro/testing DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/pgcoro
            COMPONENT dev)
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/pgcoroConfig.cmake.in
    ${PROJECT_BINARY_DIR}/package/pgcoroConfig.cmake INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/pgcoroConfigVersion.cmake
    COMPATIBILITY SameMinorVersion) # before 1.0 a minor version may change the interface
install(FILES ${PROJECT_BINARY_DIR}/package/pgcoroConfig.cmake ${PROJECT_BINARY_DIR}/package/pgcoroConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/modules/Findpg_query.cmake DESTINATION ${package_dir} COMPONENT dev)
