#include "dataplane/divert/message.h"

#include <cstring>

#include "common/byte_order.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire.h"

namespace sluice::divert {

namespace {

namespace wire = packet::wire;

constexpr std::array<const char*, static_cast<std::size_t>(Fault::count_)> kSentences = {
    "nothing is wrong with it",
    "it is shorter than a header",
    "it does not begin with the magic number",
    "its version is not 1",
    "header_length is not the size of the header",
    "its type is not the one that is expected",
    "it names no divert port, or another one than the connection has",
    "direction is neither SLUICE_DIVERT_IN nor SLUICE_DIVERT_OUT",
    "an interface name has no NUL at its end",
    "a packet that comes in must say by which interface",
    "the cookie is none that has been sent",
    "what follows the header is neither IPv4 nor IPv6",
    "the IP header is too short or says so",
    "the length in the IP header is not that of the packet",
};

// The cookie as bytes. Anything but zero in `filled` says that there is one.
struct Cookie {
    std::uint8_t filled;
    std::uint8_t link_length;
    std::uint16_t worker;
    std::uint32_t reserved;
    std::byte destination[16];
    std::byte link[32];
    std::byte rest[8];
};
static_assert(sizeof(Cookie) == SLUICE_DIVERT_COOKIE_SIZE);

Cookie cookie_of(const Header& header) {
    Cookie cookie;
    std::memcpy(&cookie, header.cookie, sizeof cookie);
    return cookie;
}

bool is_terminated(const char (&name)[SLUICE_DIVERT_NAME_SIZE]) {
    return std::memchr(name, 0, sizeof name) != nullptr;
}

// Tags all the way. The type at the end is not looked at, see `write_frame_header`.
bool is_frame_header(std::span<const std::byte> link) {
    if (link.size() < sizeof(wire::Ethernet) ||
        (link.size() - sizeof(wire::Ethernet)) % sizeof(wire::Vlan) != 0)
        return false;
    for (std::size_t at = 12; at + 2 < link.size(); at += sizeof(wire::Vlan)) {
        const unsigned type =
            std::to_integer<unsigned>(link[at]) << 8 | std::to_integer<unsigned>(link[at + 1]);
        if (type != wire::kEtherTypeVlan && type != wire::kEtherTypeQinQ &&
            type != wire::kEtherTypeOldQinQ)
            return false;
    }
    return true;
}

Fault read_header(std::span<const std::byte> message, Header& header) {
    if (message.size() < sizeof header)
        return Fault::short_message;
    std::memcpy(&header, message.data(), sizeof header);
    if (header.magic != SLUICE_DIVERT_MAGIC)
        return Fault::magic;
    if (header.version != SLUICE_DIVERT_VERSION)
        return Fault::version;
    return header.header_length == sizeof header ? Fault::none : Fault::header_length;
}

Fault check_ip(std::span<const std::byte> packet) {
    if (packet.empty())
        return Fault::not_ip;
    const unsigned version = std::to_integer<unsigned>(packet[0]) >> 4;
    if (version == 4) {
        if (packet.size() < sizeof(wire::Ip4))
            return Fault::ip_header;
        const auto& ip = *reinterpret_cast<const wire::Ip4*>(packet.data());
        const std::size_t header_length = (std::to_integer<std::size_t>(packet[0]) & 15) * 4;
        if (header_length < sizeof(wire::Ip4) || header_length > packet.size())
            return Fault::ip_header;
        return ip.total_length.host() == packet.size() ? Fault::none : Fault::ip_length;
    }
    if (version != 6)
        return Fault::not_ip;
    if (packet.size() < sizeof(wire::Ip6))
        return Fault::ip_header;
    const auto& ip = *reinterpret_cast<const wire::Ip6*>(packet.data());
    const bool fits = packet.size() <= SLUICE_DIVERT_LONGEST &&
                      sizeof(wire::Ip6) + ip.payload_length.host() == packet.size();
    return fits ? Fault::none : Fault::ip_length;
}

}  // namespace

const char* sentence(Fault fault) {
    return kSentences[static_cast<std::size_t>(fault)];
}

Fault read_bind(std::span<const std::byte> message, Header& header) {
    if (const Fault fault = read_header(message, header); fault != Fault::none)
        return fault;
    if (header.type != SLUICE_DIVERT_BIND)
        return Fault::type;
    return header.port != 0 ? Fault::none : Fault::port;
}

Fault read_packet(std::span<const std::byte> message, std::uint16_t port, Header& header,
                  std::span<const std::byte>& packet) {
    if (const Fault fault = read_header(message, header); fault != Fault::none)
        return fault;
    if (header.type != SLUICE_DIVERT_PACKET)
        return Fault::type;
    if (header.port != port)
        return Fault::port;
    if (header.direction != SLUICE_DIVERT_IN && header.direction != SLUICE_DIVERT_OUT)
        return Fault::direction;
    if (!is_terminated(header.receive_interface) || !is_terminated(header.transmit_interface))
        return Fault::interface_name;
    if (header.direction == SLUICE_DIVERT_IN && header.receive_interface[0] == '\0')
        return Fault::no_receiving_interface;
    packet = message.subspan(sizeof header);
    if (const Fault fault = check_ip(packet); fault != Fault::none)
        return fault;
    const Cookie cookie = cookie_of(header);
    if (cookie.filled == 0)
        return Fault::none;
    const bool fits = cookie.link_length <= Origin::kMaximumLink;
    return fits && is_frame_header(std::span(cookie.link).first(cookie.link_length))
               ? Fault::none
               : Fault::cookie;
}

void correct_checksum(std::span<std::byte> packet) {
    if (std::to_integer<unsigned>(packet[0]) >> 4 != 4)
        return;
    auto& ip = *reinterpret_cast<wire::Ip4*>(packet.data());
    ip.checksum = {};
    packet::Checksum sum;
    sum.add(packet.first((std::to_integer<std::size_t>(packet[0]) & 15) * 4));
    ip.checksum = sum.finish();
}

Header make_header(std::uint8_t type, std::uint16_t port) {
    Header header{};
    header.magic = SLUICE_DIVERT_MAGIC;
    header.version = SLUICE_DIVERT_VERSION;
    header.type = type;
    header.header_length = sizeof header;
    header.port = port;
    return header;
}

void put_cookie(const Origin& origin, Header& header) {
    Cookie cookie{};
    cookie.filled = 1;
    cookie.link_length = origin.link_length;
    cookie.worker = origin.worker;
    std::memcpy(cookie.destination, &origin.destination, sizeof cookie.destination);
    std::memcpy(cookie.link, origin.link.data(), origin.link.size());
    std::memcpy(header.cookie, &cookie, sizeof cookie);
}

std::size_t Origin::write_frame_header(unsigned ip_version, std::span<std::byte> out) const {
    if (link_length == 0)
        return 0;
    std::memcpy(out.data(), link.data(), link_length);
    const auto type =
        Be16::from_host(ip_version == 4 ? wire::kEtherTypeIpv4 : wire::kEtherTypeIpv6);
    std::memcpy(out.data() + link_length - sizeof type, &type, sizeof type);
    return link_length;
}

Origin read_cookie(const Header& header) {
    const Cookie cookie = cookie_of(header);
    Origin origin;
    if (cookie.filled == 0)
        return origin;
    origin.worker = cookie.worker;
    origin.link_length = cookie.link_length;
    std::memcpy(&origin.destination, cookie.destination, sizeof cookie.destination);
    std::memcpy(origin.link.data(), cookie.link, origin.link.size());
    return origin;
}

}  // namespace sluice::divert
