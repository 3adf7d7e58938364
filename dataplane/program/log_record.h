// What a log line needs to know about a packet and the rule that logs it.
#pragma once

#include "dataplane/contract/log_ring.h"
#include "dataplane/packet/packet.h"

namespace sluice::program {

// For a packet that no rule saw; slot 0. The caller sets kind and limit.
contract::LogRecord log_record(const packet::Packet& packet);

contract::LogRecord log_record(const packet::Packet& packet, const contract::RuleRecord& rule);

// For a packet that was dropped because `rule` could not make a state. `states` is their number
// now, with parents.
contract::LogRecord state_log_record(const packet::Packet& packet, const contract::RuleRecord& rule,
                                     contract::LogKind kind, std::uint64_t states);

}  // namespace sluice::program
