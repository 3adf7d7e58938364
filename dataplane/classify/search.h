// Searching a forest for a burst of packets, with the instructions that the CPU has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/classify/forest.h"
#include "dataplane/classify/header_key.h"

namespace sluice::classify {

enum class InstructionSet : std::uint8_t { portable, avx2, avx512 };

// The best one that this CPU carries out.
InstructionSet best_instruction_set();
bool is_available(InstructionSet set);
const char* name_of(InstructionSet set);

// A burst: the keys that `which` names, all of the forest's family.
struct Burst {
    std::span<const HeaderKey> keys;
    std::span<const std::uint16_t> which;
    std::uint32_t from = 0;      // rules before this one are not told
    std::span<Matches> matches;  // out, at the same places as the keys
};

using SearchFunction = void (*)(const Forest& forest, const Burst& burst);

// REQUIRES: is_available(set).
SearchFunction search_function(InstructionSet set);

// One definition in each file that is compiled for a set of instructions.
void search_portable(const Forest& forest, const Burst& burst);
void search_avx2(const Forest& forest, const Burst& burst);
void search_avx512(const Forest& forest, const Burst& burst);

}  // namespace sluice::classify
