// `ipfw top [--once] [--json] [--interval S]`: what the appliance does in a second: ports, workers,
// states, and the rules that most packets meet. The figures are differences of two statuses, which
// the control plane tells; no worker is asked.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/exit_status.h"
#include "common/result.h"

namespace sluice::cli {

struct TopCommand {
    bool once = false;  // --once: one table, after one interval
    bool json = false;  // --json
    std::chrono::milliseconds interval{1000};
    bool operator==(const TopCommand&) const = default;
};

bool is_top_command(std::span<const std::string> arguments);

// REQUIRES: is_top_command.
Result<TopCommand> parse_top_command(std::span<const std::string> arguments);

// {"schema": "sluice/top/1", …}: the rates between two statuses (`sluice/status/1`), rules in the
// order of their packets. What is only in one of them has no rate yet. An error: they are none.
Result<nlohmann::ordered_json> rates_between(std::string_view before, std::string_view after,
                                             double seconds);

// As a table of so many lines and columns at most; 0: as many as there are.
struct Screen {
    std::size_t rows = 0;
    std::size_t columns = 0;
};
std::vector<std::string> top_table(const nlohmann::ordered_json& rates, Screen screen);

// `1234567.0` as `1.23M`; in at most six characters.
std::string short_figure(double value);

// Prints as it goes; the exit status.
ExitStatus run_top_command(std::span<const std::string> arguments);

}  // namespace sluice::cli
