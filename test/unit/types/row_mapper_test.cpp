#include <pgcoro/types/arrays.hpp>
#include <pgcoro/types/params.hpp>
#include <pgcoro/types/row_mapper.hpp>

#include "bytes.hpp"

#include <boost/describe/class.hpp>
#include <boost/test/unit_test.hpp>

using namespace pgcoro;
using test::says;

namespace
{

struct account
{
    std::int64_t id;
    std::string owner;
    std::optional<int> cents;
};

struct described_account
{
    std::int64_t id = 0;
    std::string owner;
    std::optional<int> cents;
};
BOOST_DESCRIBE_STRUCT(described_account, (), (id, owner, cents))

struct base
{
    int id = 0;
};
BOOST_DESCRIBE_STRUCT(base, (), (id))
struct derived : base
{
    std::string name;
};
BOOST_DESCRIBE_STRUCT(derived, (base), (name))

// A row of the given columns, whose fields are parameters that come back.
struct echo
{
    std::vector<column> columns;
    params fields;

    field_view operator()(std::size_t i) const
    {
        auto entry = fields[i];
        if (entry.size < 0) return {nullptr, -1, columns[i].type};
        return {fields.data() + entry.offset, entry.size, columns[i].type};
    }
};

echo row()
{
    return {{{"id", oids::int8}, {"owner", oids::text}, {"cents", oids::int4}},
            params::of(std::int64_t{7}, "neo", 500)};
}

echo row_with_null()
{
    return {{{"id", oids::int8}, {"owner", oids::text}, {"cents", oids::int4}},
            params::of(std::int64_t{7}, "neo", nullptr)};
}

echo row_in_another_order()
{
    return {{{"cents", oids::int4}, {"id", oids::int8}, {"owner", oids::text}},
            params::of(500, std::int64_t{7}, "neo")};
}

template <class T>
T mapped_row(const echo& r)
{
    return row_mapper<T>(r.columns)(r);
}

} // namespace

BOOST_AUTO_TEST_SUITE(row_mapping)

BOOST_AUTO_TEST_CASE(a_tuple_takes_columns_by_position)
{
    auto [id, owner, cents] = mapped_row<std::tuple<int, std::string, std::optional<int>>>(row());
    BOOST_TEST(id == 7);
    BOOST_TEST(owner == "neo");
    BOOST_TEST((cents == 500));
}

BOOST_AUTO_TEST_CASE(an_aggregate_takes_columns_by_position)
{
    auto made = mapped_row<account>(row_with_null());
    BOOST_TEST(made.id == 7);
    BOOST_TEST(made.owner == "neo");
    BOOST_TEST((made.cents == std::nullopt));
}

BOOST_AUTO_TEST_CASE(a_described_struct_takes_columns_by_name_in_any_order)
{
    auto made = mapped_row<described_account>(row_in_another_order());
    BOOST_TEST(made.id == 7);
    BOOST_TEST(made.owner == "neo");
    BOOST_TEST((made.cents == 500));
}

BOOST_AUTO_TEST_CASE(members_of_described_bases_are_columns_too)
{
    echo r{{{"name", oids::text}, {"id", oids::int4}}, params::of("neo", 7)};
    auto made = mapped_row<derived>(r);
    BOOST_TEST(made.id == 7);
    BOOST_TEST(made.name == "neo");
}

BOOST_AUTO_TEST_CASE(missing_and_surplus_columns_are_all_told)
{
    std::vector<column> columns{
        {"id", oids::int8}, {"owner", oids::text}, {"age", oids::int4}, {"id", oids::int8}};
    BOOST_CHECK_EXCEPTION(row_mapper<described_account>{columns}, mapping_error,
                          says("missing cents; surplus age, id"));
}

BOOST_AUTO_TEST_CASE(a_scalar_takes_the_one_column)
{
    echo r{{{"n", oids::int4}}, params::of(7)};
    BOOST_TEST(mapped_row<std::int64_t>(r) == 7);
    BOOST_TEST((mapped_row<std::optional<int>>(r) == 7));
    BOOST_CHECK_THROW(row_mapper<int>{row().columns}, mapping_error);
    BOOST_CHECK_THROW(row_mapper<int>{std::span<const column>()}, mapping_error);
}

BOOST_AUTO_TEST_CASE(too_few_and_too_many_columns_are_errors)
{
    auto r = row();
    BOOST_CHECK_THROW((row_mapper<std::tuple<int, std::string>>{r.columns}), mapping_error);
    r.columns.push_back({"more", oids::int4});
    BOOST_CHECK_THROW(row_mapper<account>{r.columns}, mapping_error);
}

BOOST_AUTO_TEST_CASE(a_type_that_does_not_fit_is_an_error_that_names_column_and_both_types)
{
    using wrong = std::tuple<int, int, int>;
    auto r = row();
    BOOST_CHECK_EXCEPTION(row_mapper<wrong>{r.columns}, mapping_error,
                          says("column 2 (owner, text) cannot be read as C++ int"));
}

BOOST_AUTO_TEST_CASE(null_into_what_is_not_optional_is_an_error_that_names_the_column)
{
    using strict = std::tuple<int, std::string, int>;
    BOOST_CHECK_EXCEPTION(mapped_row<strict>(row_with_null()), mapping_error, says("cents"));
    BOOST_CHECK_EXCEPTION(mapped_row<strict>(row_with_null()), mapping_error, says("std::optional"));
}

BOOST_AUTO_TEST_CASE(without_exceptions_a_row_is_a_value_or_says_why_not)
{
    using strict = std::tuple<int, std::string, int>;
    auto good = row();
    auto mapper = try_mapper<strict>(good.columns);
    BOOST_REQUIRE(mapper.has_value());
    auto made = try_map(*mapper, good);
    BOOST_REQUIRE(made.has_value());
    BOOST_TEST(std::get<2>(*made) == 500);

    auto failed = try_map(*mapper, row_with_null());
    BOOST_REQUIRE(!failed);
    BOOST_TEST(failed.error().message().find("cents") != std::string::npos);
    BOOST_CHECK_THROW(failed.value(), mapping_error);

    BOOST_TEST(!try_mapper<int>(good.columns).has_value());
}

BOOST_AUTO_TEST_CASE(arrays_are_columns)
{
    echo r{{{"id", oids::int4}, {"tags", array_of(oids::int4)}}, params::of(1, std::vector<int>{2, 3})};
    auto [id, tags] = mapped_row<std::tuple<int, std::vector<int>>>(r);
    BOOST_TEST(id == 1);
    BOOST_TEST((tags == std::vector<int>{2, 3}));
}

BOOST_AUTO_TEST_SUITE_END()
