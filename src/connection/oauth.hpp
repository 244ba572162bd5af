// Bearer tokens for the server's `oauth` authentication, which libpq asks for by a hook of the process.
#pragma once

#include <libpq-fe.h>

#include <string>

namespace pgcoro::detail
{

// While it lives, libpq gets this token for this connection. Does nothing without a token. Throws connection_error
// where libpq has no such hook, which is so before version 18.
class oauth_token_for
{
public:
    oauth_token_for(PGconn* conn, const std::string& token);
    oauth_token_for(const oauth_token_for&) = delete;
    oauth_token_for& operator=(const oauth_token_for&) = delete;
    ~oauth_token_for();

private:
    [[maybe_unused]] PGconn* conn_ = nullptr; // whose libpq has the hook
};

} // namespace pgcoro::detail
