// No error, description or event has a part of a password, however broken the connection string is.
#include "connection/conninfo.hpp"
#include "from_environment.hpp"

#include <pgcoro/connection/connection.hpp>
#include <pgcoro/error/error.hpp>
#include <pgcoro/observer/observer.hpp>
#include <pgcoro/pool/options.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/json/object.hpp>
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;
using pgcoro::connection_options;

namespace
{

const std::string marker = "hunter2Zq9xWv";

bool tells(std::string_view text)
{
    for (std::size_t i = 0; i + 4 <= marker.size(); ++i)
        if (text.find(std::string_view(marker).substr(i, 4)) != text.npos) return true;
    return false;
}

// A connection string that nobody meant: some characters too many, one too few, or cut off.
std::string broken(std::string text, std::mt19937& random)
{
    constexpr std::string_view extra = "%/@:?#[]=&,' \\\t\"%2";
    switch (random() % 5) {
    case 0: { // without the ':' the password is a part of the user's name, as far as anybody can know
        auto at = random() % text.size();
        if (text[at] != ':' || text.compare(at, 3, "://") == 0) text.erase(at, 1);
        return text;
    }
    case 1:
        return text.substr(0, random() % text.size());
    default:
        for (auto n = 1 + random() % 3; n > 0; --n)
            text.insert(random() % (text.size() + 1), 1, extra[random() % extra.size()]);
        return text;
    }
}

struct listener final : pgcoro::observer
{
    std::string heard;
    void on_connect(const pgcoro::connect_event& e) noexcept override
    {
        heard += std::string(e.pool) + std::string(e.host);
        try {
            if (e.failure) std::rethrow_exception(e.failure);
        } catch (const std::exception& failure) {
            heard += failure.what();
        }
    }
};

// A port where nobody listens.
class dead_port
{
public:
    dead_port()
        : socket_(io_, asio::ip::tcp::v4())
    {
        socket_.bind({asio::ip::make_address("127.0.0.1"), 0});
    }
    std::string text() const { return std::to_string(socket_.local_endpoint().port()); }

private:
    asio::io_context io_;
    asio::ip::tcp::socket socket_;
};

// All that connecting with the options says.
std::string said_when_connecting(connection_options options)
{
    listener observer;
    options.observer = &observer;
    asio::io_context io;
    std::string what;
    auto connect = [&]() -> asio::awaitable<void> {
        auto made = co_await pgcoro::connection::connect(options);
    };
    asio::co_spawn(io, connect(), [&](std::exception_ptr e) {
        try {
            if (e) std::rethrow_exception(e);
        } catch (const std::exception& failure) {
            what = failure.what();
        }
    });
    io.run();
    return what + observer.heard;
}

template <class Body>
std::string said_by(Body body)
{
    try {
        body();
    } catch (const std::exception& e) {
        return e.what();
    }
    return {};
}

} // namespace

BOOST_AUTO_TEST_SUITE(passwords)

BOOST_AUTO_TEST_CASE(broken_connection_strings_never_show_the_password)
{
    const std::string forms[] = {
        "postgresql://app:" + marker + "@db.example/shop",
        "postgresql://app:" + marker + "@db.example:5433,other/shop?sslmode=require",
        "postgresql://db.example/shop?user=app&password=" + marker + "&application_name=x",
        "host=db.example user=app password=" + marker + " dbname=shop",
        "host=db.example user=app password='" + marker + "' dbname='shop'",
    };
    dead_port dead;
    std::mt19937 random(7);
    int accepted = 0;
    int connected = 0;
    for (int i = 0; i < test::repeated(40'000); ++i) {
        auto text = broken(forms[random() % std::size(forms)], random);
        std::optional<connection_options> options;
        auto refusal = said_by([&] { options = connection_options::from_uri(text); });
        BOOST_REQUIRE_MESSAGE(!tells(refusal), text << ": " << refusal);
        auto json_refusal = said_by([&] {
            pgcoro::pool_options::from_json(boost::json::object{{"url", boost::json::string(text)}});
        });
        BOOST_REQUIRE_MESSAGE(!tells(json_refusal), text << ": " << json_refusal);
        ::setenv("DATABASE_URL", text.c_str(), 1);
        auto variable_refusal = said_by([] { pgcoro::pool_options::from_env(); });
        ::unsetenv("DATABASE_URL");
        BOOST_REQUIRE_MESSAGE(!tells(variable_refusal), text << ": " << variable_refusal);
        if (!options) continue;
        ++accepted;
        BOOST_REQUIRE_MESSAGE(!tells(options->describe()), text << ": " << options->describe());
        if (accepted % 50 != 0) continue;
        ++connected;
        options->parameters["hostaddr"] = "127.0.0.1"; // so that no name is looked up
        options->parameters["port"] = dead.text();
        auto failure = said_when_connecting(*options);
        BOOST_REQUIRE_MESSAGE(!tells(failure), text << ": " << failure);
    }
    BOOST_TEST(accepted > test::repeated(1'000));
    BOOST_TEST(connected > test::repeated(20));
}

BOOST_AUTO_TEST_CASE(password_of_environment_or_service_file_is_not_shown)
{
    dead_port dead;
    ::setenv("PGPASSWORD", marker.c_str(), 1);
    connection_options options;
    options.parameters = {{"hostaddr", "127.0.0.1"}, {"port", dead.text()}, {"user", "app"}};
    auto failure = said_when_connecting(options);
    ::unsetenv("PGPASSWORD");
    BOOST_TEST(failure.find("cannot connect to 127.0.0.1 port " + dead.text()) != failure.npos, failure);
    BOOST_TEST(!tells(failure), failure);

    auto file = std::filesystem::temp_directory_path() / ("pgcoro-service-" + std::to_string(::getpid()));
    ::setenv("PGSERVICEFILE", file.c_str(), 1);
    for (std::string line :
         {"password=" + marker, "password=" + marker + "\nnonsense=1", "password " + marker,
          "password=" + marker + "\nport=x", marker + "=x", marker}) {
        std::ofstream(file) << "[mine]\nhostaddr=127.0.0.1\nport=" << dead.text() << "\nuser=app\n"
                            << line << '\n';
        failure = said_when_connecting(connection_options::from_uri("service=mine"));
        BOOST_TEST(!failure.empty());
        BOOST_TEST(!tells(failure), line << ": " << failure);
    }
    ::unsetenv("PGSERVICEFILE");
    std::filesystem::remove(file);
}

BOOST_AUTO_TEST_SUITE_END()
