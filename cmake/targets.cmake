# What every target of the project has in common.

# pgcoro_target(<target>): warnings, sanitizers, the precompiled header.
function(pgcoro_target target)
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Woverloaded-virtual)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        # GCC sees ghosts in coroutine frames and in Asio's recycled memory (GCC bugs 105562, 107134 and kin).
        target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized -Wno-mismatched-new-delete
                                                 -Wno-missing-field-initializers)
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
    if(target STREQUAL "pgcoro_precompiled")
        target_precompile_headers(${target} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled.hpp)
    else()
        target_precompile_headers(${target} REUSE_FROM pgcoro_precompiled)
    endif()
endfunction()

# The precompiled header, once for all targets.
add_library(pgcoro_precompiled OBJECT ${PROJECT_SOURCE_DIR}/cmake/precompiled.cpp)
target_link_libraries(pgcoro_precompiled PRIVATE Boost::headers Boost::json PkgConfig::PGCORO_LIBPQ Threads::Threads)
pgcoro_target(pgcoro_precompiled)
