// What a program may send on a divert socket: any bytes. A packet that is taken must be one that
// the parser and the frame writer can be given.
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "dataplane/divert/message.h"
#include "dataplane/packet/parser.h"

namespace {

using namespace sluice;

void give_it_back(const divert::Header& header, std::span<const std::byte> bytes) {
    const divert::Origin origin = divert::read_cookie(header);
    std::vector<std::byte> frame(divert::Origin::kMaximumLink + bytes.size());
    const unsigned version = std::to_integer<unsigned>(bytes[0]) >> 4;
    const std::size_t in_front = origin.write_frame_header(version, frame);
    frame.resize(in_front + bytes.size());
    std::memcpy(frame.data() + in_front, bytes.data(), bytes.size());
    divert::correct_checksum(std::span(frame).subspan(in_front));
    if (in_front == 0)
        return;
    packet::Headers headers;
    const auto malformed = packet::parse_frame(frame, {}, headers);
    if (malformed != contract::DropReason::none)
        return;
    if (headers.network_offset != in_front || headers.ip_version != version ||
        headers.ip_length != bytes.size())
        std::abort();
    divert::Header again = header;
    divert::put_cookie(origin, again);
    if (divert::read_cookie(again).link != origin.link)
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const auto message = std::as_bytes(std::span(data, size));
    divert::Header header;
    if (divert::read_bind(message, header) == divert::Fault::none && header.port == 0)
        std::abort();
    std::uint16_t port = 0;
    if (size >= 10)
        std::memcpy(&port, data + 8, sizeof port);
    std::span<const std::byte> packet;
    if (divert::read_packet(message, port, header, packet) != divert::Fault::none)
        return 0;
    if (packet.size() + sizeof header != size || packet.size() > SLUICE_DIVERT_LONGEST)
        std::abort();
    give_it_back(header, packet);
    return 0;
}
