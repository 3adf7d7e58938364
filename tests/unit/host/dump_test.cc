// Dumps that the kernel calls inconsistent, because what it dumps changed meanwhile.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "tests/unit/host/namespace.h"

namespace sluice::host {
namespace {

// More than three times what one answer of the kernel holds.
constexpr unsigned kAddresses = 1200;

class DumpTest : public HostTest {
  protected:
    static std::string address(unsigned i) {
        return "10.7." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
    }
    void SetUp() override {
        HostTest::SetUp();
        if (IsSkipped())
            return;
        make_link("port0");
        run("ip link set port0 up");
        char path[] = "/tmp/sluice-addresses-XXXXXX";
        const int fd = mkstemp(path);
        ASSERT_GE(fd, 0);
        close(fd);
        std::ofstream file(path);
        for (unsigned i = 0; i < kAddresses; ++i)
            file << "addr add " << address(i) << "/32 dev port0\n";
        file.close();
        run(std::string("ip -batch ") + path);
        unlink(path);
        // One answer of the kernel in each turn.
        auto made = Follower::create(
            {.ports = {{"port0", 0}}, .first_vlan = 1, .messages_per_turn = 1}, *fib);
        ASSERT_TRUE(made);
        follower = std::move(*made);
    }
    // Some of the addresses have been read, others are still to come.
    bool is_amid_addresses() const {
        return follower->counters().messages % kAddresses > 200 &&
               follower->counters().messages % kAddresses < 900;
    }
};

TEST_F(DumpTest, AnInterruptedDumpIsBegunAgain) {
    ASSERT_TRUE(until([&] { return is_amid_addresses(); }));
    run("ip addr add 10.8.0.1/32 dev port0");
    run("ip addr del " + address(0) + "/32 dev port0");
    ASSERT_TRUE(until([&] { return follower->complete(); }));
    EXPECT_EQ(follower->counters().interrupted, 1U);
    settle();
    EXPECT_EQ(follower->interfaces()[0].addresses.size(), kAddresses + 1);  // with fe80::
    EXPECT_EQ(to("10.8.0.1").kind, route::Kind::local);
    EXPECT_EQ(to(address(0)).kind, route::Kind::none);
    EXPECT_EQ(to(address(1)).kind, route::Kind::local);
}

TEST_F(DumpTest, ADumpThatIsAlwaysInterruptedWithdrawsNothing) {
    unsigned changes = 0;
    const auto change = [&] {
        run(std::string("ip addr ") + (changes % 2 == 0 ? "add" : "del") +
            " 10.8.0.1/32 dev port0");
        ++changes;
    };
    std::uint64_t least = kAddresses;
    while (follower->counters().interrupted < 8 && changes < 200) {
        follower->handle(now_ms());
        if (follower->counters().messages > 20)
            change();
        if (follower->interfaces()[0].addresses.size() >= kAddresses)
            least = std::min<std::uint64_t>(least, follower->interfaces()[0].addresses.size());
    }
    EXPECT_EQ(follower->counters().interrupted, 8U);
    ASSERT_TRUE(until([&] { return follower->complete(); }));
    EXPECT_GE(least, kAddresses);
    EXPECT_EQ(to(address(1)).kind, route::Kind::local);
    // It is tried again in a while, and then it is right.
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
    ASSERT_TRUE(until([&] { return std::chrono::steady_clock::now() > end; }));
    settle();
    EXPECT_EQ(follower->interfaces()[0].addresses.size(), kAddresses + 1 + changes % 2);
    EXPECT_EQ(to("10.8.0.1").kind, changes % 2 == 1 ? route::Kind::local : route::Kind::none);
}

}  // namespace
}  // namespace sluice::host
