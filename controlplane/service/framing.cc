// Messages as bytes on the socket: their length in front.
#include "controlplane/service/protocol.h"

namespace sluice::service {
namespace {

constexpr std::size_t kLengthSize = 4;

Error malformed(std::string_view what) {
    return {ExitStatus::software, "malformed message on the control socket: " + std::string(what)};
}

}  // namespace

std::string framed(std::string_view body) {
    const auto size = static_cast<std::uint32_t>(body.size());
    std::string message;
    message.reserve(kLengthSize + body.size());
    for (unsigned shift = 0; shift < 32; shift += 8)
        message += static_cast<char>(size >> shift & 0xff);
    message += body;
    return message;
}

Result<std::optional<std::string>> FrameReader::next(std::size_t maximum) {
    if (buffer_.size() < kLengthSize)
        return std::optional<std::string>();
    std::size_t size = 0;
    for (std::size_t i = 0; i < kLengthSize; ++i)
        size |= std::size_t{static_cast<unsigned char>(buffer_[i])} << (8 * i);
    if (size == 0 || size > maximum)
        return malformed("a length of " + std::to_string(size) + " bytes");
    if (buffer_.size() < kLengthSize + size)
        return std::optional<std::string>();
    std::optional<std::string> message(buffer_.substr(kLengthSize, size));
    buffer_.erase(0, kLengthSize + size);
    return message;
}

}  // namespace sluice::service
