#include "dataplane/state/state_table.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/huge_memory.h"

namespace sluice::state {

namespace {

// How many states whose time is up an insertion collects when the table is full.
constexpr unsigned kCollectWhenFull = 8;
// Parents without children that go together. More have to wait for the next.
constexpr unsigned kDroppedAtOnce = 64;
// Seconds that one call of `expire` may step over when nothing is due.
constexpr unsigned kSecondsPerCall = 64;

// The first round of keepalives after `second`.
std::uint32_t next_keepalive_round(std::uint32_t second) {
    return (second / contract::kKeepalivePeriod + 1) * contract::kKeepalivePeriod;
}

// When a state must be looked at next, later than `now_s`.
std::uint32_t next_event(const Cell& cell, std::uint32_t now_s) {
    if (!is_state(cell.kind) || !wants_keepalive(cell.protocol, cell.tcp_seen))
        return std::max(cell.expires_s, now_s + 1);
    const std::uint32_t begin = cell.expires_s > contract::kKeepaliveInterval
                                    ? cell.expires_s - contract::kKeepaliveInterval - 1
                                    : 0;
    return std::max(now_s + 1,
                    std::min(cell.expires_s, next_keepalive_round(std::max(begin, now_s))));
}

void count(std::uint64_t& counter, std::int64_t by) {
    contract::add(counter, static_cast<std::uint64_t>(by));
}

}  // namespace

packet::Headers headers_of(const FlowKey& key) {
    packet::Headers headers;
    headers.ip_version = key.ip_version;
    headers.protocol = key.protocol;
    headers.source = key.from_low ? key.low() : key.high();
    headers.destination = key.from_low ? key.high() : key.low();
    headers.source_port = key.from_low ? key.low_port : key.high_port;
    headers.destination_port = key.from_low ? key.high_port : key.low_port;
    return headers;
}

FlowKey masked_key(const packet::Headers& headers, std::uint8_t mask) {
    const bool source = (mask & contract::limit_mask::source_address) != 0;
    const bool destination = (mask & contract::limit_mask::destination_address) != 0;
    FlowKey key =
        headers.ip_version == 4
            ? flow_key4(source ? word_at<std::uint32_t>(headers.source) : 0,
                        destination ? word_at<std::uint32_t>(headers.destination) : 0, 0, 0,
                        headers.protocol)
            : flow_key6(source ? headers.source : Ipv6{},
                        destination ? headers.destination : Ipv6{}, 0, 0, headers.protocol);
    if (!key.from_low) {
        if (key.ip_version == 4)
            key.addresses = key.addresses << 32 | key.addresses >> 32;
        else
            std::swap(key.low6, key.high6);
        key.from_low = true;
    }
    if ((mask & contract::limit_mask::source_port) != 0)
        key.low_port = headers.source_port;
    if ((mask & contract::limit_mask::destination_port) != 0)
        key.high_port = headers.destination_port;
    return key;
}

// One mapping for all arrays, those of whole cache lines first.
struct StateTable::Memory {
    explicit Memory(HugeMemory mapped) : memory(std::move(mapped)) {}

    static std::uint64_t size_for(CellIndex cells) {
        constexpr std::uint64_t kLine = 64;
        return FlowIndex::buckets_for(cells) * sizeof(FlowIndex::Bucket) +
               cells * std::uint64_t{sizeof(Cell) + sizeof(ColdCell) + sizeof(CellIndex)} + kLine;
    }

    template <typename T>
    std::span<T> take(std::uint64_t count) {
        auto* first = reinterpret_cast<T*>(memory.data() + used);
        used += count * sizeof(T);
        return {first, count};
    }

