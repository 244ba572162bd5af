#include <pgcoro/error/sqlstate.hpp>

#include <boost/test/unit_test.hpp>

#include <string>

using namespace pgcoro;
using enum failure_class;

namespace
{

struct expectation
{
    const char* code;
    failure_class what;
};

// What the layer's behaviour rests on, code by code.
const expectation table[] = {
    {"00000", none},
    {"01000", none},
    {"02000", none},
    {"08000", connection_lost},
    {"08006", connection_lost},
    {"08P01", caller}, // a wrong number of parameters, after which the server goes on
    {"0A000", caller},
    {"22003", caller},
    {"23502", constraint},
    {"23503", constraint},
    {"23514", constraint},
    {"23001", constraint}, // by its class
    {"23505", retry_on_request},
    {"23P01", retry_on_request},
    {"25006", demoted},
    {"25P02", caller},
    {"25P03", timeout_or_cancel},
    {"25P04", timeout_or_cancel},
    {"26000", caller},
    {"28P01", caller},
    {"3D000", caller},
    {"40001", retry_transaction},
    {"40P01", retry_transaction},
    {"40002", constraint},
    {"40003", connection_lost},
    {"42601", caller},
    {"42P05", caller},
    {"53100", resources},
    {"53200", resources},
    {"53300", server_unavailable},
    {"53400", resources},
    {"54001", caller},
    {"55P03", retry_on_request},
    {"55006", retry_on_request},
    {"57014", timeout_or_cancel},
    {"57P01", connection_lost},
    {"57P02", connection_lost},
    {"57P03", server_unavailable},
    {"57P04", caller},
    {"57P05", connection_lost},
    {"58030", resources},
    {"P0001", caller},
    {"XX000", caller},
    {"QQQQQ", caller}, // what nobody knows is not repeated
};

} // namespace

BOOST_AUTO_TEST_CASE(each_sqlstate_is_classified_as_the_table_has_it)
{
    for (auto& row : table)
        BOOST_TEST((classify(pgcoro::sqlstate(row.code)) == row.what),
                   row.code << " is classified otherwise");
}

BOOST_AUTO_TEST_CASE(a_code_of_a_known_class_has_its_class_and_not_a_neighbours)
{
    BOOST_TEST((classify(pgcoro::sqlstate("40ZZZ")) == caller)); // not 40001's
    BOOST_TEST((classify(pgcoro::sqlstate("57ZZZ")) == timeout_or_cancel));
    BOOST_TEST((classify(pgcoro::sqlstate("08ZZZ")) == connection_lost));
}
