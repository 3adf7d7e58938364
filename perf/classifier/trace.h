// Traffic for a rule set.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "dataplane/packet/packet.h"
#include "perf/classifier/rule_set.h"

namespace sluice::perf {

enum class TraceKind {
    rule_uniform,  // any rule but the last, any point in it
    zipf,          // 100,000 such flows, the nth of them as often as 1/n
    random,        // any header; IPv6: in 2001::/16
};

inline constexpr TraceKind kTraceKinds[] = {TraceKind::rule_uniform, TraceKind::zipf,
                                            TraceKind::random};
const char* trace_name(TraceKind kind);

std::vector<Tuple> make_trace(const RuleSet& set, TraceKind kind, std::size_t length);

// The same as the data plane sees them: frames, parsed. The frames stay where they are as long as
// this lives.
class Packets {
  public:
    // Fails where a parsed header is not the tuple that it was made of.
    static Result<Packets> make(const std::vector<Tuple>& tuples, int ip_version);

    const std::vector<packet::Packet>& packets() const { return packets_; }

  private:
    std::vector<std::vector<std::byte>> frames_;
    std::vector<packet::Packet> packets_;
};

}  // namespace sluice::perf
