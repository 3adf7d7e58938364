#include "dataplane/program/payload_tests.h"

#include <algorithm>
#include <chrono>

#include "dataplane/contract/counters.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire.h"
#include "dataplane/payload/object.h"

namespace sluice::program {

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
bool has_right_checksum(const Headers& headers) {
    const std::span<const std::byte> segment = transport_of(headers);
    if (headers.is_fragment())
        return false;
    packet::Checksum sum;
    if (headers.ip_version == 4) {
        for (const Ipv6* address : {&headers.source, &headers.destination})
            sum.add(std::as_bytes(std::span(address->bytes).first(4)));
    } else {
        sum.add(headers.source);
        sum.add(headers.destination);
    }
    sum.add(std::uint16_t{headers.protocol});
    sum.add(static_cast<std::uint16_t>(segment.size()));
    sum.add(segment);
    return sum.finish().host() == 0;
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
    const std::span<const std::byte> bytes = transport_of(headers);
    std::size_t header = 0;
    switch (headers.protocol) {
        case kTcp:
            header = headers.tcp_header_length;
            break;
        case kUdp:
        case packet::wire::protocol::icmp:
        case packet::wire::protocol::icmp6:
            header = 8;
            break;
        case kSctp:
            return sctp_data(bytes);
        default:
            break;
    }
    return bytes.subspan(std::min(header, bytes.size()));
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

bool PayloadTests::matches(Walk& walk, const contract::Instruction& test) {
    const auto part = static_cast<PayloadPart>(test.detail);
    const payload::Object& object = walk.runtime.payload_objects()[test.argument];
    const auto known = std::span(answers_).first(answer_count_);
    const auto answer = std::find_if(known.begin(), known.end(), [&](const Answer& one) {
        return one.object == test.argument && one.part == part;
    });
    const Finding finding =
        answer != known.end() ? answer->finding : find(walk, test.argument, part);
    if (answer == known.end() && answer_count_ < answers_.size())
        answers_[answer_count_++] = {test.argument, part, finding};
    const bool by_value = (test.flags & contract::kPatternValue) != 0;
    if (by_value ? !finding.has_value(test.data, object.asked) : !finding.found())
        return false;
    if (!object.named)
        return true;
    value_.numbers.fill(by_value ? test.data : finding.value);
    walk.argument = {.value = &value_};
    return true;
}

Finding PayloadTests::find(Walk& walk, std::uint32_t index, PayloadPart part) {
    const payload::Object& object = walk.runtime.payload_objects()[index];
    const Headers& headers = walk.packet.headers;
    const std::uint64_t began = walk.runtime.view().sysctls().payload_budget != 0 ? ticks() : 0;
    const std::optional<state::Hit> hit =
        object.mode == contract::PatternMode::stream && walk.has_flow && outputs_.flows != nullptr
            ? outputs_.states->find(walk.key, walk.hash, walk.guess, contract::kAnyStateName,
                                    walk.packet.uptime_s)
            : std::nullopt;
    if (began != 0 && is_over_budget(walk)) {
        if (!payload_of(headers).empty()) {
            contract::add(
                outputs_.payload->payload_skips[static_cast<std::size_t>(PayloadSkip::budget)], 1);
            fail(walk, hit ? &*hit : nullptr);
        }
        return {};
    }
    const Finding finding =
        hit ? follow(walk, index, part, *hit) : look_at_packet(object, part, headers);
    if (began != 0)
        spent_ += ticks() - began;
    return finding;
}

Finding PayloadTests::look_at_packet(const payload::Object& object, PayloadPart part,
                                     const Headers& headers) {
    std::span<const std::byte> bytes = payload_of(headers);
    if (bytes.empty() || !object.looks_at(true))
        return {};
    if (part != PayloadPart::payload) {
        if (headers.protocol != kTcp && headers.protocol != kUdp)
            return {};
        const payload::Part found = payload::find_part(
            part, headers.protocol == kTcp ? Transport::tcp : Transport::udp, bytes, scratch_);
        if (found.found != payload::Found::yes)
            return {};
        bytes = found.bytes;
    }
    const Finding finding = object.look(outputs_.reader, part, bytes);
    if (outputs_.payload != nullptr) {
        contract::add(outputs_.payload->payload_scans, 1);
        contract::add(outputs_.payload->payload_bytes, bytes.size());
        contract::add(outputs_.payload->payload_matches, finding.found() ? 1 : 0);
    }
    return finding;
}

Finding PayloadTests::follow(Walk& walk, std::uint32_t object, PayloadPart part,
                             const state::Hit& hit) {
    const Headers& headers = walk.packet.headers;
    const state::Cell& cell = outputs_.states->cell(hit.cell);
    const bool is_tcp = headers.protocol == kTcp;
    const bool is_syn = is_tcp && (headers.tcp_flags & kSyn) != 0;
    std::span<const std::byte> bytes = payload_of(headers);
    const bool has_part = part == PayloadPart::payload || is_tcp || headers.protocol == kUdp;
    // The receiver may take other bytes than we see, or none: these have no place in the order.
    const bool astray =
        is_tcp && !bytes.empty() && (headers.is_fragment() || (headers.tcp_flags & kUrg) != 0);
    const bool ordered = has_part && !is_syn && !headers.is_fragment() &&
                         (!is_tcp || bytes.empty() || has_right_checksum(headers));
    if (is_syn && (headers.tcp_flags & kAck) == 0 && has_ended(cell))
        outputs_.flows->reopened(hit.cell, hit.forward, headers.tcp_sequence + 1,
                                 walk.packet.uptime_s);
    payload::FlowStreams::Answer answer =
        outputs_.flows->ask({.object = object,
                             .part = part,
                             .cell = hit.cell,
                             .forward = hit.forward,
                             .transport = is_tcp ? Transport::tcp : Transport::udp,
                             .sequence = headers.tcp_sequence,
                             .bytes = ordered ? bytes : std::span<const std::byte>(),
                             .acknowledged = acknowledged_by_other(cell, hit.forward),
                             .young = is_tcp && is_young(cell),
                             .uptime_s = walk.packet.uptime_s});
    // The answer to a SYN; no second SYN says where a side begins.
    if (is_syn && (headers.tcp_flags & kAck) != 0 && !hit.forward)
        outputs_.flows->begins_at(hit.cell, hit.forward, headers.tcp_sequence + 1);
    if (answer.drop != contract::DropReason::none) {
        walk.refused = answer.drop;
        return {};
    }
    if ((is_syn || astray) && has_part)
        answer.finding.add(look_at_packet(walk.runtime.payload_objects()[object], part, headers));
    if (astray) {
        answer.skip = PayloadSkip::gap;
        contract::add(outputs_.payload->payload_skips[static_cast<std::size_t>(PayloadSkip::gap)],
                      1);
    }
    if (answer.skip && !answer.finding.found())
        fail(walk, &hit);
    return answer.finding;
}

// `hit`: null if the packet has no state.
void PayloadTests::fail(Walk& walk, const state::Hit* hit) {
    const auto policy = static_cast<PayloadFail>(walk.runtime.view().sysctls().payload_fail);
    if (policy != PayloadFail::drop_packet && policy != PayloadFail::drop_flow)
        return;
    walk.refused = contract::DropReason::payload_unseen;
    if (policy == PayloadFail::drop_flow && hit != nullptr && outputs_.flows != nullptr)
        outputs_.flows->block(hit->cell);
}

bool PayloadTests::is_over_budget(const Walk& walk) {
    constexpr std::uint64_t kSliceMs = 16;
    const std::uint64_t slice = walk.packet.now_ms / kSliceMs;
    if (slice != slice_) {
        const std::uint64_t now = ticks();
        slice_length_ = slice == slice_ + 1 ? now - slice_began_ : slice_length_;
        slice_ = slice;
        slice_began_ = now;
        spent_ = 0;
    }
    const std::uint64_t percent = walk.runtime.view().sysctls().payload_budget;
    return slice_length_ != 0 && spent_ > slice_length_ / 100 * percent;
}

}  // namespace sluice::program
