#include "connection/name_lookup.hpp"

#include "connection/blocking_threads.hpp"
#include "connection/one_shot.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>

#include <netdb.h>
#include <sys/socket.h>

namespace pgcoro::detail
{
namespace
{

// One call of getaddrinfo(), and everybody who waits for it.
struct lookup
{
    clock::time_point begun;
    bool done = false;
    lookup_answer answer;
    std::vector<std::shared_ptr<one_shot>> waiting;
};

struct directory
{
    std::mutex mutex;
    std::map<std::string, std::vector<std::shared_ptr<lookup>>> under_way;
};

directory& of_the_process()
{
    static auto& only = *new directory; // used by threads that may outlive main()
    return only;
}

lookup_answer ask_resolver(const std::string& name)
{
    lookup_answer answer;
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    if (int failed = ::getaddrinfo(name.c_str(), nullptr, &hints, &list)) {
        answer.error = failed == EAI_SYSTEM ? std::generic_category().message(errno) : ::gai_strerror(failed);
        return answer;
    }
    std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
    for (auto* a = list; a; a = a->ai_next) {
        char text[NI_MAXHOST];
        if (::getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0)
            continue;
        if (std::ranges::find(answer.addresses, text) == answer.addresses.end())
            answer.addresses.emplace_back(text);
    }
    if (answer.addresses.empty()) answer.error = "it has no address";
    return answer;
}

void finish(const std::string& name, const std::shared_ptr<lookup>& l, lookup_answer answer)
{
    std::vector<std::shared_ptr<one_shot>> waiting;
    {
        auto& all = of_the_process();
        std::lock_guard lock(all.mutex);
        l->answer = std::move(answer);
        l->done = true;
        waiting.swap(l->waiting);
        auto& same = all.under_way[name];
        std::erase(same, l);
        if (same.empty()) all.under_way.erase(name);
    }
    for (auto& w : waiting) w->tell();
}

// A place among those who wait for a look-up, given up when its owner goes.
class seat
{
public:
    explicit seat(const std::string& name)
        : answered_(std::make_shared<one_shot>())
    {
        auto& all = of_the_process();
        std::lock_guard lock(all.mutex);
        auto& same = all.under_way[name];
        std::vector<clock::time_point> begun;
        for (auto& l : same) begun.push_back(l->begun);
        auto now = clock::now();
        auto at = shared_lookups::choose(begun, now);
        if (at < same.size()) {
            lookup_ = same[at];
        } else {
            lookup_ = std::make_shared<lookup>();
            lookup_->begun = now;
            auto call = [name, l = lookup_] { finish(name, l, ask_resolver(name)); };
            if (!blocking_threads::for_lookups().run(std::move(call))) {
                if (same.empty()) all.under_way.erase(name);
                lookup_->done = true;
                lookup_->answer.error = "it was not looked up, because too many other look-ups have not been answered yet, "
                                         "or the system has no thread left";
                answered_->tell();
                return;
            }
            same.push_back(lookup_);
        }
        lookup_->waiting.push_back(answered_);
    }
    seat(const seat&) = delete;
    seat& operator=(const seat&) = delete;
    ~seat()
    {
        std::lock_guard lock(of_the_process().mutex);
        std::erase(lookup_->waiting, answered_);
    }

    one_shot& answered() const noexcept { return *answered_; }
    // Once it is answered nobody writes it any more.
    const lookup_answer& answer() const noexcept { return lookup_->answer; }

private:
    std::shared_ptr<one_shot> answered_;
    std::shared_ptr<lookup> lookup_;
};

} // namespace

asio::awaitable<std::vector<std::string>> look_up(std::string name, clock::time_point deadline)
{
    // An I/O context opens its descriptors for its first timer. Here a failure is the caller's exception; while the coroutine is
    // being suspended, it would leave the context's run().
    asio::steady_timer opens_descriptors(co_await asio::this_coro::executor);
    seat here(name);
    auto why = co_await here.answered().async_wait(deadline, asio::deferred);
    if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
    if (why == wake::expired)
        throw connection_error(connection_failure::timeout, "the host name was not resolved in time");
    auto& answer = here.answer();
    if (!answer.error.empty())
        throw connection_error(connection_failure::resolve, "the host name has no address: " + answer.error);
    co_return answer.addresses;
}

} // namespace pgcoro::detail
