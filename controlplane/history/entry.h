// One ruleset of the history: everything about it but its text.
#pragma once

#include <cstdint>
#include <string>

#include "controlplane/ruleset/ruleset_difference.h"

namespace sluice::history {

struct Entry {
    std::uint64_t number = 0;      // counts up for ever; 0: none
    std::uint64_t generation = 0;  // under which it ran last
    std::uint64_t time_s = 0;      // since 1970, when it was accepted
    std::uint64_t written_s = 0;   // and when the entries in its tables were as they are there
    std::uint32_t uid = 0;         // of who made it
    std::string user = {};         // by name
    std::string did = {};          // the command, in a few words
    ruleset::DifferenceCounts difference = {};  // from the one before
    std::uint64_t restores = 0;                 // the number that it brought back; 0: none
    bool operator==(const Entry&) const = default;
};

}  // namespace sluice::history
