#include "monitor/conversation.hpp"

#include "monitor/time_limit.hpp"

#include <pgcoro/version.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include <algorithm>

namespace pgcoro::detail
{

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace
{

constexpr auto as_tuple = asio::as_tuple(asio::deferred);
constexpr std::size_t body_limit = 4'096; // nothing here takes one; who sends one is heard out all the same

// What went wrong with reading, as an answer; nothing where nobody would hear it.
std::optional<answer> refusal_of(const boost::system::error_code& failed, bool too_slow)
{
    if (too_slow)
        return to_answer(problem(http::status::request_timeout, "the request did not arrive in time"));
    if (failed == http::error::header_limit || failed == http::error::buffer_overflow)
        return to_answer(problem(http::status::request_header_fields_too_large,
                                 "the request's header is longer than monitor_options::max_header_bytes"));
    if (failed == http::error::body_limit)
        return to_answer(problem(http::status::payload_too_large, "no request here needs a body"));
    if (failed.category() == make_error_code(http::error::bad_method).category() &&
        failed != http::error::end_of_stream && failed != http::error::partial_message)
        return to_answer(problem(http::status::bad_request, "this is not HTTP: " + failed.message()));
    return std::nullopt;
}

template <class Message>
void set_header(Message& m, const answer& a)
{
    m.set(http::field::server, "pgcoro/" PGCORO_VERSION_STRING);
    m.set(http::field::content_type, a.type);
    m.set(http::field::cache_control, "no-store");
    m.set("X-Content-Type-Options", "nosniff");
    m.set("Referrer-Policy", "no-referrer");
    // Nothing from elsewhere, and nothing that somebody got written into a figure.
    m.set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; "
                                     "base-uri 'none'; form-action 'none'");
    if (!a.allow.empty()) m.set(http::field::allow, a.allow);
    if (a.status == http::status::unauthorized) m.set(http::field::www_authenticate, "Bearer");
}

} // namespace

asio::awaitable<void> conversation::run()
{
    for (bool goes_on = true; goes_on;) {
        bool there = co_await begins();
        if (!there) break;
        std::optional<answer> reply;
        auto request = co_await read(reply);
        bool events = false;
        if (request) {
            is(seating::state::answering);
            try {
                auto c = understand(*request, in_.who);
                if (c.what != resource::health) check_crowd();
                events = c.what == resource::events && request->method() == http::verb::get;
                if (!events) reply = co_await ask(c);
            } catch (const problem& p) {
                reply = to_answer(p);
            }
        } else if (reply) {
            reply->keep_alive = false;
            request.emplace(); // of which nothing is known
        }
        if (events) {
            co_await tell_events();
            break;
        }
        if (!reply) break;
        is(seating::state::writing);
        goes_on = co_await write(*reply, *request);
        is(seating::state::waiting);
    }
    co_await close();
}

// Probes come first: the reserve serves no other requests.
void conversation::check_crowd() const
{
    if (in_.seats.crowded())
        throw problem(http::status::service_unavailable,
                      "as many connections as monitor_options::max_connections are busy: ask again later");
}

// The first byte of a request, which may be long in coming.
asio::awaitable<bool> conversation::begins()
{
    if (buffer_.size() > 0) co_return true;
    time_limit limit(socket_, in_.options.idle_timeout);
    auto [failed] = co_await socket_.async_wait(asio::ip::tcp::socket::wait_read, as_tuple);
    co_return !failed;
}

asio::awaitable<std::optional<http_request>> conversation::read(std::optional<answer>& refusal)
{
    http::request_parser<http::string_body> parser;
    parser.header_limit(in_.options.max_header_bytes);
    parser.body_limit(body_limit);
    time_limit limit(socket_, in_.options.request_timeout);
    auto [failed, bytes] = co_await http::async_read(socket_, buffer_, parser, as_tuple);
    if (!failed) co_return parser.release();
    refusal = refusal_of(failed, limit.over());
    co_return std::nullopt;
}

