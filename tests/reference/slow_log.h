// The classic log line of a packet, written from semantics of ipfw's log and not with the code of
// controlplane/log.
#pragma once

#include <string>

#include "controlplane/language/model.h"
#include "dataplane/packet/environment.h"
#include "dataplane/packet/packet.h"
#include "tests/reference/slow_packet.h"

namespace sluice::reference {

// `rule` is null for packets dropped before any rule.
std::string log_text(const SlowPacket& packet, const packet::Passage& passage,
                     const packet::Environment& environment, const language::Rule* rule);

}  // namespace sluice::reference
