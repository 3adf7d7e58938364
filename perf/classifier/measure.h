// How the benchmark measures: time of the thread, so that a machine with other work disturbs least,
// and what the allocator has given away.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace sluice::perf {

inline constexpr std::size_t kBurst = 256;

// Seconds of CPU that this thread has used.
double thread_seconds();

// Bytes in use of the heap, whoever asked for them.
std::size_t heap_bytes();

// The most memory that the process has had since `forget_peak`, in bytes.
std::size_t peak_bytes();
void forget_peak();

struct Spread {
    double median = 0;
    double least = 0;
    double greatest = 0;
};

inline Spread spread_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return {values[values.size() / 2], values.front(), values.back()};
}

}  // namespace sluice::perf
