#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observe/history.hpp>

#include <boost/describe/enum.hpp>

#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace PGCORO_API pgcoro
{

/// How bad it is.
enum class alert_severity { info, warning, critical };
BOOST_DESCRIBE_ENUM(alert_severity, info, warning, critical)

/// "INFO", "WARNING", "CRITICAL".
std::string_view to_string(alert_severity s) noexcept;

/// When to raise an alert. A figure that is NaN (nothing known) neither raises nor clears it.
struct alert_rule
{
    std::string name;
    std::string meaning; ///< what it says and what to look at, for the one who reads it
    sample_figure figure = nullptr;
    alert_severity severity = alert_severity::warning;
    bool above = true; ///< raised above the threshold; else below
    double threshold = 0;
    /// Cleared only when the figure is back at this value, or beyond it: between the two nothing changes.
    double clear_at = 0;
    int raise_after = 1; ///< so many samples in a row
    int clear_after = 1;
    /// Only with so much of another figure in the sample: a share of few says nothing.
    sample_figure basis = nullptr;
    double least_basis = 0;
};

/// Rules, and what they do when one is broken again and again.
struct alert_options
{
    std::vector<alert_rule> rules = defaults();

    /// After being found broken so many times, in a row or by coming back, an alert is a step more severe,
    /// and another one after so many more. 0: never.
    int escalate_after = 10;

    /// Seconds without being broken after which an alert's count begins anew.
    double forget_after = 3'600;

    /// Connection use above 80 %, average query above 1 s, slow queries above 10 %, lock wait above 1 s:
    /// warning. Cache hits below 50 %: info. Active transactions above 50, errors above 10 %, availability
    /// below 95 %, a breaker open: critical. A replica that serves no reads in five samples in a row: warning. Shares of
    /// statements only from 10 statements on.
    static std::vector<alert_rule> defaults();
    /// The same with an average query above 500 ms.
    static std::vector<alert_rule> strict();

    /// Throws `std::invalid_argument` that names the rule and what is wrong with it.
    void validate() const;
};

/// An alert that is, or was, raised.
struct alert
{
    std::string name;
    std::string meaning;
    alert_severity severity = alert_severity::info; ///< with escalation
    bool active = false;
    double value = 0; ///< when last looked at
    double threshold = 0;
    double since = 0;         ///< raised at, since 1970
    double until = 0;         ///< cleared at; 0 while active
    std::uint64_t count = 0;  ///< how often it was found broken since it was last forgotten
    std::uint64_t raised = 0; ///< of these, from not being so
};
BOOST_DESCRIBE_STRUCT(alert, (),
                      (name, meaning, severity, active, value, threshold, since, until, count, raised))

/// What happened to an alert.
enum class alert_change { raised, escalated, cleared };
BOOST_DESCRIBE_ENUM(alert_change, raised, escalated, cleared)

/// Watches samples by rules, and tells changes: once when raised, once for each step of escalation, once when
/// cleared. Thread-safe.
class alerts
{
public:
    using callback = std::function<void(const alert&, alert_change)>;

    /// Throws what `options.validate()` throws.
    explicit alerts(alert_options options = {});

    /// Told of each change, by the thread that calls evaluate(), without a lock. For good.
    void on_change(callback c);

    /// Looks at a sample. Times are those of the samples.
    void evaluate(const sample& s);

    /// Those that are raised, the most severe first.
    std::vector<alert> active() const;
    /// Those, and those that were and are not forgotten.
    std::vector<alert> all() const;

private:
    struct state
    {
        alert told;
        int broken = 0; // samples in a row
        int whole = 0;
        double last_broken = 0;
    };
    using changes = std::vector<std::pair<alert, alert_change>>;
    void look(const alert_rule& rule, state& s, const sample& at, changes& out) const;

    const alert_options options_;
    mutable std::mutex mutex_;
    std::vector<state> states_; // one a rule
    std::vector<callback> callbacks_;
};

} // namespace pgcoro
