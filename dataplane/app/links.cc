#include "dataplane/app/links.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "common/unique_fd.h"
#include "dataplane/worker/device.h"

namespace sluice::dataplane {

namespace {

// Why not; none: it is done, or was so already.
std::optional<std::string> set_link(int control, const std::string& interface, Link link) {
    const auto failure = [&](const char* what) {
        return "interface " + interface + " " + what + ": " + std::strerror(errno);
    };
    ifreq request{};
    if (interface.size() >= sizeof request.ifr_name)
        return "there is no interface " + interface;
    std::memcpy(request.ifr_name, interface.c_str(), interface.size());
    if (ioctl(control, SIOCGIFFLAGS, &request) != 0)
        return failure("does not tell its flags");
    const bool is_up = (request.ifr_flags & IFF_UP) != 0;
    if (is_up == (link == Link::up))
        return std::nullopt;
    request.ifr_flags = static_cast<short>(request.ifr_flags ^ IFF_UP);
    if (ioctl(control, SIOCSIFFLAGS, &request) != 0)
        return failure(link == Link::up ? "cannot be set up" : "cannot be set down");
    return std::nullopt;
}

}  // namespace

Result<Done> set_links(const config::Settings& settings, Link link) {
    if (settings.dataplane.links_when_down == config::LinksWhenDown::up)
        return Done{};
    const UniqueFd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!control)
        return Error{ExitStatus::os,
                     std::string("the links of the ports cannot be set: ") + std::strerror(errno)};
    std::string failures;
    for (const config::Port& port : settings.ports) {
        const std::string interface(worker::captured_interface(port.device));
        if (interface.empty())
            continue;
        if (const auto failure = set_link(control.get(), interface, link))
            failures += (failures.empty() ? "" : "; ") + *failure;
    }
    if (failures.empty())
        return Done{};
    return Error{ExitStatus::os, failures};
}

}  // namespace sluice::dataplane
