/// All of pgcoro's layer.
#pragma once

#include <pgcoro/cluster/transactional.hpp>
#include <pgcoro/connection/connection.hpp>
#include <pgcoro/connection/listener.hpp>
#include <pgcoro/error/error.hpp>
#include <pgcoro/observer/observer.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/circuit_breaker.hpp>
#include <pgcoro/resilience/deadline.hpp>
#include <pgcoro/resilience/retry.hpp>
#include <pgcoro/transaction/transactional.hpp>
#include <pgcoro/types/types.hpp>
#include <pgcoro/version.hpp>
