#include "dataplane/payload/tcp_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace sluice::payload {
namespace {

using Took = TcpOrder::Took;

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

class TcpOrderTest : public testing::Test {
  protected:
    explicit TcpOrderTest(std::size_t pieces = 64) : order_(pieces) {}

    // What comes out of a segment.
    std::string give(std::uint32_t sequence, std::string_view bytes, Took expected) {
        order_.begin_packet();
        EXPECT_EQ(order_.take(side_, sequence, bytes_of(bytes), pieces_), expected)
            << sequence << " " << bytes;
        std::string out;
        for (const std::span<const std::byte> piece : pieces_.all())
            out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        return out;
    }

    TcpOrder order_;
    SideOrder side_;
    TcpOrder::Pieces pieces_;
};

TEST_F(TcpOrderTest, WhatComesInItsTurnIsGivenAtOnce) {
    side_.next_sequence = 0xfffffffe;
    EXPECT_EQ(give(0xfffffffe, "abcd", Took::in_order), "abcd");
    EXPECT_EQ(side_.next_sequence, 2u);
    EXPECT_EQ(give(2, "ef", Took::in_order), "ef");
    EXPECT_EQ(give(4, "", Took::old), "");
    EXPECT_EQ(order_.free_pieces(), 63u) << "a copy, until they are acknowledged";
    order_.acknowledged(side_, 3);
    EXPECT_EQ(order_.free_pieces(), 63u);
    order_.acknowledged(side_, 4);
    EXPECT_EQ(order_.free_pieces(), 64u);
}

TEST_F(TcpOrderTest, WhatComesEarlyWaits) {
    EXPECT_EQ(give(4, "ef", Took::kept), "");
    EXPECT_EQ(give(2, "cd", Took::kept), "");
    EXPECT_EQ(give(4, "ef", Took::kept), "") << "again";
    EXPECT_EQ(side_.kept, 2u);
    EXPECT_EQ(give(0, "ab", Took::in_order), "abcdef");
    EXPECT_EQ(side_.kept, 0u);
    order_.acknowledged(side_, 6);
    order_.begin_packet();
    EXPECT_EQ(order_.free_pieces(), 64u);
}

TEST_F(TcpOrderTest, TheFirstCopyCounts) {
    EXPECT_EQ(give(0, "abcd", Took::in_order), "abcd");
    EXPECT_EQ(give(2, "XXef", Took::conflict), "");
    EXPECT_EQ(give(0, "abcX", Took::conflict), "");
    EXPECT_EQ(give(0, "ab", Took::old), "");
    EXPECT_EQ(give(2, "cdef", Took::in_order), "ef");
    order_.acknowledged(side_, 6);
    EXPECT_EQ(give(0, "XXXXXX", Took::old), "") << "its receiver has the first";
    EXPECT_EQ(give(8, "ij", Took::kept), "");
    EXPECT_EQ(give(8, "iX", Took::conflict), "");
    EXPECT_EQ(give(6, "ghX", Took::conflict), "");
    EXPECT_EQ(give(6, "ghij", Took::in_order), "ghij");
}

TEST_F(TcpOrderTest, RoomIsBounded) {
    EXPECT_EQ(give(TcpOrder::kWindow - 1, "ab", Took::no_room), "");
    EXPECT_EQ(give(TcpOrder::kWindow - 2, "ab", Took::kept), "");
    for (std::uint32_t i = 1; i < TcpOrder::kKeptPerSide; ++i)
        EXPECT_EQ(give(10 * i, "x", Took::kept), "");
    EXPECT_EQ(give(5, "x", Took::no_room), "");
    EXPECT_EQ(give(10, "x", Took::kept), "") << "it waits already";
    EXPECT_EQ(order_.free_pieces(), 64 - TcpOrder::kKeptPerSide);
    order_.forget(side_);
    EXPECT_EQ(order_.free_pieces(), 64u);
    EXPECT_EQ(side_.kept, 0u);
}

class FewPiecesTest : public TcpOrderTest {
  protected:
    FewPiecesTest() : TcpOrderTest(2) {}
};

TEST_F(FewPiecesTest, AllConnectionsShareTheMemory) {
    const std::string large(2 * TcpOrder::kPieceSize + 1, 'l');
    EXPECT_EQ(give(10, large, Took::no_room), "");
    EXPECT_EQ(order_.free_pieces(), 2u);
    EXPECT_EQ(give(10, large.substr(1), Took::kept), "");
    EXPECT_EQ(order_.free_pieces(), 0u);
    EXPECT_EQ(give(0, "0123456789", Took::in_order).size(), 10 + 2 * TcpOrder::kPieceSize);
}

TEST_F(TcpOrderTest, CopiesOfMuchAreKeptAsLongAsThereIsRoom) {
    const std::string text(5000, 't');
    for (std::uint32_t at = 0; at < 60'000; at += 5000)
        EXPECT_EQ(give(at, text, Took::in_order), text);
    EXPECT_EQ(give(4000, text.substr(1) + "X", Took::conflict), "");
    EXPECT_EQ(give(59'999, "X", Took::conflict), "");
    EXPECT_GE(order_.free_pieces(), 32u) << "half is for what waits";
    order_.acknowledged(side_, 30'000);
    EXPECT_EQ(give(10'000, "X", Took::old), "");
    EXPECT_EQ(give(59'999, "X", Took::conflict), "");
    order_.forget(side_);
    EXPECT_EQ(order_.free_pieces(), 64u);
}

TEST_F(TcpOrderTest, WhatIsSkippedIsForgotten) {
    EXPECT_EQ(give(10, "kl", Took::kept), "");
    EXPECT_EQ(give(20, "uvw", Took::kept), "");
    order_.skip_to(side_, 21);
    EXPECT_EQ(side_.kept, 1u);
    EXPECT_EQ(give(25, "z", Took::in_order), "vw") << "what waits follows now";
    EXPECT_EQ(give(23, "xy", Took::in_order), "xyz");
}

// Whatever the cuts, the order and the doubles: the same bytes come out.
TEST(TcpOrder, TheBytesAreTheSameHoweverTheyCome) {
    std::mt19937 random(1);
    TcpOrder order(64);
    for (int round = 0; round < 3000; ++round) {
        std::string stream(1 + random() % 6000, ' ');
        for (char& letter : stream)
            letter = static_cast<char>('a' + random() % 26);
        const auto start =
            static_cast<std::uint32_t>(random() % 3 == 0 ? -random() % 6000 : random());
        struct Cut {
            std::size_t begin, length;
        };
        std::vector<Cut> cuts;
        for (std::size_t at = 0; at < stream.size();) {
            const std::size_t length =
                std::min<std::size_t>(1 + random() % 1460, stream.size() - at);
            cuts.push_back({at, length});
            at += length;
        }
        const std::size_t whole = cuts.size();
        for (std::size_t i = 0; i < whole; ++i)
            if (random() % 3 == 0) {  // again, and cut otherwise
                const std::size_t begin = cuts[i].begin + random() % cuts[i].length;
                cuts.push_back(
                    {begin, std::min<std::size_t>(1 + random() % 2000, stream.size() - begin)});
            }
        std::shuffle(cuts.begin(), cuts.end(), random);
        SideOrder side{.next_sequence = start};
        std::string out;
        // What finds no room is sent again.
        for (int turn = 0; out.size() < stream.size() && turn < 20; ++turn)
            for (const Cut& cut : cuts) {
                order.begin_packet();
                TcpOrder::Pieces pieces;
                if (random() % 8 == 0)
                    order.acknowledged(side, start + static_cast<std::uint32_t>(out.size()));
                const Took took = order.take(
                    side, start + static_cast<std::uint32_t>(cut.begin),
                    bytes_of(std::string_view(stream).substr(cut.begin, cut.length)), pieces);
                ASSERT_NE(took, Took::conflict);
                for (const std::span<const std::byte> piece : pieces.all())
                    out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
            }
        ASSERT_EQ(out, stream) << round;
        order.forget(side);
        order.begin_packet();
        ASSERT_EQ(order.free_pieces(), 64u);
    }
}

}  // namespace
}  // namespace sluice::payload
