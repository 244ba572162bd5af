/// The eyes: metrics, the server's own view, history, alerts, health, advice, spans. Not part of pgcoro.hpp.
#pragma once

#include <pgcoro/observe/advice.hpp>
#include <pgcoro/observe/alerts.hpp>
#include <pgcoro/observe/anomalies.hpp>
#include <pgcoro/observe/health.hpp>
#include <pgcoro/observe/history.hpp>
#include <pgcoro/observe/metrics.hpp>
#include <pgcoro/observe/sampler.hpp>
#include <pgcoro/observe/server_view.hpp>
#include <pgcoro/observe/span_log.hpp>
