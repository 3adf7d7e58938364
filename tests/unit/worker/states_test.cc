// States over several workers: who owns a flow, what ends a state, and what the main thread does to
// states while workers run.
#include <gtest/gtest.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "dataplane/app/state_memory.h"
#include "dataplane/app/state_recheck.h"
#include "dataplane/packet/parser.h"
#include "dataplane/worker/bridge.h"
#include "tests/unit/worker/support.h"

namespace sluice::worker {
namespace {

using contract::DropReason;
using dataplane::StateMemory;

constexpr unsigned kWorkers = 2;
constexpr state::FlowHasher::Secret kSecret = {0x8c6f5d1be3a90b47, 0x2545f4914f6cdd1d,
                                               0xda942042e4dd58b5, 0x9fb21c651e98df25};
constexpr std::uint64_t kOwnerSeed = 0x6d5a;
constexpr std::uint8_t kSyn = 2, kAck = 16;

constexpr unsigned kBurst = 16;
constexpr unsigned kRing = 64;  // packets between two workers
constexpr auto kHandoverFull = static_cast<std::size_t>(DropReason::handover_full);

template <typename Condition>
bool eventually(Condition condition) {
    for (int i = 0; i < 5000; ++i) {
        if (condition())
            return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

std::uint32_t clock_s = 0;

std::uint32_t read_clock() {
    return clock_s;
}

// Addresses and ports exchanged.
Bytes answer_to(Bytes frame) {
    std::swap_ranges(frame.begin(), frame.begin() + 6, frame.begin() + 6);
    std::swap_ranges(frame.begin() + 26, frame.begin() + 30, frame.begin() + 30);
    std::swap_ranges(frame.begin() + 34, frame.begin() + 36, frame.begin() + 36);
    return frame;
}

Bytes tcp_frame(unsigned destination_port, std::uint8_t flags) {
    Bytes frame = tcp_syn_frame(destination_port);
    frame[47] = flags;
    return frame;
}

unsigned owner_of(const state::OwnerHash& hash, const Bytes& frame) {
    packet::Headers headers;
    EXPECT_EQ(packet::parse_frame(std::as_bytes(std::span(frame)), {}, headers), DropReason::none);
    return state::OwnerHash::worker_of(hash(headers), kWorkers);
}

// What both workers write to.
struct Memory {
    explicit Memory(std::uint32_t state_count = 1024) : counters(kWorkers), rules(kWorkers) {
        for (unsigned i = 0; i < kWorkers; ++i) {
            rules[i].resize(kTestSlots);
            workers.push_back({.counters = &counters[i],
                               .outputs = {.counters = rules[i].data(),
                                           .annotations = annotations.data(),
                                           .slot_capacity = kTestSlots,
                                           .log = {},
                                           .log_dropped = &counters[i].log_dropped,
                                           .states = nullptr},
                               .seed = i});
        }
        auto made = StateMemory::create(state_count, kSecret, workers);
        EXPECT_TRUE(made) << made.error().message;
        states = std::make_unique<StateMemory>(std::move(*made));
    }

    std::vector<contract::WorkerCounters> counters;
    std::vector<std::vector<contract::RuleCounters>> rules;
    std::vector<contract::SlotAnnotation> annotations{kTestSlots};
    std::vector<WorkerMemory> workers;
    std::unique_ptr<StateMemory> states;
};

// Two ports, two workers that this thread turns by hand; worker N polls queue N of both ports.
class StatesTest : public testing::Test {
  protected:
    void SetUp() override {
        clock_s = 1000;
        before_ = packets_in_use();
        for (RingPort* ring : {&a_, &b_}) {
            auto port = EthPort::probe("em" + std::to_string(ports_.size()), ring->device());
            ASSERT_TRUE(port) << port.error().message;
            ASSERT_TRUE(port->start(
                {.receive_queues = kWorkers, .transmit_queues = kWorkers, .pool = test_pool()}));
            ports_.push_back(std::move(*port));
        }
        for (unsigned id = 0; id < kWorkers; ++id)
            workers_.emplace_back(spec(id));
    }

    void TearDown() override {
        workers_.clear();
        handover_.reset();
        a_.forget_sent();
        b_.forget_sent();
        ports_.clear();
        EXPECT_EQ(packets_in_use(), before_) << "packets were lost";
    }

    WorkerSpec spec(unsigned id) {
        WorkerSpec spec;
        spec.id = id;
        for (std::uint16_t i = 0; i < 2; ++i) {
            spec.ports.push_back({.device = ports_[i].id(),
                                  .peer = static_cast<std::uint16_t>(1 - i),
                                  .pool = test_pool(),
                                  .link_up = &link_up_[i],
                                  .spreads_by_owner = i == 0});
            spec.queues.push_back({.port = i, .queue = static_cast<std::uint16_t>(id)});
        }
        spec.burst = kBurst;
        spec.counters = &memory_.counters[id];
        spec.outputs = memory_.workers[id].outputs;
        spec.handover = handover_.get();
        spec.owner_hash = &hash_;
        spec.uptime = read_clock;
        spec.handover_patience_ms = 60'000;
        return spec;
    }

    void turn(const program::Runtime& runtime) {
        for (Worker& worker : workers_)
            worker.turn(&runtime);
    }

    // A UDP frame of a flow that the worker owns.
    Bytes frame_owned_by(unsigned worker, unsigned skip = 0) const {
        for (unsigned port = 1000;; ++port)
            if (owner_of(hash_, udp_frame(port)) == worker && skip-- == 0)
                return udp_frame(port);
    }

    std::size_t sent(const RingPort& port) const { return port.sent_count(0) + port.sent_count(1); }

    RingPort a_{kWorkers}, b_{kWorkers};
    std::vector<EthPort> ports_;
    std::atomic<bool> link_up_[2] = {true, true};
    Memory memory_;
    state::OwnerHash hash_{kOwnerSeed};
    std::unique_ptr<Handover> handover_ = std::make_unique<Handover>(kWorkers, kRing);
    std::vector<Worker> workers_;
    unsigned before_ = 0;
};

TEST_F(StatesTest, AFlowMeetsItsStateWhereverItsPacketsArrive) {
    const auto runtime =
        runtime_of({"100 check-state", "200 allow udp from any to any recv em0 keep-state"});
    const Bytes frame = frame_owned_by(1);
    b_.receive(answer_to(frame), 1);  // nothing has opened the way yet
    turn(*runtime);
    EXPECT_EQ(sent(a_), 0u);
    a_.receive(frame, 0);
    turn(*runtime);  // worker 1 turns behind worker 0 and finds the packet
    EXPECT_EQ(b_.sent(1), frame);
    b_.receive(answer_to(frame), 0);
    turn(*runtime);
    EXPECT_EQ(a_.sent(1), answer_to(frame));
    b_.receive(answer_to(frame), 1);
    turn(*runtime);
    EXPECT_EQ(a_.sent(1), answer_to(frame));
    EXPECT_EQ(memory_.counters[0].handed_over, 2u);
    EXPECT_EQ(memory_.counters[1].handed_over, 0u);
    // The first port should have brought it there by itself, the second was never asked to.
    EXPECT_EQ(memory_.counters[0].misdirected, 1u);
    EXPECT_EQ(memory_.counters[0].states, 0u);
    EXPECT_EQ(memory_.counters[1].states, 1u);
    EXPECT_EQ(memory_.counters[1].states_made, 1u);
    EXPECT_EQ(memory_.counters[0].ports[0].received_packets, 1u);
    EXPECT_EQ(memory_.counters[1].ports[0].received_packets, 0u);
}

TEST_F(StatesTest, WhatIsNotIpAndFirstFragmentsAndStatelessRulesets) {
    const auto stateful = runtime_of({"100 allow ip from any to any keep-state"});
    const auto stateless = runtime_of({"100 allow ip from any to any"});
    a_.receive(arp_frame(), 0);
    a_.receive(arp_frame(), 1);
    turn(*stateful);
    EXPECT_EQ(b_.sent(0), arp_frame());
    EXPECT_EQ(b_.sent(1), arp_frame());
    a_.receive(frame_owned_by(1), 0);
    turn(*stateless);
    EXPECT_EQ(b_.sent(0), frame_owned_by(1));
    EXPECT_EQ(memory_.counters[0].handed_over, 0u);
    // Hardware sees no ports in any fragment: the first one is expected at another worker.
    Bytes fragment = frame_owned_by(1);
    fragment[20] = 0x20;
    a_.receive(fragment, 0);
    turn(*stateful);
    EXPECT_EQ(b_.sent(1), fragment);
    EXPECT_EQ(memory_.counters[0].handed_over, 1u);
    EXPECT_EQ(memory_.counters[0].misdirected, 0u);
}

TEST_F(StatesTest, OwnAndForeignPacketsOfABurstKeepTheirOrder) {
    const auto runtime = runtime_of({"100 allow udp from any to any keep-state"});
    std::vector<Bytes> own, foreign;
    for (unsigned i = 0; i < 8; ++i) {
        own.push_back(frame_owned_by(0, i));
        foreign.push_back(frame_owned_by(1, i));
        a_.receive(own.back(), 0);
        a_.receive(foreign.back(), 0);
    }
    turn(*runtime);
    for (unsigned i = 0; i < 8; ++i) {
        EXPECT_EQ(b_.sent(0), own[i]);
        EXPECT_EQ(b_.sent(1), foreign[i]);
    }
    EXPECT_EQ(sent(b_), 0u);
}

// The owner does not move: packets wait in the ring and behind it in the port, and none is lost.
TEST_F(StatesTest, NothingIsReceivedThatTheOwnersQueueCannotTake) {
    const auto runtime = runtime_of({"100 allow udp from any to any keep-state"});
    constexpr unsigned kPackets = kRing + 40;
    for (unsigned i = 0; i < kPackets; ++i) {
        a_.receive(frame_owned_by(1, i % 5), 0);
        b_.receive(answer_to(frame_owned_by(1, i % 5)), 0);
    }
    for (unsigned i = 0; i < 2 * kPackets; ++i)
        workers_[0].turn(runtime.get());
    EXPECT_LE(memory_.counters[0].handed_over, kRing);
    EXPECT_GT(memory_.counters[0].handed_over, kRing - kBurst);
    EXPECT_GT(memory_.counters[0].handover_waits, 0u);
    // Neither port is put off for the other one.
    EXPECT_GE(memory_.counters[0].ports[0].received_packets, kRing / 2 - kBurst);
    EXPECT_GE(memory_.counters[0].ports[1].received_packets, kRing / 2 - kBurst);
    for (unsigned i = 0; i < kPackets; ++i)
        turn(*runtime);
    EXPECT_EQ(memory_.counters[0].handed_over, 2 * kPackets);
    for (unsigned i = 0; i < kPackets; ++i) {
        ASSERT_EQ(b_.sent(1), frame_owned_by(1, i % 5));
        ASSERT_EQ(a_.sent(1), answer_to(frame_owned_by(1, i % 5)));
    }
    EXPECT_EQ(memory_.counters[0].drops[kHandoverFull], 0u);
}

TEST_F(StatesTest, AnOwnerThatStandsStillIsWaitedForOnlySoLong) {
    workers_.clear();
    for (unsigned id = 0; id < kWorkers; ++id) {
        WorkerSpec impatient = spec(id);
        impatient.handover_patience_ms = 0;
        workers_.emplace_back(impatient);
    }
    const auto runtime = runtime_of({"100 allow udp from any to any keep-state"});
    constexpr unsigned kPackets = kRing + 9;
    for (unsigned i = 0; i < kPackets; ++i)
        a_.receive(frame_owned_by(1), 0);
    a_.receive(frame_owned_by(0), 0);
    for (unsigned i = 0; i <= kPackets; i += kBurst)
        workers_[0].turn(runtime.get());
    EXPECT_EQ(memory_.counters[0].handed_over, kRing);
    EXPECT_EQ(memory_.counters[0].drops[kHandoverFull], 9u);
    EXPECT_EQ(memory_.counters[0].ports[0].dropped_packets, 9u);
    // The worker's own flows go on.
    EXPECT_EQ(b_.sent(0), frame_owned_by(0));
    // So do those of the other one, when it moves again.
    while (workers_[1].turn(runtime.get()) != 0) {
    }
    a_.receive(frame_owned_by(1), 0);
    turn(*runtime);
    EXPECT_EQ(b_.sent_count(1), kRing + 1u);
    EXPECT_EQ(memory_.counters[0].drops[kHandoverFull], 9u);
}

// What is left in the queue at the end is freed; TearDown sees whether it comes back.
TEST_F(StatesTest, PacketsMayBeLeftInTheQueues) {
    const auto runtime = runtime_of({"100 allow udp from any to any keep-state"});
    for (unsigned i = 0; i < kBurst; ++i)
        a_.receive(frame_owned_by(1), 0);
    workers_[0].turn(runtime.get());
    EXPECT_EQ(memory_.counters[0].handed_over, kBurst);
    EXPECT_EQ(packets_in_use(), before_ + kBurst);
}

// Both workers have nothing but packets of the other, many times what the queues hold.
TEST_F(StatesTest, WorkersThatHandEverythingToEachOtherLoseNothing) {
    const auto runtime = runtime_of({"100 allow udp from any to any keep-state"});
    constexpr unsigned kPackets = 900;  // what a sending port of the test takes
    std::vector<Bytes> flows[kWorkers];
    for (unsigned owner = 0; owner < kWorkers; ++owner)
        for (unsigned i = 0; i < kPackets; ++i) {
            flows[owner].push_back(frame_owned_by(owner, i % 7));
            flows[owner].back().back() = static_cast<std::uint8_t>(i);
            a_.receive(flows[owner].back(), 1 - owner);
        }
    std::atomic<bool> done = false;
    std::vector<std::thread> threads;
    for (Worker& worker : workers_)
        threads.emplace_back([&] {
            while (!done)
                worker.turn(runtime.get());
        });
    EXPECT_TRUE(eventually([&] { return sent(b_) == std::size_t{2} * kPackets; }));
    done = true;
    for (std::thread& thread : threads)
        thread.join();
    for (unsigned owner = 0; owner < kWorkers; ++owner) {
        EXPECT_EQ(memory_.counters[1 - owner].handed_over, kPackets);
        EXPECT_EQ(memory_.counters[owner].drops[kHandoverFull], 0u);
        for (const Bytes& frame : flows[owner])
            ASSERT_EQ(b_.sent(owner), frame);
    }
}

TEST_F(StatesTest, WithoutARulesetHandedOverPacketsAreDropped) {
    const auto runtime = runtime_of({"100 allow udp from any to any keep-state"});
    a_.receive(frame_owned_by(1), 0);
    workers_[0].turn(runtime.get());
    EXPECT_EQ(workers_[1].turn(nullptr), 1u);
    EXPECT_EQ(memory_.counters[1].drops[static_cast<std::size_t>(DropReason::no_ruleset)], 1u);
    EXPECT_EQ(memory_.counters[1].ports[0].dropped_packets, 1u);
}

TEST_F(StatesTest, TurnsWithoutPacketsCollectStates) {
    const auto runtime =
        runtime_of({"100 check-state", "200 allow udp from any to any recv em0 keep-state"});
    const Bytes frame = frame_owned_by(0);
    a_.receive(frame, 0);
    turn(*runtime);
    EXPECT_EQ(memory_.counters[0].states, 1u);
    EXPECT_EQ(memory_.rules[0][3].states, 1u);
    clock_s += 9;
    turn(*runtime);
    EXPECT_EQ(memory_.counters[0].states, 1u);
    clock_s += 3;
    turn(*runtime);
    EXPECT_EQ(memory_.counters[0].states, 0u);
    EXPECT_EQ(memory_.rules[0][3].states, 0u);
    b_.receive(answer_to(frame), 0);
    turn(*runtime);
    EXPECT_EQ(sent(a_), 0u);
}

class KeepaliveTurnsTest : public StatesTest {
  protected:
    // A connection through em0 that falls silent.
    void connect(const program::Runtime& runtime) {
        const unsigned owner = owner_of(hash_, tcp_frame(80, kSyn));
        a_.receive(tcp_frame(80, kSyn), owner);
        turn(runtime);
        b_.receive(answer_to(tcp_frame(80, kSyn | kAck)), owner);
        turn(runtime);
        a_.receive(tcp_frame(80, kAck), owner);
        turn(runtime);
        EXPECT_EQ(sent(a_), 1u);
        EXPECT_EQ(sent(b_), 2u);
        a_.forget_sent();
        b_.forget_sent();
        owner_ = owner;
    }

    void let_pass(unsigned seconds, const program::Runtime& runtime) {
        for (unsigned i = 0; i < seconds; ++i) {
            ++clock_s;
            turn(runtime);
        }
    }

    std::uint64_t keepalives() const { return memory_.counters[owner_].keepalives_sent; }

    std::unique_ptr<const program::Runtime> runtime_ =
        runtime_of({"100 allow tcp from any to any keep-state"});
    unsigned owner_ = 0;
};

TEST_F(KeepaliveTurnsTest, BothSidesAreAskedOnTheirOwnPorts) {
    connect(*runtime_);
    let_pass(299, *runtime_);
    EXPECT_GE(keepalives(), 2u);
    EXPECT_EQ(keepalives(), sent(a_) + sent(b_));
    ASSERT_GE(a_.sent_count(owner_), 1u);
    ASSERT_GE(b_.sent_count(owner_), 1u);
    const Bytes to_initiator = a_.sent(owner_), to_responder = b_.sent(owner_);
    const Bytes syn = tcp_syn_frame(80);
    const Bytes addresses(syn.begin() + 26, syn.begin() + 38);
    EXPECT_TRUE(std::equal(syn.begin(), syn.begin() + 14, to_responder.begin()));
    EXPECT_TRUE(std::equal(addresses.begin(), addresses.end(), to_responder.begin() + 26));
    const Bytes back = answer_to(syn);
    EXPECT_TRUE(std::equal(back.begin(), back.begin() + 14, to_initiator.begin()));
    EXPECT_TRUE(std::equal(back.begin() + 26, back.begin() + 38, to_initiator.begin() + 26));
    EXPECT_EQ(to_responder[47], kAck);
    EXPECT_EQ(to_initiator[47], kAck);
}

TEST_F(KeepaliveTurnsTest, NoneIsSentToAPortThatIsDown) {
    connect(*runtime_);
    link_up_[0] = false;
    let_pass(299, *runtime_);
    EXPECT_EQ(sent(a_), 0u);
    EXPECT_GE(sent(b_), 1u);
    EXPECT_EQ(keepalives(), sent(b_));
}

TEST(StatesOfABridgeTest, AreListedAndKilledWhileWorkersRun) {
    RingPort a(kWorkers), b(kWorkers);
    BridgeSpec spec;
    spec.ports = {{.name = "em0", .device = a.device(), .peer = 1, .mtu = 1500},
                  {.name = "em1", .device = b.device(), .peer = 0, .mtu = 1500}};
    spec.workers = kWorkers;
    spec.owner_seed = kOwnerSeed;
    spec.receive_descriptors = spec.transmit_descriptors = 64;
    spec.sleeps = true;
    auto opened = Bridge::open(spec);
    ASSERT_TRUE(opened) << opened.error().message;
    Bridge& bridge = **opened;
    Memory memory;
    EXPECT_EQ(memory.states->states(), 1024u);
    EXPECT_EQ(memory.states->bytes(),
              2 * state::StateTable::memory_for(dataplane::cells_per_worker(1024, 2)));
    EXPECT_GT(memory.states->buckets(), 100u);
    auto started = bridge.start(memory.workers);
    ASSERT_TRUE(started) << started.error().message;
    ASSERT_EQ(bridge.spreading_notes().size(), 2u);
    EXPECT_EQ(bridge.spreading_notes()[0],
              "port em0 does not spread flows as needed: where there are states, workers hand "
              "packets over");
    EXPECT_TRUE(memory.states->list({}, bridge.runtime().current(), uptime_s()).last);
    EXPECT_EQ(*bridge.state_orders().kill({}, 5000), 0u);  // no ruleset, no states
    ASSERT_TRUE(bridge.runtime().replace(
        runtime_of({"100 count tcp from any to any", "150 count tcp from any to any",
                    "200 allow udp from any to any keep-state lifetime 1000"}),
        5000));
    constexpr unsigned kFlows = 40;
    for (unsigned i = 0; i < kFlows; ++i)
        a.receive(udp_frame(1000 + i), i % 2);
    ASSERT_TRUE(eventually([&] { return b.sent_count(0) + b.sent_count(1) == kFlows; }));
    const auto listed = [&](const contract::StateFilter& filter) {
        contract::StatesRequest request;
        request.filter = filter;
        return memory.states->list(request, bridge.runtime().current(), uptime_s()).records;
    };
    const auto all = listed({});
    EXPECT_EQ(all.size(), kFlows);
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), [](auto& r) { return r.worker == 0; }));
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), [](auto& r) { return r.worker == 1; }));
    contract::StateFilter one;
    one.port = 1007;
    ASSERT_EQ(listed(one).size(), 1u);
    EXPECT_EQ(listed(one)[0].rule_number, 200);
    // Some go on under another rule, some end; in pieces, while the workers run.
    ASSERT_TRUE(bridge.runtime().replace(
        runtime_of({"100 allow udp from any to any dst-port 1000-1019 keep-state",
                    "150 deny udp from any to any dst-port 1020-1024",
                    "200 allow udp from any to any keep-state lifetime 1000"}),
        5000));
    const std::vector<const state::StateTable*> tables = memory.states->tables();
    const dataplane::RecheckWorld world{.rules = {.runtime = *bridge.runtime().current()},
                                        .tables = tables,
                                        .orders = bridge.state_orders(),
                                        .uptime_s = uptime_s(),
                                        .timeout_ms = 5000};
    contract::RecheckStates recheck;
    std::uint64_t kept = 0, moved = 0, ended = 0, pieces = 0;
    for (bool last = false; !last; ++pieces) {
        const auto reply = dataplane::recheck_states(recheck, world);
        ASSERT_TRUE(reply) << reply.error().message;
        kept += reply->kept;
        moved += reply->moved;
        ended += reply->killed;
        recheck.from = reply->next;
        last = reply->last != 0;
    }
    EXPECT_EQ(pieces, 3u);  // one of each worker, and the end
    EXPECT_EQ(moved, 20u);
    EXPECT_EQ(ended, 5u);
    EXPECT_EQ(kept, kFlows - 25);
    ASSERT_EQ(listed({}).size(), kFlows - 5);
    EXPECT_EQ(listed(one)[0].rule_number, 100);
    const auto killed = bridge.state_orders().kill(one, 5000);
    ASSERT_TRUE(killed) << killed.error().message;
    EXPECT_EQ(*killed, 1u);
    EXPECT_EQ(listed(one).size(), 0u);
    EXPECT_EQ(listed({}).size(), kFlows - 6);
    EXPECT_EQ(*bridge.state_orders().kill({}, 5000), kFlows - 6);
    EXPECT_EQ(listed({}).size(), 0u);
    bridge.stop();
    EXPECT_EQ(memory.counters[0].states + memory.counters[1].states, 0u);
    EXPECT_GT(memory.counters[0].handed_over + memory.counters[1].handed_over, 0u);
    EXPECT_EQ(memory.counters[0].misdirected + memory.counters[1].misdirected, 0u);
    a.forget_sent();
    b.forget_sent();
}

