#include "dataplane/state/flow_key.h"

#include <bit>
#include <cstring>

namespace sluice::state {

namespace {

std::uint64_t load64(const std::uint8_t* bytes) {
    std::uint64_t word;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

std::uint32_t load32(const std::uint8_t* bytes) {
    std::uint32_t word;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

std::uint32_t sum_of_words(const Ipv6& address) {
    const std::uint64_t sum = load64(address.bytes.data()) ^ load64(address.bytes.data() + 8);
    return static_cast<std::uint32_t>(sum) ^ static_cast<std::uint32_t>(sum >> 32);
}

Ipv6 padded(std::uint32_t address) {
    Ipv6 bytes{};
    std::memcpy(bytes.bytes.data(), &address, sizeof address);
    return bytes;
}

// The sum (XOR) of the 16-bit words of an address, in network byte order.
std::uint16_t word_sum(const std::uint8_t* address, unsigned version) {
    std::uint64_t sum = load32(address);
    if (version == 6)
        sum = load64(address) ^ load64(address + 8);
    sum ^= sum >> 32;
    sum ^= sum >> 16;
    const auto in_memory_order = static_cast<std::uint16_t>(sum);
    if constexpr (std::endian::native == std::endian::little)
        return static_cast<std::uint16_t>(in_memory_order << 8 | in_memory_order >> 8);
    return in_memory_order;
}

unsigned address_sum(const packet::Headers& headers) {
    return word_sum(headers.source.bytes.data(), headers.ip_version) ^
           word_sum(headers.destination.bytes.data(), headers.ip_version);
}

unsigned address_sum(const packet::Glance& glance) {
    if (glance.ip_version == 4)
        return word_sum(glance.ip4().source.value.bytes, 4) ^
               word_sum(glance.ip4().destination.value.bytes, 4);
    return word_sum(glance.ip6().source.bytes.data(), 6) ^
           word_sum(glance.ip6().destination.bytes.data(), 6);
}

}  // namespace

FlowKey flow_key6(const Ipv6& source, const Ipv6& destination, std::uint16_t source_port,
                  std::uint16_t destination_port, std::uint8_t protocol) {
    const int order = std::memcmp(&source, &destination, sizeof source);
    const bool from_low = order != 0 ? order < 0 : source_port <= destination_port;
    return {.addresses = std::uint64_t{sum_of_words(source)} ^ sum_of_words(destination),
            .low_port = from_low ? source_port : destination_port,
            .high_port = from_low ? destination_port : source_port,
            .protocol = protocol,
            .ip_version = 6,
            .from_low = from_low,
            .one_end = order == 0 && source_port == destination_port,
            .low6 = from_low ? source : destination,
            .high6 = from_low ? destination : source};
}

Ipv6 FlowKey::low() const {
    return ip_version == 4 ? padded(static_cast<std::uint32_t>(addresses)) : low6;
}

Ipv6 FlowKey::high() const {
    return ip_version == 4 ? padded(static_cast<std::uint32_t>(addresses >> 32)) : high6;
}

std::uint64_t FlowHasher::fold6(const FlowKey& key) const {
    return fold(load64(key.low6.bytes.data()) ^ secret_[0],
                load64(key.low6.bytes.data() + 8) ^ secret_[1]) ^
           fold(load64(key.high6.bytes.data()) ^ secret_[2],
                load64(key.high6.bytes.data() + 8) ^ secret_[3]);
}

namespace {

// The first word of those that the seed leads to with seven or nine ones. An odd number lets no two
// sums hash alike. About half of the bits makes every bit of the hash depend on many bits of the
// input: with a single one, clients that choose even ports only would all have the same lowest bit,
// and one of two workers nothing to do.
std::uint16_t owner_word(std::uint64_t seed) {
    constexpr std::uint64_t kMultiplier = 6364136223846793005, kIncrement = 1442695040888963407;
    for (;; seed = seed * kMultiplier + kIncrement)
        for (const int shift : {0, 16, 32, 48}) {
            const auto word = static_cast<std::uint16_t>(seed >> shift);
            if (const int ones = std::popcount(word); ones == 7 || ones == 9)
                return word;
        }
}

}  // namespace

OwnerHash::OwnerHash(std::uint64_t seed) : word_(owner_word(seed)) {
    const std::uint32_t key = std::uint32_t{word_} << 16 | word_;
    auto hash_of = [key](unsigned sum) {
        std::uint32_t hash = 0;
        for (int bit = 0; bit < 16; ++bit)
            if ((sum >> (15 - bit) & 1) != 0)
                hash ^= std::rotl(key, bit);
        return hash;
    };
    for (unsigned byte = 0; byte < 256; ++byte) {
        upper_[byte] = hash_of(byte << 8);
        lower_[byte] = hash_of(byte);
    }
}

std::uint32_t OwnerHash::operator()(const packet::Headers& headers) const {
    return of_sum(address_sum(headers) ^ headers.source_port ^ headers.destination_port);
}

std::uint32_t OwnerHash::of_addresses(const packet::Headers& headers) const {
    return of_sum(address_sum(headers));
}

std::uint32_t OwnerHash::operator()(const packet::Glance& glance) const {
    return of_sum(address_sum(glance) ^ (glance.ports & 0xffff) ^ glance.ports >> 16);
}

std::uint32_t OwnerHash::of_addresses(const packet::Glance& glance) const {
    return of_sum(address_sum(glance));
}

std::array<std::uint8_t, OwnerHash::kKeySize> OwnerHash::key() const {
    std::array<std::uint8_t, kKeySize> bytes{};
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
        bytes[i] = static_cast<std::uint8_t>(word_ >> 8);
        bytes[i + 1] = static_cast<std::uint8_t>(word_);
    }
    return bytes;
}

}  // namespace sluice::state
