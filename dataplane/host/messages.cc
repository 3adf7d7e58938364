#include "dataplane/host/messages.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <array>
#include <cstring>

namespace sluice::host {

namespace {

// The attributes of a message by type; those that are longer than the message end the list.
class Attributes {
  public:
    // Behind the header of a kind of message. REQUIRES: the message has that header.
    template <typename T>
    Attributes(const nlmsghdr* header, const T*)
        : Attributes(mnl_nlmsg_get_payload_offset(header, sizeof(T)),
                     left_of(mnl_nlmsg_get_payload_len(header), MNL_ALIGN(sizeof(T)))) {}
    explicit Attributes(const nlattr* nest)
        : Attributes(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest)) {}
    Attributes(const void* data, std::size_t size) {
        const auto* attribute = static_cast<const nlattr*>(data);
        while (size >= sizeof *attribute && mnl_attr_ok(attribute, static_cast<int>(size))) {
            add(attribute);
            const std::size_t length = MNL_ALIGN(attribute->nla_len);
            if (length >= size)
                break;
            size -= length;
            attribute = mnl_attr_next(attribute);
        }
    }

    // Null: not there.
    const nlattr* at(std::size_t type) const { return found_[type]; }
    template <typename T>
    std::optional<T> value(std::size_t type) const {
        if (found_[type] == nullptr || mnl_attr_get_payload_len(found_[type]) != sizeof(T))
            return std::nullopt;
        T value;
        std::memcpy(&value, mnl_attr_get_payload(found_[type]), sizeof value);
        return value;
    }
    std::optional<route::Address> address(std::size_t type, unsigned family) const {
        if (family == AF_INET) {
            if (const auto v4 = value<Ipv4>(type))
                return *v4;
        } else if (family == AF_INET6) {
            if (const auto v6 = value<Ipv6>(type))
                return *v6;
        }
        return std::nullopt;
    }

  private:
    static std::size_t left_of(std::size_t size, std::size_t taken) {
        return size > taken ? size - taken : 0;
    }
    void add(const nlattr* attribute) {
        const std::size_t type = mnl_attr_get_type(attribute);
        if (type < kCount)
            found_[type] = attribute;
    }

