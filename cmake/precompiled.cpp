// The target pgcoro_precompiled needs a source; what counts is precompiled.hpp.
