/// All of pgcoro's layer.
#pragma once

#include <pgcoro/cache/query_cache.hpp>
#include <pgcoro/cluster/transactional.hpp>
#include <pgcoro/connection/connection.hpp>
#include <pgcoro/connection/listener.hpp>
#include <pgcoro/error/error.hpp>
#include <pgcoro/multiplexer/multiplexer.hpp>
#include <pgcoro/observer/observer.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/circuit_breaker.hpp>
#include <pgcoro/resilience/deadline.hpp>
#include <pgcoro/resilience/retry.hpp>
#include <pgcoro/transaction/advisory_lock.hpp>
#include <pgcoro/transaction/commit_marker.hpp>
#include <pgcoro/transaction/transactional.hpp>
#include <pgcoro/transaction/two_phase.hpp>
#include <pgcoro/types/types.hpp>
#include <pgcoro/version.hpp>
