#include "dataplane/app/confinement.h"

#include <linux/capability.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "common/privileges.h"
#include "common/system_calls.h"

namespace sluice::dataplane {

namespace {

// What opening ports takes: packet sockets, TAP interfaces and routing rules, XDP and the program
// of local delivery, memory that a device may write to.
constexpr Capabilities kOfStart = capability(CAP_NET_RAW) | capability(CAP_NET_ADMIN) |
                                  capability(CAP_BPF) | capability(CAP_PERFMON) |
                                  capability(CAP_IPC_LOCK);

constexpr int kSystemCalls[] = {
    // packets, clocks, sleep
    SYS_read,
    SYS_readv,
    SYS_writev,
    SYS_ppoll,
    SYS_epoll_pwait,
    SYS_epoll_ctl,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    SYS_eventfd2,
    // the contract, divert programs, netlink, the service manager
    SYS_socket,
    SYS_bind,
    SYS_accept4,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendmmsg,
    SYS_recvmmsg,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_shutdown,
    SYS_ioctl,
    SYS_fcntl,
    SYS_close,
    SYS_fstat,
    SYS_newfstatat,
    SYS_unlinkat,
    SYS_lseek,
    // memory
    SYS_memfd_create,
    SYS_ftruncate,
    SYS_sysinfo,
#if defined(__x86_64__)
    SYS_poll,
    SYS_epoll_wait,
    SYS_stat,
    SYS_lstat,
    SYS_unlink,
#endif
};

bool has_gateway(const config::Settings& settings) {
    return std::any_of(settings.ports.begin(), settings.ports.end(), [](const config::Port& port) {
        return port.role == config::PortRole::gateway;
    });
}

}  // namespace

Result<Done> confine_before_start(const config::Settings& settings) {
    if (auto forbidden = forbid_new_privileges(); !forbidden)
        return forbidden;
    const std::string& user = settings.dataplane.user;
    if (user.empty())
        return Done{};
    for (const std::string* socket :
         {&settings.dataplane.socket, &settings.dataplane.divert_socket})
        if (auto made = make_folder_for(user, *socket); !made)
            return made;
    return become(user, kOfStart);
}

Result<Done> confine_after_start(const config::Settings& settings) {
    const bool gateway = has_gateway(settings);
    const Capabilities kept = gateway ? capability(CAP_NET_ADMIN) : 0;
    if (auto given_up = keep_only(kept); !given_up)
        return given_up;
    if (!can_restrict_system_calls()) {
        std::fputs("sluice-dataplane: this build has no system call filter\n", stderr);
        return Done{};
    }
    std::vector<int> allowed(std::begin(kSystemCalls), std::end(kSystemCalls));
    if (gateway)
        allowed.push_back(SYS_openat);  // /dev/net/tun, for a twin that is gone
    return restrict_system_calls(allowed, Otherwise::refuse, "sluice-dataplane");
}

}  // namespace sluice::dataplane
