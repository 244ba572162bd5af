// The outcome of an operation, in a form that can be compared whichever way it was run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

namespace storm
{

/// Every statement that returns rows returns these two columns.
using row = std::tuple<std::optional<int>, std::optional<std::string>>;

struct outcome
{
    std::string ending =
        "ok"; ///< or a SQLSTATE, or the kind of an exception: "cancelled", "thrown", "misuse" …
    std::uint64_t rows = 0;
    std::uint64_t hash = 0xcbf29ce484222325;

    bool ok() const noexcept { return ending == "ok"; }

    void add_text(std::string_view text) noexcept
    {
        for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
        hash = (hash ^ 0x1f) * 0x100000001b3;
    }
    void add(const row& r)
    {
        ++rows;
        auto& [k, v] = r;
        add_text(k ? std::to_string(*k) : "NULL");
        add_text(v ? *v : "\x01NULL");
    }
    /// One of several statements that make up an operation.
    void add(const outcome& part)
    {
        rows += part.rows;
        add_text(part.ending);
        add_text(std::to_string(part.rows));
        add_text(std::to_string(part.hash));
    }

    std::string text() const
    {
        return ending + ", " + std::to_string(rows) + " rows, hash " + std::to_string(hash % 1'000'000);
    }
    friend bool operator==(const outcome&, const outcome&) = default;
};

} // namespace storm
