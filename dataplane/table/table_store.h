// The tables of a data plane: contents that change while workers look things up.
//
// Purpose. Carries out batches of changes (dataplane/contract/table.h), each as one transaction:
// readers see all of it or nothing. Reading is one load of the directory, then a walk of immutable
// nodes.
// Data layout. The directory has a view of each table by id: the roots of its tries (prefix_trie.h;
// IPv4 and IPv6 apart; MAC addresses, numbers, and flows by a hash of 64 bits) or, for interfaces,
// a list by interface index. A trie leads to an entry, an entry to its value; equal values are kept
// once. Directory, nodes, entries and values live in memory that readers reach by number
// (cell_memory.h).
// Threads. One writer, the main thread. Readers are the workers: `load` gives a directory that
// stays valid until the reader's next quiescent state; what a transaction replaces is given back
// after a grace period. Hit counters have one writer, the worker; a cell is only zeroed when it is
// dealt anew, after a grace period. Failure. A change that cannot be made says why in its result.
// Out of memory: the transaction is undone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/contract/table.h"
#include "dataplane/table/cell_memory.h"
#include "dataplane/table/prefix_index.h"

namespace sluice::table {

inline constexpr std::size_t kMaximumInterfaces = 256;

// In IPv6 the prefixes are mostly longer than those that a registry gives away.
using AddressIndex4 = PrefixIndex<std::uint32_t, 18>;
using AddressIndex6 = PrefixIndex<Bits128, 32>;
using MacIndex = PrefixIndex<std::uint64_t, 48>;
using NumberIndex = PrefixIndex<std::uint32_t, 32>;
using FlowIndex = PrefixIndex<std::uint64_t, 18>;  // of a hash

// When nobody reads any more what was replaced.
class GracePeriods {
  public:
    virtual ~GracePeriods() = default;
    virtual std::uint64_t begin() = 0;
    virtual bool over(std::uint64_t period) = 0;
};

// Called while a large batch is carried out, every few milliseconds.
class Meanwhile {
  public:
    virtual ~Meanwhile() = default;
    virtual void step() = 0;
};

struct View {
    bool exists = false;
    contract::TableType type = contract::TableType::addr;
    std::uint8_t flow_parts = 0;
    contract::TableField compared = contract::TableField::tag;  // with V of `table(T,V)`
    Reference root = 0;                                         // of the trie; of the interface map
    Reference root6 = 0;                                        // addresses of IPv6
};

struct Directory {
    std::vector<View> views;    // by id
    std::uint64_t ruleset = 0;  // it is announced to; 0: none

    // Null: there is no such table.
    const View* find(std::uint32_t id) const {
        return id < views.size() && views[id].exists ? &views[id] : nullptr;
    }
};

struct Batch {
    std::span<const contract::TableChange> changes;
    std::span<const contract::TableValue> values;
    std::span<const contract::TableDescriptor> descriptors;
};

struct Answer {
    std::vector<contract::TableResult> results;  // one for each change
    std::vector<contract::TableEntry> entries;
    std::vector<contract::TableValue> values;
    bool failed = false;  // and nothing was changed
};

enum class Failures : std::uint8_t {
    stop,  // one change that fails undoes the batch
    skip,  // the others are made
};

class Store {
  public:
    struct Spec {
        std::vector<std::string> interfaces = {};  // names, by index
        unsigned workers = 1;
        std::size_t maximum_node_bytes = std::size_t{4} << 30;
        std::uint64_t hash_secret = 0x9e3779b97f4a7c15;
        GracePeriods* grace_periods = nullptr;  // null: nobody reads while things change
    };
    explicit Store(const Spec& spec);
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    // -- readers --
    const Directory& load() const { return *published_.load(std::memory_order_acquire); }
    // As the ruleset with this serial sees them, which the reader has loaded before.
    const Directory& load_for(std::uint64_t ruleset) const {
        const Directory* const coming = announced_.load(std::memory_order_acquire);
        return coming != nullptr && coming->ruleset == ruleset ? *coming : load();
    }