// Tables of more cells than are looked at for a piece.
TEST(StateMemoryTest, ListsInPieces) {
    constexpr unsigned kFlows = 100'000;
    Memory memory(2 * kFlows);
    const auto runtime = runtime_of({"100 allow udp from any to any keep-state lifetime 1000"});
    packet::Packet packet;
    const Bytes frame = udp_frame(53);
    ASSERT_EQ(packet::parse_frame(std::as_bytes(std::span(frame)), {}, packet.headers),
              DropReason::none);
    packet.uptime_s = 1000;
    contract::Sysctls sysctls;
    sysctls.dyn_max = 4 * kFlows;
    sysctls.dyn_established_share = 0;
    const contract::RuleRecord& rule = runtime->view().rules()[0];
    for (const WorkerMemory& worker : memory.workers)
        for (unsigned i = 0; i < kFlows; ++i) {
            packet.headers.source_port = static_cast<std::uint16_t>(i);
            packet.headers.source.bytes[3] = static_cast<std::uint8_t>(i >> 16);
            const state::FlowKey key = state::flow_key(packet.headers);
            state::StateTable& table = *worker.outputs.states;
            ASSERT_EQ(table.create(key, table.hash(key), rule, packet, sysctls, {}),
                      state::Creation::made);
        }
    for (const auto wanted : {contract::StatesWanted::records, contract::StatesWanted::count}) {
        contract::StatesRequest request;
        request.wanted = wanted;
        std::vector<unsigned> found(kWorkers);
        std::uint64_t count = 0;
        unsigned pieces = 0;
        for (bool last = false; !last; ++pieces) {
            const auto piece = memory.states->list(request, runtime.get(), 1000);
            EXPECT_LE(piece.records.size(), StateMemory::kCellsAtOnce);
            for (const contract::StateRecord& record : piece.records)
                ++found[record.worker];
            count += piece.count;
            request.from = piece.next;
            last = piece.last;
        }
        EXPECT_EQ(count, std::uint64_t{kWorkers} * kFlows);
        EXPECT_EQ(pieces, 4u);
        const unsigned each = wanted == contract::StatesWanted::records ? kFlows : 0;
        EXPECT_EQ(found, std::vector<unsigned>(kWorkers, each));
    }
}

TEST(StateMemoryTest, SeveralWorkersGetAQuarterMore) {
    EXPECT_EQ(dataplane::cells_per_worker(1000, 1), 1000u);
    EXPECT_EQ(dataplane::cells_per_worker(1000, 2), 625u);
    EXPECT_EQ(dataplane::cells_per_worker(1000, 3), 417u);
    EXPECT_EQ(dataplane::cells_per_worker(64'000'000, 2), 40'000'000u);
}

}  // namespace
}  // namespace sluice::worker
