#include "controlplane/cli/pcapng.h"

#include <algorithm>
#include <string_view>

namespace sluice::cli {
namespace {

constexpr std::uint32_t kSection = 0x0a0d0d0a, kInterface = 1, kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrder = 0x1a2b3c4d;
constexpr std::uint16_t kEthernet = 1;
// Options. Numbers of their own begin with 2 for each type of block.
constexpr std::uint16_t kEnd = 0, kComment = 1;
constexpr std::uint16_t kSectionApplication = 4;
constexpr std::uint16_t kInterfaceName = 2, kInterfaceResolution = 9;
constexpr std::uint16_t kPacketFlags = 2;
constexpr std::uint32_t kInbound = 1, kOutbound = 2;
constexpr char kNanoseconds = 9;

// A block; numbers have the byte order of this machine, which the section says.
class Block {
  public:
    explicit Block(std::uint32_t type) : type_(type) {}

    template <typename Number>
    Block& number(Number value) {
        body_.append(reinterpret_cast<const char*>(&value), sizeof value);
        return *this;
    }
    Block& bytes(std::string_view value) {
        body_ += value;
        body_.append(-body_.size() % 4, '\0');
        return *this;
    }
    Block& option(std::uint16_t code, std::string_view value) {
        constexpr std::size_t kLongest = 0xffff;
        value = value.substr(0, kLongest);
        return number(code).number(static_cast<std::uint16_t>(value.size())).bytes(value);
    }

    std::string whole() const {
        constexpr std::uint32_t kAround = 12;
        const auto length = static_cast<std::uint32_t>(body_.size()) + kAround;
        Block result(0);
        result.number(type_).number(length).bytes(body_).number(length);
        return result.body_;
    }

  private:
    std::uint32_t type_;
    std::string body_;
};

template <typename Number>
std::string_view bytes_of(const Number& number) {
    return {reinterpret_cast<const char*>(&number), sizeof number};
}

}  // namespace

std::string PcapngWriter::section() {
    constexpr std::uint64_t kUnknownLength = ~std::uint64_t{0};
    return Block(kSection)
        .number(kByteOrder)
        .number(std::uint16_t{1})  // version 1.0
        .number(std::uint16_t{0})
        .number(kUnknownLength)
        .option(kSectionApplication, "ipfw (Sluice) " SLUICE_VERSION)
        .option(kEnd, "")
        .whole();
}

std::string PcapngWriter::packet(const service::CapturedPacket& packet) {
    std::string blocks;
    const std::string& name = packet.out ? packet.transmit_interface : packet.receive_interface;
    auto at = std::find(interfaces_.begin(), interfaces_.end(), name);
    if (at == interfaces_.end()) {
        blocks = Block(kInterface)
                     .number(kEthernet)
                     .number(std::uint16_t{0})
                     .number(snap_length_)
                     .option(kInterfaceName, name)
                     .option(kInterfaceResolution, {&kNanoseconds, 1})
                     .option(kEnd, "")
                     .whole();
        at = interfaces_.insert(interfaces_.end(), name);
    }
    const std::uint32_t flags = packet.out ? kOutbound : kInbound;
    return blocks + Block(kEnhancedPacket)
                        .number(static_cast<std::uint32_t>(at - interfaces_.begin()))
                        .number(static_cast<std::uint32_t>(packet.time_ns >> 32))
                        .number(static_cast<std::uint32_t>(packet.time_ns))
                        .number(static_cast<std::uint32_t>(packet.bytes.size()))
                        .number(packet.length)
                        .bytes(packet.bytes)
                        .option(kComment, comment_of(packet))
                        .option(kPacketFlags, bytes_of(flags))
                        .option(kEnd, "")
                        .whole();
}

std::string comment_of(const service::CapturedPacket& packet) {
    const std::string rule =
        packet.rule > 0 ? "rule " + std::to_string(packet.rule) : std::string("no rule");
    return rule + ", generation " + std::to_string(packet.generation) + ", " + packet.verdict +
           (packet.out ? ", out" : ", in");
}

}  // namespace sluice::cli
