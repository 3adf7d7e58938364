// The header tests of the rules, one by one, exactly as the snapshot states them.
//
// Right before fast: the compiled classifier is made from these answers (see attributes.h) and
// comes back to them for what it only narrows down.
#pragma once

#include <bitset>
#include <cstdint>
#include <vector>

#include "dataplane/classify/local_addresses.h"
#include "dataplane/contract/snapshot_view.h"
#include "dataplane/packet/packet.h"

namespace sluice::classify {

class HeaderTests {
  public:
    // All three must outlive it.
    HeaderTests(const contract::SnapshotView& view, const packet::Environment& environment,
                const LocalAddresses& local);

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