// A failure of ours is an answer, too: the page shows it to who can do something about it.
asio::awaitable<answer> conversation::ask(const api_call& c)
{
    std::string failure;
    try {
        if (c.what != resource::events) {
            auto a = co_await in_.known.ask(c);
            co_return a;
        }
        answer head; // who asks for the events' header only
        head.type = "text/event-stream";
        co_return head;
    } catch (const problem&) {
        throw;
    } catch (const boost::system::system_error& e) {
        if (e.code() == asio::error::operation_aborted) throw; // we are told to end
        failure = e.what();
    } catch (const std::exception& e) {
        failure = e.what();
    }
    co_return to_answer(problem(http::status::internal_server_error, failure));
}

asio::awaitable<bool> conversation::write(const answer& a, const http_request& to)
{
    http::response<http::string_body> m(a.status, to.version());
    set_header(m, a);
    m.keep_alive(a.keep_alive && to.keep_alive());
    m.body() = a.body;
    m.prepare_payload();
    time_limit limit(socket_, in_.options.write_timeout);
    boost::system::error_code failed;
    if (to.method() == http::verb::head) {
        http::response<http::empty_body> head(m.base());
        http::response_serializer<http::empty_body> out(head);
        auto [ended, bytes] = co_await http::async_write_header(socket_, out, as_tuple);
        failed = ended;
    } else {
        auto [ended, bytes] = co_await http::async_write(socket_, m, as_tuple);
        failed = ended;
    }
    co_return !failed && m.keep_alive();
}

asio::awaitable<bool> conversation::write_text(const std::string& text)
{
    time_limit limit(socket_, in_.options.write_timeout);
    auto [failed, bytes] = co_await asio::async_write(socket_, asio::buffer(text), as_tuple);
    co_return !failed;
}

// Half-closes, and reads what is still under way for a while: a close with unread input would be a reset,
// which takes the answer away from who has not read it yet.
asio::awaitable<void> conversation::close()
{
    boost::system::error_code failed;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, failed);
    time_limit limit(socket_, std::min(in_.options.request_timeout, std::chrono::milliseconds(1'000)));
    std::string rest(4'096, '\0');
    while (!failed && !limit.over()) {
        auto [ended, bytes] = co_await socket_.async_read_some(asio::buffer(rest), as_tuple);
        failed = ended;
    }
}

// Server-sent events: what the page shows, each interval, until the peer goes or does not take it.
asio::awaitable<void> conversation::tell_events()
{
    struct seat
    {
        std::atomic<std::size_t>& taken;
        std::size_t before = taken.fetch_add(1);
        ~seat() { --taken; }
    } held{in_.streams};
    if (held.before >= in_.options.max_streams) {
        auto full = to_answer(problem(http::status::service_unavailable,
                                      "as many event streams as monitor_options::max_streams are open"));
        full.keep_alive = false;
        http_request any;
        co_await write(full, any);
        co_return;
    }
    answer a;
    a.type = "text/event-stream";
    http::response<http::empty_body> head(http::status::ok, 11);
    set_header(head, a);
    head.keep_alive(false); // its end is the connection's
    http::response_serializer<http::empty_body> out(head);
    {
        time_limit limit(socket_, in_.options.write_timeout);
        auto [failed, bytes] = co_await http::async_write_header(socket_, out, as_tuple);
        if (failed) co_return;
    }
    asio::steady_timer timer(socket_.get_executor());
    std::string event = "retry: 2000\n\n";
    for (;;) {
        event += "event: dashboard\ndata: " + *in_.known.dashboard() + "\n\n";
        bool taken = co_await write_text(event);
        if (!taken) co_return;
        event.clear();
        timer.expires_after(in_.options.interval);
        co_await timer.async_wait(asio::deferred);
    }
}

} // namespace pgcoro::detail
