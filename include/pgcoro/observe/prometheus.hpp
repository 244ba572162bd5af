/// Metrics for Prometheus. In a library of its own, pgcoro::prometheus, built where prometheus-cpp is found.
#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observe/metrics.hpp>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstddef>
#include <vector>

namespace PGCORO_API pgcoro
{

/// What is told to Prometheus.
struct prometheus_options
{
    /// The kinds of statement that ran most often, so many of them. 0: none.
    std::size_t statements = 50;

    /// So many bytes of a statement's text, without its constants, as the label db_query_text. 0: no label.
    std::size_t statement_text = 200;
};

/// `metrics` as a collectable of prometheus-cpp: register it with your own exposer.
///
///     auto collectable = std::make_shared<pgcoro::prometheus_collectable>(metrics);
///     exposer.RegisterCollectable(collectable);
///
/// Names, units and buckets follow OpenTelemetry's conventions for database clients, written as Prometheus
/// writes them (`db_client_operation_duration_seconds`), but for `db_client_connections`, there
/// `db.client.connection.count`, because a gauge that ends in _count is none to Prometheus's own checks.
/// What has no convention begins with `pgcoro_`. Buckets are counted to within 1/32 of their limit. An
/// operation without a name has an empty db_operation_name.
///
/// `metrics` must outlive it. Thread-safe.
class prometheus_collectable final : public prometheus::Collectable
{
public:
    explicit prometheus_collectable(const metrics& m, prometheus_options options = {})
        : metrics_(m)
        , options_(options)
    {}

    std::vector<prometheus::MetricFamily> Collect() const override;

private:
    const metrics& metrics_;
    prometheus_options options_;
};

/// The same of a snapshot that is there already.
std::vector<prometheus::MetricFamily> to_prometheus(const metrics_snapshot& s,
                                                    prometheus_options options = {});

} // namespace pgcoro
