// Messages as the kernel makes them, put together here: among them what this machine's kernel may
// not be able to make, such as VLANs.
#include "dataplane/host/messages.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <array>
#include <cstring>

#include "dataplane/host/interfaces.h"
#include "tests/unit/host/namespace.h"

namespace sluice::host {
namespace {

class Builder {
  public:
    explicit Builder(unsigned type) : header_(mnl_nlmsg_put_header(buffer_.data())) {
        header_->nlmsg_type = static_cast<std::uint16_t>(type);
    }
    template <typename T>
    T& body() {
        return *static_cast<T*>(mnl_nlmsg_put_extra_header(header_, sizeof(T)));
    }
    nlmsghdr* header() { return header_; }
    std::span<const std::byte> bytes() const {
        return {reinterpret_cast<const std::byte*>(buffer_.data()), header_->nlmsg_len};
    }

  private:
    alignas(nlmsghdr) std::array<char, 4096> buffer_{};
    nlmsghdr* header_;
};

struct LinkSpec {
    int index = 0;
    const char* name = "";
    bool up = true;
    int below = 0;
    unsigned vlan = 0;
    bool other_namespace = false;
};

LinkMessage link(const LinkSpec& spec, unsigned type = RTM_NEWLINK) {
    Builder builder(type);
    auto& body = builder.body<ifinfomsg>();
    body.ifi_index = spec.index;
    body.ifi_flags = spec.up ? IFF_UP : 0;
    mnl_attr_put_strz(builder.header(), IFLA_IFNAME, spec.name);
    mnl_attr_put_u32(builder.header(), IFLA_MTU, 1500);
    if (spec.below != 0)
        mnl_attr_put_u32(builder.header(), IFLA_LINK, static_cast<std::uint32_t>(spec.below));
    if (spec.other_namespace)
        mnl_attr_put_u32(builder.header(), IFLA_LINK_NETNSID, 1);
    if (spec.vlan != 0) {
        nlattr* information = mnl_attr_nest_start(builder.header(), IFLA_LINKINFO);
        mnl_attr_put_strz(builder.header(), IFLA_INFO_KIND, "vlan");
        nlattr* data = mnl_attr_nest_start(builder.header(), IFLA_INFO_DATA);
        mnl_attr_put_u16(builder.header(), IFLA_VLAN_ID, static_cast<std::uint16_t>(spec.vlan));
        mnl_attr_nest_end(builder.header(), data);
        mnl_attr_nest_end(builder.header(), information);
    }
    const auto message = parse_message(builder.bytes());
    EXPECT_TRUE(message && std::holds_alternative<LinkMessage>(*message));
    return std::get<LinkMessage>(*message);
}

TEST(Messages, EveryCutOfAMessageIsRefusedOrRead) {
    Builder builder(RTM_NEWROUTE);
    auto& body = builder.body<rtmsg>();
    body.rtm_family = AF_INET;
    body.rtm_dst_len = 8;
    body.rtm_table = RT_TABLE_MAIN;
    body.rtm_type = RTN_UNICAST;
    const std::uint32_t destination = htonl(0x0a000000);
    mnl_attr_put(builder.header(), RTA_DST, 4, &destination);
    mnl_attr_put_u32(builder.header(), RTA_OIF, 3);
    mnl_attr_put_u32(builder.header(), RTA_PRIORITY, 20);
    const auto whole = parse_message(builder.bytes());
    ASSERT_TRUE(whole);
    const auto& route = std::get<RouteMessage>(*whole);
    EXPECT_EQ(std::get<Ipv4>(route.prefix.address), *parse_ipv4("10.0.0.0"));
    EXPECT_EQ(route.metric, 20U);
    ASSERT_EQ(route.paths.size(), 1U);
    EXPECT_EQ(route.paths[0].link, 3);
    EXPECT_FALSE(route.paths[0].gateway);
    for (std::size_t length = 0; length < builder.bytes().size(); ++length) {
        // In memory of its own, so that a sanitizer sees what is read behind it.
        const std::vector<std::byte> cut(
            builder.bytes().begin(), builder.bytes().begin() + static_cast<std::ptrdiff_t>(length));
        EXPECT_FALSE(parse_message(cut)) << length;
    }
    // A length that no address of the family has.
    body.rtm_dst_len = 33;
    EXPECT_FALSE(parse_message(builder.bytes()));
}

TEST(Messages, OfNoInterest) {
    Builder bridge(RTM_DELLINK);
    bridge.body<ifinfomsg>().ifi_family = AF_BRIDGE;
    mnl_attr_put_strz(bridge.header(), IFLA_IFNAME, "port0");
    const auto message = parse_message(bridge.bytes());
    ASSERT_TRUE(message);
    EXPECT_TRUE(std::holds_alternative<std::monostate>(*message));
    Builder cached(RTM_NEWROUTE);
    auto& body = cached.body<rtmsg>();
    body.rtm_family = AF_INET6;
    body.rtm_table = RT_TABLE_MAIN;
    body.rtm_type = RTN_UNICAST;
    body.rtm_flags = RTM_F_CLONED;
    EXPECT_TRUE(std::holds_alternative<std::monostate>(*parse_message(cached.bytes())));
    body.rtm_flags = 0;
    EXPECT_TRUE(std::holds_alternative<RouteMessage>(*parse_message(cached.bytes())));
    body.rtm_table = 100;
    EXPECT_TRUE(std::holds_alternative<std::monostate>(*parse_message(cached.bytes())));
}

TEST(Messages, NeighbourThatIsNotReachableHasNoMac) {
    Builder builder(RTM_NEWNEIGH);
    auto& body = builder.body<ndmsg>();
    body.ndm_family = AF_INET;
    body.ndm_ifindex = 3;
    const std::uint8_t mac[] = {2, 0, 0, 0, 0, 7};
    const std::uint32_t address = htonl(0x0a000001);
    mnl_attr_put(builder.header(), NDA_DST, 4, &address);
    mnl_attr_put(builder.header(), NDA_LLADDR, 6, mac);
    const auto state = [&](std::uint16_t value) {
        body.ndm_state = value;
        return std::get<NeighbourMessage>(*parse_message(builder.bytes()));
    };
    EXPECT_TRUE(state(NUD_REACHABLE).mac);
    EXPECT_FALSE(state(NUD_REACHABLE).stale);
    EXPECT_TRUE(state(NUD_STALE).stale);
    EXPECT_TRUE(state(NUD_PROBE).mac);
    EXPECT_FALSE(state(NUD_FAILED).mac);
    EXPECT_FALSE(state(NUD_INCOMPLETE).mac);
}

TEST(Interfaces, VlansOfTwins) {
    Interfaces interfaces({{"port0", 0}, {"port1", 2}}, 3);
    EXPECT_TRUE(interfaces.take_change());
    interfaces.apply(link({.index = 5, .name = "port0"}));
    interfaces.apply(link({.index = 6, .name = "port0.7", .below = 5, .vlan = 7}));
    interfaces.apply(link({.index = 7, .name = "other"}));
    interfaces.apply(link({.index = 8, .name = "other.7", .below = 7, .vlan = 7}));
    interfaces.apply(link({.index = 9, .name = "v9", .below = 5, .vlan = 9}));
    interfaces.apply(
        link({.index = 10, .name = "far", .below = 5, .vlan = 11, .other_namespace = true}));
    interfaces.apply(link({.index = 11, .name = "port0.7.1", .below = 6, .vlan = 1}));
    EXPECT_TRUE(interfaces.take_change());
    ASSERT_EQ(interfaces.list().size(), 5U);
    EXPECT_EQ(interfaces.list()[0].name, "port0");
    EXPECT_EQ(interfaces.list()[1].name, "") << "not a gateway port";
    EXPECT_EQ(interfaces.list()[2].name, "port1");
    EXPECT_EQ(interfaces.list()[3].name, "port0.7");
    EXPECT_EQ(interfaces.list()[3].vlan, 7);
    EXPECT_EQ(interfaces.list()[3].port, 0);
    EXPECT_EQ(interfaces.list()[4].name, "v9");
    EXPECT_EQ(interfaces.find(8)->interface, packet::kNoInterface);
    EXPECT_EQ(interfaces.find(10)->interface, packet::kNoInterface);
    EXPECT_EQ(interfaces.find(11)->interface, packet::kNoInterface);
    // One that goes leaves a nameless place, and finds it again.
    interfaces.apply(link({.index = 6, .name = "port0.7"}, RTM_DELLINK));
    EXPECT_EQ(interfaces.list()[3].name, "");
    interfaces.apply(link({.index = 12, .name = "v13", .below = 5, .vlan = 13}));
    EXPECT_EQ(interfaces.list()[5].name, "v13");
    interfaces.apply(link({.index = 13, .name = "again", .below = 5, .vlan = 7}));
    EXPECT_EQ(interfaces.list()[3].name, "again");
    EXPECT_EQ(interfaces.link_of(3), 13);
    // Without the twin they are nothing, and with it they are what they were.
    const auto touched = interfaces.apply(link({.index = 5, .name = "port0"}, RTM_DELLINK));
    EXPECT_NE(std::find(touched.begin(), touched.end(), 13), touched.end());
    EXPECT_EQ(interfaces.list()[3].name, "");
    interfaces.apply(link({.index = 5, .name = "port0"}));
    EXPECT_EQ(interfaces.list()[3].name, "again");
    EXPECT_EQ(interfaces.list()[5].name, "v13");
}

TEST(Interfaces, MoreVlansThanPlaces) {
    Interfaces interfaces({{"port0", 0}}, 1);
    interfaces.apply(link({.index = 1, .name = "port0"}));
    for (int i = 1; i <= 300; ++i)
        interfaces.apply(
            link({.index = 1 + i, .name = "v", .below = 1, .vlan = static_cast<unsigned>(i)}));
    EXPECT_EQ(interfaces.list().size(), packet::kMaximumInterfaces);
    EXPECT_EQ(interfaces.refused(), 45U);
    EXPECT_EQ(interfaces.find(301)->interface, packet::kNoInterface);
    // The place of one that goes is used by one that has none.
    interfaces.apply(link({.index = 2, .name = "v"}, RTM_DELLINK));
    EXPECT_EQ(interfaces.refused(), 44U);
}

}  // namespace
}  // namespace sluice::host
