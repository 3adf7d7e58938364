// Many routes at once: messages that are lost, dumps, and how long a large table takes. Sizes are
// those of a quick test; SLUICE_ROUTES=1000000 makes it a measurement.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <fstream>

#include "tests/unit/host/namespace.h"

namespace sluice::host {
namespace {

using route::Kind;

class LoadTest : public HostTest {
  protected:
    static unsigned size() {
        const char* wanted = std::getenv("SLUICE_ROUTES");
        return wanted == nullptr ? 20000 : static_cast<unsigned>(std::atoi(wanted));
    }
    // /24 networks from 20.0.0.0 on; one in five of IPv6, /48 from 2001:: on.
    static std::string prefix(unsigned i) {
        char text[64];
        if (i % 6 == 5)
            std::snprintf(text, sizeof text, "2001:%x:%x::/48", i >> 16, i & 0xffff);
        else
            std::snprintf(text, sizeof text, "%u.%u.%u.0/24", 20 + (i >> 16), i >> 8 & 0xff,
                          i & 0xff);
        return text;
    }
    static std::string host_of(unsigned i) {
        const std::string text = prefix(i);
        const std::string network = text.substr(0, text.find('/'));
        return network.back() == ':' ? network + "1" : network.substr(0, network.size() - 1) + "1";
    }
    // By one of 64 gateways of the network that `make_network` makes.
    static std::string way(unsigned i) {
        const std::string last = std::to_string(i % 64 + 2);
        return (i % 6 == 5 ? "via 2001:db8::" : "via 192.0.2.") + last;
    }
    static void make_network() {
        make_link("port0");
        run("ip addr add 192.0.2.1/24 dev port0");
        run("ip -6 addr add 2001:db8::1/64 dev port0 nodad");
    }
    enum class Way : std::uint8_t { blackhole, gateways };
    static void batch(const char* verb, unsigned first, unsigned count, Way to = Way::blackhole) {
        char path[] = "/tmp/sluice-routes-XXXXXX";
        const int fd = mkstemp(path);
        ASSERT_GE(fd, 0);
        close(fd);
        {
            std::ofstream file(path);
            for (unsigned i = first; i < first + count; ++i)
                file << "route " << verb << (to == Way::blackhole ? " blackhole " : " ")
                     << prefix(i) << " " << (to == Way::gateways ? way(i) : "") << "\n";
        }
        run(std::string("ip -force -batch ") + path);
        unlink(path);
    }
    unsigned count(Kind kind, unsigned first, unsigned size, unsigned step = 1) const {
        unsigned found = 0;
        for (unsigned i = first; i < first + size; i += step)
            found += to(host_of(i)).kind == kind ? 1 : 0;
        return found;
    }
};

TEST_F(LoadTest, WhatIsLostIsFoundAgainAndNothingElseIsWithdrawn) {
    constexpr unsigned kStanding = 600;
    constexpr unsigned kMore = 6000;
    batch("add", 0, kStanding);
    follow({.receive_buffer = 16384});
    ASSERT_EQ(count(Kind::blackhole, 0, kStanding), kStanding);
    // Nobody reads meanwhile.
    batch("add", kStanding, kMore);
    batch("del", 0, 60);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_TRUE(until([&] {
        // What stands all the time is there all the time.
        EXPECT_EQ(count(Kind::blackhole, 60, kStanding - 60, 97), (kStanding - 60 + 96) / 97);
        return follower->counters().resyncs == 2 && count(Kind::none, 0, 60) == 60;
    }));
    std::printf("resync after an overrun: %.0f ms\n",
                std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
                    .count());
    settle();
    EXPECT_GE(follower->counters().overruns, 1U);
    EXPECT_EQ(count(Kind::blackhole, 60, kStanding + kMore - 60), kStanding + kMore - 60);
    EXPECT_EQ(count(Kind::none, 0, 60), 60U);
    EXPECT_EQ(follower->counters().malformed, 0U);
}

TEST_F(LoadTest, LargeTableIsLoadedAndFollowed) {
    const unsigned routes = size();
    make_network();
    batch("add", 0, routes, Way::gateways);
    auto begin = std::chrono::steady_clock::now();
    const auto elapsed = [&] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    auto made = Follower::create({.ports = {{"port0", 0}}, .first_vlan = 1}, *fib);
    ASSERT_TRUE(made);
    follower = std::move(*made);
    // Of this thread: other work on the machine does not count.
    const auto busy = [] {
        timespec now{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
    };
    const double busy_before = busy();
    double longest = 0;
    while (!follower->complete()) {
        const double from = busy();
        follower->handle(now_ms());
        longest = std::max(longest, busy() - from);
        ASSERT_LT(elapsed(), 120);
    }
    std::printf("%u routes loaded in %.3f s, %.3f s of CPU time, the longest turn %.1f ms\n",
                routes, elapsed(), busy() - busy_before, longest * 1e3);
    EXPECT_EQ(count(Kind::forward, 0, routes, 7), (routes + 6) / 7);
    for (unsigned i = 0; i < routes; i += 7)
        ASSERT_EQ("via " + gateway_to(host_of(i)), way(i)) << prefix(i);
    // While a process of its own changes them.
    const unsigned changed = std::min(routes, 100000U);
    std::thread changes([&] { batch("del", 0, changed, Way::gateways); });
    begin = std::chrono::steady_clock::now();
    EXPECT_TRUE(until(
        [&] {
            return count(Kind::none, 0, changed, 500) == (changed + 499) / 500 &&
                   fib->usage().routes4 + fib->usage().routes6 < routes - changed + 50;
        },
        120));
    std::printf("%u removed and followed in %.3f s\n", changed, elapsed());
    changes.join();
}

}  // namespace
}  // namespace sluice::host
