#include <array>
#include <cstdio>

#include "controlplane/patterns/lint.h"

namespace sluice::patterns {
namespace {

constexpr std::size_t kShownText = 80;

std::string shown(const std::string& text) {
    return text.size() <= kShownText ? text : text.substr(0, kShownText) + "…";
}

std::string with_unit(double value, const char* const (&units)[4]) {
    std::size_t unit = 0;
    while (value >= 1000 && unit + 1 < std::size(units)) {
        value /= 1000;
        ++unit;
    }
    char text[48];
    std::snprintf(text, sizeof text, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value,
                  units[unit]);
    return text;
}

std::string bytes(std::uint64_t count) {
    return with_unit(static_cast<double>(count), {"bytes", "kB", "MB", "GB"});
}

std::string number_of(std::size_t count, const char* one, const char* many) {
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

std::string subject_of(const LintOrder& order, const LintReport& report) {
    std::string text = "pattern " + order.name + ": ";
    if (order.type == contract::PatternType::names)
        return text + number_of(report.names, "name", "names");
    text += number_of(report.literals, "literal", "literals") + " and " +
            number_of(report.expressions, "expression", "expressions");
    return text + (order.database.mode == contract::PatternMode::stream ? ", stream mode"
                                                                        : ", packet mode");
}

std::vector<std::string> cost_lines(const LintOrder& order, const PatternCost& cost) {
    char speed[200];
    std::snprintf(speed, sizeof speed,
                  "speed: about %.1f Gbit/s of payload by one core for packets of 1460 bytes, %.0f "
                  "ns for 64 bytes; traffic that is made to be slow takes up to %u times as long",
                  cost.large_gbit, cost.small_ns, kWorstTraffic);
    std::vector<std::string> lines = {speed, "memory: " + bytes(cost.database_bytes) +
                                                 " for the database, " + bytes(cost.scratch_bytes) +
                                                 " for each worker"};
    if (cost.stream_bytes != 0)
        lines.back() += ", " + bytes(cost.stream_bytes) + " for each side of a flow: up to " +
                        bytes(2 * cost.stream_bytes * order.flows) + " for " +
                        std::to_string(order.flows) + " flows";
    return lines;
}

std::string sentence(const LintOrder& order, const PatternFinding& finding) {
    const std::vector<std::string>& texts = order.database.patterns;
    const std::string other = finding.other ? shown(texts[*finding.other]) : "";
    switch (finding.fault) {
        case PatternFault::duplicate:
            return "the same is there before it";
        case PatternFault::covered:
            return "wherever it is found, " + other + " is found too";
        case PatternFault::no_literal:
            return "there are no bytes that must be there for it to be found, so that each byte "
                   "is looked at for it";
        case PatternFault::short_literal:
            return "of the bytes that must be there for it to be found no more than " +
                   shown(finding.literal) +
                   " stand together; with six or more that are rare the search is several times "
                   "faster";
        case PatternFault::common_literal:
            return "it is looked at more closely wherever " + shown(finding.literal) +
                   " stands, which is common in HTTP";
        case PatternFault::large_repeat:
            return "it counts a long way, which takes time to compile, and memory for each stream";
        case PatternFault::anchored:
            if (order.database.mode == contract::PatternMode::stream)
                return "in stream mode, $ is true in front of a newline only: nobody knows where "
                       "the stream ends";
            return "in packet mode, ^ and $ are the ends of a packet, wherever that lies in its "
                   "flow";
        case PatternFault::count_:
            break;
    }
    return {};
}

}  // namespace

std::vector<std::string> lint_lines(const LintOrder& order, const LintReport& report) {
    std::vector<std::string> lines = {subject_of(order, report)};
    if (report.cost)
        for (std::string& line : cost_lines(order, *report.cost))
            lines.push_back(std::move(line));
    else if (!report.no_cost.empty())
        lines.push_back("speed: not known: " + report.no_cost);
    std::array<std::size_t, static_cast<std::size_t>(PatternFault::count_)> told = {};
    for (const PatternFinding& finding : report.findings) {
        const std::size_t times = ++told[static_cast<std::size_t>(finding.fault)];
        if (times <= kToldFindings)
            lines.push_back(shown(order.database.patterns[finding.pattern]) + ": " +
                            sentence(order, finding));
    }
    for (std::size_t fault = 0; fault < told.size(); ++fault)
        if (told[fault] > kToldFindings) {
            static constexpr const char* kKinds[] = {"are there twice",
                                                     "are found only where another one is",
                                                     "have no bytes of their own",
                                                     "have short ones",
                                                     "have common ones",
                                                     "count a long way",
                                                     "are about ends"};
            static_assert(std::size(kKinds) == static_cast<std::size_t>(PatternFault::count_));
            lines.push_back("… and " + std::to_string(told[fault] - kToldFindings) +
                            " more patterns that " + kKinds[fault]);
        }
    return lines;
}

std::vector<std::string> lint_lines(const LintOrder& order) {
    return lint_lines(order, lint(order));
}

}  // namespace sluice::patterns
