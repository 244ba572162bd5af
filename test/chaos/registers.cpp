#include "registers.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace chaos
{

namespace asio = boost::asio;
using namespace std::chrono_literals;
using histories::fate;
using histories::operation;

namespace
{

constexpr std::size_t most_operations = 4;

struct row
{
    std::int64_t id;
    std::vector<std::int64_t> list;
};

// At serializable most attempts on so few lists fail.
pgcoro::retry_policy patient_retry()
{
    auto policy = pgcoro::transaction_retry();
    policy.max_attempts = 100;
    policy.backoff = pgcoro::backoff::exponential(5ms, 100ms);
    return policy;
}

fate fate_of(const std::exception_ptr& failure)
{
    if (!failure) return fate::committed;
    try {
        std::rethrow_exception(failure);
    } catch (const pgcoro::commit_unknown&) {
        return fate::unknown;
    } catch (const pgcoro::result_lost&) {
        return fate::committed;
    } catch (...) {
        return fate::failed;
    }
}

} // namespace

std::string registers::table_of(histories::isolation level)
{
    return level == histories::isolation::serializable ? "chaos_serializable" : "chaos_read_committed";
}

registers::registers(pgcoro::cluster& c, histories::isolation level, std::chrono::milliseconds limit)
    : cluster_(c)
    , level_(level)
    , limit_(limit)
    , create_("create table " + table_of(level) + " (id bigint primary key, list bigint[] not null)")
    , append_("insert into " + table_of(level) +
              " as r values ($1, array[$2::bigint]) on conflict (id) do update set "
              "list = r.list || $2::bigint")
    , append_and_return_(append_ + " returning id")
    , read_("select coalesce((select list from " + table_of(level) + " where id = $1), '{}')")
    , read_all_("select id, list from " + table_of(level))
{}

asio::awaitable<void> registers::open(pgcoro::pool& through) { co_await through.execute(create_); }

operation registers::draw(std::mt19937& rng)
{
    operation o;
    auto oldest = appends_ / (lists_at_once * appends_per_list) * lists_at_once;
    o.key = oldest + std::uniform_int_distribution<std::int64_t>(0, lists_at_once - 1)(rng);
    if (std::bernoulli_distribution(0.5)(rng)) {
        o.what = operation::read;
        return o;
    }
    o.value = ++appends_;
    return o;
}

pgcoro::transaction_options registers::options(std::int64_t number) const
{
    pgcoro::transaction_options o;
    o.name = "registers";
    o.isolation = level_ == histories::isolation::serializable ? pgcoro::isolation::serializable
                                                               : pgcoro::isolation::read_committed;
    o.resolve_commit = number % 2 == 0 ? pgcoro::resolve_commit::by_id : pgcoro::resolve_commit::by_marker;
    o.timeout = limit_;
    o.retry = patient_retry();
    o.retry_if = [](const pgcoro::error& e) { return e.sqlstate() == pgcoro::sqlstates::lock_not_available; };
    return o;
}

// In one of three ways: streamed, with COMMIT, or by itself.
asio::awaitable<void> registers::append(pgcoro::transaction& tx, const operation& o, bool last)
{
    if (o.value % 3 == 0) {
        auto rows = tx.stream<std::int64_t>(append_and_return_, o.key, o.value);
        co_await rows.next(); // and it is left early
    } else if (last && o.value % 3 == 1) {
        co_await tx.last().execute(append_, o.key, o.value);
    } else {
        co_await tx.execute(append_, o.key, o.value);
    }
}

asio::awaitable<void> registers::read(pgcoro::transaction& tx, operation& o, bool last)
{
    if (last)
        o.list = co_await tx.last().query_value<std::vector<std::int64_t>>(read_, o.key);
    else
        o.list = co_await tx.query_value<std::vector<std::int64_t>>(read_, o.key);
}

asio::awaitable<void> registers::run_one(std::mt19937& rng)
{
    auto number = history_.transactions.size();
    history_.transactions.emplace_back();
    histories::transaction t;
    t.came = fate::unknown;
    t.begun = ++moments_;
    auto size = std::uniform_int_distribution<std::size_t>(1, most_operations)(rng);
    while (t.operations.size() < size) t.operations.push_back(draw(rng));
    history_.transactions[number] = t; // unknown until it has ended
    auto body = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
        for (auto& o : t.operations) {
            bool last = &o == &t.operations.back();
            if (o.what == operation::append)
                co_await append(tx, o, last);
            else
                co_await read(tx, o, last);
        }
    };
    std::exception_ptr failure;
    auto how = options(static_cast<std::int64_t>(number));
    try {
        co_await pgcoro::transactional(cluster_, body, how);
    } catch (...) {
        failure = std::current_exception();
    }
    t.came = fate_of(failure);
    t.ended = ++moments_;
    bool lost_result = failure && t.came == fate::committed;
    if (lost_result && t.operations.back().what == operation::read) t.operations.pop_back();
    history_.transactions[number] = std::move(t);
    if (failure) std::rethrow_exception(failure);
}

asio::awaitable<std::vector<std::string>> registers::check(pgcoro::pool& through)
{
    auto rows = co_await through.query_as<row>(read_all_);
    for (auto& r : rows) history_.lists[r.id] = std::move(r.list);
    std::vector<std::string> found;
    for (auto& f : histories::check(history_, level_))
        found.push_back(table_of(level_) + ": " + to_string(f.what) + ": " + f.text);
    co_return found;
}

std::size_t registers::count(fate came) const
{
    return static_cast<std::size_t>(
        std::ranges::count(history_.transactions, came, &histories::transaction::came));
}

} // namespace chaos
