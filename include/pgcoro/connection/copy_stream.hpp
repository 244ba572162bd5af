#pragma once

#include <pgcoro/connection/copy.hpp>
#include <pgcoro/connection/copy_rows.hpp>
#include <pgcoro/connection/stream.hpp>
#include <pgcoro/detail/owned.hpp>
#include <pgcoro/export.hpp>

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

/// The rows of a query by COPY, one after the other: the quickest way out for very many rows. As
/// `row_stream`, in every respect; one more round trip, the first, asks for the columns' types.
template <class Row>
class copy_stream
{
    static_assert((detail::check_row_owns_its_values<Row>(), true));

public:
    copy_stream(detail::copy_operation copy, detail::row_source_ptr columns, std::string sql)
        : copy_(std::move(copy))
        , columns_(std::move(columns))
        , sql_(std::move(sql))
    {}

    /// The next row; nothing at the end.
    boost::asio::awaitable<std::optional<Row>> next()
    {
        if (over_) co_return std::nullopt;
        if (!mapping_) co_await begin();
        over_ = true; // should the next wait fail
        auto bytes = co_await copy_->receive();
        if (bytes && !header_seen_) {
            header_seen_ = true;
            if (!bytes->starts_with(detail::copy_signature))
                throw mapping_error("what the server sent is not COPY's binary format");
            bytes->remove_prefix(detail::copy_signature.size());
            if (bytes->empty()) bytes = co_await copy_->receive();
        }
        if (!bytes) co_return std::nullopt;
        auto& columns = mapping_->columns.get();
        if (!detail::split_copy_row(*bytes, columns, fields_)) {
            bytes = co_await copy_->receive(); // behind the trailer: nothing
            co_return std::nullopt;
        }
        over_ = false;
        Row made = mapping_->map([this](std::size_t i) { return fields_[i]; });
        co_return made;
    }

private:
    boost::asio::awaitable<void> begin()
    {
        over_ = true;
        auto source = std::move(columns_);
        auto first = co_await detail::next_rows(*source);
        auto end = co_await detail::next_rows(*source);
        detail::owned mapping(new detail::stream_mapping<Row>(first));
        co_await copy_->begin("copy (" + sql_ + "\n) to stdout (format binary)");
        mapping_ = std::move(mapping);
        over_ = false;
    }

    std::optional<detail::copy_operation> copy_;
    detail::row_source_ptr columns_;
    std::string sql_;
    detail::owned<detail::stream_mapping<Row>> mapping_;
    std::vector<field_view> fields_;
    bool header_seen_ = false;
    bool over_ = false;
};

} // namespace pgcoro
