#include "dataplane/packet/burst.h"

namespace sluice::packet {

void Burst::parse(std::size_t i) {
    Packet& packet = packets_[i];
    packet.malformed = parse_frame({frames_[i].data, frames_[i].length},
                                   circumstances_.parser_settings, packet.headers);
    packet.passage = passages_[i];
    packet.sequence = circumstances_.first_sequence + i;
    packet.now_ms = circumstances_.now_ms;
    packet.uptime_s = circumstances_.uptime_s;
    parsed_packets_[i] = &packet;
    parsed_ |= Mask{1} << i;
}

}  // namespace sluice::packet
