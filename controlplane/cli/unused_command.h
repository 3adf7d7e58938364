// `ipfw unused [--since TIME] [--json]`: the running rules that no packet has matched for that
// time. Nothing is claimed about times in which nobody counted: a rule that is younger, or was
// zeroed since, is told apart.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "controlplane/cli/output.h"
#include "controlplane/ruleset/listing.h"

namespace sluice::cli {

struct UnusedCommand {
    std::uint64_t since_s = std::uint64_t{90} * 24 * 3600;  // from now back
    bool json = false;
    bool operator==(const UnusedCommand&) const = default;
};

// `arguments` behind the word `unused`.
Result<UnusedCommand> parse_unused_command(std::span<const std::string> arguments);

// What is printed about rules that were listed at `now_s`, since 1970.
void show_unused(const UnusedCommand& command, std::span<const ruleset::ListedRule> rules,
                 std::uint64_t now_s, Output& output);

void run_unused(std::span<const std::string> arguments, Output& output);

}  // namespace sluice::cli
