// As somebody new to it would try it.
#include "cli/support.hpp"

BOOST_AUTO_TEST_SUITE(usage)

BOOST_AUTO_TEST_CASE(a_mistyped_command_or_option_is_answered_with_the_near_word)
{
    auto command = pgcoro_command("helth");
    BOOST_TEST(command.code == 64);
    BOOST_TEST(command.err ==
               "pgcoro: it does not know 'helth': did you mean 'health'?\nTry 'pgcoro --help'.\n");
    auto option = pgcoro_command("monitor --intervall=5");
    BOOST_TEST(option.code == 64);
    BOOST_TEST(option.err == "pgcoro monitor: it does not know '--intervall': did you mean "
                             "'--interval'?\nTry 'pgcoro monitor --help'.\n");
    BOOST_TEST(option.out == "");
}

BOOST_AUTO_TEST_CASE(wrong_values_and_no_command_are_wrong_usage)
{
    for (auto* arguments :
         {"", "health --format xml", "bench --clients 0", "locks --critical soon", "health --timeout 0"}) {
        auto got = pgcoro_command(arguments);
        BOOST_TEST(got.code == 64, arguments << ": " << got.code);
        BOOST_TEST(!got.err.empty());
    }
}

BOOST_AUTO_TEST_CASE(a_malformed_url_is_wrong_usage_and_its_password_is_not_repeated)
{
    for (auto* how : {"--url", "--admin-url"}) {
        auto got =
            pgcoro_command(std::string("doctor ") + how + " 'postgresql://u:geheim@h:port:5/x?nonsense=1'");
        BOOST_TEST(got.code == 64);
        BOOST_TEST(got.err.find("geheim") == std::string::npos, got.err);
    }
    auto variable = pgcoro_command("health", "DATABASE_URL='postgresql://u:geheim@h/x?nonsense=1'");
    BOOST_TEST(variable.code == 64);
    BOOST_TEST((variable.out + variable.err).find("geheim") == std::string::npos, variable.err);
}

BOOST_AUTO_TEST_CASE(url_that_was_not_quoted_does_not_show_the_password)
{
    for (auto* arguments :
         {"health --url postgresql://u:1 geheim2@h/x", "health --url host=h password=1 geheim2",
          "health --url host=h password=geheim2", "health --url host=h -geheim2"}) {
        auto got = pgcoro_command(arguments);
        BOOST_TEST(got.code == 64, arguments);
        BOOST_TEST((got.out + got.err).find("geheim") == std::string::npos, got.err);
    }
}

BOOST_AUTO_TEST_CASE(help_is_there_for_all_and_for_each_command)
{
    auto all = pgcoro_command("--help");
    BOOST_TEST(all.code == 0);
    for (std::string command : {"health", "monitor", "doctor", "bench", "locks"}) {
        BOOST_TEST(all.out.find("\n  " + command) != std::string::npos, command);
        auto one = pgcoro_command(command + " --help");
        BOOST_TEST(one.code == 0);
        BOOST_TEST(one.out.find("Example: --url postgresql://") != std::string::npos, one.out);
    }
    BOOST_TEST(pgcoro_command("--version").out.starts_with("pgcoro "));
}

BOOST_AUTO_TEST_CASE(bash_completes_commands_options_and_values)
{
    auto completed = [](const std::string& words) {
        return run_shell("bash -c 'source " PGCORO_TEST_SHARE "/pgcoro.bash; COMP_WORDS=(" + words +
                         "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _pgcoro; echo ${COMPREPLY[@]}'")
            .out;
    };
    BOOST_TEST(completed("pgcoro mo") == "monitor\n");
    BOOST_TEST(completed("pgcoro health --te") == "--test-connectivity --test-performance\n");
    BOOST_TEST(completed("pgcoro health --format j") == "json\n");
    BOOST_TEST(completed("pgcoro doctor --adm") == "--admin-url\n");
}

BOOST_AUTO_TEST_SUITE_END()