    // The entry that covers the key; 0: none. `address4` in host byte order.
    Reference find_address4(const View& view, std::uint32_t address4) const;
    Reference find_address6(const View& view, const Ipv6& address) const;
    // Many at once cost much less than one by one where the table is large. REQUIRES: at most
    // kMany, and as many places in `found`.
    static constexpr std::size_t kMany = AddressIndex4::kMany;
    void find_addresses4(const View& view, std::span<const std::uint32_t> addresses,
                         std::span<Reference> found) const;
    void find_addresses6(const View& view, std::span<const Ipv6> addresses,
                         std::span<Reference> found) const;
    // What `value` and `count_hit` will touch.
    void prefetch(unsigned worker, Reference entry) const;
    // The entry of 255.255.255.255/32 or ffff:…:ffff/128 alone.
    Reference find_last_address(const View& view, std::uint8_t version) const;
    Reference find_number(const View& view, std::uint32_t number) const;
    Reference find_mac(const View& view, const MacAddress& address) const;
    Reference find_interface(const View& view, std::size_t interface) const {
        return view.root == 0 || interface >= kMaximumInterfaces
                   ? 0
                   : interface_maps_.at(view.root).entries[interface];
    }
    // Parts of `key` that the table does not look at need not be zero.
    Reference find_flow(const View& view, contract::TableKey key) const;

    const contract::TableValue& value(Reference entry) const {
        return values_.at(entries_.at(entry).value);
    }
    // `kNobody`: it is not counted.
    static constexpr unsigned kNobody = ~0u;
    void count_hit(unsigned worker, Reference entry) const;

    // -- main thread --
    // Carries the batch out. Results of `list` and `lookup` are those of their place in the batch.
    Answer apply(const Batch& batch, Failures failures, std::uint32_t uptime_s);
    // The same in two steps: nobody sees anything before `commit`. `meanwhile` may be null; it must
    // leave the store alone.
    Answer prepare(const Batch& batch, Failures failures, std::uint32_t uptime_s,
                   Meanwhile* meanwhile = nullptr);
    void commit();
    void discard();
    // Before `commit`, where rules change with tables: readers of the ruleset with this serial,
    // which is published between the two, see the changes already, all others not yet. REQUIRES: at
    // `commit` no reader is left at another ruleset. A `discard` takes them away from all.
    void announce(std::uint64_t ruleset);
    bool prepared() const { return in_transaction_; }

    // Removes entries whose time is up. Returns how many.
    std::size_t expire(std::uint32_t uptime_s);
    // Gives back what nobody reads any more.
    void collect();

    std::vector<contract::TableDescriptor> descriptors() const;
    // Of nodes, entries and values of all tables.
    std::uint64_t used_bytes() const;

  private:
    struct Entry {
        Reference value;
        std::uint32_t expires_s;  // 0: never
        Reference flow;           // its key
        std::uint32_t mark;       // main thread: of the load that met it last
    };
    struct InterfaceMap {
        Reference entries[kMaximumInterfaces];
    };
    struct Table {
        contract::TableDescriptor descriptor;
        View view;
        std::uint32_t count = 0;
        std::uint64_t content = 0;  // goes with the entries when tables are swapped
        std::map<std::string, Reference> interfaces = {};
    };
    struct Expiry {
        std::uint32_t expires_s;
        std::uint64_t content;
        contract::TableKey key;
        bool operator<(const Expiry& other) const { return expires_s > other.expires_s; }
    };
    struct Retired {
        std::uint64_t period = 0;
        std::vector<NodeHeap::Block> nodes;
        std::vector<Reference> entries;
        std::vector<Reference> interface_maps;
        std::unique_ptr<const Directory> directory;
    };
    struct ValueHash {
        std::size_t operator()(const contract::TableValue& value) const;
    };
    struct ValueUse {
        Reference cell = 0;
        std::uint32_t uses = 0;
    };
    // One line of the cache.
    struct alignas(64) Flow {
        contract::TableKey key;
    };
    // Chunks that huge pages are given to.
    static constexpr unsigned kEntryShift = 17, kFlowShift = 15;

