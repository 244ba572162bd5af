#include "findings.hpp"

#include <utility>

namespace chaos
{

void findings::take(const load& l, const watch& seen)
{
    auto complain = [&](std::string what) { complaints.push_back(std::move(what)); };
    auto& told = l.journal();
    for (auto& own : told.fates()) asked += own.size();
    unknown = told.count(transfers::fate::unknown);
    failed = told.count(transfers::fate::failed);
    transactions = told.metrics;
    errors = told.errors;
    appends_committed = l.appends(histories::fate::committed);
    appends_failed = l.appends(histories::fate::failed);
    appends_unknown = l.appends(histories::fate::unknown);
    notifications = l.notifications().count_told();
    gaps = l.notifications().gaps();
    for (auto& what : l.complaints()) complain(what);
    if (seen.alive() > 0) complain(std::to_string(seen.alive()) + " callers' coroutines have not ended");
    if (!books.money_kept()) complain("money was lost or made");
    if (!books.ledger_agrees()) complain("balances and ledger differ");
    if (!books.exactly_once()) complain("not every transfer took place exactly once, as it was told");
    for (std::size_t i = 0; i < works; ++i) {
        auto kind = static_cast<chaos::work>(i);
        work[i] = seen.figures(kind);
        if (work[i].done == 0) complain(std::string("no ") + to_string(kind) + " had success at all");
    }
}

} // namespace chaos
