#include "controlplane/ruleset/listing.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <ctime>

#include "controlplane/language/names.h"

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

std::string endpoint(const std::variant<Ipv4, Ipv6>& address, std::uint16_t port) {
    return std::visit([](const auto& a) { return to_string(a); }, address) + " " +
           std::to_string(port);
}

std::string kind_words(const ListedState& state) {
    switch (state.kind) {
        case contract::StateKind::state:
            break;
        case contract::StateKind::limited:
            return " LIMIT";
        case contract::StateKind::parent:
            return " PARENT " + std::to_string(state.children);
    }
    return " STATE";
}

}  // namespace

CounterWidths counter_widths(std::span<const ListedRule> rules,
                             std::span<const ListedState> states) {
    CounterWidths widths;
    const auto widen = [&widths](const auto& line) {
        widths.packets = std::max(widths.packets, decimal_width(line.packets));
        widths.bytes = std::max(widths.bytes, decimal_width(line.bytes));
    };
    std::for_each(rules.begin(), rules.end(), widen);
    std::for_each(states.begin(), states.end(), widen);
    return widths;
}

std::string format_rule(const ListedRule& rule, const ListingOptions& options,
                        CounterWidths widths) {
    if (rule.disabled && !options.sets)
        return {};
    char field[64];
    std::snprintf(field, sizeof field, "%s%05u ", rule.disabled ? "# DISABLED " : "",
                  unsigned{rule.number});
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

std::string format_state(const ListedState& state, const ListingOptions& options,
                         CounterWidths widths) {
    char field[64];
    std::snprintf(field, sizeof field, "%05u", unsigned{state.number});
    std::string line = field;
    if (options.counters) {
        std::snprintf(field, sizeof field, " %*" PRIu64 " %*" PRIu64, widths.packets, state.packets,
                      widths.bytes, state.bytes);
        line += field;
    }
    std::snprintf(field, sizeof field, " (%" PRIu32 "s)", state.expires_s);
    line += field;
    line += kind_words(state);
    const auto protocol = language::NameDatabase::instance().protocol_name(state.protocol);
    line += " " + protocol.value_or("proto " + std::to_string(state.protocol));
    line += " " + endpoint(state.source, state.source_port) + " <-> " +
            endpoint(state.destination, state.destination_port);
    return line + " :" + state.name;
}

std::string format_states(std::span<const ListedState> states, const ListingOptions& options,
                          CounterWidths widths) {
    if (states.empty())
        return {};
    // The size is that of ipfw's own records, which scripts have learnt to expect.
    constexpr std::size_t kHeading = 16, kEach = 128;
    std::string text = "## Dynamic rules (" + std::to_string(states.size()) + " " +
                       std::to_string(kHeading + kEach * states.size()) + "):\n";
    for (const ListedState& state : states)
        text += format_state(state, options, widths) + "\n";
    return text;
}

std::string format_listing(std::span<const ListedRule> rules, const ListingOptions& options,
                           std::span<const ListedState> states) {
    const CounterWidths widths = counter_widths(rules, states);
    std::string text;
    for (const ListedRule& rule : rules) {
        const std::string line = format_rule(rule, options, widths);
        if (!line.empty())
            text += line + '\n';
    }
    return text + format_states(states, options, widths);
}

}  // namespace sluice::ruleset
