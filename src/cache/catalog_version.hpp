// Whether the catalog is still the one that the facts about statements were read from.
#pragma once

#include <pgcoro/connection/connection.hpp>

#include <boost/asio/awaitable.hpp>

#include <string>

namespace pgcoro::detail
{

// A digest of what facts are made of: tables and their columns, inheritance, views, policies, roles and their members,
// functions, operators, casts, types, schemas, and the cache's triggers. Temporary tables, indexes and PostgreSQL's own objects
// are left out, and so is what VACUUM, ANALYZE and TRUNCATE change. Costs the server some milliseconds for a thousand tables,
// and next to nothing if no transaction has ended since the last time.
class catalog_version
{
public:
    // Reads the digest. Returns true if it differs from the last one, or is the first one.
    boost::asio::awaitable<bool> read(connection& on);
    // The next connection may be to another server: reads everything again.
    void connection_changed() { snapshot_.clear(); }
    bool is_known() const noexcept { return !digest_.empty(); }

private:
    std::string snapshot_; // of the transaction that read the digest
    std::string digest_;
};

} // namespace pgcoro::detail
