#include "controlplane/language/expiry.h"

#include <chrono>
#include <cstdio>
#include <optional>

#include "controlplane/language/parse_error.h"

namespace sluice::language {

namespace {

constexpr std::uint64_t kLatest = UINT32_MAX;  // the year 2106

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::uint64_t seconds_of(char unit) {
    switch (unit) {
        case 's':
            return 1;
        case 'm':
            return 60;
        case 'h':
            return 3600;
        case 'd':
            return 86400;
        case 'w':
            return 604800;
        default:
            return 0;
    }
}

// `1h30m`; each number has its unit.
std::optional<std::uint64_t> parse_duration(std::string_view text) {
    std::uint64_t total = 0, number = 0;
    bool has_digits = false;
    for (const char c : text) {
        if (is_digit(c)) {
            number = number * 10 + static_cast<std::uint64_t>(c - '0');
            has_digits = true;
        } else {
            if (!has_digits || seconds_of(c) == 0)
                return std::nullopt;
            total += number * seconds_of(c);
            number = 0;
            has_digits = false;
        }
        if (number > kLatest || total > kLatest)
            return std::nullopt;
    }
    if (has_digits || total == 0)
        return std::nullopt;
    return total;
}

// `2026-12-31T23:59Z`, with or without seconds.
std::optional<std::uint64_t> parse_time(std::string_view text) {
    constexpr std::string_view kLong = "dddd-dd-ddTdd:dd:ddZ", kShort = "dddd-dd-ddTdd:ddZ";
    const std::string_view shape = text.size() == kShort.size() ? kShort : kLong;
    if (text.size() != shape.size())
        return std::nullopt;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (shape[i] == 'd' ? !is_digit(text[i]) : shape[i] != text[i])
            return std::nullopt;
    const auto number = [&](std::size_t at, std::size_t digits) {
        unsigned value = 0;
        for (const char c : text.substr(at, digits))
            value = value * 10 + static_cast<unsigned>(c - '0');
        return value;
    };
    using namespace std::chrono;
    const year_month_day date{year(static_cast<int>(number(0, 4))), month(number(5, 2)),
                              day(number(8, 2))};
    const unsigned hour = number(11, 2), minute = number(14, 2);
    const unsigned second = shape == kLong ? number(17, 2) : 0;
    if (!date.ok() || hour > 23 || minute > 59 || second > 59)
        return std::nullopt;
    const auto days = sys_days(date).time_since_epoch().count();
    if (days < 0)
        return std::nullopt;
    return static_cast<std::uint64_t>(days) * 86400 + hour * 3600 + minute * 60 + second;
}

}  // namespace

Result<std::uint32_t, ValueError> parse_expiry(std::string_view text, std::uint64_t now_s) {
    std::optional<std::uint64_t> end = parse_time(text);
    if (!end) {
        end = parse_duration(text);
        if (!end)
            return ValueError{ExitStatus::data, 0,
                              "bad end " + quote(text) +
                                  "; expected a duration such as 1h30m (units w d h m s) or a "
                                  "time such as 2026-12-31T23:59Z"};
        *end += now_s;
    }
    if (*end > kLatest)
        return ValueError{ExitStatus::data, 0,
                          "the end " + quote(text) + " lies behind the year 2105"};
    if (*end <= now_s)
        return ValueError{ExitStatus::data, 0, "the end " + quote(text) + " is over already"};
    return static_cast<std::uint32_t>(*end);
}

std::string expiry_text(std::uint32_t seconds) {
    using namespace std::chrono;
    const year_month_day date{sys_days(days(seconds / 86400))};
    const unsigned rest = seconds % 86400;
    char text[32];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02u:%02u:%02uZ",
                  static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                  static_cast<unsigned>(date.day()), rest / 3600, rest / 60 % 60, rest % 60);
    return text;
}

}  // namespace sluice::language
