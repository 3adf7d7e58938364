#include "common/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "common/unique_fd.h"

namespace sluice {
namespace {

TEST(ServiceManagerTest, IsToldOnItsSocket) {
    const std::string path = "/tmp/sluice-notify-" + std::to_string(getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    const UniqueFd listener(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
    notify_service_manager("READY=1");
    char text[64] = {};
    EXPECT_EQ(recv(listener.get(), text, sizeof text, MSG_DONTWAIT), 7);
    EXPECT_STREQ(text, "READY=1");
    // One that never reads holds nobody up.
    for (int i = 0; i < 10'000; ++i)
        notify_service_manager("WATCHDOG=1");
    unlink(path.c_str());
    for (const char* wrong : {"", "relative", "/no/such/socket"}) {
        setenv("NOTIFY_SOCKET", wrong, 1);
        notify_service_manager("READY=1");
    }
    unsetenv("NOTIFY_SOCKET");
    notify_service_manager("READY=1");
}

TEST(ServiceManagerTest, TheWatchdogIsForOneProcess) {
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
    EXPECT_FALSE(watchdog_period());
    setenv("WATCHDOG_USEC", "3000000", 1);
    EXPECT_EQ(watchdog_period(), std::chrono::microseconds(3'000'000));
    setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
    EXPECT_TRUE(watchdog_period());
    setenv("WATCHDOG_PID", std::to_string(getpid() + 1).c_str(), 1);
    EXPECT_FALSE(watchdog_period());
    unsetenv("WATCHDOG_PID");
    for (const char* wrong : {"", "0", "-1", "1s", "99999999999999999999"}) {
        setenv("WATCHDOG_USEC", wrong, 1);
        EXPECT_FALSE(watchdog_period()) << wrong;
    }
    unsetenv("WATCHDOG_USEC");
}

}  // namespace
}  // namespace sluice
