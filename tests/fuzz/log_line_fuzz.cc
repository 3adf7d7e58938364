// Lines of a log, which anybody on the way may have spoilt: whatever they are, each is counted
// once.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "analysis/log_summary.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using sluice::analysis::Fate;
    constexpr std::size_t kFewFlows = 8;
    sluice::analysis::LogSummary summary({}, kFewFlows);
    std::string_view text(reinterpret_cast<const char*>(data), size);
    std::uint64_t lines = 0, repeated = 0;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(line.size() < text.size() ? line.size() + 1 : line.size());
        const auto read = sluice::log::read_line(line);
        // Sums of numbers that somebody has made up may pass the end.
        if (read.kind == sluice::log::ReadLine::Kind::repeated && read.times > 1000)
            continue;
        if (read.kind == sluice::log::ReadLine::Kind::repeated)
            ++repeated;
        summary.add(line);
        ++lines;
    }
    std::uint64_t packets = 0, of_actions = 0, of_flows = 0;
    for (const Fate fate : {Fate::accepted, Fate::denied, Fate::other})
        packets += summary.packets(fate);
    for (const auto& [name, action] : summary.actions()) {
        of_actions += action.packets;
        of_flows += action.others.all();
        for (const auto& [flow, counts] : action.flows)
            of_flows += counts.all();
    }
    const std::uint64_t told = summary.notices() + summary.not_ipfw() + summary.unreadable();
    if (summary.lines() != lines || packets != of_actions || packets != of_flows ||
        (repeated == 0 && packets + told != lines))
        std::abort();
    return 0;
}
