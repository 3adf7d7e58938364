// What rules have written on a packet, as the slow engine keeps it. Changes of headers it makes in
// its copy of the packet, where later rules find them.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

namespace sluice::reference {

struct SlowMarks {
    std::set<unsigned> tags;
    std::uint32_t mark = 0;
    unsigned fib = 0;
    std::vector<unsigned> callers;  // numbers of rules whose calls have not returned
};

}  // namespace sluice::reference
