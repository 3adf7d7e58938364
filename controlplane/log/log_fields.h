// Log records as values: what a filter asks of them, and how they look as JSON.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "dataplane/contract/log_ring.h"
#include "dataplane/contract/packet_filter.h"

namespace sluice::log {

// What the rule of the record did: `allow` and `fwd` accept; `deny`, `reject`, `unreach`, `reset`
// and `abort` deny, and so does whatever drops a packet before any rule or for want of a state.
contract::Fate fate_of(const contract::LogRecord& record);

// Records that are about no packet in particular meet only a filter that asks for nothing.
bool meets(const contract::PacketFilter& filter, const contract::LogRecord& record);

// One line, an object {"schema": "sluice/log/1", …}, whose "line" is the classic one.
std::string json_line(const contract::LogRecord& record,
                      std::span<const std::string> interface_names);

// The same for what is said beside packets: limits that are reached, rules that expire.
std::string json_note(const std::string& line, std::uint64_t time_ms);

// `2026-11-27T15:30:12.345Z`
std::string utc_timestamp(std::uint64_t time_ms);

}  // namespace sluice::log
