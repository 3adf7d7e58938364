// Capture files in the format pcapng: one section, an interface for each port that a packet came or
// went by, with its name, and a block for each packet with a comment that says what the rules said.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/service/follow.h"

namespace sluice::cli {

class PcapngWriter {
  public:
    explicit PcapngWriter(std::uint32_t snap_length) : snap_length_(snap_length) {}

    // What a file begins with.
    static std::string section();

    // The packet, and in front of it its interface, if it is the first there.
    std::string packet(const service::CapturedPacket& packet);

  private:
    std::uint32_t snap_length_;
    std::vector<std::string> interfaces_;  // by number in the section
};

// `rule 100, generation 42, pass, in`
std::string comment_of(const service::CapturedPacket& packet);

}  // namespace sluice::cli
