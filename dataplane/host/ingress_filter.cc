#include "dataplane/host/ingress_filter.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "dataplane/host/netlink_request.h"

namespace sluice::host {

namespace {

using Buffer = std::array<char, 1024>;

// By these the kernel knows our filter again.
constexpr std::uint32_t kHandle = 1, kPreference = 26231;
constexpr char kName[] = "sluice";

int add_clsact(mnl_socket* socket, int interface) {
    Buffer buffer{};
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = RTM_NEWQDISC;
    message->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
    auto* header = static_cast<tcmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(tcmsg)));
    header->tcm_ifindex = interface;
    header->tcm_parent = TC_H_CLSACT;
    header->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
    mnl_attr_put_strz(message, TCA_KIND, "clsact");
    const int code = carry_out(socket, message);
    return code == EEXIST ? 0 : code;
}

nlmsghdr* filter_message(Buffer& buffer, std::uint16_t type, int interface) {
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = type;
    auto* header = static_cast<tcmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(tcmsg)));
    header->tcm_ifindex = interface;
    header->tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
    header->tcm_handle = kHandle;
    header->tcm_info = TC_H_MAKE(kPreference << 16, htons(ETH_P_ALL));
    mnl_attr_put_strz(message, TCA_KIND, "bpf");
    return message;
}

template <typename PutProgram>
int add_filter(mnl_socket* socket, int interface, PutProgram put_program) {
    if (const int code = add_clsact(socket, interface); code != 0)
        return code;
    Buffer buffer{};
    nlmsghdr* message = filter_message(buffer, RTM_NEWTFILTER, interface);
    message->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
    nlattr* options = mnl_attr_nest_start(message, TCA_OPTIONS);
    put_program(message);
    mnl_attr_put_u32(message, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
    mnl_attr_nest_end(message, options);
    return carry_out(socket, message);
}

}  // namespace

int filter_ingress(mnl_socket* socket, int interface, int program) {
    return add_filter(socket, interface, [&](nlmsghdr* message) {
        mnl_attr_put_u32(message, TCA_BPF_FD, static_cast<std::uint32_t>(program));
        mnl_attr_put_strz(message, TCA_BPF_NAME, kName);
    });
}

int drop_ingress(mnl_socket* socket, int interface) {
    const sock_filter drop[] = {BPF_STMT(BPF_RET | BPF_K, TC_ACT_SHOT)};
    return add_filter(socket, interface, [&](nlmsghdr* message) {
        mnl_attr_put_u16(message, TCA_BPF_OPS_LEN, 1);
        mnl_attr_put(message, TCA_BPF_OPS, sizeof drop, drop);
    });
}

int unfilter_ingress(mnl_socket* socket, int interface) {
    Buffer buffer{};
    return carry_out(socket, filter_message(buffer, RTM_DELTFILTER, interface));
}

}  // namespace sluice::host
