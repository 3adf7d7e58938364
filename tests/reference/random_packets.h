// Random packets, drawn at the corners of the rules that they will meet: the ends of every range
// and network and one beyond, the flags that a rule wants and the same with one bit turned, and of
// course fragments, odd headers, truncated and broken frames.
#pragma once

#include <vector>

#include "controlplane/language/model.h"
#include "dataplane/packet/packet.h"
#include "tests/reference/frame.h"
#include "tests/reference/random_source.h"

namespace sluice::reference {

struct RandomPacket {
    Frame frame;
    packet::Passage passage;
    std::uint64_t time_ms = 0;
};

// Values at which some rule changes its mind.
struct Corners {
    std::vector<Ipv4> v4;
    std::vector<Ipv6> v6;
    std::vector<std::uint16_t> ports;
    std::vector<std::uint8_t> protocols;
    std::vector<std::uint8_t> tcp_flags;
    std::vector<std::uint32_t> numbers;  // lengths, ids, TTLs, windows, types …
    std::vector<MacAddress> macs;
};

Corners corners_of(const std::vector<language::Rule>& rules, Random& random);

RandomPacket random_packet(Random& random, const Corners& corners, unsigned interface_count);

// A few flows between a few hosts, over and over, as states need them: connections that open, talk
// and close, answers, retransmissions, later fragments, and flags that make no sense; between them
// packets of no flow. Time goes on in small steps mostly.
class Conversations {
  public:
    Conversations(Random& random, const Corners& corners, unsigned interface_count);

    RandomPacket next();

  private:
    struct Side {
        Ipv4 v4;
        Ipv6 v6;
        std::uint16_t port = 0;
        std::uint32_t sequence = 0;
    };
    struct Flow {
        int version = 4;
        std::uint8_t protocol = 6;
        Side sides[2];
        unsigned stage = 0;  // of a TCP connection: packets so far
    };

    Flow new_flow();
    Frame packet_of(Flow& flow);
    void plan_tcp(FramePlan& plan, Flow& flow, unsigned& from);
    void step_time();
    // A packet of some flow in pieces, out of order at times, which come between the others.
    void cut(const RandomPacket& whole);

    Random& random_;
    const Corners& corners_;
    unsigned interface_count_;
    std::vector<Flow> flows_;
    std::uint64_t time_ms_;
    std::vector<RandomPacket> pieces_;  // still to come, the next one last
};

}  // namespace sluice::reference
