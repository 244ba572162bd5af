#include "observe/labels.hpp"

namespace pgcoro::detail
{

std::string_view class_label(std::string_view code) noexcept
{
    switch (code.empty() ? failure_class::connection_lost : classify(sqlstate(code))) {
    case failure_class::none:
        return "none";
    case failure_class::retry_transaction:
        return "retry_transaction";
    case failure_class::retry_on_request:
        return "retry_on_request";
    case failure_class::connection_lost:
        return "connection_lost";
    case failure_class::server_unavailable:
        return "server_unavailable";
    case failure_class::demoted:
        return "demoted";
    case failure_class::resources:
        return "resources";
    case failure_class::timeout_or_cancel:
        return "timeout_or_cancel";
    case failure_class::constraint:
        return "constraint";
    case failure_class::caller:
        return "caller";
    }
    return "caller";
}

} // namespace pgcoro::detail
