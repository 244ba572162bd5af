// The one place where the monitor's and the command's JSON becomes text.
#pragma once

#include "observe/utf8.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <cmath>
#include <string>

namespace pgcoro::detail
{

inline void make_valid_json(boost::json::value& v)
{
    if (auto* number = v.if_double()) {
        if (!std::isfinite(*number)) v = nullptr;
    } else if (auto* text = v.if_string()) {
        if (!is_valid_utf8(*text)) *text = to_utf8(*text);
    } else if (auto* list = v.if_array()) {
        for (auto& each : *list) make_valid_json(each);
    } else if (auto* object = v.if_object()) {
        boost::json::object made;
        for (auto& [key, each] : *object) {
            make_valid_json(each);
            made[to_utf8(key)] = std::move(each);
        }
        *object = std::move(made);
    }
}

// Returns valid JSON in valid UTF-8, whatever is in the value: null for numbers that are not finite, U+FFFD
// for bytes that are not UTF-8.
inline std::string json_text(boost::json::value v)
{
    make_valid_json(v);
    return boost::json::serialize(v);
}

} // namespace pgcoro::detail
