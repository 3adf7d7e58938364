// Classification: which rules match the header fields of a packet, in the order of the list.
//
// The result is not one rule but an ordered enumeration, because ipfw walks on after `count`,
// `prob`, `log`, `skipto`, `tee`. `next(packet, from)` is the first rule at or behind `from` whose
// header tests match. The caller runs the residual tests and asks for the next one, or for one
// further on after a skipto. A bound `until` lets the caller stop where something else than the
// headers decides: a packet that hits a state at a check-state needs no rule behind it. The default
// rule matches everything, so the enumeration never runs off the end.
//
// A classifier is built once for a snapshot and an environment and is immutable.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/contract/snapshot_view.h"
#include "dataplane/packet/packet.h"

namespace sluice::classify {

// `me` and `via ADDRESS`: addresses of the machine itself.
class LocalAddresses {
  public:
    explicit LocalAddresses(const packet::Environment& environment);
    bool contains(const packet::Headers& headers, const Ipv6& address) const;

  private:
    std::vector<std::uint32_t> v4_;  // sorted, as stored in the packet
    std::vector<Ipv6> v6_;           // sorted
};

class Classifier {
  public:
    // `view` and `environment` must outlive the classifier.
    Classifier(const contract::SnapshotView& view, const packet::Environment& environment,
               const LocalAddresses& local);

    // Prepares the enumeration for a burst: what can be looked up for many packets at once is.
    void prepare(std::span<const packet::Packet> packets) const;

    // Index of the first rule >= `from` whose header tests match, or `until` if none before it
    // does. REQUIRES: from <= until < number of rules. The default rule, the last one, always
    // matches.
    std::uint32_t next(const packet::Packet& packet, std::uint32_t from, std::uint32_t until) const;

    // Whether the header tests of one rule match.
    bool rule_matches(std::uint32_t rule, const packet::Packet& packet) const;

    // One test, with its negation; also for residual blocks that mix both kinds of tests.
    // REQUIRES: !is_residual(instruction.opcode).
    bool matches(const contract::Instruction& instruction, const packet::Packet& packet) const;

  private:
    using InterfaceBits = std::bitset<packet::kMaximumInterfaces>;

    bool test_matches(const contract::Instruction& instruction, const packet::Packet& packet) const;
    bool interface_is(const contract::Instruction& instruction,
                      packet::InterfaceIndex interface) const;

    const contract::SnapshotView& view_;
    const LocalAddresses& local_;
    std::vector<InterfaceBits> interface_matches_;  // by interface test
};

}  // namespace sluice::classify
