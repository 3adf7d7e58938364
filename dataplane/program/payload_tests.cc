#include "dataplane/program/payload_tests.h"

#include <algorithm>
#include <chrono>

#include "dataplane/contract/counters.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire.h"
#include "dataplane/payload/object.h"

namespace sluice::program {

using contract::DropReason;
using contract::PayloadFail;
using contract::PayloadPart;
using contract::PayloadSkip;
using packet::Headers;
using payload::Finding;
using payload::Transport;

namespace {

constexpr std::uint8_t kTcp = packet::wire::protocol::tcp, kUdp = packet::wire::protocol::udp,
                       kSctp = packet::wire::protocol::sctp;
constexpr std::uint8_t kSyn = 2, kAck = 16, kUrg = 32;

std::uint64_t ticks() {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

// The first chunk of user data behind the common header (RFC 9260).
std::span<const std::byte> sctp_data(std::span<const std::byte> bytes) {
    constexpr std::size_t kCommonHeader = 12, kChunkHeader = 4, kDataHeader = 16;
    constexpr int kMostChunks = 16;
    if (bytes.size() < kCommonHeader)
        return {};
    bytes = bytes.subspan(kCommonHeader);
    for (int i = 0; i < kMostChunks && bytes.size() >= kChunkHeader; ++i) {
        const std::size_t length =
            std::to_integer<std::size_t>(bytes[2]) << 8 | std::to_integer<std::size_t>(bytes[3]);
        if (length < kChunkHeader)
            return {};
        if (bytes[0] == std::byte{0})
            return length <= kDataHeader || bytes.size() <= kDataHeader
                       ? std::span<const std::byte>()
                       : bytes.first(std::min(length, bytes.size())).subspan(kDataHeader);
        bytes = bytes.subspan(std::min((length + 3) & ~std::size_t{3}, bytes.size()));
    }
    return {};
}

std::span<const std::byte> transport_of(const Headers& headers) {
    if (headers.transport_offset == 0 || headers.fragment_offset != 0)
        return {};
    const std::size_t end = std::min<std::size_t>(
        std::size_t{headers.network_offset} + headers.ip_length, headers.frame_length);
    if (headers.transport_offset >= end)
        return {};
    return {headers.frame + headers.transport_offset, end - headers.transport_offset};
}

// The receiver drops a segment whose checksum is wrong, so such a one must not be taken for the
// bytes that it will see.
bool has_right_checksum(const Carried& carried) {
    if (carried.is_fragment)
        return false;
    packet::Checksum sum;
    sum.add(carried.addresses);
    sum.add(std::uint16_t{carried.protocol});
    sum.add(static_cast<std::uint16_t>(carried.segment.size()));
    sum.add(carried.segment);
    return sum.finish().host() == 0;
}

// What is behind the header of the upper layer.
std::span<const std::byte> behind_header(std::uint8_t protocol, std::size_t tcp_header,
                                         std::span<const std::byte> segment) {
    std::size_t header = 0;
    switch (protocol) {
        case kTcp:
            header = tcp_header;
            break;
        case kUdp:
        case packet::wire::protocol::icmp:
        case packet::wire::protocol::icmp6:
            header = 8;
            break;
        case kSctp:
            return sctp_data(segment);
        default:
            break;
    }
    return segment.subspan(std::min(header, segment.size()));
}

bool fits(const Finding& finding, const contract::Instruction& test,
          const payload::Object& object) {
    return (test.flags & contract::kPatternValue) != 0 ? finding.has_value(test.data, object.asked)
                                                       : finding.found();
}

// Of a state whose flow is as young as that, nobody has seen bytes that were not looked at. There
// may be handshakes that were sent again, and ACKs; none of them is larger.
bool is_young(const state::Cell& cell) {
    constexpr std::uint64_t kLongestHeaders = 100;
    constexpr std::uint8_t kEither = state::tcp_seen::syn | state::tcp_seen::syn << 4;
    return (cell.tcp_seen & kEither) != 0 && cell.bytes <= cell.packets * kLongestHeaders;
}

bool has_ended(const state::Cell& cell) {
    constexpr std::uint8_t kEither = state::tcp_seen::rst | state::tcp_seen::rst << 4;
    return (cell.tcp_seen & kEither) != 0 ||
           (cell.tcp_seen & state::tcp_seen::both_fin) == state::tcp_seen::both_fin;
}

// What the other side has acknowledged of this one. The initiator's first byte is when its SYN is.
std::optional<std::uint32_t> acknowledged_by_other(const state::Cell& cell, bool forward) {
    const std::uint32_t last = forward ? cell.acknowledged_reverse : cell.acknowledged_forward;
    const bool shaken = (cell.tcp_seen & state::tcp_seen::both_syn) == state::tcp_seen::both_syn;
    return last != 0 || (forward && shaken) ? std::optional(last) : std::nullopt;
}

}  // namespace

std::span<const std::byte> payload_of(const Headers& headers) {
    return behind_header(headers.protocol, headers.tcp_header_length, transport_of(headers));
}

Carried carried_by(const Headers& headers) {
    Carried carried{.payload = {},
                    .segment = transport_of(headers),
                    .addresses = {},
                    .protocol = headers.protocol,
                    .is_fragment = headers.is_fragment(),
                    .tcp_flags = headers.tcp_flags,
                    .tcp_sequence = headers.tcp_sequence};
    carried.payload = behind_header(headers.protocol, headers.tcp_header_length, carried.segment);
    const std::byte* network = headers.frame + headers.network_offset;
    if (headers.ip_version == 4)
        carried.addresses = {network + offsetof(packet::wire::Ip4, source), 2 * sizeof(Ipv4)};
    else if (headers.ip_version == 6)
        carried.addresses = {network + offsetof(packet::wire::Ip6, source), 2 * sizeof(Ipv6)};
    return carried;
}

Carried carried_by(const packet::Glance& glance) {
    const bool is_4 = glance.ip_version == 4;
    Carried carried{.payload = {},
                    .segment = {glance.transport(), glance.network + glance.ip_length},
                    .addresses = {glance.network + (is_4 ? offsetof(packet::wire::Ip4, source)
                                                         : offsetof(packet::wire::Ip6, source)),
                                  is_4 ? 2 * sizeof(Ipv4) : 2 * sizeof(Ipv6)},
                    .protocol = glance.protocol};
    std::size_t tcp_header = 0;
    if (glance.protocol == kTcp) {
        const packet::wire::Tcp& tcp = glance.tcp();
        carried.tcp_flags = tcp.flags;
        carried.tcp_sequence = tcp.sequence.host();
        tcp_header = std::size_t{tcp.data_offset} >> 4 << 2;
    }
    carried.payload = behind_header(glance.protocol, tcp_header, carried.segment);
    return carried;
}

PayloadTests::PayloadTests(const EngineOutputs& outputs) : outputs_(outputs) {}

void PayloadTests::begin_burst(const Runtime& runtime) {
    if (outputs_.flows != nullptr)
        outputs_.flows->use(runtime.payload_objects());
}

void PayloadTests::begin_packet() {
    answer_count_ = 0;
    if (outputs_.flows != nullptr)
        outputs_.flows->begin_packet();
}

PayloadTests::Asked PayloadTests::asked_by(const Runtime& runtime,
                                           const contract::Instruction& test) {
    return {.runtime = runtime,
            .object = runtime.payload_objects()[test.argument],
            .place = test.argument,
            .part = static_cast<PayloadPart>(test.detail)};
}

const Finding* PayloadTests::known(const Asked& asked) const {
    for (std::size_t i = 0; i < answer_count_; ++i)
        if (answers_[i].object == asked.place && answers_[i].part == asked.part)
            return &answers_[i].finding;
    return nullptr;
}

bool PayloadTests::matches(Walk& walk, const contract::Instruction& test) {
    const Asked asked = asked_by(walk.runtime, test);
    Finding finding;
    if (const Finding* before = known(asked)) {
        finding = *before;
    } else {
        Carried carried = carried_by(walk.packet.headers);
        carried.uptime_s = walk.packet.uptime_s;
        carried.now_ms = walk.packet.now_ms;
        carried.key = walk.has_flow ? &walk.key : nullptr;
        carried.hash = walk.hash;
        carried.guess = walk.guess;
        finding = find(asked, carried, walk.refused);
    }
    if (!fits(finding, test, asked.object))
        return false;
    if (!asked.object.named)
        return true;
    const bool by_value = (test.flags & contract::kPatternValue) != 0;
    value_.numbers.fill(by_value ? test.data : finding.value);
    walk.argument = {.value = &value_};
    return true;
}

PayloadTests::Seen PayloadTests::look(const Runtime& runtime, const Carried& carried,
                                      const contract::Instruction& test) {
    const Asked asked = asked_by(runtime, test);
    const Finding* before = known(asked);
    Seen seen;
    const Finding finding = before != nullptr ? *before : find(asked, carried, seen.refused);
    seen.matches = fits(finding, test, asked.object) != ((test.flags & contract::kNegated) != 0);
    return seen;
}

// Kept for those that ask again.
Finding PayloadTests::find(const Asked& asked, const Carried& carried, DropReason& refused) {
    const payload::Object& object = asked.object;
    const std::uint64_t began = asked.runtime.view().sysctls().payload_budget != 0 ? ticks() : 0;
    const std::optional<state::Hit> hit =
        object.mode == contract::PatternMode::stream && carried.key != nullptr &&
                outputs_.flows != nullptr
            ? outputs_.states->find(*carried.key, carried.hash, carried.guess,
                                    contract::kAnyStateName, carried.uptime_s)
            : std::nullopt;
    Finding finding;
    if (began != 0 && is_over_budget(asked, carried)) {
        if (!carried.payload.empty()) {
            contract::add(
                outputs_.payload->payload_skips[static_cast<std::size_t>(PayloadSkip::budget)], 1);
            fail(asked, hit ? &*hit : nullptr, refused);
        }
    } else {
        finding = hit ? follow(asked, carried, *hit, refused) : look_at_packet(asked, carried);
        if (began != 0)
            spent_ += ticks() - began;
    }
    if (answer_count_ < answers_.size())
        answers_[answer_count_++] = {asked.place, asked.part, finding};
    return finding;
}

Finding PayloadTests::look_at_packet(const Asked& asked, const Carried& carried) {
    std::span<const std::byte> bytes = carried.payload;
    if (bytes.empty() || !asked.object.looks_at(true))
        return {};
    if (asked.part != PayloadPart::payload) {
        if (carried.protocol != kTcp && carried.protocol != kUdp)
            return {};
        const payload::Part found = payload::find_part(
            asked.part, carried.protocol == kTcp ? Transport::tcp : Transport::udp, bytes,
            scratch_);
        if (found.found != payload::Found::yes)
            return {};
        bytes = found.bytes;
    }
    const Finding finding = asked.object.look(outputs_.reader, asked.part, bytes);
    if (outputs_.payload != nullptr) {
        contract::add(outputs_.payload->payload_scans, 1);
        contract::add(outputs_.payload->payload_bytes, bytes.size());
        contract::add(outputs_.payload->payload_matches, finding.found() ? 1 : 0);
    }
    return finding;
}

Finding PayloadTests::follow(const Asked& asked, const Carried& carried, const state::Hit& hit,
                             DropReason& refused) {
    const state::Cell& cell = outputs_.states->cell(hit.cell);
    const bool is_tcp = carried.protocol == kTcp;
    const bool is_syn = is_tcp && (carried.tcp_flags & kSyn) != 0;
    const std::span<const std::byte> bytes = carried.payload;
    const bool has_part = asked.part == PayloadPart::payload || is_tcp || carried.protocol == kUdp;
    // The receiver may take other bytes than we see, or none: these have no place in the order.
    const bool astray =
        is_tcp && !bytes.empty() && (carried.is_fragment || (carried.tcp_flags & kUrg) != 0);
    const bool ordered = has_part && !is_syn && !carried.is_fragment &&
                         (!is_tcp || bytes.empty() || has_right_checksum(carried));
    if (is_syn && (carried.tcp_flags & kAck) == 0 && has_ended(cell))
        outputs_.flows->reopened(hit.cell, hit.forward, carried.tcp_sequence + 1, carried.uptime_s);
    payload::FlowStreams::Answer answer =
        outputs_.flows->ask({.object = asked.place,
                             .part = asked.part,
                             .cell = hit.cell,
                             .forward = hit.forward,
                             .transport = is_tcp ? Transport::tcp : Transport::udp,
                             .sequence = carried.tcp_sequence,
                             .bytes = ordered ? bytes : std::span<const std::byte>(),
                             .acknowledged = acknowledged_by_other(cell, hit.forward),
                             .young = is_tcp && is_young(cell),
                             .uptime_s = carried.uptime_s});
    // The answer to a SYN; no second SYN says where a side begins.
    if (is_syn && (carried.tcp_flags & kAck) != 0 && !hit.forward)
        outputs_.flows->begins_at(hit.cell, hit.forward, carried.tcp_sequence + 1);
    if (answer.drop != DropReason::none) {
        refused = answer.drop;
        return {};
    }
    if ((is_syn || astray) && has_part)
        answer.finding.add(look_at_packet(asked, carried));
    if (astray) {
        answer.skip = PayloadSkip::gap;
        contract::add(outputs_.payload->payload_skips[static_cast<std::size_t>(PayloadSkip::gap)],
                      1);
    }
    if (answer.skip && !answer.finding.found())
        fail(asked, &hit, refused);
    return answer.finding;
}

void PayloadTests::fail(const Asked& asked, const state::Hit* hit, DropReason& refused) {
    const auto policy = static_cast<PayloadFail>(asked.runtime.view().sysctls().payload_fail);
    if (policy != PayloadFail::drop_packet && policy != PayloadFail::drop_flow)
        return;
    refused = DropReason::payload_unseen;
    if (policy == PayloadFail::drop_flow && hit != nullptr && outputs_.flows != nullptr)
        outputs_.flows->block(hit->cell);
}

bool PayloadTests::is_over_budget(const Asked& asked, const Carried& carried) {
    constexpr std::uint64_t kSliceMs = 16;
    const std::uint64_t slice = carried.now_ms / kSliceMs;
    if (slice != slice_) {
        const std::uint64_t now = ticks();
        slice_length_ = slice == slice_ + 1 ? now - slice_began_ : slice_length_;
        slice_ = slice;
        slice_began_ = now;
        spent_ = 0;
    }
    const std::uint64_t percent = asked.runtime.view().sysctls().payload_budget;
    return slice_length_ != 0 && spent_ > slice_length_ / 100 * percent;
}

}  // namespace sluice::program
