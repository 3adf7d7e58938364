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

// So many keys are searched together.
inline constexpr std::size_t kSearchedAtOnce = 64;

// Tells for each key the rules at or behind `from` that match it. All keys are of the forest's
// family. Keys `ahead`, which will be asked for next, are brought from memory meanwhile.
// REQUIRES: keys.size() <= kSearchedAtOnce, matches.size() >= keys.size().
using SearchFunction = void (*)(const Forest& forest, std::span<const HeaderKey> keys,
                                std::uint32_t from, std::span<Matches> matches,
                                std::span<const HeaderKey> ahead);

// REQUIRES: is_available(set).
SearchFunction search_function(InstructionSet set);

// One definition in each file that is compiled for a set of instructions.
void search_portable(const Forest& forest, std::span<const HeaderKey> keys, std::uint32_t from,
                     std::span<Matches> matches, std::span<const HeaderKey> ahead);
void search_avx2(const Forest& forest, std::span<const HeaderKey> keys, std::uint32_t from,
                 std::span<Matches> matches, std::span<const HeaderKey> ahead);
void search_avx512(const Forest& forest, std::span<const HeaderKey> keys, std::uint32_t from,
                   std::span<Matches> matches, std::span<const HeaderKey> ahead);

}  // namespace sluice::classify
