// Gateway ports with real twins and programs, in a network namespace of the test's own.
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>

#include "dataplane/worker/divert_path.h"
#include "dataplane/worker/exception_path.h"
#include "dataplane/worker/port.h"
#include "dataplane/worker/worker.h"
#include "tests/unit/worker/divert_program.h"
#include "tests/unit/worker/support.h"

namespace sluice::worker {
namespace {

constexpr std::uint16_t kDivertPort = 2000;

std::chrono::nanoseconds processor_time() {
    timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

class GatewayTest : public testing::Test {
  protected:
    void SetUp() override {
        if (access("/dev/net/tun", R_OK | W_OK) != 0 || unshare(CLONE_NEWNET) != 0)
            GTEST_SKIP() << "no TAP interface in a namespace: this needs root";
        auto path = ExceptionPath::open(
            {{.spec = {.name = "em0", .mac = {{2, 0, 0, 0, 0, 9}}, .addresses = {}}, .port = 0}}, 1,
            7);
        ASSERT_TRUE(path) << path.error().message;
        host_ = std::move(*path);
        host_->set_link(0, true);
        host_->start();
    }

    // Frames that wait for the worker, which keeps them.
    void take_all(std::vector<rte_mbuf*>& taken) {
        std::array<rte_mbuf*, 64> frames;
        while (const unsigned count = host_->take(0, frames))
            taken.insert(taken.end(), frames.begin(), frames.begin() + count);
    }

    std::unique_ptr<ExceptionPath> host_;
};

TEST_F(GatewayTest, TheThreadSleepsWhileItHasNoBuffers) {
    const UniqueFd sender(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0));
    sockaddr_ll twin{};
    twin.sll_family = AF_PACKET;
    twin.sll_ifindex = static_cast<int>(if_nametoindex("em0"));
    ASSERT_EQ(bind(sender.get(), reinterpret_cast<sockaddr*>(&twin), sizeof twin), 0);
    const Bytes frame = udp_frame(9);
    std::vector<rte_mbuf*> kept;
    const auto send_until_quiet = [&] {
        const std::size_t before = kept.size();
        for (std::size_t last = kept.size() + 1; last != kept.size();) {
            last = kept.size();
            for (int round = 0; round < 50; ++round) {
                for (int i = 0; i < 100; ++i)
                    send(sender.get(), frame.data(), frame.size(), 0);
                std::this_thread::sleep_for(std::chrono::milliseconds(2));
                take_all(kept);
            }
        }
        return kept.size() - before;
    };
    ASSERT_GT(send_until_quiet(), 4000u);
    // The kernel has frames for it now, and it has nowhere to read them to.
    constexpr std::chrono::milliseconds kWatched(500);
    const auto before = processor_time();
    std::this_thread::sleep_for(kWatched);
    EXPECT_LT(processor_time() - before, kWatched / 10);
    for (rte_mbuf* each : kept)
        rte_pktmbuf_free(each);
    kept.clear();
    EXPECT_GT(send_until_quiet(), 4000u);
    for (rte_mbuf* each : kept)
        rte_pktmbuf_free(each);
}

TEST_F(GatewayTest, WhatAProgramSendsToAGroupOfAVlanHasItsTag) {
    RingPort ring;
    auto port = EthPort::probe("em0", ring.device());
    ASSERT_TRUE(port) << port.error().message;
    auto pool = Mempool::create({.name = "vlan", .buffers = 1023, .room = 2048, .socket = -1});
    ASSERT_TRUE(pool) << pool.error().message;
    ASSERT_TRUE(port->start({.pool = pool->get()}));
    const std::string socket = "/tmp/sluice-gateway-test-" + std::to_string(getpid());
    auto divert = DivertPath::open(socket, 1);
    ASSERT_TRUE(divert) << divert.error().message;
    (*divert)->start();
    auto fib = route::Fib::create({});
    ASSERT_TRUE(fib);

    packet::Environment environment;
    const MacAddress mac{{2, 0, 0, 0, 0, 9}};
    environment.interfaces = {{.name = "em0", .addresses = {}, .mac = mac},
                              {.name = "em0.7", .addresses = {}, .vlan = 7, .mac = mac}};
    const auto runtime =
        program::Runtime::create(image_of({"100 allow ip from any to any"}), environment,
                                 kTestSlots, {.previous = nullptr, .fib = fib->get()});
    ASSERT_TRUE(runtime) << runtime.error().message;

    contract::WorkerCounters counters{};
    std::vector<contract::RuleCounters> rules(kTestSlots);
    std::vector<contract::SlotAnnotation> annotations(kTestSlots);
    std::atomic<bool> link_up = true;
    WorkerSpec spec;
    spec.ports = {{.device = port->id(),
                   .role = WorkerPort::Role::gateway,
                   .pool = pool->get(),
                   .link_up = &link_up}};
    spec.counters = &counters;
    spec.outputs.counters = rules.data();
    spec.outputs.annotations = annotations.data();
    spec.outputs.slot_capacity = kTestSlots;
    spec.fib = fib->get();
    spec.host = host_.get();
    spec.divert = divert->get();
    Worker worker(spec);

    Program program(socket);
    program.bound(kDivertPort);
    const Bytes frame = udp_frame(5353);
    Bytes packet(frame.begin() + 14, frame.end());
    const Bytes group = {224, 0, 0, 251};
    std::copy(group.begin(), group.end(), packet.begin() + 16);
    for (const auto& [name, tag] : {std::pair<std::string, Bytes>{"em0.7", be16(0x8100) + be16(7)},
                                    std::pair<std::string, Bytes>{"em0", {}}}) {
        divert::Header header = divert::make_header(SLUICE_DIVERT_PACKET, kDivertPort);
        header.direction = SLUICE_DIVERT_OUT;
        name.copy(header.transmit_interface, sizeof header.transmit_interface - 1);
        program.send(header, packet);
        Bytes sent;
        // The kernel sends to its own groups meanwhile, of IPv6.
        for (int i = 0; i < 2000 && (sent.empty() || sent[0] != 1); ++i) {
            worker.turn(runtime->get());
            if (ring.sent_count() != 0)
                sent = ring.sent();
            else
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        ASSERT_GT(sent.size(), 14 + tag.size());
        sent.resize(14 + tag.size());
        EXPECT_EQ(sent, (Bytes{1, 0, 0x5e, 0, 0, 251, 2, 0, 0, 0, 0, 9} + tag + be16(0x0800)));
    }
}

}  // namespace
}  // namespace sluice::worker
