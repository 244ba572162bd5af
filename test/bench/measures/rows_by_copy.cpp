// P6: a hundred thousand rows into a table by COPY.
#include "callers.hpp"
#include "measures/measures.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

namespace bench
{

namespace
{

constexpr std::size_t row_count = 100'000;
constexpr auto table = "copied";
constexpr auto truncate = "truncate copied";

using row = std::tuple<std::int64_t, std::string, std::int64_t, double>;

std::vector<row> make_rows()
{
    std::vector<row> rows;
    rows.reserve(row_count);
    for (std::size_t i = 0; i < row_count; ++i) {
        auto n = static_cast<std::int64_t>(i);
        rows.emplace_back(n, "owner number " + std::to_string(n), n * 100, static_cast<double>(n) / 7.0);
    }
    return rows;
}

void check(std::uint64_t copied)
{
    if (copied != row_count) throw std::runtime_error(std::to_string(copied) + " rows were copied");
}

asio::awaitable<std::uint64_t> copy_rows(callers& all, const std::vector<row>& rows)
{
    auto conn = co_await all.pool().acquire();
    std::uint64_t done = 0;
    for (; !all.stop(); ++done) {
        auto copied = co_await conn->copy_in(table, rows);
        check(copied);
        co_await conn->execute(truncate);
    }
    co_return done;
}

// The same by hand, in blocking libpq, which needs no more of the processor than a loop around epoll; and
// what is sent has been put together before: the processor's ratio tells what that costs, over sending it.
class ready_made
{
public:
    explicit ready_made(const std::string& uri)
        : conn_(PQconnectdb(uri.c_str()), &PQfinish)
    {
        if (PQstatus(conn_.get()) != CONNECTION_OK) fail();
        run("copy (select n, 'owner number ' || n, n * 100, n / 7.0::float8 from "
            "generate_series(0::bigint, " +
                std::to_string(row_count - 1) + ") n) to stdout (format binary)",
            PGRES_COPY_OUT);
        for (char* bytes = nullptr;;) {
            auto n = PQgetCopyData(conn_.get(), &bytes, 0);
            if (n < 0) break;
            bytes_.append(bytes, static_cast<std::size_t>(n));
            PQfreemem(bytes);
        }
        end();
    }

    std::uint64_t run(seconds how_long)
    {
        constexpr std::size_t portion = 64 * 1024;
        auto until = std::chrono::steady_clock::now() + how_long;
        std::uint64_t done = 0;
        for (; std::chrono::steady_clock::now() < until; ++done) {
            run("copy copied from stdin (format binary)", PGRES_COPY_IN);
            for (std::size_t at = 0; at < bytes_.size(); at += portion) {
                auto n = std::min(portion, bytes_.size() - at);
                if (PQputCopyData(conn_.get(), bytes_.data() + at, static_cast<int>(n)) != 1) fail();
            }
            if (PQputCopyEnd(conn_.get(), nullptr) != 1) fail();
            check(end());
            run(truncate, PGRES_COMMAND_OK);
        }
        return done;
    }

private:
    struct cleared
    {
        void operator()(PGresult* r) const noexcept { PQclear(r); }
    };
    using result = std::unique_ptr<PGresult, cleared>;

    void run(const std::string& sql, ExecStatusType wanted)
    {
        result got(PQexec(conn_.get(), sql.c_str()));
        if (PQresultStatus(got.get()) != wanted) fail();
    }
    std::uint64_t end()
    {
        std::uint64_t rows = 0;
        for (;;) {
            result got(PQgetResult(conn_.get()));
            if (!got) return rows;
            if (PQresultStatus(got.get()) != PGRES_COMMAND_OK) fail();
            rows = std::stoull(PQcmdTuples(got.get()));
        }
    }
    [[noreturn]] void fail()
    {
        throw std::runtime_error(std::string("the floor's connection failed: ") +
                                 PQerrorMessage(conn_.get()));
    }

    std::unique_ptr<PGconn, decltype(&PQfinish)> conn_;
    std::string bytes_;
};

} // namespace

measure rows_by_copy(const environment& where)
{
    where.server().psql("create unlogged table if not exists copied(id bigint not null, owner text not null, "
                        "cents bigint not null, rate double precision not null)");
    measure m;
    m.id = "P6";
    m.title = "100,000 rows of 4 columns into a table by COPY";
    auto all = std::make_shared<callers>(where, 1);
    auto rows = std::make_shared<const std::vector<row>>(make_rows());
    m.contenders.push_back({ours, [all, rows](seconds how_long) {
                                return all->run(1, how_long,
                                                [&](std::size_t) { return copy_rows(*all, *rows); });
                            }});
    auto by_hand = std::make_shared<ready_made>(where.uri());
    m.contenders.push_back({the_floor, [by_hand](seconds how_long) {
                                return measured([&] { return by_hand->run(how_long); });
                            }});
    m.goals.push_back({"client CPU / floor", goal::at_most, 1.15,
                       [](const samples& s) { return cpu_ratio(s, ours, the_floor); }});
    m.goals.push_back({"throughput / floor", goal::at_least, 1 / 1.15,
                       [](const samples& s) { return rate_ratio(s, ours, the_floor); }});
    return m;
}

} // namespace bench
