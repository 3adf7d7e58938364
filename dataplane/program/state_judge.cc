#include "dataplane/program/state_judge.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "dataplane/packet/parser.h"
#include "dataplane/packet/wire.h"
#include "dataplane/program/outputs.h"

namespace sluice::program {

namespace {

namespace wire = packet::wire;
using Framing = state::LinkOrigin::Framing;
using state::CellIndex;

constexpr CellIndex kCells = 1024;         // that one flow does not fill
constexpr std::uint32_t kLogRecords = 64;  // that nobody reads; what finds no room is dropped
// Programs that give it back, one after the other.
constexpr unsigned kMaximumDiverts = 16;
// Behind the IP header: as much as the parser wants to see of any upper layer.
constexpr std::size_t kPayload = 40;
constexpr std::uint32_t kNow = 1;  // on the clock of the states here

struct alignas(64) Line {
    std::byte bytes[64];
};

// A frame that is written from its beginning.
class Frame {
  public:
    template <typename T>
    void append(const T& header) {
        std::memcpy(bytes_.data() + length_, &header, sizeof header);
        length_ += sizeof header;
    }
    void pad(std::size_t bytes) { length_ += bytes; }
    std::span<const std::byte> bytes() const { return std::span(bytes_).first(length_); }
    std::size_t length() const { return length_; }

  private:
    std::array<std::byte, 128> bytes_{};
    std::size_t length_ = 0;
};

void append_upper_layer(Frame& frame, const packet::Headers& ends) {
    constexpr std::uint8_t kSyn = 2, kEchoRequest = 8, kEchoRequest6 = 128;
    const std::size_t end = frame.length() + kPayload;
    const Be16 from = Be16::from_host(ends.source_port);
    const Be16 to = Be16::from_host(ends.destination_port);
    switch (ends.protocol) {
        case wire::protocol::tcp:
            frame.append(wire::Tcp{.source_port = from,
                                   .destination_port = to,
                                   .sequence = Be32::from_host(1),
                                   .acknowledgement = {},
                                   .data_offset = (sizeof(wire::Tcp) / 4) << 4,
                                   .flags = kSyn,
                                   .window = Be16::from_host(0xffff),
                                   .checksum = {},
                                   .urgent = {}});
            break;
        case wire::protocol::udp:
        case wire::protocol::udplite:
            frame.append(wire::Udp{.source_port = from,
                                   .destination_port = to,
                                   .length = Be16::from_host(kPayload),
                                   .checksum = {}});
            break;
        case wire::protocol::sctp:
            frame.append(wire::Sctp{.source_port = from,
                                    .destination_port = to,
                                    .verification_tag = {},
                                    .checksum = {}});
            break;
        case wire::protocol::icmp:
            frame.append(wire::Icmp{.type = kEchoRequest, .code = 0, .checksum = {}});
            break;
        case wire::protocol::icmp6:
            frame.append(wire::Icmp6{.type = kEchoRequest6, .code = 0, .checksum = {}, .body = {}});
            break;
        default:
            break;
    }
    frame.pad(end - frame.length());
}

Frame frame_of(const state::StateCopy& state) {
    constexpr std::uint8_t kHops = 64;
    const packet::Headers ends = state::headers_of(state.key);
    Frame frame;
    const Be16 type =
        Be16::from_host(ends.ip_version == 4 ? wire::kEtherTypeIpv4 : wire::kEtherTypeIpv6);
    const bool tagged = state.origin.framing == Framing::tagged;
    frame.append(wire::Ethernet{.destination = state.origin.responder,
                                .source = state.origin.initiator,
                                .type = tagged ? Be16::from_host(wire::kEtherTypeVlan) : type});
    if (tagged)
        frame.append(wire::Vlan{.tag = Be16::from_host(state.origin.vlan), .type = type});
    if (ends.ip_version == 4) {
        wire::Ip4 header{.version_length = 0x45,
                         .tos = 0,
                         .total_length = Be16::from_host(sizeof(wire::Ip4) + kPayload),
                         .id = {},
                         .flags_offset = {},
                         .ttl = kHops,
                         .protocol = ends.protocol,
                         .checksum = {},
                         .source = {},
                         .destination = {}};
        std::memcpy(&header.source, ends.source.bytes.data(), sizeof header.source);
        std::memcpy(&header.destination, ends.destination.bytes.data(), sizeof header.destination);
        frame.append(header);
    } else {
        frame.append(wire::Ip6{.version_class_label = Be32::from_host(6u << 28),
                               .payload_length = Be16::from_host(kPayload),
                               .next_header = ends.protocol,
                               .hop_limit = kHops,
                               .source = ends.source,
                               .destination = ends.destination});
    }
    append_upper_layer(frame, ends);
    return frame;
}

std::uint32_t slots_of(const Runtime& runtime) {
    std::uint32_t slots = 1;
    for (const contract::RuleRecord& rule : runtime.view().all_rules())
        slots = std::max(slots, rule.slot + 1);
    return slots;
}

bool judges(const contract::Sysctls& sysctls, const state::FlowKey& key) {
    return key.ip_version == 6 ? sysctls.enable6 != 0 : sysctls.enable != 0;
}

bool lets_pass(const Verdict& verdict) {
    return verdict.kind == Verdict::Kind::accept || verdict.kind == Verdict::Kind::fwd;
}

}  // namespace

struct StateJudge::Memory {
    explicit Memory(std::uint32_t slots)
        : counters(slots),
          kept_apart(slots),
          annotations(slots),
          ring(contract::log_ring_stride(kLogRecords) / sizeof(Line)) {}

