// How a search that goes on passes the blocks of a leaf that it has been through. Without it a
// packet that matches ten thousand `count` rules would pass the first of them again for every
// answer.
#pragma once

#include <cstdint>

#include "dataplane/classify/forest.h"

namespace sluice::classify {

// Lane k of a block says with BoxRules::kMore whether at least 8^k blocks of the leaf follow it.
constexpr std::uint32_t blocks_of_stride(unsigned lane) {
    return 1u << 3 * lane;
}

inline void set_following(BoxRules& rules, std::uint32_t blocks) {
    for (unsigned lane = 0; lane < kBlockSize && blocks >= blocks_of_stride(lane); ++lane)
        rules.values[lane] |= BoxRules::kMore;
}

}  // namespace sluice::classify
