#include "controlplane/service/capture.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "controlplane/log/log_fields.h"
#include "controlplane/log/log_line.h"
#include "dataplane/contract/drop_reason.h"

namespace sluice::service {
namespace {

using contract::CaptureSlot;
using contract::CaptureVerdict;

// Of packets whose trace has not been asked for yet.
constexpr std::size_t kMostWaiting = 256;
// Of a piece: so much goes out at once.
constexpr std::size_t kMostOfPiece = 128;

std::string word_of(CaptureVerdict verdict) {
    switch (verdict) {
        case CaptureVerdict::pass:
            return "pass";
        case CaptureVerdict::drop:
            return "drop";
        case CaptureVerdict::refuse:
            return "drop and tell the sender";
        case CaptureVerdict::divert:
            return "divert";
        case CaptureVerdict::tee:
            return "tee";
        case CaptureVerdict::forward:
            return "forward";
        case CaptureVerdict::reass:
            return "reass";
        case CaptureVerdict::count_:
            break;
    }
    return "unknown";
}

std::string verdict_text(const contract::CaptureRecord& record) {
    const std::size_t reason = record.drop_reason;
    if (reason == 0 || reason >= contract::kDropReasonCount)
        return word_of(record.verdict);
    return word_of(record.verdict) + " (" + std::string(contract::kDropReasonTexts[reason].label) +
           ")";
}

std::string rule_text(std::int32_t rule) {
    return rule > 0 ? "rule " + std::to_string(rule) : std::string("no rule");
}

std::string interface_of(const CapturedPacket& packet) {
    return log::printable(packet.out ? packet.transmit_interface : packet.receive_interface);
}

// `2026-11-27T15:30:12.345Z in em0, 98 bytes: rule 100, pass, generation 42`
std::string head_of(const CapturedPacket& packet) {
    return log::utc_timestamp(packet.time_ns / 1'000'000) + (packet.out ? " out " : " in ") +
           interface_of(packet) + ", " + std::to_string(packet.length) +
           " bytes: " + rule_text(packet.rule) + ", " + packet.verdict + ", generation " +
           std::to_string(packet.generation);
}

std::string json_of(const CapturedPacket& packet, const std::vector<std::string>& lines,
                    std::optional<bool> same) {
    nlohmann::ordered_json object = {{"schema", "sluice/live_trace/1"},
                                     {"time", log::utc_timestamp(packet.time_ns / 1'000'000)},
                                     {"direction", packet.out ? "out" : "in"},
                                     {"interface", interface_of(packet)},
                                     {"bytes", packet.length},
                                     {"rule", packet.rule > 0 ? packet.rule : 0},
                                     {"verdict", packet.verdict},
                                     {"generation", packet.generation},
                                     {"trace", lines},
                                     {"trace_has_same_rule", nullptr}};
    if (same)
        object["trace_has_same_rule"] = *same;
    return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

CapturedPacket described(const CaptureSlot& slot) {
    const contract::CaptureRecord& record = slot.record;
    return {
        .time_ns = record.time_ns,
        .generation = record.generation,
        .rule = record.rule_number,
        .length = record.frame_length,
        .out = record.out != 0,
        .receive_interface = record.receive_interface,
        .transmit_interface = record.transmit_interface,
        .verdict = verdict_text(record),
        .bytes = std::string(reinterpret_cast<const char*>(slot.frame), record.captured_length)};
}

contract::WatchOrder Capture::order() const {
    contract::WatchOrder order;
    order.header.length = sizeof order;
    order.filter = wanted_.filter;
    order.snap_length = wanted_.kind == FollowOperation::Kind::traces ? contract::kLongestCapture
                                                                      : wanted_.snap_length;
    order.on = 1;
    return order;
}

Result<Done> Capture::begin(int rings, std::size_t workers, std::uint64_t watch) {
    const std::size_t stride = contract::capture_ring_stride();
    Result<Mapping> memory = Mapping::map(rings, stride * workers, true, "captures");
    if (!memory)
        return memory.error();
    for (std::size_t worker = 0; worker < workers; ++worker) {
        rings_.push_back(contract::CaptureRing::attach(memory->data() + worker * stride, stride));
        if (!rings_.back())
            return Error{ExitStatus::unavailable,
                         "the rings of sluice-dataplane for captures are not what they claim"};
    }
    memory_ = std::move(*memory);
    watch_ = watch;
    lost_before_ = lost_in_rings();
    return Done{};
}

std::uint64_t Capture::lost_in_rings() const {
    std::uint64_t lost = 0;
    for (const contract::CaptureRing& ring : rings_)
        lost += ring.dropped();
    return lost;
}

bool Capture::drain() {
    if (!stream_->there())
        return false;
    const std::uint64_t lost = lost_in_rings();
    lose(lost - std::exchange(lost_before_, lost));
    StreamPiece piece;
    CaptureSlot slot;
    for (contract::CaptureRing& ring : rings_)
        for (std::uint32_t n = 0; n < contract::kCaptureRecords && ring.pop(slot); ++n) {
            // What an earlier client has left there.
            if (slot.record.watch != watch_)
                continue;
            if (wanted_.kind == FollowOperation::Kind::traces) {
                if (waiting_.size() < kMostWaiting)
                    waiting_.push_back(slot);
                else
                    lose(1);
                continue;
            }
            piece.packets.push_back(described(slot));
            if (piece.packets.size() == kMostOfPiece)
                send(std::exchange(piece, {}), kMostOfPiece);
        }
    if (!piece.packets.empty() || lost_ != 0) {
        const std::size_t packets = piece.packets.size();
        send(std::move(piece), packets);
    }
    return true;
}

void Capture::send(StreamPiece piece, std::uint64_t packets) {
    piece.lost = lost_;
    if (stream_->send(piece))
        lost_ = 0;
    else
        lose(packets);
}

void Capture::traced(std::vector<std::string> lines, std::optional<std::int32_t> verdict_rule) {
    const CapturedPacket packet = described(waiting_.front());
    waiting_.pop_front();
    std::optional<bool> same;
    if (verdict_rule)
        same = (*verdict_rule > 0 ? *verdict_rule : 0) == (packet.rule > 0 ? packet.rule : 0);
    StreamPiece piece;
    if (wanted_.form == FollowOperation::Form::json) {
        piece.lines = {json_of(packet, lines, same)};
    } else {
        std::string text = head_of(packet);
        for (const std::string& line : lines)
            text += "\n    " + line;
        if (same == false)
            text += "\n    note: the packet itself met " + rule_text(packet.rule) +
                    ": states, chance, tables or the rules have changed since, or decided "
                    "otherwise";
        piece.lines = {std::move(text)};
    }
    send(std::move(piece), 1);
}

void Capture::end(const std::string& reason) {
    stream_->send({.over = reason});
}

}  // namespace sluice::service
