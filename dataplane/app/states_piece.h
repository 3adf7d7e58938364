// A piece of the states, as much as the main thread looks at without making others wait for it.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/contract/message.h"

namespace sluice::dataplane {

struct StatesPiece {
    std::vector<contract::StateRecord> records;  // none, if only their number was asked for
    std::uint64_t count = 0;                     // of states, not of parents
    contract::StatePosition next;                // where the next piece begins
    bool last = true;
};

}  // namespace sluice::dataplane
