#include "dataplane/worker/bridge.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/unit/worker/support.h"

namespace sluice::worker {
namespace {

using namespace std::chrono_literals;

BridgeSpec spec_of(const RingPort& a, const RingPort& b, unsigned workers) {
    BridgeSpec spec;
    spec.ports = {{.name = "em0", .device = a.device(), .peer = 1, .mtu = 1500},
                  {.name = "em1", .device = b.device(), .peer = 0, .mtu = 1500}};
    spec.workers = workers;
    spec.receive_descriptors = 64;
    spec.transmit_descriptors = 64;
    spec.sleeps = true;
    return spec;
}

// What workers write to.
struct Memory {
    explicit Memory(unsigned workers) : counters(workers) {
        for (unsigned i = 0; i < workers; ++i)
            rules.emplace_back(kTestSlots);
    }

    std::vector<WorkerMemory> for_workers() {
        std::vector<WorkerMemory> memory;
        for (std::size_t i = 0; i < counters.size(); ++i)
            memory.push_back({.counters = &counters[i],
                              .outputs = {.counters = rules[i].data(),
                                          .annotations = annotations.data(),
                                          .slot_capacity = kTestSlots,
                                          .log = {},
                                          .log_dropped = nullptr},
                              .seed = i});
        return memory;
    }

    std::vector<contract::WorkerCounters> counters;
    std::vector<std::vector<contract::RuleCounters>> rules;
    std::vector<contract::SlotAnnotation> annotations{kTestSlots};
};

template <typename Condition>
bool eventually(Condition condition) {
    for (int i = 0; i < 5000; ++i) {
        if (condition())
            return true;
        std::this_thread::sleep_for(1ms);
    }
    return false;
}

TEST(BridgeTest, TwoWorkersShareTheQueuesAndRulesetsChangeUnderTraffic) {
    RingPort a(2), b(2);
    auto bridge = Bridge::open(spec_of(a, b, 2));
    ASSERT_TRUE(bridge) << bridge.error().message;
    EXPECT_EQ((*bridge)->worker_count(), 2u);
    EXPECT_TRUE((*bridge)->notes().empty());
    Memory memory(2);
    auto started = (*bridge)->start(memory.for_workers());
    ASSERT_TRUE(started) << started.error().message;
    // Odd generations accept, even ones deny; when `replace` has returned nothing else happens.
    for (std::uint64_t generation = 1; generation <= 40; ++generation) {
        const bool accept = generation % 2 == 1;
        auto replaced = (*bridge)->runtime().replace(
            runtime_of({accept ? "100 allow ip from any to any" : "100 deny ip from any to any"},
                       generation),
            5000);
        ASSERT_TRUE(replaced) << replaced.error().message;
        for (unsigned queue = 0; queue < 2; ++queue) {
            const std::uint64_t received =
                contract::read(memory.counters[queue].ports[0].received_packets);
            a.receive(udp_frame(53), queue);
            ASSERT_TRUE(eventually([&] {
                return contract::read(memory.counters[queue].ports[0].received_packets) > received;
            }));
            if (accept)
                ASSERT_TRUE(eventually([&] { return b.sent_count(queue) == 1; }));
            else
                ASSERT_TRUE(eventually([&] {
                    return contract::read(memory.counters[queue].ports[0].dropped_packets) ==
                           generation / 2;
                }));
            EXPECT_EQ(b.sent_count(queue), accept ? 1u : 0u);
            b.forget_sent();
        }
    }
    (*bridge)->stop();
    EXPECT_GT(memory.counters[0].heartbeat, 0u);
    EXPECT_EQ(memory.counters[0].generation, 40u);
    EXPECT_EQ(memory.counters[0].ports[0].received_packets, 40u);
    EXPECT_EQ(memory.counters[1].ports[0].received_packets, 40u);
    EXPECT_EQ(memory.rules[0][2].packets, 40u);
}

TEST(BridgeTest, ThePortWithTheFewestTransmitQueuesLimitsTheWorkers) {
    RingPort a(2), b(1);
    auto bridge = Bridge::open(spec_of(a, b, 2));
    ASSERT_TRUE(bridge) << bridge.error().message;
    EXPECT_EQ((*bridge)->worker_count(), 1u);
    ASSERT_EQ((*bridge)->notes().size(), 1u);
    EXPECT_EQ((*bridge)->notes()[0], "port em1 offers 1 transmit queue: 1 worker instead of 2");
    Memory memory(1);
    ASSERT_TRUE((*bridge)->start(memory.for_workers()));
    ASSERT_TRUE((*bridge)->runtime().replace(runtime_of({"100 allow ip from any to any"}), 5000));
    a.receive(udp_frame(1));
    EXPECT_TRUE(eventually([&] { return b.sent_count() == 1; }));
    EXPECT_EQ(b.sent(), udp_frame(1));
}

TEST(BridgeTest, ADeviceThatIsNotThereIsASentence) {
    BridgeSpec spec;
    spec.ports = {{.name = "em0", .device = "net_af_packet7,iface=no-such-if", .peer = 1},
                  {.name = "em1", .device = "net_null7", .peer = 0}};
    const auto bridge = Bridge::open(spec);
    ASSERT_FALSE(bridge);
    EXPECT_NE(bridge.error().message.find("port em0: the device \"net_af_packet7,"),
              std::string::npos)
        << bridge.error().message;
    EXPECT_NE(bridge.error().message.find("there is no interface no-such-if"), std::string::npos)
        << bridge.error().message;
}

}  // namespace
}  // namespace sluice::worker
