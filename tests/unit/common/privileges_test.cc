#include "common/privileges.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

namespace sluice {
namespace {

// In a process of its own, since there is no way back: what it returns is its exit status.
template <typename Act>
int in_a_child(Act act) {
    const pid_t child = fork();
    if (child == 0)
        _exit(act());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct PrivilegesTest : testing::Test {
    void SetUp() override {
        if (geteuid() != 0)
            GTEST_SKIP() << "only root has something to give up";
    }
};

constexpr Capabilities kRaw = capability(CAP_NET_RAW);
constexpr Capabilities kAdmin = capability(CAP_NET_ADMIN);

TEST_F(PrivilegesTest, AnotherUserWithOneCapability) {
    EXPECT_EQ(in_a_child([] {
                  const passwd* daemon = getpwnam("daemon");
                  if (!become("daemon", kRaw))
                      return 1;
                  if (getuid() != daemon->pw_uid || geteuid() != daemon->pw_uid ||
                      getegid() != daemon->pw_gid)
                      return 2;
                  if (effective_capabilities() != kRaw)
                      return 3;
                  return setuid(0) == 0 ? 4 : 0;
              }),
              0);
}

TEST_F(PrivilegesTest, ANameThatNobodyHas) {
    const auto became = become("no-such-user-here", 0);
    ASSERT_FALSE(became);
    EXPECT_EQ(became.error().message,
              "there is no user no-such-user-here; create it, or change user in sluice.toml");
    EXPECT_EQ(in_a_child([] {
                  return become("daemon", 0) && !become("mail", 0) && become("daemon", 0) ? 0 : 1;
              }),
              0);
}

TEST_F(PrivilegesTest, EveryThreadGivesUp) {
    EXPECT_EQ(in_a_child([] {
                  std::atomic<bool> look{false};
                  std::atomic<int> wrong{0};
                  std::vector<std::thread> threads;
                  for (int i = 0; i < 4; ++i)
                      threads.emplace_back([&] {
                          while (!look)
                              usleep(500);
                          wrong += effective_capabilities() != kAdmin;
                      });
                  usleep(10'000);
                  const auto kept = keep_only(kAdmin);
                  look = true;
                  for (std::thread& thread : threads)
                      thread.join();
                  if (!kept)
                      return 100;
                  return wrong + (effective_capabilities() == kAdmin ? 0 : 10);
              }),
              0);
}

void hear_nothing_until(const std::atomic<bool>& end) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    while (!end)
        usleep(500);
}

TEST_F(PrivilegesTest, AThreadThatDoesNotIsSaid) {
    EXPECT_EQ(
        in_a_child([] {
            std::atomic<bool> end{false};
            std::thread deaf([&] { hear_nothing_until(end); });
            usleep(10'000);
            const auto kept = keep_only(0);
            end = true;
            deaf.join();
            return !kept && kept.error().message.find("cap_net_admin") != std::string::npos ? 0 : 1;
        }),
        0);
}

// A signal that comes when the filter of system calls is there already would end the process.
TEST_F(PrivilegesTest, AThreadWithNothingToGiveUpIsNotInterrupted) {
    EXPECT_EQ(in_a_child([] {
                  if (!become("daemon", 0))
                      return 1;
                  std::atomic<bool> end{false};
                  std::atomic<bool> interrupted{false};
                  std::thread deaf([&] {
                      hear_nothing_until(end);
                      sigset_t pending;
                      sigpending(&pending);
                      for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal)
                          if (sigismember(&pending, signal) == 1)
                              interrupted = true;
                  });
                  usleep(10'000);
                  const bool kept = static_cast<bool>(keep_only(0));
                  end = true;
                  deaf.join();
                  return kept && !interrupted ? 0 : 2;
              }),
              0);
}

TEST_F(PrivilegesTest, NothingNewByExecution) {
    EXPECT_EQ(in_a_child([] {
                  return forbid_new_privileges() && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0
                                                                                                : 1;
              }),
              0);
}

TEST_F(PrivilegesTest, AFolderIsMadeForTheUserOnlyWhereThereIsNone) {
    char name[] = "/tmp/sluice-prv-XXXXXX";
    const std::string folder = mkdtemp(name);
    const uid_t daemon = getpwnam("daemon")->pw_uid;
    struct stat status {};
    ASSERT_TRUE(make_folder_for("daemon", folder + "/new/x.sock"));
    ASSERT_EQ(stat((folder + "/new").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, daemon);
    EXPECT_EQ(status.st_mode & 07777, 0755u);
    ASSERT_TRUE(make_folder_for("daemon", folder + "/x.sock"));
    ASSERT_EQ(stat(folder.c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 0u);
    std::filesystem::remove_all(folder);
}

TEST(CapabilityNamesTest, AreThoseOfTheManual) {
    EXPECT_EQ(names_of(0), "none");
    EXPECT_EQ(names_of(kRaw | kAdmin | capability(50)), "cap_net_admin, cap_net_raw, 50");
}

}  // namespace
}  // namespace sluice
