#include "common/system_calls.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "common/privileges.h"

namespace sluice {
namespace {

constexpr int kFew[] = {SYS_read, SYS_clone};

struct End {
    int status = 0;
    std::string said;
};

// What becomes of a process that has the filter, and what it says on its standard error.
template <typename Act>
End in_a_child(Otherwise otherwise, Act act) {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe(ends.data()), 0);
    const pid_t child = fork();
    if (child == 0) {
        const rlimit none{.rlim_cur = 0, .rlim_max = 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], STDERR_FILENO);
        if (!forbid_new_privileges() || !restrict_system_calls(kFew, otherwise, "test"))
            _exit(99);
        _exit(act());
    }
    close(ends[1]);
    End end;
    std::array<char, 4096> buffer;
    for (ssize_t n; (n = read(ends[0], buffer.data(), buffer.size())) > 0;)
        end.said.append(buffer.data(), static_cast<std::size_t>(n));
    close(ends[0]);
    waitpid(child, &end.status, 0);
    return end;
}

struct SystemCallsTest : testing::Test {
    void SetUp() override {
        if (!can_restrict_system_calls())
            GTEST_SKIP() << "this build has no filter";
    }
    static std::string report() {
        return "test: system call " + std::to_string(SYS_getppid) +
               " is not one that this program makes, and is refused\n";
    }
};

TEST_F(SystemCallsTest, WhatIsListedWorks) {
    const End end = in_a_child(Otherwise::end, [] { return getpid() > 0 ? 7 : 8; });
    ASSERT_TRUE(WIFEXITED(end.status));
    EXPECT_EQ(WEXITSTATUS(end.status), 7);
    EXPECT_EQ(end.said, "");
}

TEST_F(SystemCallsTest, WhatIsNotListedIsRefusedAndNamed) {
    const End end = in_a_child(Otherwise::refuse,
                               [] { return syscall(SYS_getppid) == -1 && errno == EPERM ? 7 : 8; });
    ASSERT_TRUE(WIFEXITED(end.status));
    EXPECT_EQ(WEXITSTATUS(end.status), 7);
    EXPECT_EQ(end.said, report());
}

TEST_F(SystemCallsTest, ALoopFillsNoDisk) {
    const End end = in_a_child(Otherwise::refuse, [] {
        for (int i = 0; i < 1000; ++i)
            syscall(SYS_getppid);
        return 7;
    });
    EXPECT_EQ(WEXITSTATUS(end.status), 7);
    EXPECT_EQ(end.said.size(), report().size() * kLongestReport);
}

TEST_F(SystemCallsTest, OrItEndsTheProcess) {
    const End end = in_a_child(Otherwise::end, [] {
        syscall(SYS_getppid);
        return 7;
    });
    ASSERT_TRUE(WIFSIGNALED(end.status));
    EXPECT_EQ(WTERMSIG(end.status), SIGSYS);
    EXPECT_EQ(end.said, report());
}

TEST_F(SystemCallsTest, ThreadsMayBeMadeAndProcessesMayNot) {
    const End threads = in_a_child(Otherwise::end, [] {
        int value = 8;
        std::thread([&] { value = 7; }).join();
        return value;
    });
    ASSERT_TRUE(WIFEXITED(threads.status)) << threads.said;
    EXPECT_EQ(WEXITSTATUS(threads.status), 7);
    const End process = in_a_child(Otherwise::refuse, [] {
        return syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr) == -1 ? 7 : 8;
    });
    ASSERT_TRUE(WIFEXITED(process.status));
    EXPECT_EQ(WEXITSTATUS(process.status), 7);
}

TEST_F(SystemCallsTest, HoldsForThreadsThatWereThereBefore) {
    std::array<int, 2> go{}, back{};
    ASSERT_EQ(pipe(go.data()), 0);
    ASSERT_EQ(pipe(back.data()), 0);
    const pid_t child = fork();
    if (child == 0) {
        std::thread older([&] {
            char byte = 0;
            if (read(go[0], &byte, 1) == 1)
                byte = syscall(SYS_getppid) == -1 ? 'r' : 'm';
            [[maybe_unused]] const ssize_t written = write(back[1], &byte, 1);
        });
        close(STDERR_FILENO);
        if (!forbid_new_privileges() || !restrict_system_calls(kFew, Otherwise::refuse, "test") ||
            write(go[1], "x", 1) != 1)
            _exit(1);
        older.join();
        _exit(0);
    }
    char answer = 0;
    EXPECT_EQ(read(back[0], &answer, 1), 1);
    EXPECT_EQ(answer, 'r');
    waitpid(child, nullptr, 0);
    for (const int fd : {go[0], go[1], back[0], back[1]})
        close(fd);
}

#if defined(__x86_64__)
TEST_F(SystemCallsTest, TheOtherInstructionSetsAreNoWayAround) {
    constexpr long kX32Getpid = 0x40000000 + SYS_getpid;
    const End end = in_a_child(Otherwise::refuse, [] {
        syscall(kX32Getpid);
        return 7;
    });
    EXPECT_TRUE(WIFSIGNALED(end.status));
}
#endif

}  // namespace
}  // namespace sluice
