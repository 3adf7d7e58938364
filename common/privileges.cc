#include "common/privileges.h"

#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <set>

namespace sluice {

namespace {

constexpr unsigned kWaitMs = 2000;  // for all threads
constexpr int kSets = 2;            // of 32 capabilities each

struct Sets {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[kSets] = {};
};

Error failed(const std::string& what) {
    return {ExitStatus::os, what + ": " + std::strerror(errno)};
}

Error no_such_user(const std::string& user) {
    return {ExitStatus::data,
            "there is no user " + user + "; create it, or change user in sluice.toml"};
}

// System calls only: runs in a signal handler, too.
bool keep_in_this_thread(Capabilities kept) {
    Sets sets;
    if (syscall(SYS_capget, &sets.header, sets.data) != 0)
        return false;
    // Where the kernel does not let us (no CAP_SETPCAP), the bound is of no use anyhow: nothing
    // that would add rights is executed.
    for (int number = 0; number < 64; ++number)
        if ((kept >> number & 1) == 0)
            prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
    for (int i = 0; i < kSets; ++i) {
        const auto mask = static_cast<std::uint32_t>(kept >> (32 * i));
        sets.data[i].permitted &= mask;
        sets.data[i].effective = sets.data[i].permitted;
        sets.data[i].inheritable = 0;
    }
    // A kernel that is older than ambient capabilities has none to clear.
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &sets.header, sets.data) == 0;
}

std::atomic<Capabilities> wanted{0};

void on_signal(int) {
    const int kept = errno;
    keep_in_this_thread(wanted.load());
    errno = kept;
}

// Calls `visit` with the id of each thread of the process, the calling one included.
template <typename Visit>
bool for_each_thread(Visit visit) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/task"), closedir);
    if (folder == nullptr)
        return false;
    while (const dirent* entry = readdir(folder.get()))
        if (const int id = std::atoi(entry->d_name); id > 0)
            visit(id);
    return true;
}

// What a thread has more than `kept`, in any of its sets that give rights.
Capabilities excess_of(int thread, Capabilities kept) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/task/%d/status", thread);
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path, "re"), std::fclose);
    if (file == nullptr)
        return 0;  // it has ended meanwhile
    Capabilities all = 0;
    char line[256];
    while (std::fgets(line, sizeof line, file.get()) != nullptr) {
        unsigned long long set = 0;
        if (std::sscanf(line, "CapPrm: %llx", &set) == 1 ||
            std::sscanf(line, "CapEff: %llx", &set) == 1)
            all |= set;
    }
    return all & ~kept;
}

Result<Done> make_folder(const std::string& user, const std::string& folder, mode_t mode) {
    const passwd* entry = getpwnam(user.c_str());
    if (entry == nullptr)
        return no_such_user(user);
    if (folder.empty() || geteuid() != 0 || mkdir(folder.c_str(), mode) != 0)
        return Done{};  // it is there, or whoever needs it says why it is not
    if (chmod(folder.c_str(), mode) != 0 ||
        chown(folder.c_str(), entry->pw_uid, entry->pw_gid) != 0)
        return failed("cannot give the folder " + folder + " to the user " + user);
    return Done{};
}

}  // namespace

Result<Done> make_folder_for(const std::string& user, const std::string& path) {
    // Whoever may use a socket has to pass through it, whatever our umask is.
    return make_folder(user, path.substr(0, path.rfind('/')), 0755);
}

Result<Done> make_private_folder_for(const std::string& user, const std::string& folder) {
    return make_folder(user, folder, 0700);
}

Result<Done> become(const std::string& user, Capabilities kept) {
    const passwd* entry = getpwnam(user.c_str());
    if (entry == nullptr)
        return no_such_user(user);
    if (geteuid() == entry->pw_uid)
        return keep_in_this_thread(kept) ? Result<Done>(Done{}) : failed("capset");
    if (geteuid() != 0)
        return Error{ExitStatus::no_permission, "only root can become the user " + user +
                                                    "; start as root or as " + user +
                                                    ", or take user out of sluice.toml"};
    if (initgroups(user.c_str(), entry->pw_gid) != 0 ||
        setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0)
        return failed("cannot take over the groups of the user " + user);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0 || !keep_in_this_thread(kept))
        return failed("cannot become the user " + user);
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    return Done{};
}

Result<Done> forbid_new_privileges() {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return failed("no_new_privs");
    return Done{};
}

Result<Done> keep_only(Capabilities kept) {
    wanted.store(kept);
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    const int signal = SIGRTMIN + 3;
    if (sigaction(signal, &action, nullptr) != 0)
        return failed("sigaction");
    if (!keep_in_this_thread(kept))
        return failed("the capabilities of the process cannot be given up");
    const pid_t process = getpid();
    std::set<pid_t> told;
    Capabilities excess = 0;
    for (unsigned waited = 0; waited < kWaitMs; ++waited) {
        excess = 0;
        // Whoever has nothing to give up is not told: it might listen only when a filter of system
        // calls is there already.
        const bool complete = for_each_thread([&](pid_t thread) {
            const Capabilities own = excess_of(thread, kept);
            excess |= own;
            if (own != 0 && told.insert(thread).second)
                syscall(SYS_tgkill, process, thread, signal);
        });
        if (!complete)
            return failed("the threads of the process cannot be listed");
        if (excess == 0)
            return Done{};
        const timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
        nanosleep(&pause, nullptr);
    }
    return Error{ExitStatus::os,
                 "a thread does not give up its capabilities (" + names_of(excess) + ")"};
}

Capabilities effective_capabilities() {
    Sets sets;
    if (syscall(SYS_capget, &sets.header, sets.data) != 0)
        return 0;
    return Capabilities{sets.data[1].effective} << 32 | sets.data[0].effective;
}

std::string names_of(Capabilities capabilities) {
    struct Name {
        int number;
        const char* name;
    };
    constexpr Name kNames[] = {{CAP_NET_ADMIN, "cap_net_admin"}, {CAP_NET_RAW, "cap_net_raw"},
                               {CAP_IPC_LOCK, "cap_ipc_lock"},   {CAP_BPF, "cap_bpf"},
                               {CAP_PERFMON, "cap_perfmon"},     {CAP_SYS_ADMIN, "cap_sys_admin"}};
    std::string text;
    for (int number = 0; number < 64; ++number) {
        if ((capabilities >> number & 1) == 0)
            continue;
        std::string name = std::to_string(number);
        for (const Name& known : kNames)
            if (known.number == number)
                name = known.name;
        text += (text.empty() ? "" : ", ") + name;
    }
    return text.empty() ? "none" : text;
}

}  // namespace sluice
