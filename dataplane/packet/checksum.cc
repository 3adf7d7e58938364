#include "dataplane/packet/checksum.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::packet {

namespace {

// Sums of 16-bit words as they lie in memory, of pieces whose length is a multiple of kStep. Each
// 32-bit lane takes two words of each of its turns, so that this many bytes cannot overflow it.
constexpr std::size_t kStep = 64;
constexpr std::size_t kMost = std::size_t{1} << 18;

using Lanes4 [[gnu::vector_size(16)]] = std::uint32_t;
// Read as a whole from wherever it lies. A copy may be made in pieces, and who reads it whole then
// would wait for them.
using Loose4 [[gnu::vector_size(16), gnu::aligned(1), gnu::may_alias]] = std::uint32_t;

}  // namespace

std::uint64_t detail::sum_with_any(const std::byte* bytes, std::size_t size) {
    Lanes4 even{}, odd{};
    for (std::size_t i = 0; i < size; i += kStep)
        for (std::size_t k = 0; k < kStep; k += sizeof(Lanes4)) {
            const auto words = *reinterpret_cast<const Loose4*>(bytes + i + k);
            even += words & 0xffff;
            odd += words >> 16;
        }
    std::uint64_t sum = 0;
    for (int i = 0; i < 4; ++i)
        sum += std::uint64_t{even[i]} + odd[i];
    return sum;
}

namespace {

#if defined(__x86_64__)
using Lanes8 [[gnu::vector_size(32)]] = std::uint32_t;
using Loose8 [[gnu::vector_size(32), gnu::aligned(1), gnu::may_alias]] = std::uint32_t;

[[gnu::target("avx2")]] std::uint64_t sum_with_avx2(const std::byte* bytes, std::size_t size) {
    Lanes8 even{}, odd{};
    for (std::size_t i = 0; i < size; i += kStep)
        for (std::size_t k = 0; k < kStep; k += sizeof(Lanes8)) {
            const auto words = *reinterpret_cast<const Loose8*>(bytes + i + k);
            even += words & 0xffff;
            odd += words >> 16;
        }
    std::uint64_t sum = 0;
    for (int i = 0; i < 8; ++i)
        sum += std::uint64_t{even[i]} + odd[i];
    return sum;
}
#endif

std::uint64_t sum_of_steps(const std::byte* bytes, std::size_t size) {
#if defined(__x86_64__)
    static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
    if (has_avx2)
        return sum_with_avx2(bytes, size);
#endif
    return detail::sum_with_any(bytes, size);
}

}  // namespace

// Words are summed in the order of the machine, and what comes out is turned round: the sum does
// not mind (RFC 1071, 2B).
void Checksum::add(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min(bytes.size(), kMost));
        bytes = bytes.subspan(piece.size());
        const std::size_t steps = piece.size() / kStep * kStep;
        std::uint64_t sum = steps != 0 ? sum_of_steps(piece.data(), steps) : 0;
        std::size_t i = steps;
        // A word of 32 bits is as much as its halves.
        for (std::uint32_t word; i + 3 < piece.size(); i += 4, sum += word)
            std::memcpy(&word, piece.data() + i, sizeof word);
        if (i < piece.size()) {
            std::uint32_t word = 0;
            std::memcpy(&word, piece.data() + i, piece.size() - i);
            sum += word;
        }
        while (sum > 0xffff)
            sum = (sum >> 16) + (sum & 0xffff);
        const auto folded = static_cast<std::uint16_t>(sum);
        sum_ += std::endian::native == std::endian::little ? __builtin_bswap16(folded) : folded;
    }
}

void Checksum::add(Ipv4 address) {
    sum_ += address.host() >> 16;
    sum_ += address.host() & 0xffff;
}

void Checksum::add(const Ipv6& address) {
    add(std::as_bytes(std::span(address.bytes)));
}

Be16 Checksum::finish() const {
    std::uint64_t sum = sum_;
    while (sum > 0xffff)
        sum = (sum >> 16) + (sum & 0xffff);
    return Be16::from_host(static_cast<std::uint16_t>(~sum));
}

}  // namespace sluice::packet
