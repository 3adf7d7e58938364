// The sum that many bytes at once make is that of its words one by one.
#include "dataplane/packet/checksum.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <vector>

namespace sluice::packet {
namespace {

std::uint16_t by_words(std::span<const std::byte> bytes) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        sum += std::to_integer<std::uint64_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
    while (sum > 0xffff)
        sum = (sum >> 16) + (sum & 0xffff);
    return static_cast<std::uint16_t>(~sum);
}

std::uint16_t at_once(std::span<const std::byte> bytes) {
    Checksum sum;
    sum.add(bytes);
    return sum.finish().host();
}

TEST(Checksum, AnyLengthAtAnyPlace) {
    std::mt19937 random(1);
    std::vector<std::byte> bytes(700'000);
    for (std::byte& byte : bytes)
        byte = static_cast<std::byte>(random());
    const std::span<const std::byte> all(bytes);
    for (std::size_t length = 0; length < 600; ++length) {
        const auto piece = all.subspan(random() % 64, length);
        EXPECT_EQ(at_once(piece), by_words(piece)) << length;
    }
    for (const std::size_t length : {65'535, 262'144, 262'145, 262'147, 699'999}) {
        const auto piece = all.subspan(1, length);
        EXPECT_EQ(at_once(piece), by_words(piece)) << length;
    }
}

TEST(Checksum, NothingOverflows) {
    const std::vector<std::byte> ones(600'000, std::byte{0xff}), zeros(600'000);
    EXPECT_EQ(at_once(ones), by_words(ones));
    EXPECT_EQ(at_once(zeros), 0xffff);
}

TEST(Checksum, WithoutTheInstructionsOfThisProcessor) {
    std::mt19937 random(2);
    std::vector<std::byte> bytes(std::size_t{1} << 18, std::byte{0xff});
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{64}, std::size_t{1472} / 64 * 64, bytes.size()}) {
        std::uint64_t sum = detail::sum_with_any(bytes.data(), length);
        while (sum > 0xffff)
            sum = (sum >> 16) + (sum & 0xffff);
        const auto folded = static_cast<std::uint16_t>(~sum);
        EXPECT_EQ(std::endian::native == std::endian::little ? __builtin_bswap16(folded) : folded,
                  by_words(std::span(bytes).first(length)));
        for (std::byte& byte : bytes)
            byte = static_cast<std::byte>(random());
    }
}

}  // namespace
}  // namespace sluice::packet
