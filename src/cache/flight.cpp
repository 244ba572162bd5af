#include "cache/flight.hpp"

namespace pgcoro::detail
{

void rethrow_own(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const server_error& e) {
        throw server_error(e);
    } catch (const connection_error& e) {
        throw connection_error(e);
    } catch (const pool_timeout& e) {
        throw pool_timeout(e);
    } catch (const pool_closed& e) {
        throw pool_closed(e);
    } catch (const circuit_open& e) {
        throw circuit_open(e);
    } catch (const deadline_exceeded& e) {
        throw deadline_exceeded(e);
    } catch (const mapping_error& e) {
        throw mapping_error(e);
    }
}

} // namespace pgcoro::detail
