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
// A walk asks with its packet, which has been parsed. What common packets carry is seen from their
// glance, so that a rule which does nothing but look needs no walk.
//
// Threads: belongs to the engine of one worker.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/contract/table.h"
#include "dataplane/packet/glance.h"
#include "dataplane/payload/finding.h"
#include "dataplane/payload/parts.h"
#include "dataplane/program/outputs.h"
#include "dataplane/program/walk.h"

namespace sluice::program {

// What the packet carries behind the header of its upper layer: of SCTP the first piece of user
// data, of protocols that we do not know all that follows the IP header. Empty: nothing, or it is a
// fragment that has no such header.
std::span<const std::byte> payload_of(const packet::Headers& headers);

// A packet as far as looks into it ask.
struct Carried {
    std::span<const std::byte> payload;    // see payload_of
    std::span<const std::byte> segment;    // from the header of the upper layer on
    std::span<const std::byte> addresses;  // both, as they lie in the IP header
    std::uint8_t protocol = 0;
    bool is_fragment = false;
    std::uint8_t tcp_flags = 0;
    std::uint32_t tcp_sequence = 0;
    std::uint32_t uptime_s = 0;
    std::uint64_t now_ms = 0;
    // Null: it has no flow, or nobody wants to know.
    const state::FlowKey* key = nullptr;
    state::FlowHash hash = 0;
    state::CellIndex guess = state::kNoCell;
};

// What headers say of it; the rest is to be added.
Carried carried_by(const packet::Headers& headers);
// REQUIRES: the packet is common.
Carried carried_by(const packet::Glance& glance);

class PayloadTests {
  public:
    explicit PayloadTests(const EngineOutputs& outputs);

    void begin_burst(const Runtime& runtime);
    void begin_packet();

    // Whether a payload test matches, without its negation. `walk.argument`, for named objects,
    // becomes the value of the pattern that was found; `walk.refused` is set if the packet must be
    // dropped instead. REQUIRES: test.opcode is payload.
    bool matches(Walk& walk, const contract::Instruction& test);

    struct Seen {
        bool matches = false;                                       // with its negation
        contract::DropReason refused = contract::DropReason::none;  // the packet must be dropped
    };
    // The same without a walk.
    Seen look(const Runtime& runtime, const Carried& carried, const contract::Instruction& test);

  private:
    struct Answer {
        std::uint32_t object = 0;
        contract::PayloadPart part = contract::PayloadPart::payload;
        payload::Finding finding;
    };

    // A question of one test.
    struct Asked {
        const Runtime& runtime;
        const payload::Object& object;
        std::uint32_t place;  // of the object
        contract::PayloadPart part;
    };

    static Asked asked_by(const Runtime& runtime, const contract::Instruction& test);
    // Null: nobody has asked for it.
    const payload::Finding* known(const Asked& asked) const;
    payload::Finding find(const Asked& asked, const Carried& carried,
                          contract::DropReason& refused);
    payload::Finding look_at_packet(const Asked& asked, const Carried& carried);
    payload::Finding follow(const Asked& asked, const Carried& carried, const state::Hit& hit,
                            contract::DropReason& refused);
    // `hit`: null if the packet has no state.
    void fail(const Asked& asked, const state::Hit* hit, contract::DropReason& refused);
    bool is_over_budget(const Asked& asked, const Carried& carried);

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
