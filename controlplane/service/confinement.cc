#include "controlplane/service/confinement.h"

#include <sys/syscall.h>

#include "common/privileges.h"
#include "common/system_calls.h"

namespace sluice::service {
namespace {

constexpr int kSystemCalls[] = {
    // files: logs, rulesets
    SYS_read,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_openat,
    SYS_close,
    SYS_lseek,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_getdents64,
    SYS_ftruncate,
    SYS_fsync,
    SYS_fdatasync,
    SYS_renameat,
    SYS_renameat2,
    SYS_unlinkat,
    SYS_mkdirat,
    SYS_fchmod,
    SYS_faccessat,
    SYS_readlinkat,
    SYS_flock,
    SYS_fcntl,
    SYS_ioctl,
    SYS_umask,
    SYS_dup,
    SYS_pipe2,
    // sockets: ipfw, the data plane, HTTP, syslog, the service manager
    SYS_socket,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_connect,
    SYS_shutdown,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendmmsg,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_getpeername,
    SYS_sendfile,
    SYS_memfd_create,
    // the loop, clocks, sleep
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_eventfd2,
    SYS_signalfd4,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_clock_getres,
    // memory and threads
    SYS_clone,
    SYS_prctl,
    SYS_sysinfo,
    SYS_uname,
#if defined(__x86_64__)
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_rename,
    SYS_unlink,
    SYS_mkdir,
    SYS_poll,
    SYS_select,
    SYS_epoll_wait,
#endif
};

}  // namespace

Result<Done> confine_before_start(const config::Settings& settings) {
    if (auto forbidden = forbid_new_privileges(); !forbidden)
        return forbidden;
    const std::string& user = settings.controlplane.user;
    if (user.empty())
        return Done{};
    if (auto made = make_folder_for(user, settings.controlplane.control_socket); !made)
        return made;
    const std::string& state = settings.control.state_directory;
    if (!state.empty())
        if (auto made = make_private_folder_for(user, state); !made)
            return made;
    return become(user, 0);
}

Result<bool> confine_after_start() {
    if (auto given_up = keep_only(0); !given_up)
        return given_up.error();
    if (!can_restrict_system_calls())
        return false;
    if (auto restricted =
            restrict_system_calls(kSystemCalls, Otherwise::end, "sluice-controlplane");
        !restricted)
        return restricted.error();
    return true;
}

}  // namespace sluice::service
