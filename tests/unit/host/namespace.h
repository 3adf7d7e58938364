// A network namespace for a test, and commands in it.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "dataplane/host/follower.h"
#include "dataplane/route/fib.h"

namespace sluice::host {

inline route::Address address_of(const std::string& text) {
    if (const auto v4 = parse_ipv4(text))
        return *v4;
    return parse_ipv6(text).value_or(Ipv6{});
}

// The process moves into a new namespace for each test, so all of the process must be one thread.
class HostTest : public testing::Test {
  protected:
    void SetUp() override {
        if (unshare(CLONE_NEWNET) != 0)
            GTEST_SKIP() << "no network namespace: this needs root";
        run("ip link set lo up");
        auto made = route::Fib::create({});
        ASSERT_TRUE(made);
        fib = std::move(*made);
    }

    static void run(const std::string& command) {
        EXPECT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
    }
    // A link with a carrier: the other end is up as well.
    static void make_link(const std::string& name) {
        run("ip link add " + name + " type veth peer name " + name + "-peer && ip link set " +
            name + " up && ip link set " + name + "-peer up");
    }
    static std::string out_of(const std::string& command) {
        std::string text;
        if (FILE* pipe = popen(command.c_str(), "r")) {
            char buffer[4096];
            while (const std::size_t got = fread(buffer, 1, sizeof buffer, pipe))
                text.append(buffer, got);
            pclose(pipe);
        }
        return text;
    }

    static std::uint64_t now_ms() {
        return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                              std::chrono::steady_clock::now().time_since_epoch())
                                              .count());
    }

    void follow(Follower::Settings settings = {}) {
        if (settings.ports.empty())
            settings.ports = {{"port0", 0}, {"port1", 1}};
        if (settings.first_vlan == 0)
            settings.first_vlan = 2;
        auto made = Follower::create(settings, *fib);
        ASSERT_TRUE(made) << made.error().message;
        follower = std::move(*made);
        EXPECT_TRUE(until([&] { return follower->complete(); }));
    }

    // Works until nothing has come for a while, and no resync is due.
    void settle(int quiet_ms = 250) {
        const auto begin = std::chrono::steady_clock::now();
        auto last = begin;
        const auto quiet = std::chrono::milliseconds(quiet_ms);
        while (std::chrono::steady_clock::now() - last < quiet &&
               std::chrono::steady_clock::now() - begin < std::chrono::seconds(30)) {
            const auto before = follower->counters().messages;
            const bool more = follower->handle(now_ms());
            if (more || follower->counters().messages != before)
                last = std::chrono::steady_clock::now();
            else
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            fib->reclaim_all();
        }
    }
    template <typename Condition>
    bool until(Condition condition, int seconds = 20) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
        while (!condition()) {
            if (std::chrono::steady_clock::now() > end)
                return false;
            if (!follower->handle(now_ms()))
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            fib->reclaim_all();
        }
        return true;
    }

    const route::NextHop& to(const std::string& text, std::uint32_t hash = 0) const {
        return std::visit(
            [&](const auto& value) -> const route::NextHop& { return fib->find(value, hash); },
            address_of(text));
    }
    std::string gateway_to(const std::string& text) const {
        const route::NextHop& hop = to(text);
        if (hop.gateway_version == 0)
            return "";
        return hop.gateway_version == 4 ? to_string(hop.gateway4()) : to_string(hop.gateway);
    }

    std::unique_ptr<route::Fib> fib;
    std::unique_ptr<Follower> follower;
};

}  // namespace sluice::host
