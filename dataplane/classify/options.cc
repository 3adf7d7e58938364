#include "dataplane/classify/options.h"

#include <cstddef>
#include <span>

#include "dataplane/packet/wire.h"

namespace sluice::classify {

namespace {

constexpr std::uint8_t kEndOfList = 0, kNoOperation = 1;  // the same in IP and TCP

// Kind, length and content of one option; `length` counts the two bytes before the content.
struct Option {
    std::uint8_t kind;
    std::span<const std::byte> content;
};

enum class WalkEnd { complete, malformed };

template <typename Visit>
WalkEnd walk(std::span<const std::byte> options, Visit visit) {
    while (!options.empty()) {
        const auto kind = std::to_integer<std::uint8_t>(options[0]);
        if (kind == kEndOfList)
            break;
        if (kind == kNoOperation) {
            options = options.subspan(1);
            continue;
        }
        const std::size_t length =
            options.size() >= 2 ? std::to_integer<std::size_t>(options[1]) : 0;
        if (length < 2 || length > options.size())
            return WalkEnd::malformed;
        visit(Option{kind, options.subspan(2, length - 2)});
        options = options.subspan(length);
    }
    return WalkEnd::complete;
}

}  // namespace

std::optional<std::uint8_t> ip_option_bits(const packet::Headers& headers) {
    if (headers.ip_version != 4)
        return std::nullopt;
    const std::span<const std::byte> options(
        headers.frame + headers.network_offset + sizeof(packet::wire::Ip4),
        headers.ip_header_length - sizeof(packet::wire::Ip4));
    std::uint8_t bits = 0;
    const WalkEnd end = walk(options, [&](const Option& option) {
        switch (option.kind) {  // RFC 791
            case 131:
                bits |= 1;
                break;
            case 137:
                bits |= 2;
                break;
            case 7:
                bits |= 4;
                break;
            case 68:
                bits |= 8;
                break;
        }
    });
    if (end == WalkEnd::malformed)
        return std::nullopt;
    return bits;
}

std::optional<TcpOptions> tcp_options(const packet::Headers& headers) {
    const std::size_t fixed = sizeof(packet::wire::Tcp);
    const std::size_t packet_end = std::size_t{headers.network_offset} + headers.ip_length;
    if (headers.transport_offset + std::size_t{headers.tcp_header_length} > packet_end)
        return std::nullopt;
    TcpOptions result;
    if (headers.tcp_header_length <= fixed)
        return result;
    walk({headers.frame + headers.transport_offset + fixed, headers.tcp_header_length - fixed},
         [&](const Option& option) {
             switch (option.kind) {  // RFC 9293, 7323, 2018
                 case 2:
                     result.bits |= 1;
                     if (option.content.size() == 2)
                         result.maximum_segment_size = static_cast<std::uint16_t>(
                             std::to_integer<unsigned>(option.content[0]) << 8 |
                             std::to_integer<unsigned>(option.content[1]));
                     break;
                 case 3:
                     result.bits |= 2;
                     break;
                 case 4:
                 case 5:
                     result.bits |= 4;
                     break;
                 case 8:
                     result.bits |= 8;
                     break;
             }
         });
    return result;
}

}  // namespace sluice::classify
