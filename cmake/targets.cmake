# What every target of the project has in common.

# pgcoro_target(<target>): warnings, sanitizers, one precompiled header for the heavy system headers.
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
    target_precompile_headers(${target} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled.hpp)
endfunction()
