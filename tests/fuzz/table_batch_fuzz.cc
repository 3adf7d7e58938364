// Batches of changes to tables: any bytes are refused with a reason or answered change by change, a
// batch that fails leaves the tables as they were, and what is listed is found.
//
// The first byte chooses how failures count and whether the rest is read as the bytes of a message
// or as changes alone, which come further.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "dataplane/table/table_batch.h"

namespace {

using namespace sluice;

contract::TableDescriptor descriptor(std::uint32_t id, contract::TableType type) {
    contract::TableDescriptor table;
    table.id = id;
    table.type = type;
    table.value_fields = contract::kLegacyValue;
    table.flow_parts = static_cast<std::uint8_t>(id * 7 % 32);
    table.limit = id == 3 ? 4 : 0;
    std::strcpy(table.name, "t");
    return table;
}

// Few tables and few values of the other fields, so that changes meet each other.
void bring_close(contract::TableChange& change) {
    using contract::TableVerb;
    change.verb = static_cast<TableVerb>(static_cast<unsigned>(change.verb) %
                                         (static_cast<unsigned>(TableVerb::count_) + 1));
    change.table %= 8;
    change.argument %= 8;
    change.ttl_s %= 4;
    for (std::size_t i = 2; i < 16; ++i)
        if (change.key.bytes[i] > 3)
            change.key.bytes[i] = 0;
    change.key.number %= 16;
}

void look_up(const table::Store& store, const contract::TableEntry& entry, std::uint32_t id) {
    const table::View* view = store.load().find(id);
    if (view == nullptr)
        std::abort();
    table::Reference found = 0;
    std::uint32_t word = 0;
    std::memcpy(&word, entry.key.bytes.data(), sizeof word);
    MacAddress mac;
    std::memcpy(mac.bytes.data(), entry.key.bytes.data(), mac.bytes.size());
    switch (view->type) {
        case contract::TableType::addr:
            found = entry.key.ip_version == 4 ? store.find_address4(*view, __builtin_bswap32(word))
                                              : store.find_address6(*view, Ipv6{entry.key.bytes});
            break;
        case contract::TableType::number:
            found = store.find_number(*view, entry.key.number);
            break;
        case contract::TableType::mac:
            found = store.find_mac(*view, mac);
            break;
        case contract::TableType::flow:
            found = store.find_flow(*view, entry.key);
            break;
        default:
            return;  // an interface that is no port is not found
    }
    if (found == 0)
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0)
        return 0;
    table::Store store({.interfaces = {"em0", "em1"}, .workers = 2});
    std::vector<std::uint64_t> words((size - 1) / sizeof(std::uint64_t));
    std::memcpy(words.data(), data + 1, words.size() * sizeof(std::uint64_t));
    const auto bytes = std::as_writable_bytes(std::span(words));
    const auto failures = (data[0] & 1) != 0 ? table::Failures::stop : table::Failures::skip;
    if ((data[0] & 2) != 0) {
        const auto batch = table::read_batch(bytes);
        if (!batch && batch.error().message.empty())
            std::abort();
        if (batch && store.apply(*batch, failures, 1).results.size() != batch->changes.size())
            std::abort();
        return 0;
    }
    std::vector<contract::TableDescriptor> descriptors;
    for (std::uint32_t id = 0; id < 7; ++id)
        descriptors.push_back(descriptor(id, static_cast<contract::TableType>(id % 5)));
    std::vector<contract::TableValue> values(3);
    values[1].numbers.fill(7);
    std::vector<contract::TableChange> changes(bytes.size() / sizeof(contract::TableChange));
    if (!changes.empty())
        std::memcpy(changes.data(), bytes.data(), changes.size() * sizeof changes[0]);
    std::vector<contract::TableChange> first;
    for (std::uint32_t id = 0; id < 6; ++id) {
        contract::TableChange create;
        create.verb = contract::TableVerb::create;
        create.argument = id;
        first.push_back(create);
    }
    store.apply({first, values, descriptors}, table::Failures::stop, 1);
    std::uint32_t now = 1;
    for (std::size_t at = 0; at < changes.size();) {
        const std::size_t count = std::min<std::size_t>(changes.size() - at, 1 + at % 5);
        for (std::size_t i = at; i < at + count; ++i)
            bring_close(changes[i]);
        const std::uint64_t before = store.used_bytes();
        const auto answer = store.apply(
            {std::span(changes).subspan(at, count), values, descriptors}, failures, now);
        if (answer.results.size() != count || (answer.failed && store.used_bytes() != before))
            std::abort();
        at += count;
        store.expire(++now);
    }
    for (const contract::TableDescriptor& table : store.descriptors()) {
        contract::TableChange list;
        list.verb = contract::TableVerb::list;
        list.table = table.id;
        const auto answer = store.apply({{&list, 1}, {}, {}}, table::Failures::stop, now);
        if (answer.entries.size() != answer.results[0].count)
            std::abort();
        for (const contract::TableEntry& entry : answer.entries)
            look_up(store, entry, table.id);
        contract::TableChange destroy;
        destroy.verb = contract::TableVerb::destroy;
        destroy.table = table.id;
        store.apply({{&destroy, 1}, {}, {}}, table::Failures::stop, now);
    }
    if (store.used_bytes() != 0)
        std::abort();
    return 0;
}
