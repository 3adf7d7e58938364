#include "dataplane/host/captured_link.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/host/ingress_filter.h"
#include "dataplane/host/netlink_request.h"

namespace sluice::host {

CapturedLink::CapturedLink(std::string interface)
    : control_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), interface_(std::move(interface)) {}

CapturedLink::CapturedLink(CapturedLink&& other) noexcept
    : control_(std::move(other.control_)),
      interface_(std::move(other.interface_)),
      keeps_kernel_out_(std::exchange(other.keeps_kernel_out_, false)) {}

Result<Done> CapturedLink::keep_kernel_out() {
    const Netlink netlink = open_netlink();
    const int code = netlink == nullptr
                         ? errno
                         : drop_ingress(netlink.get(),
                                        static_cast<int>(if_nametoindex(interface_.c_str())));
    if (code != 0)
        return Error{ExitStatus::os,
                     "the kernel cannot be kept from answering what comes in by " + interface_ +
                         " (tc clsact with a bpf filter): " + std::strerror(code)};
    keeps_kernel_out_ = true;
    return Done{};
}

bool CapturedLink::is_up() const {
    ifreq request{};
    std::strncpy(request.ifr_name, interface_.c_str(), IFNAMSIZ - 1);
    return ioctl(control_.get(), SIOCGIFFLAGS, &request) != 0 ||
           (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

CapturedLink::~CapturedLink() {
    if (!keeps_kernel_out_)
        return;
    if (const Netlink netlink = open_netlink(); netlink != nullptr)
        unfilter_ingress(netlink.get(), static_cast<int>(if_nametoindex(interface_.c_str())));
}

}  // namespace sluice::host
