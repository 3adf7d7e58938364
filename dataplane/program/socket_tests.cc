#include "dataplane/program/socket_tests.h"

#include <algorithm>

#include "dataplane/packet/wire.h"

namespace sluice::program {

namespace {

using packet::Headers;
using packet::Packet;
namespace protocol = packet::wire::protocol;

constexpr std::uint8_t kSyn = 0x02, kAck = 0x10;

bool is_for_a_group(const Headers& h) {
    const auto& bytes = h.destination.bytes;
    if (h.ip_version == 6)
        return bytes[0] == 0xff;
    return bytes[0] >> 4 == 0xe ||
           std::all_of(bytes.begin(), bytes.begin() + 4, [](auto byte) { return byte == 0xff; });
}

// Whether a socket of this machine may have sent it, or may receive it.
bool is_of_this_host(const Runtime& runtime, const Packet& packet) {
    const Headers& h = packet.headers;
    if (packet.passage.entry != packet::Entry::ip || h.ip_version == 0 || h.transport_offset == 0 ||
        h.fragment_offset != 0 || (h.protocol != protocol::tcp && h.protocol != protocol::udp))
        return false;
    if (packet.passage.direction == packet::Direction::out)
        return packet.passage.receive_interface == packet::kNoInterface;
    return runtime.local_addresses().contains(h, h.destination) || is_for_a_group(h);
}

}  // namespace

std::optional<sockets::UserId> SocketTests::owner(const Runtime& runtime, const Packet& packet) {
    if (asked_)
        return owner_;
    asked_ = true;
    owner_.reset();
    if (owners_ == nullptr || !is_of_this_host(runtime, packet))
        return owner_;
    const Headers& h = packet.headers;
    const bool sent = packet.passage.direction == packet::Direction::out;
    const sockets::Flow flow{.local = sent ? h.source : h.destination,
                             .remote = sent ? h.destination : h.source,
                             .local_port = sent ? h.source_port : h.destination_port,
                             .remote_port = sent ? h.destination_port : h.source_port,
                             .protocol = h.protocol,
                             .ip_version = h.ip_version};
    const bool for_a_listener =
        h.protocol == protocol::tcp && (h.tcp_flags & (kSyn | kAck)) == (sent ? kSyn | kAck : kSyn);
    owner_ = owners_->owner(
        flow, for_a_listener ? sockets::Candidates::bound_only : sockets::Candidates::all);
    return owner_;
}

bool SocketTests::matches(const Runtime& runtime, const contract::Instruction& test,
                          const Packet& packet) {
    const auto user = owner(runtime, packet);
    const auto users = runtime.view().words().subspan(test.data, test.count);
    return user && std::binary_search(users.begin(), users.end(), *user);
}

}  // namespace sluice::program
