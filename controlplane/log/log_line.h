// The classic lines of ipfw: `ipfw: 2060 Accept TCP 1.2.3.4:119 10.0.0.1:54609 in via en0`.
//
// A record that a worker put into its log ring becomes the text that a FreeBSD kernel writes for
// the same packet (the wording of ipfw2; first fragments and `+` are shown). Time, host and
// priority are not part of it: the sinks add them. Nothing here can fail: whatever stands in a
// record, the result is one line of printable characters without a line feed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/contract/log_ring.h"

namespace sluice::log {

// `interface_names[i]` is the name of interface i of the data plane; an index outside is shown as
// `?`.
std::string format_line(const contract::LogRecord& record,
                        std::span<const std::string> interface_names);

// `ipfw: limit N reached on entry R`, written directly after the line that used the limit up. For
// packets dropped before any rule R is -1.
std::string format_limit_notice(const contract::LogRecord& record);

// The words of a line: `Accept`, `SkipTo 300`; `TCP`, `P:47`; the first 4 bytes for version 4.
std::string action_word(const contract::LogRecord& record);
std::string protocol_word(const contract::LogRecord& record);
std::string address_text(const Ipv6& address, std::uint8_t version);

// Control characters and bytes above 126 as \xNN, so that a log line stays one line and a terminal
// stays sane.
std::string printable(std::string_view text);

}  // namespace sluice::log
