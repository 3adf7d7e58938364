// The states of one worker: its shard of the table.
//
// A packet finds its state by one look-up in the flow index and one cell. All memory is taken when
// the table is made; nothing is allocated later. States are born for a rule (its slot and its id),
// are prolonged by packets, and end on the second: a state whose time is up is not found any more,
// and `expire` collects it, a few at each call.
//
// Global limits. Each shard counts its own states, unanswered states and parents; `dyn_max`,
// `dyn_parent_max` and `limit` are compared with the sum over all shards, read without a lock. When
// all workers create at the same instant, each may pass a limit by one: the overshoot is at most
// the number of workers less one.
//
// Threads: one worker writes. `read`, and what others use to sum up, may be called by any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/result.h"
#include "dataplane/contract/counters.h"
#include "dataplane/contract/message.h"
#include "dataplane/contract/snapshot.h"
#include "dataplane/packet/packet.h"
#include "dataplane/state/cell.h"
#include "dataplane/state/flow_index.h"
#include "dataplane/state/flow_key.h"
#include "dataplane/state/lifetimes.h"
#include "dataplane/state/timer_wheel.h"

namespace sluice::state {

struct Hit {
    CellIndex cell = kNoCell;
    bool forward = true;  // the packet goes the way of the one that made the state
};

// A bare ACK that asks one side of an established connection whether it is still there. It looks
// as if the other side had sent it.
struct Keepalive {
    Ipv6 source;  // the first 4 bytes for version 4
    Ipv6 destination;
    std::uint16_t source_port = 0;  // host byte order
    std::uint16_t destination_port = 0;
    std::uint8_t ip_version = 4;
    bool to_initiator = false;
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgement = 0;
    LinkOrigin origin;
};

class KeepaliveSink {
  public:
    virtual ~KeepaliveSink() = default;
    virtual void send(const Keepalive& keepalive) = 0;
};

// Who is told of each state that ends, by the worker that owns it. Its cell is another's
// afterwards.
struct StateEnds {
    void (*gone)(void* listener, CellIndex state) = nullptr;  // null: nobody
    void* listener = nullptr;
};

enum class Creation : std::uint8_t { made, table_full, limit_reached };

// A state as another thread saw it.
struct StateCopy {
    Cell cell;
    FlowKey key;  // from_low: of the packet that made it. Parents: from source to destination
    std::uint32_t made_s = 0;
    LinkOrigin origin;
};

// Ends and protocol of a packet that goes the way that the key says; the rest is that of none.
packet::Headers headers_of(const FlowKey& key);

// The part of the key of a packet that `limit` counts by; bits of contract::limit_mask. Not low and
// high end, but source and destination.
FlowKey masked_key(const packet::Headers& headers, std::uint8_t mask);

class StateTable {
  public:
    struct Spec {
        CellIndex cells = 0;  // an IPv4 state takes one, an IPv6 state two; parents likewise
        FlowHasher::Secret secret{};
        // Written by this table: states, unanswered_states, parents, states_made; and of each rule
        // its states. They outlive the table.
        contract::WorkerCounters* counters = nullptr;
        std::span<contract::RuleCounters> rules;
    };

    // An error says how much memory was asked for.
    static Result<std::unique_ptr<StateTable>> create(const Spec& spec);
    ~StateTable();
    StateTable(const StateTable&) = delete;

    // Has the kernel provide all memory now. Without it pages come when they are first used.
    Result<Done> populate();

    // Bytes that a table of so many cells takes, all included.
    static std::uint64_t memory_for(CellIndex cells);

    // All shards, this one among them, with the same secret; they outlive each other. Without it
    // the table is alone. Before any worker runs.
    void join(std::vector<const StateTable*> shards) { shards_ = std::move(shards); }

    // Before any packet.
    void tell_ends(const StateEnds& ends) { ends_ = ends; }

    // -- packets --

    FlowHash hash(const FlowKey& key) const { return hasher_(key); }
    void prefetch(FlowHash hash) const { index_.prefetch(hash); }
    // To be called when the first has had time to take effect. Where the state may be, for `find`.
    CellIndex prefetch_state(FlowHash hash) const {
        const CellIndex cell = index_.candidate(hash);
        if (cell != kNoCell)
            __builtin_prefetch(&cells_[cell], 1);
        return cell;
    }

