// A packet as an operator writes it: whatever the text, a frame or a sentence.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "controlplane/language/packet_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto packet = sluice::language::parse_packet({reinterpret_cast<const char*>(data), size});
    constexpr std::size_t kEthernet = 18;
    if (packet ? packet->frame.empty() ||
                     packet->frame.size() > sluice::language::kLongestTracedPacket + kEthernet
               : packet.error().message.empty())
        std::abort();
    return 0;
}
