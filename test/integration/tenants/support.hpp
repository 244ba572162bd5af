#pragma once

#include "integration/connection/support.hpp"
#include "integration/support/proxy.hpp"

#include <pgcoro/pgcoro.hpp>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// What a plain statement sees of the settings that the tests make.
inline constexpr auto session_now =
    "select concat_ws(' ', coalesce(nullif(current_setting('app.tenant', true), ''), 'nobody'), "
    "current_setting('role'), current_setting('search_path'), current_setting('statement_timeout'))";
inline constexpr auto session_by_default = "nobody none \"$user\", public 30s";

/// Creates three tenants: rows of one table under row-level security, a role, and a schema with a table each.
inline void make_tenants(const pgcoro::testing::server& s)
{
    s.psql(R"(
        drop schema if exists tenants cascade;
        create schema tenants;
        create table tenants.note (id int primary key generated always as identity, tenant int not null, body text not null,
                                   unique (tenant, body));
        insert into tenants.note (tenant, body) select t, 'note of ' || t from generate_series(1, 3) t;
        alter table tenants.note enable row level security;
        create policy own on tenants.note
            using (tenant = nullif(current_setting('app.tenant', true), '')::int)
            with check (tenant = nullif(current_setting('app.tenant', true), '')::int);
        do $$ begin
            if not exists (select from pg_roles where rolname = 'tenants_app') then create role tenants_app; end if;
        end $$;
        grant usage on schema tenants to tenants_app;
        grant select, insert, update, delete on tenants.note to tenants_app;
        do $$ begin
            for t in 1..3 loop
                execute format('drop schema if exists tenant_%s cascade', t);
                execute format('create schema tenant_%s', t);
                execute format('create table tenant_%s.owner as select %s as tenant', t, t);
                execute format('grant usage on schema tenant_%s to tenants_app', t);
                execute format('grant select on tenant_%s.owner to tenants_app', t);
            end loop;
        end $$)");
}

inline pgcoro::local_settings of_tenant(int tenant)
{
    return {{"app.tenant", tenant}, {"search_path", "tenant_" + std::to_string(tenant)}, {"role", "tenants_app"}};
}

inline constexpr auto my_notes = "select body from tenants.note order by body";

inline pgcoro::pool_options tenants_pool(pgcoro::connection_options connection, std::size_t size = 1)
{
    pgcoro::pool_options o;
    o.connection = std::move(connection);
    o.size = size;
    o.max_overflow = 0;
    o.name = "tenants test";
    return o;
}

/// Records the client's messages. Armed, it holds back all but the first byte of the answer to the next one, so that
/// a message that waits for the answer comes late.
class flight_recorder
{
public:
    explicit flight_recorder(const pgcoro::testing::server& s)
        : between_(test::socket_of(s), [this](std::string_view m) { return on(m); })
    {}
    pgcoro::connection_options options() const { return pgcoro::connection_options::from_uri(between_.uri()); }

    void arm()
    {
        std::lock_guard lock(mutex_);
        texts_.clear();
        armed_ = true;
        late_ = 0;
    }
    /// How many messages came after the answer.
    int late() const
    {
        std::lock_guard lock(mutex_);
        return late_;
    }
    std::vector<std::string> texts() const
    {
        std::lock_guard lock(mutex_);
        return texts_;
    }
    bool has(std::string_view part) const
    {
        for (auto& t : texts())
            if (t.find(part) != t.npos) return true;
        return false;
    }

private:
    static constexpr std::chrono::milliseconds held{2000};

    std::optional<test::fault> on(std::string_view message)
    {
        std::lock_guard lock(mutex_);
        texts_.emplace_back(message);
        if (std::exchange(armed_, false)) {
            first_ = std::chrono::steady_clock::now();
            return test::fault{test::fault::to_client, 1, test::fault::delay, held};
        }
        if (std::chrono::steady_clock::now() - first_ > held / 2) ++late_;
        return std::nullopt;
    }

    mutable std::mutex mutex_;
    std::vector<std::string> texts_;
    bool armed_ = false;
    int late_ = 0;
    std::chrono::steady_clock::time_point first_ = std::chrono::steady_clock::time_point::max();
    test::proxy between_;
};
