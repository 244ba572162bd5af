#pragma once

#include <string>
#include <utility>
#include <vector>

struct pg_conn;

namespace chaos
{

/// Connections of somebody else, who takes all that the server has.
class hoard
{
public:
    explicit hoard(std::string uri)
        : uri_(std::move(uri))
    {}
    hoard(const hoard&) = delete;
    hoard& operator=(const hoard&) = delete;
    ~hoard();

    /// Until the server refuses one more.
    void take_all();
    /// On one of them.
    void run(const std::string& sql);

private:
    std::string uri_;
    std::vector<pg_conn*> held_;
};

} // namespace chaos
