#include "controlplane/cli/filter_words.h"

#include <variant>

namespace sluice::cli {

std::optional<Network> read_network(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view address = text.substr(0, slash);
    Network network;
    if (const auto v4 = parse_ipv4(address))
        network.address = *v4;
    else if (const auto v6 = parse_ipv6(address))
        network.address = *v6;
    else
        return std::nullopt;
    const std::uint8_t longest = std::holds_alternative<Ipv4>(network.address) ? 32 : 128;
    network.prefix_length = longest;
    if (slash != std::string_view::npos &&
        !(read_number(text.substr(slash + 1), std::uint8_t{0}, network.prefix_length) &&
          network.prefix_length <= longest))
        return std::nullopt;
    return network;
}

std::optional<std::uint16_t> read_port(std::string_view text) {
    std::uint16_t port = 0;
    if (!read_number(text, std::uint16_t{1}, port))
        port = language::NameDatabase::instance().service(text).value_or(0);
    return port != 0 ? std::optional(port) : std::nullopt;
}

std::optional<std::uint8_t> read_protocol(std::string_view text) {
    std::uint8_t number = 0;
    return read_number(text, std::uint8_t{0}, number)
               ? std::optional(number)
               : language::NameDatabase::instance().protocol(text);
}

}  // namespace sluice::cli
