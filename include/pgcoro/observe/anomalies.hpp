#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observe/history.hpp>

#include <boost/describe/class.hpp>

#include <span>
#include <string>
#include <vector>

namespace PGCORO_API pgcoro
{

/// How far a value is from what is usual, in standard deviations that outliers do not widen: the modified
/// z-score 0.6745 · (value − median) / MAD, where MAD is the median of the distances from the median
/// (B. Iglewicz and D. Hoaglin, "How to Detect and Handle Outliers", ASQC 1993; they call 3.5 and more an
/// outlier). 0.6745 makes it the z-score of normally distributed values. Where more than half of the values
/// are the same and MAD is 0, the mean distance · 1.2533 takes the place of MAD / 0.6745, and never less than
/// a hundredth of the median. NaN in `usual` are left out; NaN with less than 10 left.
double robust_z_score(double value, std::span<const double> usual);

/// A figure that is not as it was a day ago.
struct anomaly
{
    std::string figure;
    double value = 0;
    double median = 0;        ///< of the same hour of the last day
    double score = 0;         ///< robust_z_score(): above 0 when it is higher than usual
    std::size_t compared = 0; ///< with so many samples
};
BOOST_DESCRIBE_STRUCT(anomaly, (), (figure, value, median, score, compared))

/// For `boost::json::value_from`: figures that are not finite are null.
void tag_invoke(boost::json::value_from_tag, boost::json::value& to, const anomaly& from);

/// What of the last sample is unlike the samples of the hour that began a day before it. Looks at query_rate,
/// error_rate, slow_rate, avg, p95, utilization, acquire_wait_p95, retries, deadlocks. The strangest first.
std::vector<anomaly> find_anomalies(const history& h, double least_score = 3.5);

} // namespace pgcoro
