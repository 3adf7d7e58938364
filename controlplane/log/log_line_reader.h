// The classic lines of ipfw, read back: the counterpart of log_line.h.
//
// A line may have whatever syslog puts in front (`Nov  9 21:12:18 host kernel: `), and may be of
// our own kernel-less writing or that of any ipfw since 2003. Reading is strict where it counts: an
// address or a port that cannot be makes the line unreadable, not a packet.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "common/address.h"

namespace sluice::log {

struct LoggedEnd {
    std::variant<Ipv4, Ipv6> address;
    bool has_port = false;
    std::uint16_t port = 0;
    bool operator==(const LoggedEnd&) const = default;
};

struct LoggedPacket {
    enum class Way : std::uint8_t { unknown, in, out };
    int rule = 0;          // -1: dropped before any rule
    std::string action;    // `Accept`, `Deny`, `SkipTo 500`, `Forward to 10.0.0.9:8080`
    std::string protocol;  // `TCP`, `ICMP:8.0`, `P:47`; `MAC`: a frame without addresses
    bool has_addresses = false;
    LoggedEnd source, destination;
    Way way = Way::unknown;
    std::string interface;
};

struct ReadLine {
    enum class Kind : std::uint8_t {
        packet,
        notice,      // of ipfw, about no packet, or none that a rule decided about
        repeated,    // `last message repeated N times`, by syslog
        other,       // not of ipfw
        unreadable,  // of ipfw, as it seems
    } kind = Kind::other;
    LoggedPacket packet;
    std::uint64_t times = 0;  // repeated
};

// A classic line, or an object that has one (log_fields.h).
ReadLine read_line(std::string_view text);

}  // namespace sluice::log
