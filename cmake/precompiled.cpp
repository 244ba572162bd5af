// Its targets need a source; what counts is precompiled.hpp.
