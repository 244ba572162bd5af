#include "cache/shared_value.hpp"

#include <cstring>

namespace pgcoro::detail
{

namespace
{

constexpr std::string_view form = "pgcoro/1"; // another form is another word
constexpr std::size_t most_columns = 1'664;   // MaxTupleAttributeNumber

// Numbers stand in this machine's order: a machine of the other order finds the sizes wrong.
class writer
{
public:
    template <class T>
    void number(T n)
    {
        bytes.append(reinterpret_cast<const char*>(&n), sizeof n);
    }
    void text(std::string_view t)
    {
        number(static_cast<std::uint64_t>(t.size()));
        bytes.append(t);
    }
    std::string bytes;
};

class reader
{
public:
    explicit reader(std::string_view from)
        : left_(from)
    {}

    template <class T>
    T number()
    {
        T n{};
        auto from = take(sizeof n);
        if (whole_) std::memcpy(&n, from.data(), sizeof n);
        return n;
    }
    std::string_view text() { return take(number<std::uint64_t>()); }
    std::string_view take(std::uint64_t size)
    {
        whole_ = whole_ && size <= left_.size();
        if (!whole_) return {};
        auto taken = left_.substr(0, static_cast<std::size_t>(size));
        left_.remove_prefix(taken.size());
        return taken;
    }
    std::size_t left() const { return left_.size(); }
    bool whole() const { return whole_; }

private:
    std::string_view left_;
    bool whole_ = true;
};

void write_rows(writer& to, const PGresult* from)
{
    int columns = PQnfields(from);
    int rows = PQntuples(from);
    to.number(static_cast<std::uint32_t>(columns));
    to.number(static_cast<std::uint32_t>(rows));
    for (int c = 0; c < columns; ++c) {
        to.text(PQfname(from, c));
        to.number(PQftable(from, c));
        to.number(static_cast<std::int32_t>(PQftablecol(from, c)));
        to.number(static_cast<std::int32_t>(PQfformat(from, c)));
        to.number(PQftype(from, c));
        to.number(static_cast<std::int32_t>(PQfsize(from, c)));
        to.number(static_cast<std::int32_t>(PQfmod(from, c)));
    }
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < columns; ++c) {
            bool null = PQgetisnull(from, r, c);
            std::int32_t size = null ? -1 : PQgetlength(from, r, c);
            to.number(size);
            if (size > 0) to.bytes.append(PQgetvalue(from, r, c), static_cast<std::size_t>(size));
        }
}

bool read_columns(reader& from, std::uint32_t count, PGresult* into)
{
    std::vector<std::string> names(count);
    std::vector<PGresAttDesc> columns(count);
    for (std::uint32_t c = 0; c < count; ++c) {
        names[c] = from.text();
        columns[c].name = names[c].data();
        columns[c].tableid = from.number<Oid>();
        columns[c].columnid = from.number<std::int32_t>();
        columns[c].format = from.number<std::int32_t>();
        columns[c].typid = from.number<Oid>();
        columns[c].typlen = from.number<std::int32_t>();
        columns[c].atttypmod = from.number<std::int32_t>();
    }
    return from.whole() && PQsetResultAttrs(into, static_cast<int>(count), columns.data());
}

std::shared_ptr<const result> read_rows(reader& from)
{
    auto columns = from.number<std::uint32_t>();
    auto rows = from.number<std::uint32_t>();
    if (!from.whole() || columns == 0 || columns > most_columns) return nullptr;
    // Each value takes at least its size.
    if (std::uint64_t{rows} * columns > from.left() / sizeof(std::int32_t)) return nullptr;
    PGresult* made = PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK);
    if (!made) return nullptr;
    auto into = std::make_shared<const result>(made);
    if (!read_columns(from, columns, made)) return nullptr;
    for (std::uint32_t r = 0; r < rows; ++r)
        for (std::uint32_t c = 0; c < columns; ++c) {
            auto size = from.number<std::int32_t>();
            auto bytes = from.take(size > 0 ? static_cast<std::uint64_t>(size) : 0);
            if (!from.whole() || size < -1) return nullptr;
            auto* value = const_cast<char*>(bytes.data()); // it is only read
            if (!PQsetvalue(made, static_cast<int>(r), static_cast<int>(c), value, size)) return nullptr;
        }
    return from.left() == 0 ? into : nullptr;
}

} // namespace

std::optional<std::string> to_bytes(const shared_value& value)
{
    if (!value.rows->get() || PQnfields(value.rows->get()) == 0) return std::nullopt;
    writer to;
    to.bytes = form;
    to.text(value.key);
    to.number(value.over.xmin);
    to.number(value.over.xmax);
    to.number(static_cast<std::uint64_t>(value.over.running.size()));
    for (auto id : value.over.running) to.number(id);
    to.number(static_cast<std::int64_t>(value.server_time.count()));
    to.number(static_cast<std::int64_t>(value.ttl.count()));
    to.number(static_cast<std::int64_t>(value.cost.count()));
    write_rows(to, value.rows->get());
    return std::move(to.bytes);
}

std::optional<shared_value> from_bytes(std::string_view bytes)
{
    reader from(bytes);
    if (from.take(form.size()) != form) return std::nullopt;
    shared_value value;
    value.key = from.text();
    value.over.xmin = from.number<std::uint64_t>();
    value.over.xmax = from.number<std::uint64_t>();
    auto running = from.number<std::uint64_t>();
    if (!from.whole() || running > from.left() / sizeof(std::uint64_t)) return std::nullopt;
    for (std::uint64_t i = 0; i < running; ++i) value.over.running.push_back(from.number<std::uint64_t>());
    value.server_time = std::chrono::microseconds(from.number<std::int64_t>());
    value.ttl = std::chrono::nanoseconds(from.number<std::int64_t>());
    value.cost = std::chrono::nanoseconds(from.number<std::int64_t>());
    constexpr std::int64_t most_microseconds = std::int64_t{1} << 52; // more, as nanoseconds, is no number
    if (value.server_time.count() < 0 || value.server_time.count() > most_microseconds) return std::nullopt;
    if (value.ttl.count() < 0 || value.cost.count() < 0) return std::nullopt;
    value.rows = read_rows(from);
    if (!value.rows) return std::nullopt;
    return value;
}

} // namespace pgcoro::detail
