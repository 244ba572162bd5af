#include "cli/command.hpp"

int main(int argc, char** argv) { return pgcoro::cli::run(argc, argv); }