    // `name`: contract::kAnyStateName fits all, the newest wins. A state whose time is up is not
    // found. `guess` is what `prefetch_state` has returned, however long ago, and makes it faster;
    // one that is wrong by now, or kNoCell, costs time and nothing else.
    std::optional<Hit> find(const FlowKey& key, FlowHash hash, CellIndex guess, std::uint32_t name,
                            std::uint32_t uptime_s) const {
        const CellIndex found = find_cell(key, hash, guess, name, uptime_s);
        if (found == kNoCell)
            return std::nullopt;
        return hit_at(found, key);
    }
    std::optional<Hit> find(const FlowKey& key, FlowHash hash, std::uint32_t name,
                            std::uint32_t uptime_s) const {
        return find(key, hash, kNoCell, name, uptime_s);
    }

    // The same for a flow of version 4 whose guess is right, and nothing else.
    std::optional<Hit> find_guessed(const FlowKey& key, CellIndex guess, std::uint32_t name,
                                    std::uint32_t uptime_s) const {
        if (guess == kNoCell || key.ip_version != 4 ||
            !is_state4_of(cells_[guess], key, name, uptime_s))
            return std::nullopt;
        return hit_at(guess, key);
    }

    const Cell& cell(CellIndex index) const { return cells_[index]; }

    // Counts the packet and moves the state on. `lifetimes` are those of the state's rule.
    // Always inline, as every packet of a flow comes here: what is passed stays in registers.
    [[gnu::always_inline]] void hit(Hit hit, Segment segment, std::uint32_t uptime_s,
                                    const Lifetimes& lifetimes) {
        Cell& cell = cells_[hit.cell];
        const Progress before{.marks = cell.marks,
                              .tcp_seen = cell.tcp_seen,
                              .expires_s = cell.expires_s,
                              .acknowledged_forward = cell.acknowledged_forward,
                              .acknowledged_reverse = cell.acknowledged_reverse};
        const Progress after = advance(before, segment, hit.forward ? Step::forward : Step::reverse,
                                       lifetimes, uptime_s);
        {
            const CellWriter writer(cell);
            store(cell.packets, cell.packets + 1);
            store(cell.bytes, cell.bytes + segment.bytes);
            store(cell.marks, after.marks);
            store(cell.tcp_seen, after.tcp_seen);
            store(cell.expires_s, after.expires_s);
            store(cell.acknowledged_forward, after.acknowledged_forward);
            store(cell.acknowledged_reverse, after.acknowledged_reverse);
        }
        if (((before.marks ^ after.marks) & mark::answered) != 0)
            contract::add(counters_->unanswered_states, ~std::uint64_t{0});  // one less
        if (after.tcp_seen != before.tcp_seen || after.expires_s < before.expires_s)
            reschedule(hit.cell, uptime_s);
    }
    void hit(const Hit& hit, const packet::Packet& packet, const Lifetimes& lifetimes) {
        this->hit(hit, Segment(packet.headers), packet.uptime_s, lifetimes);
    }

    // `rule` has a state option. REQUIRES: `find` has no state of that name for the flow.
    Creation create(const FlowKey& key, FlowHash hash, const contract::RuleRecord& rule,
                    const packet::Packet& packet, const contract::Sysctls& sysctls,
                    const Lifetimes& lifetimes);

    void remove(CellIndex state);

    // The state belongs to another rule from now on, under the name of that one, as if it had been
    // made for it; what it has counted and its time stay. False: the limit of the rule is reached,
    // or there is no place to count it; nothing has changed.
    // REQUIRES: the flow has no other state of that name.
    bool move(CellIndex state, const contract::RuleRecord& rule, const contract::Sysctls& sysctls,
              std::uint32_t uptime_s);

    // Collects states whose time is up and sends keepalives that are due, looking at `budget`
    // states at most. True: there is more to do.
    bool expire(std::uint32_t uptime_s, unsigned budget, const contract::Sysctls& sysctls,
                KeepaliveSink* keepalives);

    // -- any thread --

    struct Totals {
        std::uint64_t states = 0;
        std::uint64_t unanswered = 0;
        std::uint64_t parents = 0;
    };
    // Of all shards.
    Totals totals() const;
    // Whether with so many no further state is made.
    static bool is_full(const Totals& totals, const contract::Sysctls& sysctls);

