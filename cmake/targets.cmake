# What every target of the project has in common.

# pgcoro_target(<target> [<precompiled>]): warnings, sanitizers, and the precompiled header that is shared.
function(pgcoro_target target)
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Woverloaded-virtual)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        # GCC sees ghosts in coroutine frames and in Asio's recycled memory (GCC bugs 105562, 107134 and kin).
        # Several sources compiled as one are, to it, headers with anonymous namespaces.
        target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized -Wno-mismatched-new-delete
                                                 -Wno-missing-field-initializers -Wno-subobject-linkage)
    else()
        target_compile_options(${target} PRIVATE -Wno-missing-field-initializers)
    endif()
    if(PGCORO_WARNINGS_AS_ERRORS)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
    if(PGCORO_SANITIZE)
        target_compile_options(${target} PRIVATE -fsanitize=${PGCORO_SANITIZE} -fno-sanitize-recover=all
                                                 -fno-omit-frame-pointer)
        target_link_options(${target} PRIVATE -fsanitize=${PGCORO_SANITIZE})
    endif()
    set(precompiled pgcoro_precompiled ${ARGN})
    list(GET precompiled -1 precompiled)
    if(target STREQUAL precompiled)
        target_precompile_headers(${target} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled.hpp)
    else()
        target_precompile_headers(${target} REUSE_FROM ${precompiled})
    endif()
endfunction()

# pgcoro_precompile(<name> [<compiler option>...]): a target to share the precompiled header of, with those options.
function(pgcoro_precompile name)
    add_library(${name} OBJECT ${PROJECT_SOURCE_DIR}/cmake/precompiled.cpp)
    target_link_libraries(${name} PRIVATE Boost::headers Boost::json PkgConfig::PGCORO_LIBPQ Threads::Threads)
    pgcoro_target(${name} ${name})
    target_compile_options(${name} PRIVATE ${ARGN})
endfunction()
pgcoro_precompile(pgcoro_precompiled)
