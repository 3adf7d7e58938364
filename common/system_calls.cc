#include "common/system_calls.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLUICE_HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SLUICE_HAS_SANITIZER 1
#endif
#endif

namespace sluice {

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kArchitecture = 0;  // one that the filter does not know
#endif

constexpr std::uint32_t kX32Bit = 0x40000000;

sock_filter load(std::size_t offset) {
    return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}

sock_filter answer(std::uint32_t action) {
    return BPF_STMT(BPF_RET | BPF_K, action);
}

// Goes on with the next instruction if the condition holds, else behind it.
sock_filter only_if(std::uint16_t comparison, std::uint32_t value) {
    return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K), value, 0, 1);
}

// The low half of an argument; both processors are little endian.
std::size_t argument(std::size_t index) {
    return offsetof(seccomp_data, args) + index * sizeof(std::uint64_t);
}

// What any process does until it ends, and what the C library does for its threads, its memory and
// its clocks. With these `on_forbidden` can say what it has to say.
constexpr int kAlways[] = {
    SYS_write,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_mprotect,
    SYS_brk,
    SYS_futex,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getcpu,
    SYS_getrandom,
    SYS_clock_gettime,
    SYS_gettimeofday,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_rt_sigreturn,
    SYS_rt_sigprocmask,
    SYS_rt_sigaction,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_getpid,
    SYS_gettid,
    SYS_tgkill,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_exit,
    SYS_exit_group,
#if defined(__x86_64__)
    SYS_time,
#endif
};

std::vector<sock_filter> filter_of(std::span<const int> allowed) {
    std::vector<sock_filter> code = {load(offsetof(seccomp_data, arch)),
                                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
                                     answer(SECCOMP_RET_KILL_PROCESS),
                                     load(offsetof(seccomp_data, nr)),
                                     only_if(BPF_JGE, kX32Bit),
                                     answer(SECCOMP_RET_KILL_PROCESS),
                                     only_if(BPF_JEQ, SYS_clone3),
                                     answer(SECCOMP_RET_ERRNO | ENOSYS)};
    std::vector<int> numbers(std::begin(kAlways), std::end(kAlways));
    numbers.insert(numbers.end(), allowed.begin(), allowed.end());
    for (const int number : numbers) {
        const auto call = static_cast<std::uint32_t>(number);
        if (number != SYS_clone) {
            code.push_back(only_if(BPF_JEQ, call));
            code.push_back(answer(SECCOMP_RET_ALLOW));
            continue;
        }
        // Threads only. What follows compares numbers again.
        code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4));
        code.push_back(load(argument(0)));
        code.push_back(only_if(BPF_JSET, CLONE_THREAD));
        code.push_back(answer(SECCOMP_RET_ALLOW));
        code.push_back(load(offsetof(seccomp_data, nr)));
    }
    code.push_back(answer(SECCOMP_RET_TRAP));
    return code;
}

// ---- What happens to the others ----------------------------------------------------------------

// writers: `restrict_system_calls`, before the filter is there
const char* program_name = "";
Otherwise what_otherwise = Otherwise::end;
std::atomic<int> reports{0};

char* put(char* to, const char* text) {
    while (*text != '\0')
        *to++ = *text++;
    return to;
}

char* put(char* to, unsigned number) {
    if (number >= 10)
        to = put(to, number / 10);
    *to++ = static_cast<char>('0' + number % 10);
    return to;
}

// In place of the call. It makes calls of kAlways alone.
void on_forbidden(int signal, siginfo_t* info, void* context) {
    if (reports.fetch_add(1) < kLongestReport) {
        char line[256];
        char* end = put(line, program_name);
        end = put(end, ": system call ");
        end = put(end, static_cast<unsigned>(info->si_syscall));
        end = put(end, " is not one that this program makes, and is refused\n");
        [[maybe_unused]] const ssize_t written =
            write(STDERR_FILENO, line, static_cast<std::size_t>(end - line));
    }
    if (what_otherwise == Otherwise::end) {
        // The default action: back from here the call is made, and refused, once more.
        struct sigaction action {};
        action.sa_handler = SIG_DFL;
        sigaction(signal, &action, nullptr);
        raise(signal);
        return;
    }
    auto* machine = static_cast<ucontext_t*>(context);
#if defined(__x86_64__)
    machine->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
    machine->uc_mcontext.regs[0] = static_cast<unsigned long long>(-EPERM);
#endif
}

}  // namespace

bool can_restrict_system_calls() {
#ifdef SLUICE_HAS_SANITIZER
    return false;
#else
    return kArchitecture != 0;
#endif
}

Result<Done> restrict_system_calls(std::span<const int> allowed, Otherwise otherwise,
                                   const char* program) {
    program_name = program;
    what_otherwise = otherwise;
    struct sigaction action {};
    action.sa_sigaction = on_forbidden;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    const std::vector<sock_filter> code = filter_of(allowed);
    const sock_fprog filter{.len = static_cast<unsigned short>(code.size()),
                            .filter = const_cast<sock_filter*>(code.data())};
    if (sigaction(SIGSYS, &action, nullptr) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) != 0)
        return Error{ExitStatus::os, std::string("the kernel takes no system call filter: ") +
                                         std::strerror(errno)};
    return Done{};
}

}  // namespace sluice
