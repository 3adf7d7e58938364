// Any bytes as a frame: the production parser reads nothing outside of them, and comes to the same
// end as the slow decoder of tests/reference. The first byte chooses the settings.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "dataplane/classify/options.h"
#include "dataplane/packet/parser.h"
#include "tests/reference/slow_packet.h"

using namespace sluice;

namespace {

void check(bool holds) {
    if (!holds)
        std::abort();
}

void compare(const packet::Headers& headers, const reference::SlowPacket& slow) {
    check(headers.ip_version == slow.version);
    check(headers.ether_type == slow.ether_type);
    if (slow.version == 0)
        return;
    check(headers.ip_length == slow.ip.size());
    check(headers.protocol == slow.protocol);
    check(headers.fragment_offset == slow.fragment_offset);
    check(headers.more_fragments() == slow.more_fragments);
    check(headers.extension_headers == slow.extension_headers);
    if (slow.has_ports()) {
        check(headers.source_port == slow.source_port());
        check(headers.destination_port == slow.destination_port());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0)
        return 0;
    const bool deny_unknown = (data[0] & 1) != 0, permit_single = (data[0] & 2) != 0;
    // A copy of exactly this size, so that a sanitizer sees the first byte too many.
    const std::vector<std::byte> frame(reinterpret_cast<const std::byte*>(data) + 1,
                                       reinterpret_cast<const std::byte*>(data) + size);
    packet::Headers headers;
    const contract::DropReason reason = packet::parse_frame(
        frame,
        {.deny_unknown_extension_headers = deny_unknown, .permit_single_fragment6 = permit_single},
        headers);
    const reference::SlowPacket slow = reference::decode(
        frame,
        {.deny_unknown_extension_headers = deny_unknown, .permit_single_fragment6 = permit_single});
    check((reason == contract::DropReason::none) ==
          (slow.fate == reference::SlowPacket::Fate::judged));
    if (reason != contract::DropReason::none)
        return 0;
    compare(headers, slow);
    (void)classify::ip_option_bits(headers);
    if (headers.protocol == 6 && headers.transport_offset != 0)
        (void)classify::tcp_options(headers);
    return 0;
}