    HugeMemory memory;
    std::uint64_t used = 0;
};

std::uint64_t StateTable::memory_for(CellIndex cells) {
    return Memory::size_for(cells);
}

Result<std::unique_ptr<StateTable>> StateTable::create(const Spec& spec) {
    if (spec.cells == 0 || spec.cells > FlowIndex::kMaximumCells)
        return Error{ExitStatus::data, "a worker cannot have memory for " +
                                           std::to_string(spec.cells) + " states; at most " +
                                           std::to_string(FlowIndex::kMaximumCells)};
    const std::uint64_t size = Memory::size_for(spec.cells);
    auto memory = HugeMemory::map(size);
    if (!memory)
        return Error{ExitStatus::os,
                     "no memory for states (" + std::to_string(size >> 20) +
                         " MB), lower `states` in the settings: " + std::strerror(errno)};
    return std::unique_ptr<StateTable>(
        new StateTable(spec, std::make_unique<Memory>(std::move(*memory))));
}

StateTable::StateTable(const Spec& spec, std::unique_ptr<Memory> memory)
    : memory_(std::move(memory)),
      hasher_(spec.secret),
      cells_(memory_->take<Cell>(spec.cells)),
      index_(memory_->take<FlowIndex::Bucket>(FlowIndex::buckets_for(spec.cells))),
      cold_(memory_->take<ColdCell>(spec.cells)),
      free_(memory_->take<CellIndex>(spec.cells)),
      wheel_(cells_, cold_),
      shards_{this},
      counters_(spec.counters),
      rules_(spec.rules) {}

StateTable::~StateTable() = default;

Result<Done> StateTable::populate() {
    if (!memory_->memory.populate())
        return Error{ExitStatus::os,
                     "no memory for states (" + std::to_string(memory_->memory.size() >> 20) +
                         " MB), lower `states` in the settings: " + std::strerror(errno)};
    return Done{};
}

// ---- Cells and keys ----------------------------------------------------------------------------

CellIndex StateTable::take_cell() {
    if (free_count_ != 0)
        return free_[--free_count_];
    if (fresh_ == cells_.size())
        return kNoCell;
    store(fresh_, fresh_ + 1);
    return fresh_ - 1;
}

void StateTable::give_back(CellIndex index) {
    Cell& cell = cells_[index];
    {
        const CellWriter writer(cell);
        store(cell.kind, CellKind::free);
    }
    free_[free_count_++] = index;
}

// REQUIRES: the cell's kind is of the key's IP version.
bool StateTable::same_ends(const Cell& cell, const FlowKey& key) const {
    if (word_at<std::uint32_t>(cell.low_port) != key.ports())
        return false;
    if (key.ip_version == 4)
        return word_at<std::uint64_t>(cell.low_address) == key.addresses;
    if (cell.low_address != static_cast<std::uint32_t>(key.addresses))
        return false;
    const auto* addresses = reinterpret_cast<const std::uint8_t*>(&cells_[cell.high_address]);
    return std::memcmp(addresses, key.low6.bytes.data(), 16) == 0 &&
           std::memcmp(addresses + 16, key.high6.bytes.data(), 16) == 0;
}

// REQUIRES: for version 6, high_address of the cell names its second one.
FlowKey StateTable::key_of(const Cell& cell) const {
    FlowKey key{.addresses = cell.low_address,
                .low_port = cell.low_port,
                .high_port = cell.high_port,
                .protocol = cell.protocol,
                .ip_version = static_cast<std::uint8_t>(is_ip6(cell.kind) ? 6 : 4),
                .from_low = is_parent(cell.kind) || (cell.marks & mark::initiator_is_low) != 0,
                .one_end = false,
                .low6 = {},
                .high6 = {}};
    if (!is_ip6(cell.kind)) {
        key.addresses |= std::uint64_t{cell.high_address} << 32;
        return key;
    }
    std::uint64_t words[4];
    const auto* from = reinterpret_cast<const std::uint64_t*>(&cells_[cell.high_address]);
    for (int i = 0; i < 4; ++i)
        words[i] = load(from[i]);
    std::memcpy(key.low6.bytes.data(), words, 16);
    std::memcpy(key.high6.bytes.data(), words + 2, 16);
    return key;
}

FlowHash StateTable::parent_hash(const FlowKey& key, std::uint32_t rule_id) const {
    constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
    return hasher_(key) ^ (rule_id * kOdd);
}

FlowHash StateTable::hash_of(CellIndex index) const {
    const Cell& cell = cells_[index];
    if (cell.kind == CellKind::state4)
        return hasher_.of_version4(word_at<std::uint64_t>(cell.low_address),
                                   std::uint32_t{cell.high_port} << 16 | cell.low_port,
                                   cell.protocol);
    const FlowKey key = key_of(cell);
    return is_parent(cell.kind) ? parent_hash(key, cell.rule_id) : hasher_(key);
}

// A cell with the key in it, in the index, hung nowhere. kNoCell: no room. Nobody sees it until the
// caller stores its kind, together with the rest.
CellIndex StateTable::insert(const FlowKey& key, FlowHash hash) {
    const CellIndex index = take_cell();
    if (index == kNoCell)
        return kNoCell;
    CellIndex second = kNoCell;
    if (key.ip_version == 6 && (second = take_cell()) == kNoCell) {
        give_back(index);
        return kNoCell;
    }
    if (!index_.insert(hash, index)) {
        give_back(index);
        if (second != kNoCell)
            give_back(second);
        return kNoCell;
    }
    if (second != kNoCell) {
        Cell& addresses = cells_[second];
        const CellWriter writer(addresses);
        std::uint64_t words[4];
        std::memcpy(words, key.low6.bytes.data(), 16);
        std::memcpy(words + 2, key.high6.bytes.data(), 16);
        auto* to = reinterpret_cast<std::uint64_t*>(&addresses);
        for (int i = 0; i < 4; ++i)
            store(to[i], words[i]);
        store(addresses.kind, CellKind::addresses);
    }
    Cell& cell = cells_[index];
    const CellWriter writer(cell);
    store(cell.low_address, static_cast<std::uint32_t>(key.addresses));
    store(cell.high_address,
          key.ip_version == 6 ? second : static_cast<std::uint32_t>(key.addresses >> 32));
    store(cell.low_port, key.low_port);
    store(cell.high_port, key.high_port);
    store(cell.protocol, key.protocol);
    store(cell.packets, std::uint64_t{0});
    store(cell.bytes, std::uint64_t{0});
    return index;
}

// ---- Packets -----------------------------------------------------------------------------------

CellIndex StateTable::search(const FlowKey& key, FlowHash hash, std::uint32_t name,
                             std::uint32_t uptime_s) const {
    const CellKind kind = key.ip_version == 4 ? CellKind::state4 : CellKind::state6;
    auto fits = [&](CellIndex index) {
        const Cell& cell = cells_[index];
        return cell.kind == kind && cell.protocol == key.protocol && same_ends(cell, key) &&
               cell.expires_s > uptime_s;
    };
    if (name == contract::kAnyStateName)
        return newest(hash, fits);
    return index_.find(hash,
                       [&](CellIndex index) { return fits(index) && cells_[index].name == name; });
}

// A flow may have states under several names. Within a second the greater number of the name counts
// as newer, so that the answer is always the same.
template <typename Fits>
CellIndex StateTable::newest(FlowHash hash, Fits fits) const {
    CellIndex best = kNoCell;
    index_.find(hash, [&](CellIndex index) {
        if (fits(index) &&
            (best == kNoCell || std::pair(cold_[index].made_s, cells_[index].name) >
                                    std::pair(cold_[best].made_s, cells_[best].name)))
            best = index;
        return false;
    });
    return best;
}

// The wheel must not come too late.
void StateTable::reschedule(CellIndex index, std::uint32_t uptime_s) {
    const std::uint32_t event = next_event(cells_[index], uptime_s);
    if (event >= cells_[index].due_s)
        return;
    wheel_.unhang(index);
    wheel_.hang(index, event);
}

bool StateTable::is_full(const contract::Sysctls& sysctls) const {
    return is_full(totals(), sysctls);
}

bool StateTable::is_full(const Totals& now, const contract::Sysctls& sysctls) {
    const std::uint64_t most = sysctls.dyn_max;
    return now.states + now.parents >= most ||
           now.unanswered >= most - most * std::min(sysctls.dyn_established_share, 100u) / 100;
}

Creation StateTable::create(const FlowKey& key, FlowHash hash, const contract::RuleRecord& rule,
                            const packet::Packet& packet, const contract::Sysctls& sysctls,
                            const Lifetimes& lifetimes) {
    const std::uint32_t now_s = packet.uptime_s;
    // The first state tells the wheel what time it is.
    if (!begun_) {
        wheel_.begin(now_s);
        begun_ = true;
    }
    // Before the parent is found, as that goes with its last child.
    bool full = is_full(sysctls);
    if (full) {
        expire(now_s, kCollectWhenFull, sysctls, nullptr);
        full = is_full(sysctls);
    }
    CellIndex parent = kNoCell;
    if (rule.state == contract::StateOption::limit) {
        const FlowKey masked = masked_key(packet.headers, rule.limit_mask);
        const FlowHash parents_hash = parent_hash(masked, rule.id);
        parent = make_parent(masked, parents_hash, rule, now_s, sysctls);
        if (parent == kNoCell)
            return Creation::table_full;
        auto at_limit = [&] {
            return cells_[parent].packets + children_elsewhere(masked, parents_hash, rule.id) >=
                   rule.state_limit;
        };
        if (at_limit()) {
            expire(now_s, kCollectWhenFull, sysctls, nullptr);
            parent = make_parent(masked, parents_hash, rule, now_s, sysctls);
            if (parent == kNoCell)
                return Creation::table_full;
        }
        if (at_limit())
            return Creation::limit_reached;
        full = is_full(sysctls);  // the parent may have taken the last place
    }
    if (full)
        return Creation::table_full;
    const CellIndex index = insert(key, hash);
    if (index == kNoCell)
        return Creation::table_full;
    Cell& cell = cells_[index];
    ColdCell& cold = cold_[index];
    std::uint8_t marks = key.from_low ? mark::initiator_is_low : std::uint8_t{0};
    if (parent != kNoCell)
        marks |= mark::limited;
    const Progress progress =
        advance({.marks = marks}, packet.headers, Step::creation, lifetimes, now_s);
    {
        const CellWriter writer(cell);
        store(cell.kind, key.ip_version == 6 ? CellKind::state6 : CellKind::state4);
        store(cold.made_s, now_s);
        store(cell.name, rule.state_name);
        store(cell.marks, progress.marks);
        store(cell.tcp_seen, progress.tcp_seen);
        store(cell.rule_slot, rule.slot);
        store(cell.rule_id, rule.id);
        // Only two SYNs in one packet leave the end open.
        store(cell.expires_s, std::max(progress.expires_s, now_s + 1));
        store(cell.acknowledged_forward, std::uint32_t{0});
        store(cell.acknowledged_reverse, std::uint32_t{0});
        note_origin(cold.origin, packet);
    }
    cold.parent = parent;
    if (parent != kNoCell)
        join_parent(parent);
    wheel_.hang(index, next_event(cell, now_s));
    count(counters_->states, 1);
    count(counters_->unanswered_states, 1);
    count(counters_->states_made, 1);
    count(rules_[rule.slot].states, 1);
    return Creation::made;
}

void StateTable::remove(CellIndex index) {
    if (ends_.gone != nullptr)
        ends_.gone(ends_.listener, index);
    const Cell& cell = cells_[index];
    index_.erase(hash_of(index), index);
    wheel_.unhang(index);
    count(counters_->states, -1);
    if ((cell.marks & mark::answered) == 0)
        count(counters_->unanswered_states, -1);
    count(rules_[cell.rule_slot].states, -1);
    const CellIndex parent = cold_[index].parent;
    if (cell.kind == CellKind::state6)
        give_back(cell.high_address);
    give_back(index);
    if (parent != kNoCell)
        leave_parent(parent);
    drop_childless();
}

bool StateTable::move(CellIndex index, const contract::RuleRecord& rule,
                      const contract::Sysctls& sysctls, std::uint32_t uptime_s) {
    Cell& cell = cells_[index];
    CellIndex parent = kNoCell;
    if (rule.state == contract::StateOption::limit) {
        const FlowKey masked = masked_key(headers_of(key_of(cell)), rule.limit_mask);
        const FlowHash hash = parent_hash(masked, rule.id);
        parent = make_parent(masked, hash, rule, uptime_s, sysctls);
        if (parent == kNoCell)
            return false;
        // What the limit is, if a table says so, only packets know: then these are counted alone.
        if ((rule.flags & contract::rule_flag::table_limit) == 0 &&
            cells_[parent].packets + children_elsewhere(masked, hash, rule.id) >= rule.state_limit)
            return false;
    }
    count(rules_[cell.rule_slot].states, -1);
    count(rules_[rule.slot].states, 1);
    const CellIndex before = std::exchange(cold_[index].parent, parent);
    {
        const CellWriter writer(cell);
        store(cell.name, rule.state_name);
        store(cell.rule_slot, rule.slot);
        store(cell.rule_id, rule.id);
        const auto marks = static_cast<std::uint8_t>(cell.marks & ~mark::limited);
        store(cell.marks,
              parent == kNoCell ? marks : static_cast<std::uint8_t>(marks | mark::limited));
    }
    if (parent != kNoCell)
        join_parent(parent);
    if (before != kNoCell)
        leave_parent(before);
    drop_childless();
    return true;
}

// ---- Parents -----------------------------------------------------------------------------------

bool StateTable::is_parent_of(CellIndex index, const FlowKey& key, std::uint32_t rule_id) const {
    const Cell& cell = cells_[index];
    const CellKind kind = key.ip_version == 4 ? CellKind::parent4 : CellKind::parent6;
    return cell.kind == kind && cell.protocol == key.protocol && cell.rule_id == rule_id &&
           same_ends(cell, key);
}

CellIndex StateTable::find_parent(const FlowKey& key, FlowHash hash, std::uint32_t rule_id) const {
    return index_.find(hash, [&](CellIndex index) { return is_parent_of(index, key, rule_id); });
}

// States that the parents of the same key count in the other shards.
std::uint64_t StateTable::children_elsewhere(const FlowKey& key, FlowHash hash,
                                             std::uint32_t rule_id) const {
    std::uint64_t children = 0;
    for (const StateTable* shard : shards_) {
        if (shard == this)
            continue;
        shard->index_.find_from_outside(hash, [&](CellIndex index) {
            const auto copy = shard->read(index);
            if (!copy || !is_parent(copy->cell.kind) || copy->cell.rule_id != rule_id ||
                copy->key.protocol != key.protocol || copy->key.ip_version != key.ip_version ||
                copy->key.low_port != key.low_port || copy->key.high_port != key.high_port ||
                copy->key.low() != key.low() || copy->key.high() != key.high())
                return false;
            children += copy->cell.packets;
            return true;
        });
    }
    return children;
}

// The parent for the key, found or made.
CellIndex StateTable::make_parent(const FlowKey& key, FlowHash hash,
                                  const contract::RuleRecord& rule, std::uint32_t uptime_s,
                                  const contract::Sysctls& sysctls) {
    CellIndex parent = find_parent(key, hash, rule.id);
    if (parent != kNoCell)
        return parent;
    const Totals now = totals();
    if (now.parents >= sysctls.dyn_parent_max || now.states + now.parents >= sysctls.dyn_max)
        return kNoCell;
    parent = insert(key, hash);
    if (parent == kNoCell)
        return kNoCell;
    Cell& cell = cells_[parent];
    {
        const CellWriter writer(cell);
        store(cell.kind, key.ip_version == 6 ? CellKind::parent6 : CellKind::parent4);
        store(cold_[parent].made_s, uptime_s);
        store(cell.name, rule.state_name);
        store(cell.marks, mark::childless);
        store(cell.tcp_seen, rule.limit_mask);
        store(cell.rule_slot, rule.slot);
        store(cell.rule_id, rule.id);
        store(cell.expires_s, uptime_s + std::max(sysctls.dyn_short_lifetime, 1u));
    }
    cold_[parent].parent = childless_;
    childless_ = parent;
    wheel_.hang(parent, cell.expires_s);
    count(counters_->parents, 1);
    return parent;
}

void StateTable::join_parent(CellIndex parent) {
    const CellWriter writer(cells_[parent]);
    store(cells_[parent].packets, cells_[parent].packets + 1);
}

void StateTable::leave_parent(CellIndex parent) {
    Cell& cell = cells_[parent];
    {
        const CellWriter writer(cell);
        store(cell.packets, cell.packets - 1);
        if (cell.packets != 0 || (cell.marks & mark::childless) != 0)
            return;
        store(cell.marks, mark::childless);
    }
    cold_[parent].parent = childless_;
    childless_ = parent;
}

// As in ipfw, parents without children go when a state goes. A parent that took the last place, so
// that the state it was made for found none, goes in its own time too: there may be no state.
void StateTable::drop_childless() {
    for (unsigned budget = kDroppedAtOnce; childless_ != kNoCell && budget != 0; --budget) {
        const CellIndex parent = childless_;
        childless_ = cold_[parent].parent;
        if (cells_[parent].packets == 0) {
            remove_parent(parent);
            continue;
        }
        const CellWriter writer(cells_[parent]);
        store(cells_[parent].marks, std::uint8_t{0});
    }
}

void StateTable::remove_parent(CellIndex parent) {
    index_.erase(hash_of(parent), parent);
    wheel_.unhang(parent);
    count(counters_->parents, -1);
    if (cells_[parent].kind == CellKind::parent6)
        give_back(cells_[parent].high_address);
    give_back(parent);
}

// ---- Time --------------------------------------------------------------------------------------

bool StateTable::expire(std::uint32_t uptime_s, unsigned budget, const contract::Sysctls& sysctls,
                        KeepaliveSink* keepalives) {
    if (!begun_)
        return false;
    unsigned seconds = kSecondsPerCall;
    for (; budget != 0; --budget) {
        const CellIndex index = wheel_.next_due(uptime_s, seconds);
        if (index == kNoCell)
            return wheel_.current() < uptime_s;
        look_at(index, sysctls, keepalives);
    }
    return true;
}

// The second of the cell has come; it hangs at it still.
void StateTable::look_at(CellIndex index, const contract::Sysctls& sysctls,
                         KeepaliveSink* keepalives) {
    const Cell& cell = cells_[index];
    const std::uint32_t now_s = wheel_.current();
    if (is_parent(cell.kind)) {
        if (cell.packets == 0 && cell.expires_s <= now_s)
            return drop_childless();
        // The last child takes it along.
        wheel_.unhang(index);
        return wheel_.hang(index, now_s + TimerWheel::kReach);
    }
    if (cell.expires_s <= now_s)
        return remove(index);
    const bool round = now_s % contract::kKeepalivePeriod == 0 &&
                       cell.expires_s <= now_s + contract::kKeepaliveInterval;
    if (round && keepalives != nullptr && sysctls.dyn_keepalive != 0 &&
        wants_keepalive(cell.protocol, cell.tcp_seen))
        send_keepalives(index, *keepalives);
    wheel_.unhang(index);
    wheel_.hang(index, next_event(cell, now_s));
}

// To each side that has not moved on since the state was last prolonged.
void StateTable::send_keepalives(CellIndex index, KeepaliveSink& sink) const {
    const Cell& cell = cells_[index];
    const FlowKey key = key_of(cell);
    const Ipv6 initiator = key.from_low ? key.low() : key.high();
    const Ipv6 responder = key.from_low ? key.high() : key.low();
    const std::uint16_t initiator_port = key.from_low ? key.low_port : key.high_port;
    const std::uint16_t responder_port = key.from_low ? key.high_port : key.low_port;
    if ((cell.marks & mark::ack_reverse) == 0)
        sink.send({.source = initiator,
                   .destination = responder,
                   .source_port = initiator_port,
                   .destination_port = responder_port,
                   .ip_version = key.ip_version,
                   .to_initiator = false,
                   .sequence = cell.acknowledged_reverse - 1,
                   .acknowledgement = cell.acknowledged_forward,
                   .origin = cold_[index].origin});
    if ((cell.marks & mark::ack_forward) == 0)
        sink.send({.source = responder,
                   .destination = initiator,
                   .source_port = responder_port,
                   .destination_port = initiator_port,
                   .ip_version = key.ip_version,
                   .to_initiator = true,
                   .sequence = cell.acknowledged_forward - 1,
                   .acknowledgement = cell.acknowledged_reverse,
                   .origin = cold_[index].origin});
}

// ---- Other threads -----------------------------------------------------------------------------

StateTable::Totals StateTable::totals() const {
    Totals sum;
    for (const StateTable* shard : shards_) {
        sum.states += contract::read(shard->counters_->states);
        sum.unanswered += contract::read(shard->counters_->unanswered_states);
        sum.parents += contract::read(shard->counters_->parents);
    }
    return sum;
}

std::optional<StateCopy> StateTable::read(CellIndex index) const {
    constexpr int kAttempts = 64;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        StateCopy copy;
        if (!read_cell(cells_[index], copy.cell))
            return std::nullopt;
        const Cell& cell = copy.cell;
        if (!is_state(cell.kind) && !is_parent(cell.kind))
            return std::nullopt;
        if (is_ip6(cell.kind) && cell.high_address >= cells_.size())
            return std::nullopt;
        copy.key = key_of(cell);
        copy.made_s = load(cold_[index].made_s);
        copy.origin = read_origin(cold_[index].origin);
        // The second cell and the cold one belong to this state as long as the first has not
        // changed.
        std::atomic_thread_fence(std::memory_order_acquire);
        if (load(cells_[index].sequence) == cell.sequence)
            return copy;
    }
    return std::nullopt;
}

}  // namespace sluice::state
