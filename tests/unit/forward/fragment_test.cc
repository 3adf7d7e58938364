#include "dataplane/forward/fragment.h"

#include <gtest/gtest.h>

#include <array>

#include "dataplane/packet/parser.h"
#include "dataplane/packet/reassembly.h"
#include "tests/reference/frame.h"

namespace sluice::forward {
namespace {

using reference::Frame;

Frame datagram(unsigned payload, std::vector<std::uint8_t> options = {}) {
    reference::FramePlan plan;
    plan.source4 = *parse_ipv4("10.0.0.1");
    plan.destination4 = *parse_ipv4("10.0.0.2");
    plan.protocol = 17;
    plan.payload = payload;
    plan.id = 4711;
    plan.ip_options = std::move(options);
    Frame frame = reference::build_frame(plan);
    for (std::size_t i = frame.size() - payload; i < frame.size(); ++i)
        frame[i] = static_cast<std::byte>(i * 13);
    return frame;
}

packet::Packet parsed(std::span<const std::byte> frame) {
    packet::Packet packet;
    EXPECT_EQ(packet::parse_frame(frame, {}, packet.headers), contract::DropReason::none);
    packet.passage.receive_interface = 0;
    return packet;
}

// What was cut is what comes out when it is put together.
TEST(Fragment, PiecesMakeTheDatagramAgain) {
    for (const unsigned mtu : {68u, 576u, 1499u, 1500u})
        for (const unsigned payload : {1473u, 1480u, 2000u, 4000u}) {
            const Frame frame = datagram(payload);
            const packet::Packet whole = parsed(frame);
            if (whole.headers.ip_length > 60 * ((mtu - 20) / 8 * 8))
                continue;
            packet::Reassembler reassembler;
            std::array<std::byte, 2000> out;
            packet::Reassembler::Outcome outcome;
            unsigned number = 0;
            for (std::size_t size; (size = build_fragment(frame, whole.headers, mtu, number, out));
                 ++number) {
                const packet::Packet piece = parsed(std::span(out).first(size));
                EXPECT_LE(piece.headers.ip_length, mtu);
                EXPECT_EQ(piece.headers.ip_id, 4711u);
                ASSERT_TRUE(piece.headers.is_fragment()) << mtu << " " << payload;
                outcome = reassembler.add(piece);
                ASSERT_EQ(outcome.refused, contract::DropReason::none);
            }
            ASSERT_EQ(outcome.frame.size(), frame.size());
            EXPECT_TRUE(std::equal(frame.begin() + 34, frame.end(), outcome.frame.begin() + 34));
        }
}

TEST(Fragment, OnlyTheFirstHasAllOptions) {
    const Frame frame =
        datagram(100, {7, 3, 4, 130, 3, 1, 1, 1});  // record route; security: copied
    const packet::Packet whole = parsed(frame);
    std::array<std::byte, 200> out;
    ASSERT_NE(build_fragment(frame, whole.headers, 76, 0, out), 0u);
    EXPECT_EQ(out[34], std::byte{7});
    ASSERT_NE(build_fragment(frame, whole.headers, 76, 1, out), 0u);
    EXPECT_EQ(out[34], std::byte{1});
    EXPECT_EQ(out[36], std::byte{1});
    EXPECT_EQ(out[37], std::byte{130});
}

TEST(Fragment, AFragmentIsCutAgain) {
    const Frame frame = datagram(2000);
    const packet::Packet whole = parsed(frame);
    packet::Reassembler reassembler;
    packet::Reassembler::Outcome outcome;
    std::array<std::byte, 2000> large, small;
    for (unsigned i = 0;
         const std::size_t size = build_fragment(frame, whole.headers, 1000, i, large); ++i) {
        const packet::Packet piece = parsed(std::span(large).first(size));
        for (unsigned j = 0; const std::size_t length = build_fragment(
                                 std::span(large).first(size), piece.headers, 300, j, small);
             ++j) {
            const packet::Packet part = parsed(std::span(small).first(length));
            EXPECT_LE(part.headers.ip_length, 300);
            outcome = reassembler.add(part);
            ASSERT_EQ(outcome.refused, contract::DropReason::none);
        }
    }
    ASSERT_EQ(outcome.frame.size(), frame.size());
    EXPECT_TRUE(std::equal(frame.begin() + 34, frame.end(), outcome.frame.begin() + 34));
}

}  // namespace
}  // namespace sluice::forward
