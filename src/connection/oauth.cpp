#include "connection/oauth.hpp"

#include <pgcoro/error/error.hpp>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace pgcoro::detail
{

#ifdef LIBPQ_HAS_PROMPT_OAUTH_DEVICE // libpq 18

namespace
{

struct known_tokens
{
    std::mutex mutex;
    std::map<const PGconn*, std::string> tokens;
    PQauthDataHook_type before = nullptr; // the program's own hook, or libpq's
};

known_tokens& of_the_process()
{
    static auto& only = *new known_tokens; // libpq may call the hook while the process ends
    return only;
}

int give_token(PGauthData type, PGconn* conn, void* data)
{
    auto& all = of_the_process();
    {
        std::lock_guard lock(all.mutex);
        auto it = all.tokens.find(conn);
        if (type == PQAUTHDATA_OAUTH_BEARER_TOKEN && it != all.tokens.end()) {
            auto* request = static_cast<PGoauthBearerRequest*>(data);
            request->token = ::strdup(it->second.c_str());
            request->cleanup = [](PGconn*, PGoauthBearerRequest* r) { std::free(r->token); };
            return request->token ? 1 : -1;
        }
    }
    return all.before(type, conn, data);
}

} // namespace

oauth_token_for::oauth_token_for(PGconn* conn, const std::string& token)
{
    if (token.empty()) return;
    auto& all = of_the_process();
    std::lock_guard lock(all.mutex);
    if (auto before = PQgetAuthDataHook(); before != &give_token) {
        all.before = before;
        PQsetAuthDataHook(&give_token);
    }
    all.tokens[conn] = token;
    conn_ = conn;
}

oauth_token_for::~oauth_token_for()
{
    if (!conn_) return;
    auto& all = of_the_process();
    std::lock_guard lock(all.mutex);
    all.tokens.erase(conn_);
}

#else

oauth_token_for::oauth_token_for(PGconn*, const std::string& token)
{
    if (!token.empty())
        throw connection_error(connection_failure::options,
                               "credentials: an oauth_token needs libpq 18, and pgcoro was built with an older one: "
                               "build it with libpq 18, or log in with a password");
}

oauth_token_for::~oauth_token_for() = default;

#endif

} // namespace pgcoro::detail