    CellIndex cell_count() const { return static_cast<CellIndex>(cells_.size()); }
    std::size_t bucket_count() const { return index_.bucket_count(); }
    // Cells from here on have never been used.
    CellIndex used_cells() const { return load(fresh_); }
    // None: no state and no parent, or one that is being changed without end.
    std::optional<StateCopy> read(CellIndex index) const;

  private:
    struct Memory;
    StateTable(const Spec& spec, std::unique_ptr<Memory> memory);

    // Made for the packet of an established flow of version 4. There is one state of a flow and a
    // name at most, and no state's name is kAnyStateName: so a cell that fits is the answer.
    CellIndex find_cell(const FlowKey& key, FlowHash hash, CellIndex guess, std::uint32_t name,
                        std::uint32_t uptime_s) const {
        if (guess != kNoCell && key.ip_version == 4 &&
            is_state4_of(cells_[guess], key, name, uptime_s))
            return guess;
        return search(key, hash, name, uptime_s);
    }
    CellIndex search(const FlowKey& key, FlowHash hash, std::uint32_t name,
                     std::uint32_t uptime_s) const;

    // Fields that lie side by side are read at once, and all are compared before anything is
    // decided: a hit takes one branch.
    static bool is_state4_of(const Cell& cell, const FlowKey& key, std::uint32_t name,
                             std::uint32_t uptime_s) {
        const std::uint64_t different = (word_at<std::uint64_t>(cell.low_address) ^ key.addresses) |
                                        (word_at<std::uint32_t>(cell.low_port) ^ key.ports()) |
                                        (cell.name ^ name) |
                                        static_cast<unsigned>(cell.protocol ^ key.protocol) |
                                        static_cast<unsigned>(cell.kind != CellKind::state4) |
                                        static_cast<unsigned>(cell.expires_s <= uptime_s);
        return different == 0;
    }

    Hit hit_at(CellIndex index, const FlowKey& key) const {
        const bool initiator_is_low = (cells_[index].marks & mark::initiator_is_low) != 0;
        return {.cell = index,
                .forward = (static_cast<int>(key.one_end) |
                            static_cast<int>(key.from_low == initiator_is_low)) != 0};
    }

    template <typename Fits>
    CellIndex newest(FlowHash hash, Fits fits) const;

    CellIndex take_cell();
    void give_back(CellIndex cell);
    void write_key(CellIndex index, const FlowKey& key, CellKind kind4, CellKind kind6);
    FlowKey key_of(const Cell& cell) const;
    bool same_ends(const Cell& cell, const FlowKey& key) const;
    FlowHash hash_of(CellIndex index) const;
    FlowHash parent_hash(const FlowKey& key, std::uint32_t rule_id) const;

    bool is_full(const contract::Sysctls& sysctls) const;
    CellIndex find_parent(const FlowKey& key, FlowHash hash, std::uint32_t rule_id) const;
    std::uint64_t children_elsewhere(const FlowKey& key, FlowHash hash,
                                     std::uint32_t rule_id) const;
    CellIndex make_parent(const FlowKey& key, FlowHash hash, const contract::RuleRecord& rule,
                          std::uint32_t uptime_s, const contract::Sysctls& sysctls);
    bool is_parent_of(CellIndex index, const FlowKey& key, std::uint32_t rule_id) const;
    void join_parent(CellIndex parent);
    void leave_parent(CellIndex parent);
    void remove_parent(CellIndex parent);
    void drop_childless();
    CellIndex insert(const FlowKey& key, FlowHash hash);
    void look_at(CellIndex cell, const contract::Sysctls& sysctls, KeepaliveSink* keepalives);
    void send_keepalives(CellIndex cell, KeepaliveSink& sink) const;
    void reschedule(CellIndex cell, std::uint32_t uptime_s);

    std::unique_ptr<Memory> memory_;
    FlowHasher hasher_;
    std::span<Cell> cells_;
    FlowIndex index_;
    std::span<ColdCell> cold_;
    std::span<CellIndex> free_;  // a stack of cells given back
    CellIndex free_count_ = 0;
    CellIndex fresh_ = 0;  // cells from here on have never been used
    TimerWheel wheel_;
    // Parents that had no child when they were put here; ColdCell::parent leads to the next.
    CellIndex childless_ = kNoCell;
    bool begun_ = false;  // the wheel knows the time
    std::vector<const StateTable*> shards_;
    contract::WorkerCounters* counters_;
    std::span<contract::RuleCounters> rules_;
    StateEnds ends_;
};

}  // namespace sluice::state
