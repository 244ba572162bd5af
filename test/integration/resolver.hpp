#pragma once

#include <chrono>
#include <string>

/// For as long as it lives, this process finds the name at this address, after this time: the test program
/// has a getaddrinfo() of its own, which passes on all other names.
class named_address
{
public:
    explicit named_address(std::string name, std::string address = "127.0.0.1",
                           std::chrono::milliseconds delay = {});
    named_address(const named_address&) = delete;
    named_address& operator=(const named_address&) = delete;
    ~named_address();

    /// From now on it is found there.
    void move_to(std::string address);

private:
    std::string name_;
};