    std::vector<contract::RuleCounters> counters;
    std::vector<contract::RuleCounters> kept_apart;
    std::vector<contract::SlotAnnotation> annotations;
    std::vector<Line> ring;
    contract::WorkerCounters worker_counters;
    std::unique_ptr<state::StateTable> states;
    std::optional<Engine> engine;
};

StateJudge::StateJudge(const Spec& spec) : spec_(spec) {}

StateJudge::~StateJudge() = default;

Result<std::unique_ptr<StateJudge>> StateJudge::create(const Spec& spec) {
    std::unique_ptr<StateJudge> judge(new StateJudge(spec));
    if (auto renewed = judge->renew(); !renewed)
        return renewed.error();
    return judge;
}

// All is as new: no state, and no parent either.
Result<Done> StateJudge::renew() {
    const std::uint32_t slots = slots_of(spec_.runtime);
    auto memory = std::make_unique<Memory>(slots);
    auto states = state::StateTable::create({.cells = kCells,
                                             .secret = {1, 2, 3, 4},
                                             .counters = &memory->worker_counters,
                                             .rules = memory->kept_apart});
    if (!states)
        return states.error();
    memory->states = std::move(*states);
    EngineOutputs outputs;
    outputs.counters = memory->counters.data();
    outputs.annotations = memory->annotations.data();
    outputs.slot_capacity = slots;
    outputs.log = contract::LogRing::create(memory->ring.data(), kLogRecords);
    outputs.states = memory->states.get();
    outputs.tables = spec_.tables;
    outputs.worker = table::Store::kNobody;
    outputs.sockets = spec_.sockets;
    memory->engine.emplace(outputs, spec_.seed);
    memory_ = std::move(memory);
    return Done{};
}

// One pass. Copies are not waited for; who diverts is taken to give back what he got.
bool StateJudge::passes(packet::Packet& packet, Verdict& verdict) {
    Engine& engine = *memory_->engine;
    engine.filter(spec_.runtime, {&packet, 1}, {&verdict, 1}, {&marks_, 1});
    for (unsigned diverts = 0;;) {
        if (verdict.kind == Verdict::Kind::tee) {
            verdict = engine.resume(spec_.runtime, packet, verdict, marks_);
        } else if (verdict.kind == Verdict::Kind::divert && diverts++ < kMaximumDiverts) {
            packet.passage.came_back = static_cast<std::uint8_t>(
                packet.passage.direction == packet::Direction::in ? contract::kDivertedIn
                                                                  : contract::kDivertedOut);
            marks_.clear();
            verdict = engine.enter(spec_.runtime, packet,
                                   static_cast<unsigned>(verdict.rule_number), marks_);
        } else {
            packet.passage.came_back = 0;
            return lets_pass(verdict);
        }
    }
}

// None: it goes nowhere, or to this machine.
packet::InterfaceIndex StateJudge::way_out(const packet::Headers& headers,
                                           const Verdict* forwarded) const {
    if (spec_.fib == nullptr)
        return packet::kNoInterface;
    Ipv6 target = headers.destination;
    if (forwarded != nullptr) {
        const contract::RuleRecord& rule = spec_.runtime.view().all_rules()[forwarded->rule_index];
        const bool from_table = forwarded->next_hop_family != 0;
        if ((from_table ? forwarded->next_hop_family
                        : static_cast<unsigned>(rule.next_hop_family)) == headers.ip_version)
            target = from_table ? forwarded->next_hop : rule.next_hop;
    }
    Ipv4 target4;
    std::memcpy(&target4, target.bytes.data(), sizeof target4);
    // Any of several paths.
    const route::NextHop& hop =
        headers.ip_version == 4 ? spec_.fib->find(target4, 0) : spec_.fib->find(target, 0);
    return hop.kind == route::Kind::forward ? hop.interface : packet::kNoInterface;
}

bool StateJudge::passes_all(const state::LinkOrigin& origin, packet::Packet& packet) {
    packet::Passage& passage = packet.passage;
    const bool known = origin.interface < spec_.runtime.environment().interfaces.size();
    const packet::InterfaceIndex interface = known ? origin.interface : packet::kNoInterface;
    Verdict verdict;
    switch (origin.framing) {
        case Framing::plain:
        case Framing::tagged:
        case Framing::other:
            passage = {.entry = packet::Entry::bridge, .receive_interface = interface};
            return passes(packet, verdict);
        case Framing::unknown:
            return passes(packet, verdict);
        case Framing::own:
            passage = {.direction = packet::Direction::out,
                       .transmit_interface = way_out(packet.headers, nullptr)};
            return passes(packet, verdict);
        case Framing::routed:
            break;
    }
    passage = {.receive_interface = interface};
    if (!passes(packet, verdict))
        return false;
    const packet::InterfaceIndex out =
        way_out(packet.headers, verdict.kind == Verdict::Kind::fwd ? &verdict : nullptr);
    if (out == packet::kNoInterface)
        return true;
    passage.direction = packet::Direction::out;
    passage.transmit_interface = out;
    return passes(packet, verdict);
}

std::optional<std::uint32_t> StateJudge::made(const state::Cell& before) const {
    std::optional<std::uint32_t> last, of_the_name;
    for (CellIndex i = 0; i < memory_->states->used_cells(); ++i) {
        const state::Cell& cell = memory_->states->cell(i);
        if (!state::is_state(cell.kind))
            continue;
        const auto rule = spec_.runtime.rule_of_state(cell.rule_slot, cell.rule_id);
        if (!rule)
            continue;
        if (cell.name == before.name)
            of_the_name = rule;
        last = std::max(last.value_or(0), *rule);
    }
    return of_the_name ? of_the_name : last;
}

void StateJudge::forget() {
    state::StateTable& states = *memory_->states;
    for (CellIndex i = 0; i < states.used_cells(); ++i)
        if (state::is_state(states.cell(i).kind))
            states.remove(i);
    // Parents of limits that let nobody in have no child with which they would go.
    // Without memory for new ones the old stay.
    if (states.totals().parents > kCells / 4)
        static_cast<void>(renew());
}

std::optional<std::uint32_t> StateJudge::judge(const state::StateCopy& state) {
    // Where the firewall is switched off no rule lets it pass, nor forbids it.
    if (!judges(spec_.runtime.view().sysctls(), state.key))
        return spec_.runtime.rule_of_state(state.cell.rule_slot, state.cell.rule_id);
    const Frame frame = frame_of(state);
    packet::Packet packet;
    packet.malformed =
        packet::parse_frame(frame.bytes(), spec_.runtime.parser_settings(), packet.headers);
    packet.now_ms = spec_.now_ms;
    packet.uptime_s = kNow;
    marks_.clear();
    std::optional<std::uint32_t> rule;
    if (passes_all(state.origin, packet))
        rule = made(state.cell);
    forget();
    return rule;
}

}  // namespace sluice::program
