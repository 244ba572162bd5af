// What a transaction asks its server, in forms that raise no error where the role lacks a right.
#pragma once

#include "base/server_identity.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

// What the role may ask for. A statement that names a function without the right to run it fails as a whole, even
// where it would not run the function, so each question is put together from what is allowed.
namespace server_right
{
enum : std::uint32_t {
    id = 1,         // the transaction's id
    system = 2,     // pg_control_system
    timeline = 4,   // the log's position
    started = 8,    // pg_postmaster_start_time
    statistics = 16, // when the statistics began
    status = 32,    // pg_xact_status
    message = 64,   // pg_logical_emit_message
    prepared = 128, // pg_prepared_xacts
    marker = 256,   // the table pgcoro.commit_marker is there, and may be read and written
    control = 512,  // pg_control_checkpoint, pg_control_recovery
};
}

// Gives the rights as text, for learn(). Names no function that a role may be denied.
extern const std::string_view rights_query;
// The same with the right to the marker table, which only resolve_commit::by_marker needs.
extern const std::string_view rights_and_marker_query;
// Gives the transaction's id once it has one, and the server process's; else NULL.
extern const std::string_view id_query;

// Takes in what rights_query gave.
void learn(server_knowledge& of, std::string_view rights);

// An SQL expression of type text, for parse_server_identity().
std::string identity_expression(std::uint32_t rights);

// What id_query gave, or one of the server_knowledge's own queries.
struct told_id
{
    std::string_view id;
    int backend = 0;
    bool has_identity = false;
    server_identity identity;
};
told_id parse_told_id(std::string_view text);

} // namespace pgcoro::detail
