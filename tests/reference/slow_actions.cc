#include "tests/reference/slow_actions.h"

#include <cstdio>
#include <optional>

namespace sluice::reference {

namespace {

constexpr unsigned kTcp = 6, kSyn = 2, kMssOption = 2, kMssLength = 4;

// Where the value of the last MSS option stands in the IP packet.
std::optional<std::size_t> place_of_mss(const SlowPacket& packet) {
    if (packet.fate != SlowPacket::Fate::judged || !packet.is_first_of(kTcp) ||
        (packet.upper8(13) & kSyn) == 0)
        return std::nullopt;
    const auto options = packet.tcp_options();
    std::optional<std::size_t> place;
    for (std::size_t at = 0; options && at < options->size() && (*options)[at] != 0;) {
        if ((*options)[at] == 1) {
            ++at;
            continue;
        }
        const std::size_t left = options->size() - at;
        if (left < 2 || (*options)[at + 1] < 2 || (*options)[at + 1] > left)
            break;
        if ((*options)[at] == kMssOption && (*options)[at + 1] == kMssLength)
            place = packet.upper + 20 + at + 2;
        at += (*options)[at + 1];
    }
    return place;
}

unsigned value_at(const SlowPacket& packet, std::size_t at) {
    return packet.ip.at(at) * 256u + packet.ip.at(at + 1);
}

}  // namespace

void set_dscp(SlowPacket& packet, unsigned dscp) {
    packet.traffic_class = dscp * 4 + packet.traffic_class % 4;
}

void lower_mss(SlowPacket& packet, unsigned most) {
    const auto place = place_of_mss(packet);
    if (!place || value_at(packet, *place) <= most)
        return;
    packet.ip.at(*place) = static_cast<std::uint8_t>(most / 256);
    packet.ip.at(*place + 1) = static_cast<std::uint8_t>(most % 256);
}

std::string marks_text(const SlowPacket& before, const SlowPacket& after, const SlowMarks& marks) {
    std::string text;
    if (before.traffic_class != after.traffic_class)
        text += " class " + std::to_string(after.traffic_class);
    if (const auto place = place_of_mss(before);
        place && value_at(before, *place) != value_at(after, *place))
        text += " mss " + std::to_string(value_at(after, *place));
    if (marks.fib != 0)
        text += " fib " + std::to_string(marks.fib);
    if (marks.mark != 0) {
        char hex[24];
        std::snprintf(hex, sizeof hex, " mark 0x%x", marks.mark);
        text += hex;
    }
    if (!marks.tags.empty())
        text += " tags";
    for (const unsigned tag : marks.tags)
        text += " " + std::to_string(tag);
    return text;
}

}  // namespace sluice::reference
