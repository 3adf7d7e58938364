// How a worker tells the kernel which socket shall have a packet: `fwd` to a local address.
//
// The packet itself is not touched, so the order travels around it: the frame's destination is the
// address kToSocket, which no station has, and the order stands behind the packet, where Ethernet
// has padding and no protocol looks. The program of local_delivery.h reads it.
#pragma once

#include <cstdint>
#include <cstring>

#include "common/address.h"
#include "dataplane/packet/packet.h"

namespace sluice::host {

inline constexpr MacAddress kToSocket = {{0x02, 'f', 'w', 'd', 0x00, 0x01}};

// What sockets are looked up by, as bpf_sock_tuple of linux/bpf.h: source, destination, source
// port, destination port as on the wire, the addresses of the length that the family has.
struct SocketTuple {
    static constexpr std::uint32_t kSize4 = 12, kSize6 = 36;

    std::uint8_t bytes[kSize6];
};

struct DeliveryOrder {
    SocketTuple own;       // of the packet: who has the connection already
    SocketTuple listener;  // of the socket that shall have it
    std::uint8_t protocol;
    std::uint8_t unused[3];
};
static_assert(sizeof(DeliveryOrder) == 76 && alignof(DeliveryOrder) == 1);

// IPv4 addresses stand in the first four bytes.
inline SocketTuple socket_tuple(std::uint8_t ip_version, const Ipv6& source,
                                const Ipv6& destination, std::uint16_t source_port,
                                std::uint16_t destination_port) {
    const std::size_t length = ip_version == 4 ? sizeof(Ipv4) : sizeof(Ipv6);
    const Be16 ports[] = {Be16::from_host(source_port), Be16::from_host(destination_port)};
    SocketTuple tuple{};
    std::memcpy(tuple.bytes, source.bytes.data(), length);
    std::memcpy(tuple.bytes + length, destination.bytes.data(), length);
    std::memcpy(tuple.bytes + 2 * length, ports, sizeof ports);
    return tuple;
}

// `address` is one of this machine, of the packet's family; `port` 0: that of the packet.
inline DeliveryOrder delivery_order(const packet::Headers& headers, const Ipv6& address,
                                    std::uint16_t port) {
    return {.own = socket_tuple(headers.ip_version, headers.source, headers.destination,
                                headers.source_port, headers.destination_port),
            // No connection has the source port 0, so only who listens is found.
            .listener = socket_tuple(headers.ip_version, headers.source, address, 0,
                                     port != 0 ? port : headers.destination_port),
            .protocol = headers.protocol,
            .unused = {}};
}

}  // namespace sluice::host