    void tick() const;
    std::unique_ptr<Directory> changed_directory() const;
    void end_transaction();
    void retire(Retired&& retired);
    void give_back(const Retired& retired);
    Table* touch(std::uint32_t id);
    const Table* look_at(std::uint32_t id) const;
    contract::TableStatus carry_out(const Batch& batch, std::size_t at, std::uint32_t now_s,
                                    Answer& answer, contract::TableResult& result);
    contract::TableStatus tell(const contract::TableChange& change, std::uint32_t now_s,
                               Answer& answer, contract::TableResult& result) const;
    contract::TableStatus look_up(const Table& table, contract::TableKey key, std::uint32_t now_s,
                                  Answer& answer, contract::TableResult& result) const;
    std::uint64_t bytes_of(const Table& table) const;
    std::uint64_t hits_of(const Table& table) const;
    contract::TableStatus create(const contract::TableDescriptor& descriptor);
    contract::TableStatus add(Table& table, const contract::TableChange& change,
                              const contract::TableValue& value, std::uint32_t now_s);
    contract::TableStatus remove(Table& table, const contract::TableKey& key);
    contract::TableStatus swap(Table& first, Table& second);
    contract::TableStatus load(Table& table, const Batch& batch, std::size_t first,
                               std::size_t count, std::uint32_t now_s,
                               contract::TableResult& result);
    void flush(Table& table);
    void list(const Table& table, std::uint32_t now_s, Answer& answer,
              contract::TableResult& result) const;
    void append(const contract::TableKey& key, Reference entry, std::uint32_t now_s, Answer& answer,
                contract::TableResult& result) const;
    template <typename Function>
    void each(const Table& table, Function function) const;

    Reference get(const Table& table, const contract::TableKey& key) const;
    bool has_key(const Table& table, Reference entry, const contract::TableKey& key) const;
    template <typename AnyTable, typename Function>
    auto in_index(AnyTable& table, const contract::TableKey& key, Function use) const;
    template <typename AnyTable, typename Function>
    static void each_index(AnyTable& table, Function use);
    void put(Table& table, const contract::TableKey& key, Reference entry);
    void take_out(Table& table, const contract::TableKey& key);
    Reference make_entry(Table& table, const contract::TableKey& key,
                         const contract::TableValue& value, std::uint32_t expires_s);
    void free_entry(Reference entry);
    void renew_interfaces(Table& table);
    std::uint64_t flow_hash(const contract::TableKey& key) const;
    std::uint64_t hits(Reference entry) const;
    bool make_hit_counters(Reference entry);

    NodeHeap heap_;
    CellMemory<Entry, kEntryShift> entries_;
    CellMemory<contract::TableValue> values_;
    CellMemory<Flow, kFlowShift> flows_;
    CellMemory<InterfaceMap, 2, 17> interface_maps_;  // twice as many as there may be tables
    // By worker, by chunk of entries.
    std::vector<std::unique_ptr<std::atomic<std::uint64_t*>[]>> hit_chunks_;
    std::vector<ZeroedPages> owned_hit_chunks_;
    std::size_t hit_chunk_count_ = 0;

    std::atomic<const Directory*> published_;
    std::atomic<const Directory*> announced_ = nullptr;
    std::unique_ptr<const Directory> directory_;
    std::vector<std::string> interface_names_;
    std::array<std::uint64_t, 8> hash_secrets_;
    GracePeriods* grace_periods_;

    std::map<std::uint32_t, Table> tables_;
    std::unordered_map<std::uint64_t, std::uint32_t> table_of_content_;
    std::unordered_map<contract::TableValue, ValueUse, ValueHash> value_uses_;
    std::priority_queue<Expiry> expiries_;
    std::deque<Retired> retired_;
    std::uint64_t next_content_ = 1;
    std::uint32_t next_mark_ = 1;

    Meanwhile* meanwhile_ = nullptr;
    mutable std::uint32_t ticks_ = 0;

    // The transaction.
    bool in_transaction_ = false;
    std::unique_ptr<Directory> announced_directory_;
    std::map<std::uint32_t, std::optional<Table>> touched_;  // none: destroyed
    std::vector<Reference> made_entries_, removed_entries_, made_maps_, removed_maps_;
    std::vector<Expiry> new_expiries_;
    bool out_of_memory_ = false;
};

}  // namespace sluice::table
