# Run by CPack on what it is about to pack: debugging information is most of a static library, and Debian wants manual
# pages compressed.
file(GLOB_RECURSE libraries "${CPACK_TEMPORARY_DIRECTORY}/*.a")
if(libraries AND CPACK_PGCORO_STRIP)
    execute_process(COMMAND "${CPACK_PGCORO_STRIP}" --strip-debug --enable-deterministic-archives ${libraries}
                    COMMAND_ERROR_IS_FATAL ANY)
endif()
file(GLOB_RECURSE pages "${CPACK_TEMPORARY_DIRECTORY}/*.1")
list(FILTER pages INCLUDE REGEX "/man1/") # shared libraries end so, too
if(pages)
    execute_process(COMMAND gzip -9nf ${pages} COMMAND_ERROR_IS_FATAL ANY)
endif()
