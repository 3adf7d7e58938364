#include "dataplane/packet/reassembly.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "dataplane/packet/parser.h"
#include "tests/reference/frame.h"

namespace sluice::packet {
namespace {

using contract::DropReason;
using reference::Frame;

// A UDP datagram of `payload` bytes behind its header, and its pieces.
class Pieces {
  public:
    explicit Pieces(unsigned payload, std::uint16_t id = 7) {
        plan_.source4 = *parse_ipv4("10.0.0.1");
        plan_.destination4 = *parse_ipv4("10.0.0.2");
        plan_.protocol = 17;
        plan_.source_port = 1000;
        plan_.destination_port = 53;
        plan_.payload = payload;
        plan_.id = id;
        plan_.tags = {0x8100};
        whole_ = reference::build_frame(plan_);
        for (std::size_t i = kInFront + 8; i < whole_.size(); ++i)
            whole_[i] = static_cast<std::byte>(i * 7);
    }

    static constexpr std::size_t kInFront = 18 + 20;

    const Frame& whole() const { return whole_; }
    std::size_t payload() const { return whole_.size() - kInFront; }

    Frame piece(unsigned begin, unsigned length, bool more) const {
        Frame frame(whole_.begin(), whole_.begin() + kInFront);
        for (unsigned i = begin; i < begin + length; ++i)
            frame.push_back(i < payload() ? whole_[kInFront + i] : std::byte{0});
        put(frame, 18 + 2, 20 + length);
        put(frame, 18 + 6, begin / 8 | (more ? 0x2000u : 0u));
        return frame;
    }

    // In pieces of `step` bytes, in order.
    std::vector<Frame> cut(unsigned step) const {
        std::vector<Frame> pieces;
        const auto size = static_cast<unsigned>(payload());
        for (unsigned begin = 0; begin < size; begin += step)
            pieces.push_back(piece(begin, std::min(step, size - begin), begin + step < size));
        return pieces;
    }

  private:
    static void put(Frame& frame, std::size_t at, std::size_t value) {
        frame[at] = static_cast<std::byte>(value >> 8);
        frame[at + 1] = static_cast<std::byte>(value);
    }

    reference::FramePlan plan_;
    Frame whole_;
};

class ReassemblyTest : public testing::Test {
  protected:
    Reassembler::Outcome add(const Frame& frame, std::uint32_t now_s = 0,
                             InterfaceIndex interface = 0) {
        Packet packet;
        EXPECT_EQ(parse_frame(frame, {}, packet.headers), DropReason::none);
        EXPECT_TRUE(packet.headers.is_fragment());
        packet.passage.receive_interface = interface;
        packet.uptime_s = now_s;
        return reassembler_.add(packet);
    }

    // The datagram as it was sent, with a checksum that is right.
    static void expect_whole(const Reassembler::Outcome& outcome, const Pieces& pieces) {
        ASSERT_EQ(outcome.frame.size(), pieces.whole().size());
        Frame expected = pieces.whole();
        unsigned sum = 0;
        for (std::size_t at = 18; at < 38; at += 2)
            sum += std::to_integer<unsigned>(outcome.frame[at]) << 8 |
                   std::to_integer<unsigned>(outcome.frame[at + 1]);
        sum = (sum & 0xffff) + (sum >> 16);
        EXPECT_EQ(sum, 0xffffu);
        expected[28] = outcome.frame[28];
        expected[29] = outcome.frame[29];
        EXPECT_TRUE(std::equal(outcome.frame.begin(), outcome.frame.end(), expected.begin()));
    }

