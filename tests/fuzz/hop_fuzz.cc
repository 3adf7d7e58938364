// Any bytes as a frame that a router gets: whatever it answers is a good packet with right
// checksums, and an error goes to no sender to a group; lowering the hop limit keeps a right
// checksum right; fragments are good packets. The first two bytes choose what is asked for.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "dataplane/forward/fragment.h"
#include "dataplane/forward/hop.h"
#include "dataplane/forward/reply.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/parser.h"

using namespace sluice;

namespace {

void check(bool holds) {
    if (!holds)
        std::abort();
}

packet::Headers good(std::span<const std::byte> frame) {
    packet::Headers headers;
    check(packet::parse_frame(frame, {}, headers) == contract::DropReason::none);
    return headers;
}

Be16 header_checksum(std::span<const std::byte> frame, const packet::Headers& headers) {
    packet::Checksum sum;
    sum.add(frame.subspan(headers.network_offset, headers.ip_header_length));
    return sum.finish();
}

void check_answer(const packet::Packet& asked, std::span<const std::byte> answer) {
    if (answer.empty())
        return;
    check(answer.size() <= forward::kMaximumReply);
    const packet::Headers headers = good(answer);
    check(headers.ip_version == asked.headers.ip_version);
    check(headers.destination == asked.headers.source);
    check(asked.headers.fragment_offset == 0);
    check(headers.network_offset == asked.headers.network_offset);
    if (headers.ip_version == 4)
        check(header_checksum(answer, headers) == Be16{});
    if (headers.ip_version == 4 && headers.protocol == 1) {
        packet::Checksum sum;
        sum.add(answer.subspan(headers.transport_offset, headers.ip_length - 20u));
        check(sum.finish() == Be16{});
    }
}

void cut(const packet::Packet& packet, std::span<const std::byte> frame, unsigned mtu) {
    static std::array<std::byte, 70000> piece;
    const packet::Headers& whole = packet.headers;
    if (whole.ip_version != 4)
        return;
    std::size_t payload = 0;
    for (unsigned number = 0;; ++number) {
        const std::size_t size = forward::build_fragment(frame, whole, mtu, number, piece);
        if (size == 0)
            break;
        const auto headers =
            reinterpret_cast<const std::uint8_t*>(piece.data()) + whole.network_offset;
        const unsigned length = headers[2] << 8 | headers[3];
        check(length <= mtu && size == whole.network_offset + length);
        check(header_checksum(std::span(piece).first(size), whole) == Be16{});
        payload += length - whole.ip_header_length;
    }
    check(payload == static_cast<std::size_t>(whole.ip_length - whole.ip_header_length));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2)
        return 0;
    std::vector<std::byte> frame(reinterpret_cast<const std::byte*>(data) + 2,
                                 reinterpret_cast<const std::byte*>(data) + size);
    packet::Packet packet;
    if (packet::parse_frame(frame, {}, packet.headers) != contract::DropReason::none ||
        packet.headers.ip_version == 0)
        return 0;
    static std::array<std::byte, forward::kMaximumReply> answer;
    program::Verdict verdict;
    verdict.kind = static_cast<program::Verdict::Kind>(data[0] % 12);
    verdict.argument = data[1];
    verdict.mtu = 1400;
    const std::optional<Ipv6> own =
        (data[1] & 1) != 0 ? std::optional(Ipv6{{192, 0, 2, 1}}) : std::nullopt;
    check_answer(packet,
                 std::span(answer).first(forward::build_reply(packet, verdict, answer, own)));
    const auto error = std::span(answer).first(forward::build_error(
        packet, static_cast<forward::Obstacle>(data[0] % 8), 1280, answer, own));
    check(error.empty() || !forward::is_group(packet.headers));
    check_answer(packet, error);
    (void)forward::is_martian(packet.headers);
    (void)forward::asks_for_source_route(packet.headers);
    (void)forward::vlan_of(packet.headers);
    cut(packet, frame, 68 + data[1] * 8u);
    if (packet.headers.ttl == 0)
        return 0;
    const bool was_right =
        packet.headers.ip_version == 4 && header_checksum(frame, packet.headers) == Be16{};
    forward::lower_hop_limit(frame.data() + packet.headers.network_offset,
                             packet.headers.ip_version);
    if (was_right)
        check(header_checksum(frame, packet.headers) == Be16{});
    check(good(frame).ttl == packet.headers.ttl - 1);
    return 0;
}
