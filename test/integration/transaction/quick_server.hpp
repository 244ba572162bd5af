/// Servers whose logins are cheap: tests that cut connections by the thousand make as many logins, and SCRAM
/// would take most of their time.
#pragma once

#include <pgcoro/testing/server.hpp>

#include <utility>

/// What such a server, or its standby, is set up with.
inline pgcoro::testing::server_options quick_logins(pgcoro::testing::server_options o = {})
{
    o.settings["password_encryption"] = "md5";
    o.hba = {"host all all 127.0.0.1/32 md5", "host all all ::1/128 md5"};
    return o;
}

/// A primary; its password is stored as MD5.
inline pgcoro::testing::server quick_primary(pgcoro::testing::server_options o = {})
{
    pgcoro::testing::server s(quick_logins(std::move(o)));
    s.psql("alter role postgres password '" + s.password() + "'");
    return s;
}

/// One that tests share.
inline pgcoro::testing::server& quick_server()
{
    static pgcoro::testing::server server = quick_primary();
    return server;
}