    Reassembler reassembler_;
};

TEST_F(ReassemblyTest, PiecesInAnyOrderMakeTheDatagram) {
    std::mt19937 random(3);
    for (int round = 0; round < 200; ++round) {
        const Pieces pieces(random() % 2000, static_cast<std::uint16_t>(round));
        std::vector<Frame> frames = pieces.cut(8 * (1 + random() % 60) + 32);
        if (frames.size() < 2 || frames.size() > Reassembler::kMaximumFragments)
            continue;
        std::shuffle(frames.begin(), frames.end(), random);
        for (std::size_t i = 0; i + 1 < frames.size(); ++i)
            ASSERT_TRUE(add(frames[i]).frame.empty());
        expect_whole(add(frames.back()), pieces);
    }
}

TEST_F(ReassemblyTest, TheLongestDatagram) {
    const Pieces pieces(65535 - 28);
    const auto frames = pieces.cut(1480);
    for (std::size_t i = 0; i + 1 < frames.size(); ++i)
        ASSERT_EQ(add(frames[i]).refused, DropReason::none);
    expect_whole(add(frames.back()), pieces);
}

TEST_F(ReassemblyTest, DatagramsAreToldApart) {
    const Pieces one(100, 1), two(100, 2);
    const auto a = one.cut(64), b = two.cut(64);
    EXPECT_TRUE(add(a[0]).frame.empty());
    EXPECT_TRUE(add(b[1]).frame.empty());
    EXPECT_TRUE(add(a[1], 0, 1).frame.empty());  // by another port
    Frame other_tag = a[1];
    other_tag[15] = std::byte{9};
    EXPECT_TRUE(add(other_tag).frame.empty());
    Frame other_protocol = a[1];
    other_protocol[18 + 9] = std::byte{47};
    EXPECT_TRUE(add(other_protocol).frame.empty());
    expect_whole(add(a[1]), one);
    expect_whole(add(b[0]), two);
}

// Teardrop and its kin: who overlaps, loses all.
TEST_F(ReassemblyTest, AnOverlapEndsTheDatagram) {
    const Pieces pieces(200);
    EXPECT_TRUE(add(pieces.piece(0, 64, true)).frame.empty());
    const auto overlap = add(pieces.piece(56, 64, true));
    EXPECT_EQ(overlap.refused, DropReason::fragment_overlap);
    EXPECT_EQ(overlap.given_up, 1u);
    // The rest makes nothing whole any more.
    EXPECT_TRUE(add(pieces.piece(64, 144, false)).frame.empty());
    // And a fresh start works.
    EXPECT_TRUE(add(Pieces(200, 9).piece(0, 64, true)).frame.empty());
    expect_whole(add(Pieces(200, 9).piece(64, 144, false)), Pieces(200, 9));
}

TEST_F(ReassemblyTest, ASecondCopyIsDroppedAlone) {
    const Pieces pieces(200);
    EXPECT_TRUE(add(pieces.piece(0, 64, true)).frame.empty());
    const auto copy = add(pieces.piece(0, 64, true));
    EXPECT_EQ(copy.refused, DropReason::fragment_overlap);
    EXPECT_EQ(copy.given_up, 0u);
    expect_whole(add(pieces.piece(64, 144, false)), pieces);
    // The same place with other bytes is no copy.
    EXPECT_TRUE(add(pieces.piece(0, 64, true)).frame.empty());
    Frame other = pieces.piece(0, 64, true);
    other.back() ^= std::byte{1};
    EXPECT_EQ(add(other).given_up, 1u);
}

TEST_F(ReassemblyTest, LengthsThatContradict) {
    const Pieces pieces(400);
    EXPECT_EQ(add(pieces.piece(0, 63, true)).refused, DropReason::bad_fragment);  // not by 8
    EXPECT_EQ(add(pieces.piece(64, 0, true)).refused, DropReason::bad_fragment);
    EXPECT_EQ(add(pieces.piece(65528, 100, false)).refused, DropReason::bad_fragment);
    // Two ends.
    add(pieces.piece(64, 64, false));
    EXPECT_EQ(add(pieces.piece(200, 64, false)).refused, DropReason::bad_fragment);
    // Beyond the end.
    add(pieces.piece(64, 64, false));
    EXPECT_EQ(add(pieces.piece(128, 64, true)).refused, DropReason::bad_fragment);
    // An end in front of what has come.
    add(pieces.piece(128, 64, true));
    EXPECT_EQ(add(pieces.piece(64, 64, false)).refused, DropReason::bad_fragment);
}

TEST_F(ReassemblyTest, TooManyPieces) {
    const Pieces pieces(2000);
    const auto frames = pieces.cut(24);
    ASSERT_GT(frames.size(), std::size_t{Reassembler::kMaximumFragments});
    for (unsigned i = 0; i < Reassembler::kMaximumFragments; ++i)
        EXPECT_EQ(add(frames[i]).refused, DropReason::none);
    const auto one_more = add(frames[Reassembler::kMaximumFragments]);
    EXPECT_EQ(one_more.refused, DropReason::too_many_fragments);
    EXPECT_EQ(one_more.given_up, Reassembler::kMaximumFragments);
}

TEST_F(ReassemblyTest, TheOldestMakesRoom) {
    for (unsigned id = 0; id < Reassembler::kMaximumDatagrams; ++id)
        EXPECT_EQ(add(Pieces(100, static_cast<std::uint16_t>(id)).piece(0, 64, true)).given_up, 0u);
    const auto outcome = add(Pieces(100, 999).piece(0, 64, true));
    EXPECT_EQ(outcome.refused, DropReason::none);
    EXPECT_EQ(outcome.given_up, 1u);
    EXPECT_EQ(outcome.reason, DropReason::fragment_evicted);
    EXPECT_TRUE(add(Pieces(100, 0).piece(64, 44, false)).frame.empty());  // evicts number 1
    expect_whole(add(Pieces(100, 2).piece(64, 44, false)), Pieces(100, 2));
}

TEST_F(ReassemblyTest, WhatDoesNotComeInTimeIsGivenUp) {
    const Pieces pieces(100);
    add(pieces.piece(0, 64, true), 5);
    EXPECT_EQ(reassembler_.expire(5 + Reassembler::kTimeout_s - 1), 0u);
    EXPECT_EQ(reassembler_.expire(5 + Reassembler::kTimeout_s), 1u);
    EXPECT_TRUE(add(pieces.piece(64, 44, false), 36).frame.empty());
}

}  // namespace
}  // namespace sluice::packet
