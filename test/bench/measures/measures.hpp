// The measures by their number in the design's table of promises.
#pragma once

#include "environment.hpp"
#include "measure.hpp"

namespace bench
{

measure point_select(const environment& where);      // P1
measure multiplexed(const environment& where);       // P2
measure acquire_release(const environment& where);   // P3
measure transactions(const environment& where);      // P4
measure rows_into_structs(const environment& where); // P5
measure rows_by_copy(const environment& where);      // P6
measure cache_hit(const environment& where);         // P7
measure waiters(const environment& where);           // P8
measure deadlocks(const environment& where);         // P9
measure observed(const environment& where);          // M1: beside them, what metrics cost

// Cost against work: what is measured is the cost of a unit, from one to very many of them.
measure over_callers(const environment& where);     // C1
measure over_connections(const environment& where); // C2
measure over_rows(const environment& where);        // C3
measure over_depth(const environment& where);       // C4: of a pipeline
measure over_text(const environment& where);        // C5
measure over_parameters(const environment& where);  // C6

} // namespace bench
