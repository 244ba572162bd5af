# What every target of the project has in common.

# Not within another project, and not where some targets are position-independent and others are not.
set(PGCORO_PRECOMPILES OFF)
if(PROJECT_IS_TOP_LEVEL AND NOT BUILD_SHARED_LIBS)
    set(PGCORO_PRECOMPILES ON)
endif()

# pgcoro_target(<target> [<precompiled>]): warnings, sanitizers, and the precompiled header that is shared.
function(pgcoro_target target)
    target_compile_features(${target} PUBLIC cxx_std_20)
    # Hides what no public header declares, but not from the project's own tests, which look inside. All targets alike:
    # clang takes no precompiled header that was made with another visibility.
    if(NOT BUILD_SHARED_LIBS OR NOT PGCORO_BUILD_TESTS)
        set_target_properties(${target} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
    endif()
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Woverloaded-virtual)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        # GCC sees ghosts in coroutine frames and in Asio's recycled memory (GCC bugs 105562, 107134 and kin).
        # Several sources compiled as one are, to it, headers with anonymous namespaces.
        target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized -Wno-mismatched-new-delete
                                                 -Wno-missing-field-initializers -Wno-subobject-linkage)
    else()
        target_compile_options(${target} PRIVATE -Wno-missing-field-initializers)
    endif()
    if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        # Checks the annotations of src/base/thread_safety.hpp.
        target_compile_options(${target} PRIVATE -Wthread-safety -Werror=thread-safety)
    endif()
    if(PGCORO_WARNINGS_AS_ERRORS)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
    if(PGCORO_SANITIZE)
        target_compile_options(${target} PRIVATE -fsanitize=${PGCORO_SANITIZE} -fno-sanitize-recover=all
                                                 -fno-omit-frame-pointer)
        target_link_options(${target} PRIVATE -fsanitize=${PGCORO_SANITIZE})
    endif()
    if(NOT PGCORO_PRECOMPILES)
        return()
    endif()
    set(precompiled pgcoro_precompiled ${ARGN})
    list(GET precompiled -1 precompiled)
    if(target STREQUAL precompiled)
        target_precompile_headers(${target} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled.hpp)
    else()
        target_precompile_headers(${target} REUSE_FROM ${precompiled})
    endif()
endfunction()

# pgcoro_library(<target> <name> <sources>...): a library that people link as pgcoro::<name>. Static by default, shared
# with BUILD_SHARED_LIBS.
function(pgcoro_library target name)
    add_library(${target} ${ARGN})
    add_library(pgcoro::${name} ALIAS ${target})
    pgcoro_target(${target})
    # Before 1.0 a minor version may change the interface, so it is part of the shared library's name.
    set(soversion ${PROJECT_VERSION_MAJOR})
    if(soversion EQUAL 0)
        set(soversion ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
    endif()
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} VERSION ${PROJECT_VERSION} SOVERSION ${soversion})
    if(BUILD_SHARED_LIBS)
        target_compile_options(${target} PRIVATE -fno-semantic-interposition) # or GCC inlines nothing of its own
    endif()
    target_include_directories(${target}
        PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endfunction()

# pgcoro_precompile(<name> [<compiler option>...]): a target to share the precompiled header of, with those options.
function(pgcoro_precompile name)
    if(NOT PGCORO_PRECOMPILES)
        return()
    endif()
    add_library(${name} OBJECT ${PROJECT_SOURCE_DIR}/cmake/precompiled.cpp)
    target_link_libraries(${name} PRIVATE Boost::headers Boost::json PkgConfig::PGCORO_LIBPQ Threads::Threads)
    pgcoro_target(${name} ${name})
    target_compile_options(${name} PRIVATE ${ARGN})
endfunction()
pgcoro_precompile(pgcoro_precompiled)
