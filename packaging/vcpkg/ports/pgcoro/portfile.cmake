# An overlay port: the sources are those that it stands in. `vcpkg install pgcoro --overlay-ports=<here>/packaging/vcpkg/ports`.
# pgcoro::monitor is not in it: no port has the Chart.js that is built into it.
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../../.." ABSOLUTE)

vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS
    FEATURES
        command PGCORO_BUILD_CLI
        testing PGCORO_BUILD_TESTING
    INVERTED_FEATURES
        prometheus CMAKE_DISABLE_FIND_PACKAGE_prometheus-cpp
)
vcpkg_find_acquire_program(PKGCONFIG)
vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        ${FEATURE_OPTIONS}
        "-DPKG_CONFIG_EXECUTABLE=${PKGCONFIG}"
        -DPGCORO_BUILD_MONITOR=OFF
        -DPGCORO_BUILD_REDIS=OFF
        -DPGCORO_BUILD_TESTS=OFF
        -DPGCORO_BUILD_EXAMPLES=OFF
        -DPGCORO_BUILD_BENCH=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/pgcoro)
vcpkg_fixup_pkgconfig()
if("command" IN_LIST FEATURES)
    vcpkg_copy_tools(TOOL_NAMES pgcoro AUTO_CLEAN)
endif()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
if(EXISTS "${SOURCE_PATH}/LICENSE")
    vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
else()
    set(VCPKG_POLICY_SKIP_COPYRIGHT_CHECK enabled)
endif()
