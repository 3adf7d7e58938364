// Keys of tables as the bits that a trie branches on, and back.
#pragma once

#include <cstdint>
#include <cstring>

#include "common/byte_order.h"
#include "dataplane/contract/table.h"
#include "dataplane/table/prefix_trie.h"

namespace sluice::table {

inline std::uint64_t big_endian(const std::uint8_t* bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    return __builtin_bswap64(word);
}

inline Bits128 bits_of(const Ipv6& address) {
    return static_cast<Bits128>(big_endian(address.bytes.data())) << 64 |
           big_endian(address.bytes.data() + 8);
}

inline std::uint64_t bits_of(const MacAddress& address) {
    std::uint8_t bytes[8] = {};
    std::memcpy(bytes, address.bytes.data(), address.bytes.size());
    return big_endian(bytes);
}

inline std::uint32_t bits4_of(const contract::TableKey& key) {
    return static_cast<std::uint32_t>(big_endian(key.bytes.data()) >> 32);
}
inline Bits128 bits6_of(const contract::TableKey& key) {
    return bits_of(Ipv6{key.bytes});
}
inline std::uint64_t mac_bits_of(const contract::TableKey& key) {
    return big_endian(key.bytes.data()) & ~std::uint64_t{0xffff};
}

inline void put_big_endian(std::uint64_t word, std::uint8_t* bytes) {
    word = __builtin_bswap64(word);
    std::memcpy(bytes, &word, sizeof word);
}

inline contract::TableKey address4_key(std::uint32_t bits, unsigned length) {
    contract::TableKey key;
    key.ip_version = 4;
    key.prefix_length = static_cast<std::uint8_t>(length);
    put_big_endian(std::uint64_t{bits} << 32, key.bytes.data());
    return key;
}
inline contract::TableKey address6_key(Bits128 bits, unsigned length) {
    contract::TableKey key;
    key.ip_version = 6;
    key.prefix_length = static_cast<std::uint8_t>(length);
    put_big_endian(static_cast<std::uint64_t>(bits >> 64), key.bytes.data());
    put_big_endian(static_cast<std::uint64_t>(bits), key.bytes.data() + 8);
    return key;
}
inline contract::TableKey mac_key(std::uint64_t bits, unsigned length) {
    contract::TableKey key;
    key.prefix_length = static_cast<std::uint8_t>(length);
    put_big_endian(bits, key.bytes.data());
    return key;
}

// Clears what the parts of a flow do not name. Without addresses it is the same for both versions.
inline void keep_parts(contract::TableKey& key, std::uint8_t parts) {
    namespace part = contract::flow_part;
    key.prefix_length = 0;
    if ((parts & (part::source_address | part::destination_address)) == 0)
        key.ip_version = 4;
    if ((parts & part::source_address) == 0)
        key.bytes = {};
    if ((parts & part::destination_address) == 0)
        key.destination = {};
    if ((parts & part::protocol) == 0)
        key.protocol = 0;
    if ((parts & part::source_port) == 0)
        key.source_port = 0;
    if ((parts & part::destination_port) == 0)
        key.destination_port = 0;
}

// Clears the bits behind the prefix.
inline void cut(contract::TableKey& key, contract::TableType type) {
    if (type != contract::TableType::addr && type != contract::TableType::mac)
        return;
    for (std::size_t i = 0; i < key.bytes.size(); ++i) {
        const int kept = static_cast<int>(key.prefix_length) - static_cast<int>(8 * i);
        if (kept < 8)
            key.bytes[i] &= static_cast<std::uint8_t>(kept <= 0 ? 0 : 0xff00 >> kept);
    }
}

// Whether the key can stand in a table like this; brings it into the form that it has there.
inline bool fits(const contract::TableDescriptor& table, contract::TableKey& key) {
    using contract::TableType;
    contract::TableKey plain;
    plain.ip_version = key.ip_version;
    plain.prefix_length = key.prefix_length;
    plain.bytes = key.bytes;
    switch (table.type) {
        case TableType::addr:
            if (!(key.ip_version == 4 && key.prefix_length <= 32) &&
                !(key.ip_version == 6 && key.prefix_length <= 128))
                return false;
            break;
        case TableType::mac:
            if (key.ip_version != 0 || key.prefix_length > 48)
                return false;
            break;
        case TableType::number:
            plain = {};
            plain.number = key.number;
            key = plain;
            return true;
        case TableType::iface:
            plain.ip_version = plain.prefix_length = 0;
            key = plain;
            return key.bytes[0] != 0 && key.bytes[key.bytes.size() - 1] == 0;
        case TableType::flow:
            if (key.ip_version != 4 && key.ip_version != 6)
                return false;
            key.reserved = 0;
            key.number = key.reserved2 = 0;
            keep_parts(key, table.flow_parts);
            return true;
        case TableType::count_:
            return false;
    }
    key = plain;
    cut(key, table.type);
    return true;
}

}  // namespace sluice::table
