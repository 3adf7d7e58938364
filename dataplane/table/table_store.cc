#include "dataplane/table/table_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/contract/counters.h"
#include "dataplane/table/key_bits.h"

namespace sluice::table {

namespace {

using contract::TableChange;
using contract::TableDescriptor;
using contract::TableKey;
using contract::TableResult;
using contract::TableStatus;
using contract::TableType;
using contract::TableValue;
using contract::TableVerb;

constexpr unsigned kWholeNumber = 32, kWholeHash = 64;

bool fails(TableStatus status) {
    return status != TableStatus::done && status != TableStatus::updated;
}

std::uint64_t mixed(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

std::array<std::uint64_t, 8> secrets_from(std::uint64_t secret) {
    std::array<std::uint64_t, 8> secrets;
    for (std::uint64_t& each : secrets)
        each = mixed(secret += 0x9e3779b97f4a7c15) | 1;
    return secrets;
}

// What `table(T,V)` compares: the tag, as ipfw does, or, where values have no tag, the first field.
contract::TableField compared_field(std::uint32_t fields) {
    using contract::TableField;
    if ((fields & (contract::kLegacyValue | table_field_bit(TableField::tag))) != 0 || fields == 0)
        return TableField::tag;
    return static_cast<TableField>(std::countr_zero(fields));
}

std::uint32_t expiry(std::uint32_t now_s, std::uint32_t ttl_s) {
    const std::uint64_t end = std::uint64_t{now_s} + ttl_s;
    return ttl_s == 0 ? 0 : static_cast<std::uint32_t>(std::min<std::uint64_t>(end, UINT32_MAX));
}

std::string interface_name(const TableKey& key) {
    const auto* text = reinterpret_cast<const char*>(key.bytes.data());
    return std::string(text, strnlen(text, key.bytes.size()));
}

TableKey interface_key(const std::string& name) {
    TableKey key;
    std::memcpy(key.bytes.data(), name.data(), std::min(name.size(), key.bytes.size() - 1));
    return key;
}

}  // namespace

std::size_t Store::ValueHash::operator()(const TableValue& value) const {
    std::uint64_t hash = 0, word = 0;
    const auto* bytes = reinterpret_cast<const char*>(&value);
    for (std::size_t at = 0; at < sizeof value; at += sizeof word) {
        std::memcpy(&word, bytes + at, sizeof word);
        hash = mixed(hash + word + 0x9e3779b97f4a7c15);
    }
    return hash;
}

Store::Store(const Spec& spec)
    : heap_(spec.maximum_node_bytes),
      directory_(std::make_unique<Directory>()),
      interface_names_(spec.interfaces),
      hash_secrets_(secrets_from(spec.hash_secret)),
      grace_periods_(spec.grace_periods) {
    published_.store(directory_.get(), std::memory_order_release);
    for (unsigned worker = 0; worker < spec.workers; ++worker)
        hit_chunks_.push_back(std::make_unique<std::atomic<std::uint64_t*>[]>(
            CellMemory<Entry, kEntryShift>::kMaximumCells >> kEntryShift));
}

Store::~Store() = default;

// ---- Entries -----------------------------------------------------------------------------------

std::uint64_t Store::hits(Reference entry) const {
    std::uint64_t sum = 0;
    for (const auto& chunks : hit_chunks_)
        sum += contract::read(chunks[entry >> kEntryShift].load(
            std::memory_order_relaxed)[entry & (CellMemory<Entry, kEntryShift>::kChunkSize - 1)]);
    return sum;
}

bool Store::make_hit_counters(Reference entry) {
    constexpr std::size_t kChunk = CellMemory<Entry, kEntryShift>::kChunkSize;
    while (hit_chunk_count_ <= entry >> kEntryShift) {
        for (const auto& chunks : hit_chunks_) {
            ZeroedPages chunk = ZeroedPages::take(kChunk * sizeof(std::uint64_t));
            if (chunk.get() == nullptr)
                return false;
            chunks[hit_chunk_count_].store(static_cast<std::uint64_t*>(chunk.get()),
                                           std::memory_order_release);
            owned_hit_chunks_.push_back(std::move(chunk));
        }
        ++hit_chunk_count_;
    }
    for (const auto& chunks : hit_chunks_)
        contract::set(
            chunks[entry >> kEntryShift].load(std::memory_order_relaxed)[entry & (kChunk - 1)], 0);
    return true;
}

Reference Store::make_entry(Table& table, const TableKey& key, const TableValue& value,
                            std::uint32_t expires_s) {
    const Reference entry = entries_.take();
    if (entry == 0 || !make_hit_counters(entry)) {
        out_of_memory_ = true;
        return 0;
    }
    ValueUse& use = value_uses_[value];
    if (use.uses++ == 0) {
        use.cell = values_.take();
        if (use.cell != 0)
            values_.at(use.cell) = value;
    }
    const bool by_hash = table.descriptor.type == TableType::flow;
    const Reference flow = by_hash ? flows_.take() : 0;
    if (flow != 0)
        flows_.at(flow).key = key;
    entries_.at(entry) = {.value = use.cell, .expires_s = expires_s, .flow = flow, .mark = 0};
    made_entries_.push_back(entry);
    out_of_memory_ |= use.cell == 0 || (by_hash && flow == 0);
    if (expires_s != 0)
        new_expiries_.push_back({.expires_s = expires_s, .content = table.content, .key = key});
    return entry;
}

void Store::free_entry(Reference entry) {
    const Entry& cell = entries_.at(entry);
    if (cell.value != 0) {
        const auto use = value_uses_.find(values_.at(cell.value));
        if (--use->second.uses == 0) {
            value_uses_.erase(use);
            values_.give_back(cell.value);
        }
    }
    if (cell.flow != 0)
        flows_.give_back(cell.flow);
    entries_.give_back(entry);
}

// Calls `use(index, root, bits, length)` with the index that the key belongs to. REQUIRES: the
// table is none of interfaces.
template <typename AnyTable, typename Function>
auto Store::in_index(AnyTable& table, const TableKey& key, Function use) const {
    auto& view = table.view;
    const unsigned length = key.prefix_length;
    switch (table.descriptor.type) {
        case TableType::addr:
            return key.ip_version == 4 ? use(AddressIndex4{}, view.root, bits4_of(key), length)
                                       : use(AddressIndex6{}, view.root6, bits6_of(key), length);
        case TableType::mac:
            return use(MacIndex{}, view.root, mac_bits_of(key), length);
        case TableType::number:
            return use(NumberIndex{}, view.root, key.number, kWholeNumber);
        default:
            return use(FlowIndex{}, view.root, flow_hash(key), kWholeHash);
    }
}

// Calls `use(index, root)` for each index of the table; one of interfaces has none.
template <typename AnyTable, typename Function>
void Store::each_index(AnyTable& table, Function use) {
    auto& view = table.view;
    switch (table.descriptor.type) {
        case TableType::addr:
            use(AddressIndex4{}, view.root);
            use(AddressIndex6{}, view.root6);
            break;
        case TableType::mac:
            use(MacIndex{}, view.root);
            break;
        case TableType::number:
            use(NumberIndex{}, view.root);
            break;
        case TableType::flow:
            use(FlowIndex{}, view.root);
            break;
        case TableType::iface:
        case TableType::count_:
            break;
    }
}

Reference Store::get(const Table& table, const TableKey& key) const {
    if (table.descriptor.type == TableType::iface) {
        const auto found = table.interfaces.find(interface_name(key));
        return found == table.interfaces.end() ? 0 : found->second;
    }
    return in_index(table, key, [&](auto index, Reference root, auto bits, unsigned length) {
        return decltype(index)::get(heap_.memory(), root, bits, length);
    });
}

// What `get` found by a hash may be another flow's.
bool Store::has_key(const Table& table, Reference entry, const TableKey& key) const {
    return table.descriptor.type != TableType::flow ||
           flows_.at(entries_.at(entry).flow).key == key;
}

void Store::put(Table& table, const TableKey& key, Reference entry) {
    if (table.descriptor.type == TableType::iface) {
        table.interfaces[interface_name(key)] = entry;
        return;
    }
    in_index(table, key, [&](auto index, Reference& root, auto bits, unsigned length) {
        root = decltype(index)::put(heap_, root, bits, length, entry, table.count);
    });
}

void Store::take_out(Table& table, const TableKey& key) {
    if (table.descriptor.type == TableType::iface) {
        table.interfaces.erase(interface_name(key));
        return;
    }
    in_index(table, key, [&](auto index, Reference& root, auto bits, unsigned length) {
        root = decltype(index)::remove(heap_, root, bits, length);
    });
}

// Calls `function(key, entry)`, in the order of keys.
template <typename Function>
void Store::each(const Table& table, Function function) const {
    const BlockMemory& memory = heap_.memory();
    const Reference root = table.view.root;
    switch (table.descriptor.type) {
        case TableType::addr:
            AddressIndex4::each(memory, root,
                                [&](std::uint32_t bits, unsigned length, Reference entry) {
                                    function(address4_key(bits, length), entry);
                                });
            AddressIndex6::each(memory, table.view.root6,
                                [&](Bits128 bits, unsigned length, Reference entry) {
                                    function(address6_key(bits, length), entry);
                                });
            break;
        case TableType::mac:
            MacIndex::each(memory, root, [&](std::uint64_t bits, unsigned length, Reference entry) {
                function(mac_key(bits, length), entry);
            });
            break;
        case TableType::number:
            NumberIndex::each(memory, root, [&](std::uint32_t number, unsigned, Reference entry) {
                TableKey key;
                key.number = number;
                function(key, entry);
            });
            break;
        case TableType::flow:
            FlowIndex::each(memory, root, [&](std::uint64_t, unsigned, Reference entry) {
                function(flows_.at(entries_.at(entry).flow).key, entry);
            });
            break;
        case TableType::iface:
            for (const auto& [name, entry] : table.interfaces)
                function(interface_key(name), entry);
            break;
        case TableType::count_:
            break;
    }
}

std::uint64_t Store::hits_of(const Table& table) const {
    std::uint64_t sum = 0;
    for (const auto& [name, entry] : table.interfaces)
        sum += hits(entry);
    each_index(table, [&](auto index, Reference root) {
        decltype(index)::each_unordered(
            heap_.memory(), root, [&](auto, unsigned, Reference entry) { sum += hits(entry); });
    });
    return sum;
}

// ---- Changes -----------------------------------------------------------------------------------

const Store::Table* Store::look_at(std::uint32_t id) const {
    if (const auto found = touched_.find(id); found != touched_.end())
        return found->second ? &*found->second : nullptr;
    const auto found = tables_.find(id);
    return found == tables_.end() ? nullptr : &found->second;
}

// One entry more has been dealt with.
void Store::tick() const {
    constexpr std::uint32_t kEntriesInAStep = 4096;
    if (++ticks_ % kEntriesInAStep == 0 && meanwhile_ != nullptr)
        meanwhile_->step();
}

// The transaction's own copy of the table.
Store::Table* Store::touch(std::uint32_t id) {
    auto found = touched_.find(id);
    if (found == touched_.end()) {
        const auto table = tables_.find(id);
        if (table == tables_.end())
            return nullptr;
        found = touched_.emplace(id, table->second).first;
    }
    return found->second ? &*found->second : nullptr;
}

TableStatus Store::create(const TableDescriptor& descriptor) {
    if (descriptor.id >= contract::kMaximumTables || descriptor.type >= TableType::count_)
        return TableStatus::wrong_type;
    if (look_at(descriptor.id) != nullptr)
        return TableStatus::no_table;
    Table table{.descriptor = descriptor, .view = {}, .content = next_content_++};
    table.descriptor.name[sizeof table.descriptor.name - 1] = '\0';
    table.view = {.exists = true,
                  .type = descriptor.type,
                  .flow_parts = descriptor.flow_parts,
                  .compared = compared_field(descriptor.value_fields)};
    touched_[descriptor.id] = std::move(table);
    return TableStatus::done;
}

TableStatus Store::add(Table& table, const TableChange& change, const TableValue& value,
                       std::uint32_t now_s) {
    TableKey key = change.key;
    if (!fits(table.descriptor, key))
        return TableStatus::wrong_type;
    const Reference there = get(table, key);
    if (there != 0) {
        // Two flows with the same hash of 64 secret bits: the second finds no place.
        if (!has_key(table, there, key))
            return TableStatus::no_memory;
        if ((change.flags & contract::table_change_flag::update) == 0)
            return TableStatus::exists;
    } else if (table.descriptor.limit != 0 && table.count >= table.descriptor.limit) {
        return TableStatus::limit;
    }
    const Reference entry = make_entry(table, key, value, expiry(now_s, change.ttl_s));
    if (entry == 0)
        return TableStatus::no_memory;
    put(table, key, entry);
    if (there == 0) {
        ++table.count;
        return TableStatus::done;
    }
    removed_entries_.push_back(there);
    return TableStatus::updated;
}

TableStatus Store::remove(Table& table, const TableKey& wanted) {
    TableKey key = wanted;
    if (!fits(table.descriptor, key))
        return TableStatus::wrong_type;
    const Reference there = get(table, key);
    if (there == 0 || !has_key(table, there, key))
        return TableStatus::not_found;
    take_out(table, key);
    removed_entries_.push_back(there);
    --table.count;
    return TableStatus::done;
}

TableStatus Store::swap(Table& first, Table& second) {
    const TableDescriptor &a = first.descriptor, &b = second.descriptor;
    if (a.type != b.type || a.value_fields != b.value_fields || a.flow_parts != b.flow_parts)
        return TableStatus::wrong_type;
    if ((a.limit != 0 && second.count > a.limit) || (b.limit != 0 && first.count > b.limit))
        return TableStatus::limit;
    std::swap(first.view, second.view);
    std::swap(first.count, second.count);
    std::swap(first.content, second.content);
    std::swap(first.interfaces, second.interfaces);
    return TableStatus::done;
}

void Store::flush(Table& table) {
    const auto removed = [&](Reference entry) {
        tick();
        removed_entries_.push_back(entry);
    };
    if (table.descriptor.type == TableType::iface) {
        for (const auto& [name, entry] : table.interfaces)
            removed(entry);
        table.interfaces.clear();
        if (table.view.root != 0)
            removed_maps_.push_back(table.view.root);
    }
    each_index(table,
               [&](auto index, Reference root) { decltype(index)::clear(heap_, root, removed); });
    table.view.root = table.view.root6 = 0;
    table.count = 0;
}

// Builds the whole content anew beside the old one, with the entries that stay the same.
TableStatus Store::load(Table& table, const Batch& batch, std::size_t first, std::size_t count,
                        std::uint32_t now_s, TableResult& result) {
    const std::uint32_t mark = next_mark_++;
    Table fresh = table;
    fresh.view.root = fresh.view.root6 = 0;
    fresh.interfaces.clear();
    fresh.count = 0;
    for (std::size_t i = first; i < first + count; ++i) {
        tick();
        const TableChange& change = batch.changes[i];
        TableKey key = change.key;
        if (change.verb != TableVerb::add || change.argument >= batch.values.size() ||
            !fits(table.descriptor, key))
            return TableStatus::wrong_type;
        if (const Reference twice = get(fresh, key); twice != 0) {
            if (!has_key(fresh, twice, key))
                return TableStatus::no_memory;
            continue;
        }
        if (table.descriptor.limit != 0 && fresh.count >= table.descriptor.limit)
            return TableStatus::limit;
        const TableValue& value = batch.values[change.argument];
        Reference entry = get(table, key);
        const bool same = entry != 0 && this->value(entry) == value && change.ttl_s == 0 &&
                          entries_.at(entry).expires_s == 0 && has_key(table, entry, key);
        if (!same) {
            ++(entry == 0 ? result.added : result.changed);
            entry = make_entry(fresh, key, value, expiry(now_s, change.ttl_s));
        }
        if (entry == 0)
            return TableStatus::no_memory;
        entries_.at(entry).mark = mark;
        put(fresh, key, entry);
        ++fresh.count;
        if (heap_.failed())
            return TableStatus::no_memory;
    }
    const std::size_t removed_before = removed_entries_.size();
    flush(table);
    std::size_t gone = 0;
    for (std::size_t i = removed_before; i < removed_entries_.size(); ++i)
        if (entries_.at(removed_entries_[i]).mark != mark)
            removed_entries_[removed_before + gone++] = removed_entries_[i];
    removed_entries_.resize(removed_before + gone);
    result.removed = static_cast<std::uint32_t>(gone) - result.changed;
    table.view.root = fresh.view.root;
    table.view.root6 = fresh.view.root6;
    table.interfaces = std::move(fresh.interfaces);
    table.count = fresh.count;
    return TableStatus::done;
}

// A map that readers find interfaces by. Those that are not among the ports match nothing.
void Store::renew_interfaces(Table& table) {
    const Reference map = interface_maps_.take();
    if (map == 0) {
        out_of_memory_ = true;
        return;
    }
    made_maps_.push_back(map);
    InterfaceMap& cells = interface_maps_.at(map);
    cells = {};
    for (std::size_t i = 0; i < std::min(interface_names_.size(), kMaximumInterfaces); ++i)
        if (const auto found = table.interfaces.find(interface_names_[i]);
            found != table.interfaces.end())
            cells.entries[i] = found->second;
    if (table.view.root != 0)
        removed_maps_.push_back(table.view.root);
    table.view.root = map;
}

void Store::append(const TableKey& key, Reference entry, std::uint32_t now_s, Answer& answer,
                   TableResult& result) const {
    tick();
    const Entry& cell = entries_.at(entry);
    const TableValue& value = values_.at(cell.value);
    // Equal values stand beside each other more often than not.
    if (answer.values.empty() || !(answer.values.back() == value))
        answer.values.push_back(value);
    answer.entries.push_back(
        {.key = key,
         .value = static_cast<std::uint32_t>(answer.values.size() - 1),
         .expires_s = cell.expires_s == 0 ? 0 : std::max(cell.expires_s, now_s + 1) - now_s,
         .hits = hits(entry)});
    ++result.entries;
}

void Store::list(const Table& table, std::uint32_t now_s, Answer& answer,
                 TableResult& result) const {
    result.first = answer.entries.size();
    each(table,
         [&](const TableKey& key, Reference entry) { append(key, entry, now_s, answer, result); });
}

// What a packet with this key would find.
TableStatus Store::look_up(const Table& table, TableKey key, std::uint32_t now_s, Answer& answer,
                           TableResult& result) const {
    result.first = answer.entries.size();
    if (!fits(table.descriptor, key))
        return TableStatus::wrong_type;
    Reference entry = 0;
    for (unsigned length = key.prefix_length + 1u; entry == 0 && length-- > 0;) {
        key.prefix_length = static_cast<std::uint8_t>(length);
        cut(key, table.descriptor.type);
        entry = get(table, key);
    }
    if (entry == 0 || !has_key(table, entry, key))
        return TableStatus::not_found;
    append(key, entry, now_s, answer, result);
    return TableStatus::done;
}

std::uint64_t Store::bytes_of(const Table& table) const {
    std::uint64_t bytes =
        table.count * (sizeof(Entry) + hit_chunks_.size() * sizeof(std::uint64_t));
    each_index(table, [&](auto index, Reference root) {
        bytes += decltype(index)::bytes(heap_.memory(), root);
    });
    if (table.descriptor.type == TableType::flow)
        bytes += table.count * sizeof(Flow);
    if (table.descriptor.type == TableType::iface && table.view.root != 0)
        bytes += sizeof(InterfaceMap);
    return bytes;
}

TableStatus Store::tell(const TableChange& change, std::uint32_t now_s, Answer& answer,
                        TableResult& result) const {
    const Table* table = look_at(change.table);
    if (table == nullptr)
        return TableStatus::no_table;
    result.count = table->count;
    if (change.verb == TableVerb::lookup)
        return look_up(*table, change.key, now_s, answer, result);
    if (change.verb == TableVerb::list)
        list(*table, now_s, answer, result);
    else if ((change.flags & contract::table_change_flag::count_alone) != 0)
        return TableStatus::done;
    result.bytes = bytes_of(*table);
    result.hits = hits_of(*table);
    return TableStatus::done;
}

TableStatus Store::carry_out(const Batch& batch, std::size_t at, std::uint32_t now_s,
                             Answer& answer, TableResult& result) {
    const TableChange& change = batch.changes[at];
    if (change.verb == TableVerb::create)
        return change.argument < batch.descriptors.size()
                   ? create(batch.descriptors[change.argument])
                   : TableStatus::wrong_type;
    if (change.verb == TableVerb::list || change.verb == TableVerb::lookup ||
        change.verb == TableVerb::info)
        return tell(change, now_s, answer, result);
    Table* table = touch(change.table);
    if (table == nullptr)
        return TableStatus::no_table;
    TableStatus status = TableStatus::done;
    switch (change.verb) {
        case TableVerb::add:
            status = change.argument < batch.values.size()
                         ? add(*table, change, batch.values[change.argument], now_s)
                         : TableStatus::wrong_type;
            break;
        case TableVerb::remove:
            status = remove(*table, change.key);
            if (status == TableStatus::not_found &&
                (change.flags & contract::table_change_flag::update) != 0)
                status = TableStatus::done;
            break;
        case TableVerb::flush:
            flush(*table);
            break;
        case TableVerb::destroy:
            flush(*table);
            touched_[change.table].reset();
            return status;
        case TableVerb::modify:
            if (change.argument >= batch.descriptors.size())
                return TableStatus::wrong_type;
            table->descriptor.limit = batch.descriptors[change.argument].limit;
            table->descriptor.locked = batch.descriptors[change.argument].locked;
            break;
        case TableVerb::swap: {
            Table* other = touch(change.argument);
            status = other == nullptr ? TableStatus::no_table : swap(*table, *other);
            break;
        }
        case TableVerb::load:
            if (change.argument > batch.changes.size() - at - 1)
                return TableStatus::wrong_type;
            status = load(*table, batch, at + 1, change.argument, now_s, result);
            break;
        case TableVerb::create:
        case TableVerb::list:
        case TableVerb::lookup:
        case TableVerb::info:
        case TableVerb::count_:
            status = TableStatus::wrong_type;
            break;
    }
    result.count = table->count;
    return status;
}

// ---- Transactions ------------------------------------------------------------------------------

Answer Store::prepare(const Batch& batch, Failures failures, std::uint32_t now_s,
                      Meanwhile* meanwhile) {
    meanwhile_ = meanwhile;
    Answer answer;
    answer.results.resize(batch.changes.size());
    if (in_transaction_)
        discard();
    in_transaction_ = true;
    for (std::size_t i = 0; i < batch.changes.size() && !answer.failed; ++i) {
        tick();
        const TableChange& change = batch.changes[i];
        TableResult& result = answer.results[i];
        result.status = carry_out(batch, i, now_s, answer, result);
        if (out_of_memory_ || heap_.failed()) {
            result.status = TableStatus::no_memory;
            answer.failed = true;
        }
        // What is left of a load that failed must not stay either.
        if (fails(result.status) && (failures == Failures::stop || change.verb == TableVerb::load))
            answer.failed = true;
        if (change.verb == TableVerb::load && !answer.failed)
            for (std::uint32_t left = change.argument; left != 0; --left)
                answer.results[++i].status = TableStatus::done;
    }
    for (auto& [id, table] : touched_)
        if (table && table->descriptor.type == TableType::iface && !answer.failed)
            renew_interfaces(*table);
    answer.failed |= out_of_memory_;
    if (answer.failed)
        discard();
    meanwhile_ = nullptr;
    return answer;
}

Answer Store::apply(const Batch& batch, Failures failures, std::uint32_t uptime_s) {
    Answer answer = prepare(batch, failures, uptime_s);
    if (!answer.failed)
        commit();
    return answer;
}

std::unique_ptr<Directory> Store::changed_directory() const {
    auto changed = std::make_unique<Directory>(*directory_);
    changed->ruleset = 0;
    changed->views.resize(
        std::max<std::size_t>(changed->views.size(), touched_.rbegin()->first + 1));
    for (const auto& [id, table] : touched_)
        changed->views[id] = table ? table->view : View{};
    return changed;
}

void Store::announce(std::uint64_t ruleset) {
    if (!in_transaction_ || touched_.empty())
        return;
    announced_directory_ = changed_directory();
    announced_directory_->ruleset = ruleset;
    announced_.store(announced_directory_.get(), std::memory_order_release);
}

void Store::commit() {
    if (!in_transaction_)
        return;
    if (touched_.empty())
        return end_transaction();
    Retired retired{.nodes = heap_.commit(),
                    .entries = std::move(removed_entries_),
                    .interface_maps = std::move(removed_maps_),
                    .directory = nullptr};
    auto next = announced_directory_ ? std::move(announced_directory_) : changed_directory();
    for (auto& [id, table] : touched_) {
        if (!table) {
            tables_.erase(id);
            continue;
        }
        table_of_content_[table->content] = id;
        tables_[id] = std::move(*table);
    }
    published_.store(next.get(), std::memory_order_release);
    announced_.store(nullptr, std::memory_order_release);
    retired.directory = std::exchange(directory_, std::move(next));
    for (Expiry& expiry : new_expiries_)
        expiries_.push(std::move(expiry));
    end_transaction();
    retire(std::move(retired));
}

void Store::discard() {
    Retired made{.nodes = heap_.withdraw(),
                 .entries = std::move(made_entries_),
                 .interface_maps = std::move(made_maps_),
                 .directory = std::move(announced_directory_)};
    end_transaction();
    if (announced_.exchange(nullptr, std::memory_order_release) == nullptr)
        give_back(made);
    else
        retire(std::move(made));
}

void Store::end_transaction() {
    in_transaction_ = false;
    touched_.clear();
    made_entries_.clear();
    removed_entries_.clear();
    made_maps_.clear();
    removed_maps_.clear();
    new_expiries_.clear();
    out_of_memory_ = false;
}

void Store::retire(Retired&& retired) {
    retired.period = grace_periods_ == nullptr ? 0 : grace_periods_->begin();
    retired_.push_back(std::move(retired));
    collect();
}

void Store::give_back(const Retired& retired) {
    heap_.give_back(retired.nodes);
    for (const Reference entry : retired.entries)
        free_entry(entry);
    for (const Reference map : retired.interface_maps)
        interface_maps_.give_back(map);
}

void Store::collect() {
    while (!retired_.empty() &&
           (grace_periods_ == nullptr || grace_periods_->over(retired_.front().period))) {
        give_back(retired_.front());
        retired_.pop_front();
    }
}

std::size_t Store::expire(std::uint32_t uptime_s) {
    if (in_transaction_)
        return 0;
    std::size_t removed = 0;
    while (!expiries_.empty() && expiries_.top().expires_s <= uptime_s) {
        const Expiry due = expiries_.top();
        expiries_.pop();
        const auto id = table_of_content_.find(due.content);
        Table* table = id == table_of_content_.end() ? nullptr : touch(id->second);
        if (table == nullptr || table->content != due.content)
            continue;
        const Reference entry = get(*table, due.key);
        if (entry == 0 || entries_.at(entry).expires_s != due.expires_s)
            continue;
        removed += remove(*table, due.key) == TableStatus::done ? 1 : 0;
    }
    if (touched_.empty())
        return 0;
    in_transaction_ = true;
    for (auto& [id, table] : touched_)
        if (table && table->descriptor.type == TableType::iface)
            renew_interfaces(*table);
    if (heap_.failed() || out_of_memory_) {
        discard();
        return 0;
    }
    commit();
    return removed;
}

std::vector<TableDescriptor> Store::descriptors() const {
    std::vector<TableDescriptor> result;
    for (const auto& [id, table] : tables_)
        result.push_back(table.descriptor);
    return result;
}

std::uint64_t Store::used_bytes() const {
    return heap_.memory().used_bytes() +
           entries_.used() * (sizeof(Entry) + hit_chunks_.size() * sizeof(std::uint64_t)) +
           values_.used() * sizeof(TableValue) + flows_.used() * sizeof(Flow);
}

}  // namespace sluice::table
