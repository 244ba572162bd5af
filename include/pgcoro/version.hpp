#pragma once

/// The version of pgcoro (semantic versioning); CMake and the packages read it from here.
#define PGCORO_VERSION_STRING "0.1.0"
