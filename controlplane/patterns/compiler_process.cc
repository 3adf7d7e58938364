#include "controlplane/patterns/compiler_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "common/unique_fd.h"

extern char** environ;

namespace sluice::patterns {
namespace {

constexpr char kProgram[] = "sluice-patterns";
constexpr char kInBuildTree[] = "/controlplane/patterns/";
constexpr char kBesideSbin[] = "/../libexec/sluice/";

Error os_error(const std::string& what) {
    return {ExitStatus::os, what + ": " + std::strerror(errno)};
}

bool is_program(const std::string& path) {
    return access(path.c_str(), X_OK) == 0;
}

// In a build tree; beside where the own program is installed; where this build installs it.
std::string path_of_program() {
    std::array<char, 4096> link;
    const ssize_t length = readlink("/proc/self/exe", link.data(), link.size());
    std::string own(link.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    own.erase(std::min(own.rfind('/'), own.size()));
    for (std::string folder = own; !folder.empty(); folder.erase(folder.rfind('/')))
        if (const std::string path = folder + kInBuildTree + kProgram; is_program(path))
            return path;
    if (const std::string path = own + kBesideSbin + kProgram; !own.empty() && is_program(path))
        return path;
    return std::string(SLUICE_LIBEXEC "/") + kProgram;
}

// The actions and attributes, and their destruction.
struct Spawn {
    Spawn() {
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
    }
    ~Spawn() {
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
    }
    Spawn(const Spawn&) = delete;
    Spawn& operator=(const Spawn&) = delete;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
};

// A group of its own: what a terminal sends to ours ends it by the end of the socket.
int spawn(const std::string& path, int socket, pid_t& child) {
    Spawn order;
    posix_spawn_file_actions_addopen(&order.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&order.actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&order.actions, socket, kCompilerSocket);
    posix_spawn_file_actions_addclosefrom_np(&order.actions, kCompilerSocket + 1);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&order.attributes, &none);
    posix_spawnattr_setsigdefault(&order.attributes, &all);
    posix_spawnattr_setflags(
        &order.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    std::string name = kProgram;
    char* arguments[] = {name.data(), nullptr};
    return posix_spawn(&child, path.c_str(), &order.actions, &order.attributes, arguments, environ);
}

ssize_t receive(int socket, void* to, std::size_t size) {
    ssize_t got = 0;
    do
        got = recv(socket, to, size, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

Result<UniqueFd> file_with(std::string_view bytes) {
    UniqueFd file(memfd_create(kProgram, MFD_CLOEXEC));
    if (!file)
        return os_error("memfd_create");
    while (!bytes.empty()) {
        const ssize_t written = write(file.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return os_error("the order of patterns cannot be written down");
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return file;
}

Result<std::string> content_of(const UniqueFd& file) {
    struct stat status {};
    if (fstat(file.get(), &status) != 0)
        return os_error("fstat");
    if (static_cast<std::uint64_t>(status.st_size) > kLongestAnswer)
        return Error{ExitStatus::unavailable, "the compiled patterns are larger than 1 GiB"};
    std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
    for (std::size_t at = 0; at < bytes.size();) {
        const ssize_t got =
            pread(file.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return os_error("the compiled patterns cannot be read");
        at += static_cast<std::size_t>(got);
    }
    return bytes;
}

bool send_request(int socket, const CompileRequest& request, int order, int answer) {
    const int files[2] = {order, answer};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof files)> control = {};
    iovec piece{.iov_base = const_cast<CompileRequest*>(&request), .iov_len = sizeof request};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof files);
    std::memcpy(CMSG_DATA(header), files, sizeof files);
    ssize_t sent = 0;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == static_cast<ssize_t>(sizeof request);
}

Error took_too_long(std::uint64_t seconds, const char* of_what) {
    return {ExitStatus::unavailable,
            "compiling the patterns took more than " + std::to_string(seconds) + " seconds" +
                of_what +
                " and was ended: take fewer of them, or expressions with fewer and shorter "
                "repeats"};
}

Result<Done> ended_well(const ChildEnded& ended, const CompileLimits& limits) {
    const int status = ended.status;
    if (ended.late != 0)
        return took_too_long(limits.time_s, "");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return Done{};
    if (WIFEXITED(status))
        return Error{ExitStatus::os, "the process that compiles patterns ended with status " +
                                         std::to_string(WEXITSTATUS(status))};
    const int signal = WTERMSIG(status);
    if (signal == SIGXCPU)
        return took_too_long(limits.cpu_s, " of processor time");
    if (signal == SIGKILL)
        return Error{ExitStatus::unavailable,
                     "the process that compiles patterns was killed: perhaps there is too little "
                     "memory for them"};
    if (signal == SIGSYS)
        return Error{ExitStatus::unavailable,
                     "the process that compiles patterns did what it may not, and was ended"};
    return Error{ExitStatus::unavailable,
                 "the process that compiles patterns was ended by signal " +
                     std::to_string(signal) + ": one of the expressions may be nested too deeply"};
}

class CompilerProcess {
  public:
    Result<Done> start() {
        const std::lock_guard lock(mutex_);
        return started();
    }

    std::string version() {
        const std::lock_guard lock(mutex_);
        return started() ? version_ : std::string();
    }

    Result<std::string> ask(std::string_view order, const CompileLimits& limits,
                            CompilerTask task) {
        const std::lock_guard lock(mutex_);
        if (auto running = started(); !running)
            return running.error();
        const auto question = file_with(order);
        if (!question)
            return question.error();
        const auto answer = file_with({});
        if (!answer)
            return answer.error();
        ChildEnded ended;
        if (!send_request(socket_.get(), {.task = task, .limits = limits}, question->get(),
                          answer->get()) ||
            receive(socket_.get(), &ended, sizeof ended) != static_cast<ssize_t>(sizeof ended)) {
            socket_.reset();
            failure_ = {ExitStatus::unavailable,
                        std::string(kProgram) +
                            ", which compiles patterns, has ended: restart who has started it"};
            return failure_;
        }
        if (auto well = ended_well(ended, limits); !well)
            return well.error();
        return content_of(*answer);
    }

  private:
    Result<Done> started() {
        if (!tried_) {
            tried_ = true;
            if (auto done = try_start(); !done)
                failure_ = done.error();
        }
        if (!socket_)
            return failure_;
        return Done{};
    }

    Result<Done> try_start() {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
            return os_error("socketpair");
        UniqueFd ours(ends[0]);
        UniqueFd theirs(ends[1]);
        const std::string path = path_of_program();
        pid_t child = 0;
        if (const int failed = spawn(path, theirs.get(), child); failed != 0)
            return Error{ExitStatus::unavailable, path +
                                                      ", which compiles patterns, cannot be "
                                                      "started: " +
                                                      std::strerror(failed)};
        theirs.reset();
        std::array<char, 256> hello;
        const ssize_t length = receive(ours.get(), hello.data(), hello.size());
        if (length <= 0) {
            ours.reset();
            waitpid(child, nullptr, 0);
            return Error{ExitStatus::unavailable,
                         path +
                             ", which compiles patterns, ended as soon as it was started: is "
                             "the library of Hyperscan installed?"};
        }
        version_.assign(hello.data(), static_cast<std::size_t>(length));
        socket_ = std::move(ours);
        return Done{};
    }

    // writers: who holds the mutex
    std::mutex mutex_;
    bool tried_ = false;
    UniqueFd socket_;
    std::string version_;
    Error failure_;
};

CompilerProcess& process() {
    static CompilerProcess the_one;
    return the_one;
}

}  // namespace

Result<Done> start_compiler_process() {
    return process().start();
}

std::string compiler_version() {
    return process().version();
}

Result<std::string> ask_compiler(std::string_view order, const CompileLimits& limits,
                                 CompilerTask task) {
    return process().ask(order, limits, task);
}

}  // namespace sluice::patterns
