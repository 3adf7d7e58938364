#include "dataplane/packet/link_header.h"

#include "dataplane/packet/wire.h"

namespace sluice::packet {

namespace {

constexpr std::uint16_t kVlanMask = 0x0fff;

bool is_tag(std::uint16_t type) {
    return type == wire::kEtherTypeVlan || type == wire::kEtherTypeQinQ ||
           type == wire::kEtherTypeOldQinQ;
}

}  // namespace

LinkHeader read_link_header(std::span<const std::byte> frame) {
    const wire::View view(frame);
    LinkHeader header{.type = view.at<wire::Ethernet>(0)->type.host()};
    const bool is_dot1q = header.type == wire::kEtherTypeVlan;
    std::size_t tags = 0;
    for (std::size_t at = sizeof(wire::Ethernet); is_tag(header.type); at += sizeof(wire::Vlan)) {
        const auto* tag = view.at<wire::Vlan>(at);
        if (tag == nullptr)
            break;
        if (tags++ == 0)
            header.vlan = tag->tag.host() & kVlanMask;
        header.type = tag->type.host();
    }
    header.has_other_tags = tags > 1 || (tags == 1 && !is_dot1q);
    return header;
}

std::optional<InterfaceIndex> interface_of_frame(const Environment& environment, std::uint16_t port,
                                                 const LinkHeader& header) {
    if (header.has_other_tags)
        return std::nullopt;
    if (header.vlan == 0)
        return port;
    for (std::size_t i = 0; i < environment.interfaces.size(); ++i)
        if (environment.interfaces[i].vlan == header.vlan && environment.interfaces[i].port == port)
            return static_cast<InterfaceIndex>(i);
    return std::nullopt;
}

}  // namespace sluice::packet
