#include "hoard.hpp"

#include <libpq-fe.h>

#include <stdexcept>

namespace chaos
{

hoard::~hoard()
{
    for (auto* c : held_) PQfinish(c);
}

void hoard::take_all()
{
    for (;;) {
        auto* c = PQconnectdb(uri_.c_str());
        if (PQstatus(c) != CONNECTION_OK) {
            PQfinish(c);
            return;
        }
        held_.push_back(c);
    }
}

void hoard::run(const std::string& sql)
{
    if (held_.empty()) throw std::runtime_error("none of the server's connections could be taken");
    PQclear(PQexec(held_.front(), sql.c_str()));
}

} // namespace chaos
