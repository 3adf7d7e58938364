// What is read of instructions (contract/instruction.h) wherever rules become sets of packets.
#pragma once

#include <cstdint>
#include <cstring>

#include "common/address.h"
#include "dataplane/contract/instruction.h"

namespace sluice::classify {

inline bool is_negated(const contract::Instruction& test) {
    return (test.flags & contract::kNegated) != 0;
}

// Ones, then zeros.
constexpr bool is_contiguous(std::uint32_t mask) {
    return (~mask & (~mask + 1)) == 0;
}

// Of four, the first one 0, in host byte order.
inline std::uint32_t word_at(const Ipv6& address, unsigned word) {
    Be32 value;
    std::memcpy(&value, address.bytes.data() + 4 * word, sizeof value);
    return value.host();
}

}  // namespace sluice::classify
