// Tests that look into what packets carry.
//
// Each object looks at a packet once, whatever the number of rules that ask it. Packets of flows
// that are followed (objects of mode stream, and a state) are looked at as a part of their flow
// (payload/flow_streams.h), all others by themselves.
//
// What could not be looked at goes the way of net.inet.ip.fw.payload_fail. One reason is the
// budget: percent of the worker's time, measured in slices; what comes when that of a slice is used
// up is not looked at.
//
// Threads: belongs to the engine of one worker.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/contract/table.h"
#include "dataplane/payload/finding.h"
#include "dataplane/payload/parts.h"
#include "dataplane/program/outputs.h"
#include "dataplane/program/walk.h"

namespace sluice::program {

// What the packet carries behind the header of its upper layer: of SCTP the first piece of user
// data, of protocols that we do not know all that follows the IP header. Empty: nothing, or it is a
// fragment that has no such header.
std::span<const std::byte> payload_of(const packet::Headers& headers);

class PayloadTests {
  public:
    explicit PayloadTests(const EngineOutputs& outputs);

    void begin_burst(const Runtime& runtime);
    void begin_packet();

    // Whether a payload test matches, without its negation. `walk.argument`, for named objects,
    // becomes the value of the pattern that was found; `walk.refused` is set if the packet must be
    // dropped instead. REQUIRES: test.opcode is payload.
    bool matches(Walk& walk, const contract::Instruction& test);

  private:
    struct Answer {
        std::uint32_t object = 0;
        contract::PayloadPart part = contract::PayloadPart::payload;
        payload::Finding finding;
    };

    payload::Finding find(Walk& walk, std::uint32_t object, contract::PayloadPart part);
    payload::Finding look_at_packet(const payload::Object& object, contract::PayloadPart part,
                                    const packet::Headers& headers);
    payload::Finding follow(Walk& walk, std::uint32_t object, contract::PayloadPart part,
                            const state::Hit& hit);
    void fail(Walk& walk, const state::Hit* hit);
    bool is_over_budget(const Walk& walk);

    EngineOutputs outputs_;
    payload::PartScratch scratch_;
    std::array<Answer, 16> answers_;
    std::size_t answer_count_ = 0;
    contract::TableValue value_;

    // All in the ticks of the processor's clock.
    std::uint64_t slice_ = 0;  // number of this one
    std::uint64_t slice_began_ = 0;
    std::uint64_t slice_length_ = 0;  // of the one before; 0: not known
    std::uint64_t spent_ = 0;         // in this one
};

}  // namespace sluice::program
