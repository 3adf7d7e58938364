// What workers ask of a store.
#include <array>
#include <cstring>

#include "dataplane/contract/counters.h"
#include "dataplane/table/key_bits.h"
#include "dataplane/table/table_store.h"

namespace sluice::table {

namespace {

// A look-up counts bits in every node. Most CPUs have an instruction for it, which what is compiled
// for all of them may not use; so each look-up is here in two versions.
template <typename Index, typename Key>
[[gnu::flatten]] Reference find_anywhere(const BlockMemory& memory, Reference root, Key key) {
    return Index::find(memory, root, key);
}
template <typename Index, typename Key>
[[gnu::flatten]] void find_many_anywhere(const BlockMemory& memory, Reference root,
                                         std::span<const Key> keys, std::span<Reference> found) {
    Index::find_many(memory, root, keys, found);
}

#if defined(__x86_64__)

template <typename Index, typename Key>
[[gnu::flatten, gnu::target("popcnt")]] Reference find_counting(const BlockMemory& memory,
                                                                Reference root, Key key) {
    return Index::find(memory, root, key);
}
template <typename Index, typename Key>
[[gnu::flatten, gnu::target("popcnt")]] void find_many_counting(const BlockMemory& memory,
                                                                Reference root,
                                                                std::span<const Key> keys,
                                                                std::span<Reference> found) {
    Index::find_many(memory, root, keys, found);
}

const bool counts_bits = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("popcnt") != 0;
}();

template <typename Index, typename Key>
Reference find_in(const BlockMemory& memory, Reference root, Key key) {
    return counts_bits ? find_counting<Index>(memory, root, key)
                       : find_anywhere<Index>(memory, root, key);
}
template <typename Index, typename Key>
void find_many_in(const BlockMemory& memory, Reference root, std::span<const Key> keys,
                  std::span<Reference> found) {
    return counts_bits ? find_many_counting<Index>(memory, root, keys, found)
                       : find_many_anywhere<Index>(memory, root, keys, found);
}

#else

template <typename Index, typename Key>
Reference find_in(const BlockMemory& memory, Reference root, Key key) {
    return find_anywhere<Index>(memory, root, key);
}
template <typename Index, typename Key>
void find_many_in(const BlockMemory& memory, Reference root, std::span<const Key> keys,
                  std::span<Reference> found) {
    find_many_anywhere<Index>(memory, root, keys, found);
}

#endif

// Both halves of the product: every bit of either factor reaches every bit of the result.
std::uint64_t folded(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

Reference Store::find_address4(const View& view, std::uint32_t address4) const {
    return find_in<AddressIndex4>(heap_.memory(), view.root, address4);
}

void Store::find_addresses4(const View& view, std::span<const std::uint32_t> addresses,
                            std::span<Reference> found) const {
    find_many_in<AddressIndex4>(heap_.memory(), view.root, addresses, found);
}

Reference Store::find_number(const View& view, std::uint32_t number) const {
    return find_in<NumberIndex>(heap_.memory(), view.root, number);
}

Reference Store::find_address6(const View& view, const Ipv6& address) const {
    return find_in<AddressIndex6>(heap_.memory(), view.root6, bits_of(address));
}

void Store::find_addresses6(const View& view, std::span<const Ipv6> addresses,
                            std::span<Reference> found) const {
    Bits128 keys[kMany];
    for (std::size_t i = 0; i < addresses.size(); ++i)
        keys[i] = bits_of(addresses[i]);
    find_many_in<AddressIndex6>(heap_.memory(), view.root6,
                                std::span<const Bits128>(keys, addresses.size()), found);
}

void Store::prefetch(unsigned worker, Reference entry) const {
    __builtin_prefetch(&entries_.at(entry));
    const std::uint64_t* chunk =
        hit_chunks_[worker][entry >> kEntryShift].load(std::memory_order_acquire);
    __builtin_prefetch(&chunk[entry & (CellMemory<Entry, kEntryShift>::kChunkSize - 1)], 1);
}

Reference Store::find_last_address(const View& view, std::uint8_t version) const {
    return version == 4 ? AddressIndex4::get(heap_.memory(), view.root, ~std::uint32_t{0}, 32)
                        : AddressIndex6::get(heap_.memory(), view.root6, ~Bits128{0}, 128);
}

Reference Store::find_mac(const View& view, const MacAddress& address) const {
    return find_in<MacIndex>(heap_.memory(), view.root, bits_of(address));
}

// Products of pairs of words, each word with a secret of its own, do not wait for each other.
std::uint64_t Store::flow_hash(const contract::TableKey& key) const {
    static_assert(sizeof key == 6 * sizeof(std::uint64_t));
    std::array<std::uint64_t, 6> words;
    std::memcpy(words.data(), &key, sizeof key);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < words.size(); i += 2)
        sum ^= folded(words[i] ^ hash_secrets_[i], words[i + 1] ^ hash_secrets_[i + 1]);
    return folded(sum ^ hash_secrets_[6], hash_secrets_[7]);
}

Reference Store::find_flow(const View& view, contract::TableKey key) const {
    keep_parts(key, view.flow_parts);
    const Reference entry = find_in<FlowIndex>(heap_.memory(), view.root, flow_hash(key));
    return entry != 0 && flows_.at(entries_.at(entry).flow).key == key ? entry : 0;
}

void Store::count_hit(unsigned worker, Reference entry) const {
    if (worker == kNobody) [[unlikely]]
        return;
    std::uint64_t* chunk =
        hit_chunks_[worker][entry >> kEntryShift].load(std::memory_order_acquire);
    contract::add(chunk[entry & (CellMemory<Entry, kEntryShift>::kChunkSize - 1)], 1);
}

}  // namespace sluice::table
