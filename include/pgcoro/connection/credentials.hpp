#pragma once

#include <pgcoro/export.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace PGCORO_API pgcoro
{

/// What a connection logs in with. An empty text leaves what the parameters of the connection options say.
struct credentials
{
    std::string user;

    /// A password, or a token that the server takes as one (RDS IAM, Cloud SQL, Azure).
    std::string password;

    /// A bearer token for the server's `oauth` authentication (PostgreSQL 18). It needs libpq 18, and the
    /// parameters `oauth_issuer` and `oauth_client_id`. With an older libpq connecting throws
    /// `connection_error`.
    std::string oauth_token;

    /// A host to connect to instead of those of the parameters; `hostaddr` is then not used. Not for a cluster,
    /// which addresses each of its hosts by name.
    std::string host;

    /// For how long it can be used to log in, counted from the call that returned it. 0 (default): not known,
    /// so it is used for the connects that waited for that call, and the next connect asks again.
    std::chrono::milliseconds valid_for{0};

    /// Whether the server ends sessions when the credential ends, as it does when a secret store drops the user.
    /// A pool replaces such connections before that. False for a token that is only looked at during the login.
    bool ends_sessions = true;
};

namespace detail
{
class credential_cache;
std::shared_ptr<credential_cache> make_credential_cache(
    std::function<boost::asio::awaitable<credentials>()> ask);
} // namespace detail

/// Where the credentials of new connections come from: a function that returns `awaitable<credentials>`. Copies
/// share what was returned.
///
/// **When it is asked.** At a connect that has no credential, or whose credential has no `valid_for`. One with a
/// `valid_for` is kept; a connect in the last fifth of it (at most its last 5 minutes) asks for the next one, and
/// connects that come meanwhile use the old one. If that call fails, the old one is used until it ends. Connects
/// that need a credential at the same time share one call. When the server refuses the password (28P01), as it
/// may while a password is rotated, the function is asked again, up to four times with delays that double from
/// 200 ms, before the connect fails. When it refuses the user of a kept credential (28000), as when a secret store
/// has taken the login from that user, the function is asked at once.
///
/// @par Errors
/// What the function throws is what the connect throws. It must not put the secret into its message; the
/// library's own messages never contain one. `connection_error` (timeout) if it takes longer than
/// `connect_timeout`, which bounds the calls and delays of one connect together.
/// @par Cancellation
/// A cancelled connect cancels the call that it makes. If others wait for the same call, one of them calls again.
/// @par Thread safety
/// The function is called by one connect at a time, on a strand of that connect's executor.
/// @par Lifetime
/// What the function uses must outlive all connects. A pool does not call it after pool::close() returned or
/// after its destructor.
class credentials_source
{
public:
    /// No source: the connection options' own user and password are used.
    credentials_source() = default;

    template <class Function>
    requires(!std::same_as<std::remove_cvref_t<Function>, credentials_source> &&
             std::is_invocable_r_v<boost::asio::awaitable<credentials>, Function&>)
        credentials_source(Function&& ask) // NOLINT(google-explicit-constructor): a function
        : cache_(detail::make_credential_cache(std::forward<Function>(ask)))
    {}

    explicit operator bool() const noexcept { return cache_ != nullptr; }

    /// For what connects.
    const std::shared_ptr<detail::credential_cache>& cache() const noexcept { return cache_; }

private:
    std::shared_ptr<detail::credential_cache> cache_;
};

} // namespace pgcoro
