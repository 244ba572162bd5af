# Debian packages by `cpack --config build/release/CPackConfig.cmake`: libpgcoro-dev and pgcoro, the command.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME pgcoro)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_PACKAGE_CONTACT "The makers of pgcoro <pgcoro@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON) # that is, programs and shared libraries; the rest:
set(CPACK_PGCORO_STRIP "${CMAKE_STRIP}")
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/packed_files.cmake)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                                                WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL dev)
if(TARGET pgcoro_cli)
    list(APPEND CPACK_COMPONENTS_ALL command)
endif()
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)

set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME pgcoro)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SECTION database)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_COMMAND_DESCRIPTION
"The command pgcoro looks at a PostgreSQL server: its health with exit codes
for monitoring, a live screen, why a connection does not work, who waits for
whom.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libpgcoro-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_COMPONENT_DEV_DESCRIPTION
"Connections, a pool, transactions that survive deadlocks and lost
connections, a cache and read/write routing, made of coroutines on
Boost.Asio over libpq.")

# A static library's needs are its users', for which no tool looks: the packages of what it was built with.
set(boost ${Boost_VERSION_MAJOR}.${Boost_VERSION_MINOR})
set(needs "libboost${boost}-dev" "libboost-json${boost}-dev" "libpq-dev (>= 14)" libssl-dev libpg-query-dev pkg-config)
if(TARGET pgcoro_monitor)
    list(APPEND needs "libboost-url${boost}-dev")
endif()
if(TARGET pgcoro_prometheus)
    list(APPEND needs prometheus-cpp-dev)
endif()
if(TARGET pgcoro_redis)
    list(APPEND needs libhiredis-dev libzstd-dev)
endif()
list(JOIN needs ", " CPACK_DEBIAN_DEV_PACKAGE_DEPENDS)
if(TARGET pgcoro_testing)
    set(CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS postgresql)
endif()

if(EXISTS ${PROJECT_SOURCE_DIR}/LICENSE)
    foreach(component IN ITEMS dev command)
        string(TOUPPER ${component} upper)
        install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright COMPONENT ${component}
                DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
    endforeach()
endif()

include(CPack)
