#include "controlplane/ruleset/listing.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <ctime>

namespace sluice::ruleset {
namespace {

constexpr std::size_t kDateWidth = 24;  // of ctime(3) without its line feed

int decimal_width(std::uint64_t value) {
    int width = 1;
    for (; value >= 10; value /= 10)
        ++width;
    return width;
}

// `Sun Nov  9 21:12:18 2003`, local time.
std::string date_text(std::uint64_t seconds) {
    const auto time = static_cast<std::time_t>(seconds);
    std::tm local{};
    char text[64] = {};
    if (localtime_r(&time, &local) == nullptr ||
        std::strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &local) == 0)
        return std::string(kDateWidth, ' ');
    return text;
}

}  // namespace

CounterWidths counter_widths(std::span<const ListedRule> rules) {
    CounterWidths widths;
    for (const ListedRule& rule : rules) {
        widths.packets = std::max(widths.packets, decimal_width(rule.packets));
        widths.bytes = std::max(widths.bytes, decimal_width(rule.bytes));
    }
    return widths;
}

std::string format_rule(const ListedRule& rule, const ListingOptions& options,
                        CounterWidths widths) {
    char field[64];
    std::snprintf(field, sizeof field, "%05u ", unsigned{rule.number});
    std::string line = field;
    if (options.counters) {
        std::snprintf(field, sizeof field, "%*" PRIu64 " %*" PRIu64 " ", widths.packets,
                      rule.packets, widths.bytes, rule.bytes);
        line += field;
    }
    if (options.raw_timestamps) {
        std::snprintf(field, sizeof field, "%10" PRIu64 " ", rule.last_match_s);
        line += field;
    } else if (options.timestamps) {
        line +=
            rule.last_match_s == 0 ? std::string(kDateWidth, ' ') : date_text(rule.last_match_s);
        line += ' ';
    }
    if (options.sets)
        line += "set " + std::to_string(rule.set) + " ";
    return line + rule.text;
}

std::string format_listing(std::span<const ListedRule> rules, const ListingOptions& options) {
    const CounterWidths widths = counter_widths(rules);
    std::string text;
    for (const ListedRule& rule : rules) {
        text += format_rule(rule, options, widths);
        text += '\n';
    }
    return text;
}

}  // namespace sluice::ruleset
