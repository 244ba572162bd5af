#include <pgcoro/observer/trace_context.hpp>

#include <boost/test/unit_test.hpp>

#include <set>

using pgcoro::trace_context;

namespace
{

const std::string header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"; // W3C's own example

} // namespace

BOOST_AUTO_TEST_SUITE(trace_contexts)

BOOST_AUTO_TEST_CASE(a_header_is_read_and_written_as_it_was)
{
    auto c = trace_context::parse(header);
    BOOST_REQUIRE(c.has_value());
    BOOST_TEST(c->trace_id_text() == "0af7651916cd43dd8448eb211c80319c");
    BOOST_TEST(c->span_id_text() == "b7ad6b7169203331");
    BOOST_TEST(c->sampled());
    BOOST_TEST(c->traceparent() == header);
}

BOOST_AUTO_TEST_CASE(a_malformed_header_is_none)
{
    auto with = [](std::size_t at, std::string_view text) {
        auto changed = header;
        return changed.replace(at, text.size(), text);
    };
    for (auto& bad : {std::string(), header.substr(1), header + "0", header + "-00", with(0, "ff"),
                      with(2, "_"), with(35, "_"), with(52, "_"), with(3, "0AF7"), with(10, "g"),
                      with(53, "0x"), with(3, std::string(32, '0')), with(36, std::string(16, '0'))})
        BOOST_TEST(!trace_context::parse(bad).has_value(), bad);
}

BOOST_AUTO_TEST_CASE(of_a_later_version_what_is_known_is_read)
{
    auto later = "cc" + header.substr(2);
    BOOST_TEST(trace_context::parse(later).value().traceparent() == header);
    BOOST_TEST(trace_context::parse(later + "-what the future is like").value().traceparent() == header);
    BOOST_TEST(!trace_context::parse(later + ".what").has_value());
}

BOOST_AUTO_TEST_CASE(flags_without_a_meaning_are_not_passed_on)
{
    auto c = trace_context::parse(header.substr(0, 53) + "fe");
    BOOST_TEST(!c.value().sampled());
    BOOST_TEST(c.value().traceparent() == header.substr(0, 53) + "00");
}

BOOST_AUTO_TEST_CASE(the_default_is_no_trace) { BOOST_TEST(!trace_context().valid()); }

BOOST_AUTO_TEST_CASE(a_child_is_of_the_same_trace_with_an_id_of_its_own)
{
    auto root = trace_context::make();
    BOOST_TEST(root.valid());
    BOOST_TEST(root.sampled());
    std::set<std::string> ids{root.span_id_text()};
    for (int i = 0; i < 100; ++i) {
        auto c = root.child();
        BOOST_TEST(c.trace_id_text() == root.trace_id_text());
        BOOST_TEST(c.sampled());
        ids.insert(c.span_id_text());
    }
    BOOST_TEST(ids.size() == 101u);
}

BOOST_AUTO_TEST_SUITE_END()
