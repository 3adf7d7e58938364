// What workers ask of a store.
#include "dataplane/contract/counters.h"
#include "dataplane/table/key_bits.h"
#include "dataplane/table/table_store.h"

namespace sluice::table {

Reference Store::find_address6(const View& view, const Ipv6& address) const {
    return AddressIndex6::find(heap_.memory(), view.root6, bits_of(address));
}

void Store::find_addresses6(const View& view, std::span<const Ipv6> addresses,
                            std::span<Reference> found) const {
    Bits128 keys[kMany];
    for (std::size_t i = 0; i < addresses.size(); ++i)
        keys[i] = bits_of(addresses[i]);
    AddressIndex6::find_many(heap_.memory(), view.root6, {keys, addresses.size()}, found);
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
    return MacIndex::find(heap_.memory(), view.root, bits_of(address));
}

Reference Store::find_flow(const View& view, contract::TableKey key) const {
    keep_parts(key, view.flow_parts);
    const Reference entry = FlowIndex::find(heap_.memory(), view.root, flow_hash(key));
    return entry != 0 && flows_.at(entries_.at(entry).flow) == key ? entry : 0;
}

void Store::count_hit(unsigned worker, Reference entry) const {
    if (worker == kNobody) [[unlikely]]
        return;
    std::uint64_t* chunk =
        hit_chunks_[worker][entry >> kEntryShift].load(std::memory_order_acquire);
    contract::add(chunk[entry & (CellMemory<Entry, kEntryShift>::kChunkSize - 1)], 1);
}

}  // namespace sluice::table
