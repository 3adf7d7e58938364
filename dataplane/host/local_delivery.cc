#include "dataplane/host/local_delivery.h"

#include <linux/bpf.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "dataplane/host/delivery_program.h"
#include "dataplane/host/ingress_filter.h"
#include "dataplane/host/netlink_request.h"

namespace sluice::host {

namespace {

constexpr char kName[] = "sluice_fwd";
constexpr std::array kFamilies = {AF_INET, AF_INET6};

Error failure(const std::string& what, int code) {
    return {ExitStatus::os, what + ": " + std::strerror(code)};
}

Result<UniqueFd> load_program() {
    std::vector<bpf_insn> code = delivery_program(LocalDelivery::kMark);
    std::vector<char> complaint(64 << 10);
    bpf_attr attributes{};
    attributes.prog_type = BPF_PROG_TYPE_SCHED_CLS;
    attributes.insns = reinterpret_cast<std::uint64_t>(code.data());
    attributes.insn_cnt = static_cast<std::uint32_t>(code.size());
    attributes.license = reinterpret_cast<std::uint64_t>("BSD");
    std::memcpy(attributes.prog_name, kName, sizeof kName);
    const auto load = [&] {
        return UniqueFd(
            static_cast<int>(syscall(__NR_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes)));
    };
    if (UniqueFd program = load())
        return program;
    const int code_of_error = errno;
    if (code_of_error != EINVAL && code_of_error != EACCES)
        return failure("the kernel takes no BPF programs", code_of_error);
    attributes.log_buf = reinterpret_cast<std::uint64_t>(complaint.data());
    attributes.log_size = static_cast<std::uint32_t>(complaint.size());
    attributes.log_level = 1;
    if (UniqueFd program = load())
        return program;
    // The last line but one says what is wrong, the last one is statistics.
    std::string said(complaint.data());
    if (const auto statistics = said.rfind("\nprocessed "); statistics != std::string::npos)
        said.erase(statistics);
    return failure("the kernel refuses the BPF program (" + said.substr(said.rfind('\n') + 1) + ")",
                   code_of_error);
}

using Buffer = std::array<char, 512>;

// Marked packets are routed by the table.
nlmsghdr* rule_message(Buffer& buffer, int family, int type) {
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = static_cast<std::uint16_t>(type);
    auto* header =
        static_cast<fib_rule_hdr*>(mnl_nlmsg_put_extra_header(message, sizeof(fib_rule_hdr)));
    header->family = static_cast<std::uint8_t>(family);
    header->action = FR_ACT_TO_TBL;
    header->table = RT_TABLE_UNSPEC;
    mnl_attr_put_u32(message, FRA_PRIORITY, LocalDelivery::kRulePriority);
    mnl_attr_put_u32(message, FRA_FWMARK, LocalDelivery::kMark);
    mnl_attr_put_u32(message, FRA_TABLE, LocalDelivery::kTable);
    return message;
}

// In the table every address is local.
nlmsghdr* route_message(Buffer& buffer, int family, int type) {
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = static_cast<std::uint16_t>(type);
    auto* header = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
    header->rtm_family = static_cast<unsigned char>(family);
    header->rtm_table = RT_TABLE_UNSPEC;
    header->rtm_protocol = RTPROT_STATIC;
    header->rtm_scope = RT_SCOPE_HOST;
    header->rtm_type = RTN_LOCAL;
    mnl_attr_put_u32(message, RTA_TABLE, LocalDelivery::kTable);
    mnl_attr_put_u32(message, RTA_OIF, if_nametoindex("lo"));
    return message;
}

using MakeMessage = nlmsghdr* (*)(Buffer&, int, int);

// What is there already is as good as new: it has been left behind.
int create(mnl_socket* socket, MakeMessage make, int family, int type) {
    Buffer buffer{};
    nlmsghdr* message = make(buffer, family, type);
    message->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
    const int code = carry_out(socket, message);
    return code == EEXIST ? 0 : code;
}

void remove(mnl_socket* socket, MakeMessage make, int family, int type) {
    Buffer buffer{};
    carry_out(socket, make(buffer, family, type));
}

}  // namespace

Result<LocalDelivery> LocalDelivery::open() {
    auto program = load_program();
    if (!program)
        return program.error();
    const Netlink netlink = open_netlink();
    if (netlink == nullptr)
        return failure("a netlink socket cannot be opened", errno);
    LocalDelivery delivery(std::move(*program));
    for (const int family : kFamilies) {
        const std::string of = family == AF_INET ? " for IPv4" : " for IPv6";
        if (const int code = create(netlink.get(), route_message, family, RTM_NEWROUTE); code != 0)
            return failure("the kernel does not take a local default route through lo" + of, code);
        if (const int code = create(netlink.get(), rule_message, family, RTM_NEWRULE); code != 0)
            return failure("the kernel does not take a routing rule" + of, code);
    }
    return delivery;
}

LocalDelivery::~LocalDelivery() {
    if (!program_)
        return;
    const Netlink netlink = open_netlink();
    if (netlink == nullptr)
        return;
    for (const int family : kFamilies) {
        remove(netlink.get(), rule_message, family, RTM_DELRULE);
        remove(netlink.get(), route_message, family, RTM_DELROUTE);
    }
}

Result<Done> LocalDelivery::attach(const std::string& interface) const {
    const Netlink netlink = open_netlink();
    if (netlink == nullptr)
        return failure("a netlink socket cannot be opened", errno);
    const int index = static_cast<int>(if_nametoindex(interface.c_str()));
    if (index == 0)
        return failure("there is no interface " + interface, errno);
    if (const int code = filter_ingress(netlink.get(), index, program_.get()); code != 0)
        return failure("the interface " + interface + " does not take a BPF filter", code);
    return Done{};
}

}  // namespace sluice::host
