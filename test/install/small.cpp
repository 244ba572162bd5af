// The least of a program that links the library: no server, little to compile.
#include <pgcoro/error/error.hpp>
#include <pgcoro/pool/options.hpp>
#include <pgcoro/version.hpp>

#include <iostream>
#include <stdexcept>

int main()
{
    auto options = pgcoro::pool_options();
    options.size = 0;
    try {
        options.validate();
    } catch (const std::invalid_argument& e) {
        std::cout << "pgcoro " << PGCORO_VERSION_STRING << " answers: " << e.what() << '\n';
        return 0;
    }
    std::cerr << "a pool of size 0 was taken\n";
    return 1;
}
