/// Checks a history of transactions that append to lists and read them: whether the lists hold what was
/// committed, and whether the transactions can have run in an order that their isolation level allows. A list
/// shows in which order its elements were appended, and so which transaction depends on which: Kingsbury and
/// Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 2020. Names like G1a
/// are those of Adya, "Weak Consistency", MIT 1999.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace histories
{

/// What a transaction did with one list.
struct operation
{
    enum kind : std::uint8_t { append, read };

    kind what = append;
    std::int64_t key = 0;
    std::int64_t value = 0;         ///< that was appended; no two appends have the same
    std::vector<std::int64_t> list; ///< that was read
};

/// The outcome that a transaction's caller received.
enum class fate : std::uint8_t {
    committed,
    failed,  ///< and takes no effect
    unknown, ///< it may have taken effect
};

struct transaction
{
    static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

    fate came = fate::committed;
    std::vector<operation> operations; ///< in their order; of the last attempt
    /// Positions in one order of all these moments. `ended` counts only of what is committed.
    std::uint64_t begun = 0;
    std::uint64_t ended = never;
};

struct history
{
    std::vector<transaction> transactions;
    /// By key; read when all transactions had ended.
    std::map<std::int64_t, std::vector<std::int64_t>> lists;
};

/// What all transactions of a history were run at.
enum class isolation : std::uint8_t { read_committed, serializable };

enum class anomaly : std::uint8_t {
    lost_append,       ///< of a transaction that took effect, and not in the list
    duplicated_append, ///< more than once in a list
    unasked_append,    ///< nobody appended it to that list
    g1a,               ///< of a failed transaction, and in a list
    g1b,               ///< a list was read between two appends of one transaction
    internal, ///< a transaction did not see its own appends or, serializable, saw two states of a list
    incompatible_order, ///< a list was read that is no beginning of the list at the end
    g0,                 ///< cycle of ww
    g1c,                ///< cycle of ww and wr
    g_single,           ///< cycle with one rw
    g2,                 ///< cycle with several rw
    g0_realtime,        ///< the same, with rt
    g1c_realtime,
    g_single_realtime,
    g2_realtime,
};
const char* to_string(anomaly a) noexcept;

struct finding
{
    anomaly what;
    std::string text; ///< names the transactions by their numbers in the history
};

/// Returns what the isolation level does not allow. Of cycles only the shortest one of the first kind that
/// there is, in the order of `anomaly`; at read committed those with rw are allowed. A transaction of unknown
/// fate took effect if anybody has seen one of its values.
std::vector<finding> check(const history& h, isolation level);

} // namespace histories
