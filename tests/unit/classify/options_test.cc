#include "dataplane/classify/options.h"

#include <gtest/gtest.h>

#include <vector>

#include "dataplane/packet/parser.h"
#include "tests/reference/frame.h"

namespace sluice::classify {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t kTcp = 6;

// A packet of exactly this size on the heap, so that a sanitizer sees the first byte too many.
struct Parsed {
    std::vector<std::byte> frame;
    packet::Headers headers;

    explicit Parsed(const reference::FramePlan& plan) : frame(reference::build_frame(plan)) {
        frame.shrink_to_fit();
        EXPECT_EQ(packet::parse_frame(frame, {}, headers), contract::DropReason::none);
    }
};

std::optional<std::uint8_t> ip_bits(const Bytes& options) {
    reference::FramePlan plan;
    plan.protocol = 253;
    plan.ip_options = options;
    return ip_option_bits(Parsed(plan).headers);
}

std::optional<TcpOptions> tcp(const Bytes& options, std::optional<std::uint8_t> words = {}) {
    reference::FramePlan plan;
    plan.protocol = kTcp;
    plan.tcp_options = options;
    plan.claimed_data_offset = words;
    return tcp_options(Parsed(plan).headers);
}

TEST(IpOptions, AreFoundByTheirKind) {
    EXPECT_EQ(ip_bits({}), 0);
    EXPECT_EQ(ip_bits({131, 3, 4}), 1);
    EXPECT_EQ(ip_bits({137, 3, 4}), 2);
    EXPECT_EQ(ip_bits({7, 3, 4}), 4);
    EXPECT_EQ(ip_bits({68, 4, 5, 0}), 8);
    EXPECT_EQ(ip_bits({1, 1, 7, 3, 4, 68, 4, 5, 0}), 12);
    EXPECT_EQ(ip_bits({0, 7, 3, 4}), 0);  // behind the end of the list
    EXPECT_EQ(ip_bits({148, 4, 0, 0}), 0);
}

TEST(IpOptions, WrongLengthsMakeTheListWorthless) {
    EXPECT_FALSE(ip_bits({7, 0, 0, 0}));
    EXPECT_FALSE(ip_bits({7, 1, 0, 0}));
    EXPECT_FALSE(ip_bits({7, 5, 4, 0}));
    EXPECT_FALSE(ip_bits({1, 1, 1, 7}));
    EXPECT_FALSE(ip_bits({7, 3, 4, 68, 9, 0, 0, 0}));
}

TEST(IpOptions, Ipv6HasNone) {
    reference::FramePlan plan;
    plan.version = 6;
    plan.protocol = kTcp;
    EXPECT_FALSE(ip_option_bits(Parsed(plan).headers));
}

TEST(TcpOptionList, IsFoundByKind) {
    EXPECT_EQ(tcp({})->bits, 0);
    EXPECT_EQ(tcp({2, 4, 5, 180})->bits, 1);
    EXPECT_EQ(tcp({2, 4, 5, 180})->maximum_segment_size, 1460);
    EXPECT_EQ(tcp({3, 3, 7, 1})->bits, 2);
    EXPECT_EQ(tcp({4, 2, 1, 1})->bits, 4);
    EXPECT_EQ(tcp({5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1})->bits, 4);
    EXPECT_EQ(tcp({8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1})->bits, 8);
    EXPECT_EQ(tcp({0, 2, 4, 5})->bits, 0);
    EXPECT_EQ(tcp({2, 3, 5, 1})->bits, 1);
    EXPECT_FALSE(tcp({2, 3, 5, 1})->maximum_segment_size);
}

TEST(TcpOptionList, WrongLengthEndsTheWalk) {
    EXPECT_EQ(tcp({2, 4, 5, 180, 3, 0, 4, 2})->bits, 1);
    EXPECT_EQ(tcp({2, 4, 5, 180, 3, 9, 4, 2})->bits, 1);
    EXPECT_EQ(tcp({1, 1, 1, 2})->bits, 0);
}

TEST(TcpOptionList, HeaderLengthIsNotBelieved) {
    EXPECT_FALSE(tcp({2, 4, 5, 180}, 15));
    EXPECT_EQ(tcp({2, 4, 5, 180}, 5)->bits, 0);
    EXPECT_EQ(tcp({2, 4, 5, 180}, 0)->bits, 0);
}

// Every string of four bytes over the interesting ones: no access outside of the list (the
// sanitizers watch), and never a bit that no byte of the string names.
TEST(OptionWalk, SurvivesEveryShortString) {
    const Bytes alphabet = {0, 1, 2, 3, 4, 5, 7, 8, 9, 68, 131, 137, 255};
    auto names = [](const Bytes& bytes, std::initializer_list<std::uint8_t> kinds) {
        for (const std::uint8_t byte : bytes)
            for (const std::uint8_t kind : kinds)
                if (byte == kind)
                    return true;
        return false;
    };
    for (const std::uint8_t a : alphabet)
        for (const std::uint8_t b : alphabet)
            for (const std::uint8_t c : alphabet)
                for (const std::uint8_t d : alphabet) {
                    const Bytes bytes = {a, b, c, d};
                    const std::uint8_t ip = ip_bits(bytes).value_or(0);
                    EXPECT_TRUE((ip & 1) == 0 || names(bytes, {131}));
                    EXPECT_TRUE((ip & 8) == 0 || names(bytes, {68}));
                    const auto found = tcp(bytes);
                    ASSERT_TRUE(found);
                    EXPECT_TRUE((found->bits & 1) == 0 || names(bytes, {2}));
                    EXPECT_TRUE((found->bits & 4) == 0 || names(bytes, {4, 5}));
                }
}

}  // namespace
}  // namespace sluice::classify
