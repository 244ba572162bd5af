// What a measure is: contenders that do the same work, and goals for the ratios between them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bench
{

using seconds = std::chrono::duration<double>;

// One run of one contender.
struct sample
{
    std::uint64_t operations = 0;
    double elapsed = 0; // seconds
    double cpu = 0; // seconds of this side's processor time, in user and kernel; the server's is not in it
    std::map<std::string, double> extra; // what else a measure wants told

    double cpu_each() const { return cpu / static_cast<double>(operations); }
    double rate() const { return static_cast<double>(operations) / elapsed; }
};

// Runs the work, which gives the number of operations it did, and measures it.
template <class Work>
sample measured(Work&& work);

// Several runs do the same work on the same connections; the first one makes them.
struct contender
{
    std::string name;
    std::function<sample(seconds how_long)> run;
};

// The samples of each contender, by its name, in the order of the runs: the i-th of all ran side by side.
using samples = std::map<std::string, std::vector<sample>>;

struct goal
{
    std::string what;
    enum { at_most, at_least } sense;
    double limit;
    std::function<double(const samples&)> value;

    bool met(double reached) const { return sense == at_most ? reached <= limit : reached >= limit; }
};

struct measure
{
    std::string id;    // of the design's table of promises
    std::string title; // what one operation is
    std::vector<contender> contenders;
    std::vector<goal> goals;
};

inline const std::string ours = "pgcoro";
inline const std::string the_floor = "floor";

// Least processor time an operation, of all runs, by the other's: what disturbs a run only ever adds to it.
double cpu_ratio(const samples& all, const std::string& of, const std::string& by);
// The median over the runs of the rate by the other's.
double rate_ratio(const samples& all, const std::string& of, const std::string& by);
// Nanoseconds of processor time an operation, in the run where they were least.
double least_cpu_ns(const samples& all, const std::string& of);

double median(std::vector<double> values);

// Processor time of this process, or of its ended children, in seconds.
double own_cpu();
double children_cpu();
// What malloc has given away, in bytes.
std::size_t heap_in_use();

template <class Work>
sample measured(Work&& work)
{
    sample s;
    auto cpu = own_cpu();
    auto begun = std::chrono::steady_clock::now();
    s.operations = work();
    s.elapsed = seconds(std::chrono::steady_clock::now() - begun).count();
    s.cpu = own_cpu() - cpu;
    return s;
}

} // namespace bench
