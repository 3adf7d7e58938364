// Batches of changes put together by hand.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "dataplane/table/table_store.h"

namespace sluice::table {

class BatchBuilder {
  public:
    BatchBuilder& create(std::uint32_t id, contract::TableType type, std::uint32_t limit = 0,
                         std::uint32_t fields = contract::kLegacyValue) {
        contract::TableDescriptor descriptor;
        descriptor.id = id;
        descriptor.type = type;
        descriptor.value_fields = fields;
        descriptor.limit = limit;
        descriptor.flow_parts = contract::flow_part::all;
        std::strcpy(descriptor.name, ("t" + std::to_string(id)).c_str());
        descriptors.push_back(descriptor);
        return change(contract::TableVerb::create, id,
                      static_cast<std::uint32_t>(descriptors.size() - 1));
    }
    BatchBuilder& change(contract::TableVerb verb, std::uint32_t id, std::uint32_t argument = 0,
                         const contract::TableKey& key = {}) {
        contract::TableChange item;
        item.verb = verb;
        item.table = id;
        item.argument = argument;
        item.key = key;
        changes.push_back(item);
        return *this;
    }
    BatchBuilder& add(std::uint32_t id, const contract::TableKey& key, std::uint32_t value,
                      std::uint32_t ttl_s = 0, std::uint8_t flags = 0) {
        contract::TableValue all;
        all.numbers.fill(value);
        values.push_back(all);
        change(contract::TableVerb::add, id, static_cast<std::uint32_t>(values.size() - 1), key);
        changes.back().ttl_s = ttl_s;
        changes.back().flags = flags;
        return *this;
    }
    BatchBuilder& remove(std::uint32_t id, const contract::TableKey& key) {
        return change(contract::TableVerb::remove, id, 0, key);
    }

    Batch batch() const { return {changes, values, descriptors}; }

    std::vector<contract::TableChange> changes;
    std::vector<contract::TableValue> values;
    std::vector<contract::TableDescriptor> descriptors;
};

inline contract::TableKey prefix4(std::uint32_t address, unsigned length) {
    contract::TableKey key;
    key.ip_version = 4;
    key.prefix_length = static_cast<std::uint8_t>(length);
    const std::uint32_t bytes = __builtin_bswap32(address);
    std::memcpy(key.bytes.data(), &bytes, sizeof bytes);
    return key;
}

inline contract::TableKey prefix6(const Ipv6& address, unsigned length) {
    contract::TableKey key;
    key.ip_version = 6;
    key.prefix_length = static_cast<std::uint8_t>(length);
    key.bytes = address.bytes;
    return key;
}

inline contract::TableKey interface_key(const char* name) {
    contract::TableKey key;
    std::memcpy(key.bytes.data(), name, std::min<std::size_t>(std::strlen(name), 15));
    return key;
}

inline contract::TableKey number_key(std::uint32_t number) {
    contract::TableKey key;
    key.number = number;
    return key;
}

}  // namespace sluice::table
