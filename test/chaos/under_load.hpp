#pragma once

#include "load.hpp"
#include "waiting.hpp"
#include "watch.hpp"

#include <pgcoro/cluster/cluster.hpp>

#include <chrono>
#include <functional>
#include <string>

namespace chaos
{

/// What each host's pool does at present, for a message.
std::string figures(const pgcoro::cluster& c);

/// Lets the load run on `events` for as long as `harm` lasts, which has this thread. What `harm` throws is
/// thrown on when the last caller has ended: until then they use what goes with it. Gives up when they have
/// not ended so long after they were told to.
void under_load(loop& events, const pgcoro::cluster& c, load& work, const watch& seen,
                std::chrono::seconds limit, const std::function<void()>& harm);

} // namespace chaos
