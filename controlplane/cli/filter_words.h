// The words that pick states and packets: `host 10.0.0.0/8 port 80 proto tcp rule 100`.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "controlplane/language/names.h"

namespace sluice::cli {

inline constexpr std::string_view kExpectedNetwork = "an address, with or without /LENGTH";
inline constexpr std::string_view kExpectedPort = "a port from 1 to 65535 or the name of a service";
inline constexpr std::string_view kExpectedProtocol = "the name or number of a protocol";
inline constexpr std::string_view kExpectedRule = "a rule number from 1 to 65535";

// A decimal number, of `first` or more, and nothing behind it.
template <typename Number>
bool read_number(std::string_view text, Number first, Number& number) {
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    return problem == std::errc{} && end == text.data() + text.size() && number >= first;
}

struct Network {
    language::HostAddress address;
    std::uint8_t prefix_length = 0;
};

std::optional<Network> read_network(std::string_view text);
std::optional<std::uint16_t> read_port(std::string_view text);  // never 0
std::optional<std::uint8_t> read_protocol(std::string_view text);

}  // namespace sluice::cli
