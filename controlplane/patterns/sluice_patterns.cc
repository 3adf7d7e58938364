// sluice-patterns: compiles patterns for who has started it; see compiler_process.h.
//
// It has one thread and has never compiled anything when it forks, so a child may do what it likes.
#include <hs.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

#include "common/exit_status.h"
#include "common/privileges.h"
#include "common/system_calls.h"
#include "common/unique_fd.h"
#include "controlplane/patterns/compile.h"
#include "controlplane/patterns/compiler_process.h"
#include "controlplane/patterns/measure.h"

namespace {

using namespace sluice;
using namespace sluice::patterns;

constexpr char kProgram[] = "sluice-patterns";
constexpr int kNiceness = 10;  // packets go first

int status(ExitStatus status) {
    return static_cast<int>(status);
}

// ---- The child ---------------------------------------------------------------------------------

bool limit(decltype(RLIMIT_CPU) what, rlim_t soft, rlim_t hard) {
    const rlimit value{.rlim_cur = soft, .rlim_max = hard};
    return setrlimit(what, &value) == 0;
}

Result<Done> confine(const CompileLimits& limits) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    [[maybe_unused]] const int niceness = nice(kNiceness);
    // A sanitizer has mapped more than any limit before anything is asked of it.
    const bool limited =
        limit(RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1) &&
        limit(RLIMIT_FSIZE, kLongestAnswer, kLongestAnswer) && limit(RLIMIT_CORE, 0, 0) &&
        (!can_restrict_system_calls() || limit(RLIMIT_AS, limits.memory, limits.memory));
    if (!limited)
        return Error{ExitStatus::os, std::string("setrlimit: ") + std::strerror(errno)};
    if (auto forbidden = forbid_new_privileges(); !forbidden)
        return forbidden;
    static constexpr std::array<int, 0> kNothingMore = {};
    return can_restrict_system_calls()
               ? restrict_system_calls(kNothingMore, Otherwise::end, kProgram)
               : Done{};
}

// Before it is confined: files are read by no call that it may make later.
Result<std::string> read_whole(int file) {
    struct stat about {};
    if (fstat(file, &about) != 0)
        return Error{ExitStatus::os, std::string("fstat: ") + std::strerror(errno)};
    std::string bytes(static_cast<std::size_t>(about.st_size), '\0');
    for (std::size_t at = 0; at < bytes.size();) {
        const ssize_t got =
            pread(file, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
        if (got <= 0)
            return Error{ExitStatus::os, std::string("pread: ") + std::strerror(errno)};
        at += static_cast<std::size_t>(got);
    }
    return bytes;
}

bool write_whole(int file, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = write(file, bytes.data(), bytes.size());
        if (written <= 0)
            return false;
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

// Nothing: the question is not readable.
std::optional<Answer> answer_to(CompilerTask task, std::string_view question) {
    switch (task) {
        case CompilerTask::compile:
            if (const auto order = read_order(question))
                return compile(*order);
            break;
        case CompilerTask::measure:
            if (const auto subject = read_subject(question))
                return measure(*subject);
            break;
    }
    return std::nullopt;
}

int work(const CompileRequest& request, int question, int answer) {
    const Result<std::string> bytes = read_whole(question);
    const Result<Done> confined = confine(request.limits);
    if (!bytes || !confined) {
        std::fprintf(stderr, "%s: %s\n", kProgram,
                     (bytes ? confined.error() : bytes.error()).message.c_str());
        return status(ExitStatus::os);
    }
    Answer result;
    try {
        const auto found = answer_to(request.task, *bytes);
        if (!found) {
            std::fprintf(stderr, "%s: the order is not readable\n", kProgram);
            return status(ExitStatus::data);
        }
        result = *found;
    } catch (const std::exception&) {  // memory
        result = DatabaseError{.pattern = DatabaseError::npos,
                               .message = "there is not enough memory to compile the patterns"};
    }
    return status(write_whole(answer, write_answer(result)) ? ExitStatus::ok : ExitStatus::os);
}

// ---- The parent --------------------------------------------------------------------------------

struct Received {
    CompileRequest request;
    UniqueFd question;
    UniqueFd answer;
};

std::optional<Received> receive() {
    Received received;
    int files[2];
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof files)> control = {};
    iovec piece{.iov_base = &received.request, .iov_len = sizeof received.request};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t got = 0;
    do
        got = recvmsg(kCompilerSocket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (got != static_cast<ssize_t>(sizeof received.request) || header == nullptr ||
        header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof files))
        return std::nullopt;
    std::memcpy(files, CMSG_DATA(header), sizeof files);
    received.question = UniqueFd(files[0]);
    received.answer = UniqueFd(files[1]);
    return received;
}

// The child has the other end of `alive`. If nobody waits for its answer any more, or it takes too
// long, it ends.
std::optional<ChildEnded> wait_for(pid_t child, const UniqueFd& alive,
                                   const CompileLimits& limits) {
    std::array<pollfd, 2> ends = {{{.fd = alive.get(), .events = POLLIN, .revents = 0},
                                   {.fd = kCompilerSocket, .events = POLLRDHUP, .revents = 0}}};
    const int timeout = static_cast<int>(std::min<std::uint64_t>(limits.time_s, 3600)) * 1000;
    int events = 0;
    do
        events = poll(ends.data(), ends.size(), timeout);
    while (events < 0 && errno == EINTR);
    const bool left = ends[1].revents != 0;
    if (left || events == 0)
        kill(child, SIGKILL);
    ChildEnded ended{.status = 0, .late = events == 0 ? 1u : 0u};
    while (waitpid(child, &ended.status, 0) < 0)
        if (errno != EINTR)
            return std::nullopt;
    if (left)
        return std::nullopt;
    return ended;
}

bool serve_one() {
    const auto received = receive();
    int ends[2];
    if (!received || pipe2(ends, 0) != 0)
        return false;
    const UniqueFd alive(ends[0]);
    UniqueFd childs(ends[1]);
    const pid_t child = fork();
    if (child < 0)
        return false;
    if (child == 0) {
        close(kCompilerSocket);
        _exit(work(received->request, received->question.get(), received->answer.get()));
    }
    childs.reset();
    const auto ended = wait_for(child, alive, received->request.limits);
    return ended && send(kCompilerSocket, &*ended, sizeof *ended, MSG_NOSIGNAL) ==
                        static_cast<ssize_t>(sizeof *ended);
}

}  // namespace

int main() {
    const std::string version = hs_version();
    if (send(kCompilerSocket, version.data(), version.size(), MSG_NOSIGNAL) < 0) {
        std::fprintf(stderr, "%s: sluice-controlplane and ipfw start this program\n", kProgram);
        return status(ExitStatus::usage);
    }
    while (serve_one()) {
    }
    return 0;
}
