#include "peers/peers.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace bench
{

namespace
{

// A file for as long as this lives.
class script_file
{
public:
    script_file(std::filesystem::path path, const std::string& text)
        : path_(std::move(path))
    {
        std::ofstream(path_) << text;
    }
    script_file(const script_file&) = delete;
    script_file& operator=(const script_file&) = delete;
    ~script_file()
    {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

std::string output_of(const std::string& command)
{
    auto* pipe = ::popen(command.c_str(), "r");
    if (!pipe) throw std::runtime_error("could not start: " + command);
    std::string text;
    std::array<char, 4096> part;
    while (auto n = std::fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), n);
    if (::pclose(pipe) != 0) throw std::runtime_error("failed: " + command + "\n" + text);
    return text;
}

double number_after(const std::string& text, const std::string& words)
{
    auto at = text.find(words);
    if (at == text.npos) throw std::runtime_error("pgbench did not say '" + words + "':\n" + text);
    return std::stod(text.substr(at + words.size()));
}

} // namespace

std::vector<contender> pgbench(const environment& where, std::size_t clients, const std::string& script)
{
    auto program = where.server().bin_dir() / "pgbench";
    if (!std::filesystem::exists(program)) return {};
    static int scripts = 0;
    auto file = std::make_shared<script_file>(
        std::filesystem::temp_directory_path() /
            ("pgcoro_bench_" + std::to_string(::getpid()) + "_" + std::to_string(++scripts) + ".sql"),
        script);
    auto command = [=, uri = where.uri()](int whole_seconds) {
        return program.string() + " -n -M prepared -j 1 -c " + std::to_string(clients) + " -T " +
               std::to_string(whole_seconds) + " -f '" + file->path().string() + "' '" + uri + "' 2>&1";
    };
    return {{"pgbench", [=](seconds how_long) {
                 sample s;
                 auto cpu = children_cpu();
                 auto text = output_of(command(static_cast<int>(std::ceil(how_long.count()))));
                 s.cpu = children_cpu() - cpu;
                 s.operations = static_cast<std::uint64_t>(
                     number_after(text, "number of transactions actually processed: "));
                 s.elapsed = static_cast<double>(s.operations) / number_after(text, "tps = ");
                 return s;
             }}};
}

} // namespace bench