    // Those of higher types are none of ours.
    static constexpr std::size_t kCount = 64;
    std::array<const nlattr*, kCount> found_{};
};

template <typename T>
const T* body(const nlmsghdr* header) {
    return mnl_nlmsg_get_payload_len(header) < sizeof(T)
               ? nullptr
               : static_cast<const T*>(mnl_nlmsg_get_payload(header));
}

std::string text_of(const nlattr* attribute, std::size_t most) {
    const auto* text = static_cast<const char*>(mnl_attr_get_payload(attribute));
    return {text, strnlen(text, std::min<std::size_t>(mnl_attr_get_payload_len(attribute), most))};
}

Change change_of(const nlmsghdr* header, unsigned removing) {
    return header->nlmsg_type == removing ? Change::removed : Change::set;
}

std::optional<std::uint16_t> vlan_of(const nlattr* information) {
    const Attributes attributes(information);
    if (attributes.at(IFLA_INFO_KIND) == nullptr || attributes.at(IFLA_INFO_DATA) == nullptr ||
        text_of(attributes.at(IFLA_INFO_KIND), 16) != "vlan")
        return std::nullopt;
    const Attributes data(attributes.at(IFLA_INFO_DATA));
    const auto id = data.value<std::uint16_t>(IFLA_VLAN_ID);
    const auto protocol = data.value<std::uint16_t>(IFLA_VLAN_PROTOCOL);
    constexpr std::uint16_t kDot1q = 0x8100;
    if (!id || *id == 0 || *id > 4094 || (protocol && ntohs(*protocol) != kDot1q))
        return std::nullopt;
    return id;
}

std::optional<Message> parse_link(const nlmsghdr* header) {
    const auto* link = body<ifinfomsg>(header);
    if (link == nullptr)
        return std::nullopt;
    // A bridge tells of its ports in messages of its own family.
    if (link->ifi_family != AF_UNSPEC)
        return Message{};
    const Attributes attributes(header, link);
    if (attributes.at(IFLA_IFNAME) == nullptr || link->ifi_index <= 0)
        return std::nullopt;
    LinkMessage message{.change = change_of(header, RTM_DELLINK),
                        .index = link->ifi_index,
                        .name = text_of(attributes.at(IFLA_IFNAME), IFNAMSIZ),
                        .mac = attributes.value<MacAddress>(IFLA_ADDRESS).value_or(MacAddress{}),
                        .mtu = attributes.value<std::uint32_t>(IFLA_MTU).value_or(0),
                        .up = (link->ifi_flags & IFF_UP) != 0,
                        .below = 0,
                        .vlan = std::nullopt};
    if (attributes.at(IFLA_LINKINFO) != nullptr && attributes.at(IFLA_LINK_NETNSID) == nullptr) {
        message.vlan = vlan_of(attributes.at(IFLA_LINKINFO));
        if (message.vlan)
            message.below = attributes.value<std::int32_t>(IFLA_LINK).value_or(0);
    }
    return message;
}

std::optional<Message> parse_address(const nlmsghdr* header) {
    const auto* address = body<ifaddrmsg>(header);
    if (address == nullptr)
        return std::nullopt;
    if (address->ifa_family != AF_INET && address->ifa_family != AF_INET6)
        return Message{};
    const Attributes attributes(header, address);
    // On a point-to-point link IFA_ADDRESS is the other end.
    auto value = attributes.address(IFA_LOCAL, address->ifa_family);
    if (!value)
        value = attributes.address(IFA_ADDRESS, address->ifa_family);
    if (!value || address->ifa_prefixlen > (address->ifa_family == AF_INET ? 32 : 128))
        return std::nullopt;
    const std::uint32_t flags =
        attributes.value<std::uint32_t>(IFA_FLAGS).value_or(address->ifa_flags);
    // Somebody else has this address: the host does not use it.
    const bool unusable = (flags & IFA_F_DADFAILED) != 0;
    return AddressMessage{.change = unusable ? Change::removed : change_of(header, RTM_DELADDR),
                          .link = static_cast<LinkIndex>(address->ifa_index),
                          .address = *value,
                          .prefix_length = address->ifa_prefixlen};
}

std::optional<route::Kind> kind_of(unsigned type) {
    switch (type) {
        case RTN_UNICAST:
            return route::Kind::forward;
        case RTN_LOCAL:
        case RTN_BROADCAST:
        case RTN_ANYCAST:
        case RTN_MULTICAST:
            return route::Kind::local;
        case RTN_BLACKHOLE:
            return route::Kind::blackhole;
        case RTN_UNREACHABLE:
        case RTN_THROW:
            return route::Kind::unreachable;
        case RTN_PROHIBIT:
            return route::Kind::prohibit;
        default:
            return std::nullopt;
    }
}

std::optional<TableRank> rank_of(std::uint32_t table) {
    switch (table) {
        case RT_TABLE_LOCAL:
            return TableRank::local;
        case RT_TABLE_MAIN:
            return TableRank::main;
        case RT_TABLE_DEFAULT:
            return TableRank::fallback;
        default:
            return std::nullopt;
    }
}

std::optional<route::Address> gateway_of(const Attributes& attributes, unsigned family) {
    if (auto gateway = attributes.address(RTA_GATEWAY, family))
        return gateway;
    const nlattr* via = attributes.at(RTA_VIA);
    if (via == nullptr || mnl_attr_get_payload_len(via) < sizeof(rtvia))
        return std::nullopt;
    const auto* bytes = static_cast<const std::uint8_t*>(mnl_attr_get_payload(via));
    const std::size_t length = mnl_attr_get_payload_len(via) - sizeof(rtvia);
    rtvia head;
    std::memcpy(&head, bytes, sizeof head);
    if (head.rtvia_family == AF_INET6 && length == sizeof(Ipv6)) {
        Ipv6 address;
        std::memcpy(address.bytes.data(), bytes + sizeof head, sizeof address);
        return address;
    }
    if (head.rtvia_family == AF_INET && length == sizeof(Ipv4)) {
        Ipv4 address;
        std::memcpy(&address, bytes + sizeof head, sizeof address);
        return address;
    }
    return std::nullopt;
}

// False: the list makes no sense.
bool read_paths(const nlattr* list, unsigned family, std::vector<RoutePath>& paths) {
    const auto* bytes = static_cast<const std::uint8_t*>(mnl_attr_get_payload(list));
    std::size_t left = mnl_attr_get_payload_len(list);
    while (left >= sizeof(rtnexthop)) {
        rtnexthop hop;
        std::memcpy(&hop, bytes, sizeof hop);
        if (hop.rtnh_len < sizeof hop || hop.rtnh_len > left)
            return false;
        const Attributes attributes(bytes + sizeof hop, hop.rtnh_len - sizeof hop);
        paths.push_back({.link = hop.rtnh_ifindex,
                         .gateway = gateway_of(attributes, family),
                         .weight = unsigned{hop.rtnh_hops} + 1,
                         .dead = (hop.rtnh_flags & RTNH_F_DEAD) != 0});
        const std::size_t whole = RTNH_ALIGN(hop.rtnh_len);
        if (whole >= left)
            break;
        bytes += whole;
        left -= whole;
    }
    return !paths.empty();
}

std::optional<Message> parse_route(const nlmsghdr* header) {
    const auto* route = body<rtmsg>(header);
    if (route == nullptr)
        return std::nullopt;
    const unsigned family = route->rtm_family;
    if ((family != AF_INET && family != AF_INET6) || (route->rtm_flags & RTM_F_CLONED) != 0)
        return Message{};
    const Attributes attributes(header, route);
    const auto rank =
        rank_of(attributes.value<std::uint32_t>(RTA_TABLE).value_or(route->rtm_table));
    const auto kind = kind_of(route->rtm_type);
    // Routes for a type of service or from a source are of another kind of routing.
    if (!rank || !kind || route->rtm_tos != 0 || route->rtm_src_len != 0)
        return Message{};
    if (route->rtm_dst_len > (family == AF_INET ? 32 : 128))
        return std::nullopt;
    RouteMessage message{
        .change = change_of(header, RTM_DELROUTE),
        .replaces = (header->nlmsg_flags & NLM_F_REPLACE) != 0,
        .appended = (header->nlmsg_flags & NLM_F_APPEND) != 0,
        .prefix = {.address = family == AF_INET ? route::Address{Ipv4{}} : route::Address{Ipv6{}},
                   .length = route->rtm_dst_len},
        .table = *rank,
        .metric = attributes.value<std::uint32_t>(RTA_PRIORITY).value_or(0),
        .kind = *kind,
        .paths = {},
        .mtu = 0,
        .next_hop_object = attributes.value<std::uint32_t>(RTA_NH_ID).value_or(0)};
    if (attributes.at(RTA_DST) != nullptr) {
        const auto destination = attributes.address(RTA_DST, family);
        if (!destination)
            return std::nullopt;
        message.prefix.address = *destination;
    } else if (route->rtm_dst_len != 0) {
        return std::nullopt;
    }
    if (attributes.at(RTA_MULTIPATH) != nullptr) {
        if (!read_paths(attributes.at(RTA_MULTIPATH), family, message.paths))
            return std::nullopt;
    } else if (const auto link = attributes.value<std::int32_t>(RTA_OIF)) {
        message.paths.push_back({.link = *link,
                                 .gateway = gateway_of(attributes, family),
                                 .weight = 1,
                                 .dead = (route->rtm_flags & RTNH_F_DEAD) != 0});
    }
    if (attributes.at(RTA_METRICS) != nullptr) {
        const Attributes metrics(attributes.at(RTA_METRICS));
        message.mtu = metrics.value<std::uint32_t>(RTAX_MTU).value_or(0);
    }
    return message;
}

std::optional<Message> parse_neighbour(const nlmsghdr* header) {
    const auto* neighbour = body<ndmsg>(header);
    if (neighbour == nullptr)
        return std::nullopt;
    const unsigned family = neighbour->ndm_family;
    if ((family != AF_INET && family != AF_INET6) || (neighbour->ndm_flags & NTF_PROXY) != 0)
        return Message{};
    const Attributes attributes(header, neighbour);
    const auto address = attributes.address(NDA_DST, family);
    if (!address)
        return std::nullopt;
    constexpr unsigned kUsable =
        NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
    NeighbourMessage message{.change = change_of(header, RTM_DELNEIGH),
                             .link = neighbour->ndm_ifindex,
                             .address = *address,
                             .mac = std::nullopt,
                             .stale = (neighbour->ndm_state & NUD_STALE) != 0};
    if (message.change == Change::set && (neighbour->ndm_state & kUsable) != 0)
        message.mac = attributes.value<MacAddress>(NDA_LLADDR);
    return message;
}

std::optional<Message> parse_next_hop_object(const nlmsghdr* header) {
    const auto* object = body<nhmsg>(header);
    if (object == nullptr)
        return std::nullopt;
    const Attributes attributes(header, object);
    const auto id = attributes.value<std::uint32_t>(NHA_ID);
    if (!id)
        return std::nullopt;
    return NextHopObjectMessage{.id = *id};
}

}  // namespace

std::optional<Message> parse_message(std::span<const std::byte> message) {
    const auto* header = reinterpret_cast<const nlmsghdr*>(message.data());
    if (message.size() < sizeof *header || !mnl_nlmsg_ok(header, static_cast<int>(message.size())))
        return std::nullopt;
    switch (header->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
            return parse_link(header);
        case RTM_NEWADDR:
        case RTM_DELADDR:
            return parse_address(header);
        case RTM_NEWROUTE:
        case RTM_DELROUTE:
            return parse_route(header);
        case RTM_NEWNEIGH:
        case RTM_DELNEIGH:
            return parse_neighbour(header);
        case RTM_NEWNEXTHOP:
        case RTM_DELNEXTHOP:
            return parse_next_hop_object(header);
        default:
            return Message{};
    }
}

}  // namespace sluice::host
