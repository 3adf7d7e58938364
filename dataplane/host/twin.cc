#include "dataplane/host/twin.h"

#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "dataplane/host/netlink_request.h"

namespace sluice::host {

namespace {

Error failure(const std::string& name, const std::string& what, int code) {
    return {ExitStatus::os,
            "the kernel's interface " + name + ": " + what + ": " + std::strerror(code)};
}

ifreq request_for(const std::string& name) {
    ifreq request{};
    std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
    return request;
}

Ipv4 broadcast_of(Ipv4 address, unsigned length) {
    return Ipv4::from_host(address.host() | ~ipv4_mask(length).host());
}

int add_address(mnl_socket* socket, unsigned index, const packet::InterfaceAddress& address) {
    std::array<char, 512> buffer{};
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = RTM_NEWADDR;
    message->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
    auto* header = static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifaddrmsg)));
    header->ifa_prefixlen = static_cast<unsigned char>(address.prefix_length);
    header->ifa_index = index;
    if (const auto* v4 = std::get_if<Ipv4>(&address.address)) {
        header->ifa_family = AF_INET;
        mnl_attr_put(message, IFA_LOCAL, sizeof *v4, v4);
        mnl_attr_put(message, IFA_ADDRESS, sizeof *v4, v4);
        if (address.prefix_length < 31) {
            const Ipv4 broadcast = broadcast_of(*v4, address.prefix_length);
            mnl_attr_put(message, IFA_BROADCAST, sizeof broadcast, &broadcast);
        }
    } else {
        const auto& v6 = std::get<Ipv6>(address.address);
        header->ifa_family = AF_INET6;
        // Nobody else may have an address that the settings give to this machine.
        header->ifa_flags = IFA_F_NODAD;
        mnl_attr_put(message, IFA_LOCAL, sizeof v6, &v6);
        mnl_attr_put(message, IFA_ADDRESS, sizeof v6, &v6);
    }
    return carry_out(socket, message);
}

Result<Done> configure(const TwinSpec& spec) {
    const UniqueFd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!control)
        return failure(spec.name, "cannot be configured", errno);
    ifreq request = request_for(spec.name);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, &spec.mac, sizeof spec.mac);
    if (ioctl(control.get(), SIOCSIFHWADDR, &request) != 0)
        return failure(spec.name, "cannot be given the MAC address " + to_string(spec.mac), errno);
    request = request_for(spec.name);
    request.ifr_mtu = static_cast<int>(spec.mtu);
    if (ioctl(control.get(), SIOCSIFMTU, &request) != 0)
        return failure(spec.name, "cannot be given the MTU " + std::to_string(spec.mtu), errno);
    request = request_for(spec.name);
    if (ioctl(control.get(), SIOCGIFFLAGS, &request) != 0)
        return failure(spec.name, "has no flags", errno);
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    if (ioctl(control.get(), SIOCSIFFLAGS, &request) != 0)
        return failure(spec.name, "cannot be set up", errno);
    if (spec.addresses.empty())
        return Done{};
    const Netlink netlink = open_netlink();
    if (netlink == nullptr)
        return failure(spec.name, "cannot be given addresses", errno);
    for (const packet::InterfaceAddress& address : spec.addresses)
        if (const int code = add_address(netlink.get(), if_nametoindex(spec.name.c_str()), address);
            code != 0)
            return failure(spec.name, "cannot be given an address of the settings", code);
    return Done{};
}

}  // namespace

Result<Twin> Twin::open(const TwinSpec& spec) {
    UniqueFd descriptor(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (!descriptor)
        return failure(spec.name, "cannot be made, /dev/net/tun does not open", errno);
    ifreq request = request_for(spec.name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(descriptor.get(), TUNSETIFF, &request) != 0)
        return failure(spec.name, "cannot be made (is the name in use?)", errno);
    if (auto configured = configure(spec); !configured)
        return configured.error();
    return Twin(std::move(descriptor), spec.name);
}

void Twin::set_carrier(bool up) const {
    int carrier = up ? 1 : 0;
    ioctl(descriptor_.get(), TUNSETCARRIER, &carrier);
}

bool Twin::is_there() const {
    ifreq request{};
    return ioctl(descriptor_.get(), TUNGETIFF, &request) == 0 && name_ == request.ifr_name;
}

}  // namespace sluice::host
