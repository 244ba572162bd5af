/// All types that can travel.
#pragma once

#include <pgcoro/types/codec.hpp>
#include <pgcoro/types/oid.hpp>
#include <pgcoro/types/params.hpp>
#include <pgcoro/types/row_mapper.hpp>
#include <pgcoro/types/scalars.hpp>
