#include "replay/capture.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include "common/read_file.h"

namespace sluice::replay {

namespace {

constexpr std::uint32_t kMagicMicroseconds = 0xa1b2c3d4, kMagicNanoseconds = 0xa1b23c4d;
constexpr std::uint32_t kLinkTypeEthernet = 1;
constexpr std::size_t kFileHeaderSize = 24, kRecordHeaderSize = 16, kMaximumFrame = 256 * 1024;
constexpr std::size_t kMaximumFileSize = std::size_t{4} << 30;

std::uint32_t word_at(const std::string& file, std::size_t offset, bool swap) {
    std::uint32_t word;
    std::memcpy(&word, file.data() + offset, sizeof word);
    return swap ? __builtin_bswap32(word) : word;
}

}  // namespace

Result<std::vector<CapturedFrame>> read_capture(const std::string& path) {
    const Result<std::string> content = read_file(path, kMaximumFileSize);
    if (!content)
        return content.error();
    const std::string& file = *content;
    auto refuse = [&](const std::string& why) {
        return Error{ExitStatus::data, path + ": " + why};
    };
    if (file.size() < kFileHeaderSize)
        return refuse("this is no pcap file: it is shorter than a pcap header");
    const std::uint32_t magic = word_at(file, 0, false);
    const bool swap = magic == __builtin_bswap32(kMagicMicroseconds) ||
                      magic == __builtin_bswap32(kMagicNanoseconds);
    if (!swap && magic != kMagicMicroseconds && magic != kMagicNanoseconds)
        return refuse("this is no pcap file (pcapng can be converted with editcap -F pcap)");
    if ((word_at(file, 20, swap) & 0xffff) != kLinkTypeEthernet)
        return refuse("the link type is not Ethernet");

    std::vector<CapturedFrame> frames;
    for (std::size_t at = kFileHeaderSize; at < file.size();) {
        if (file.size() - at < kRecordHeaderSize)
            return refuse("the header of packet " + std::to_string(frames.size()) + " is cut off");
        const std::size_t length = word_at(file, at + 8, swap);
        const std::size_t wire_length = word_at(file, at + 12, swap);
        at += kRecordHeaderSize;
        if (length > kMaximumFrame || length > file.size() - at)
            return refuse("packet " + std::to_string(frames.size()) + " is cut off or too long");
        if (length < wire_length)
            return refuse("packet " + std::to_string(frames.size()) +
                          " was captured only in part (" + std::to_string(length) + " of " +
                          std::to_string(wire_length) +
                          " bytes); capture with a larger snap length");
        const auto bytes = std::as_bytes(std::span(file)).subspan(at, length);
        frames.push_back({.bytes = {bytes.begin(), bytes.end()}});
        at += length;
    }
    return frames;
}

}  // namespace sluice::replay
