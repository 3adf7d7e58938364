#include "dataplane/worker/worker.h"

#include <gtest/gtest.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/worker/mempool.h"
#include "dataplane/worker/port.h"
#include "tests/unit/worker/support.h"

namespace sluice::worker {
namespace {

using contract::DropReason;

// Two ports of rings, A and B, and one worker that this thread turns by hand.
class WorkerTest : public testing::Test {
  protected:
    explicit WorkerTest(unsigned transmit_size = 1024)
        : a_(1, transmit_size), b_(1, transmit_size) {}

    void SetUp() override {
        static unsigned count = 0;
        auto pool = Mempool::create(
            {.name = "w" + std::to_string(count++), .buffers = 1023, .room = 2048, .socket = -1});
        ASSERT_TRUE(pool) << pool.error().message;
        pool_ = std::make_unique<Mempool>(std::move(*pool));
        for (RingPort* ring : {&a_, &b_}) {
            auto port = EthPort::probe("em" + std::to_string(ports_.size()), ring->device());
            ASSERT_TRUE(port) << port.error().message;
            auto started = port->start({.pool = pool_->get()});
            ASSERT_TRUE(started) << started.error().message;
            ports_.push_back(std::move(*port));
        }
        before_ = packets_in_use();
    }

    void TearDown() override {
        a_.forget_sent();
        b_.forget_sent();
        EXPECT_EQ(packets_in_use(), before_) << "packets were lost";
    }

    Worker& worker() {
        if (!worker_) {
            WorkerSpec spec;
            for (std::uint16_t i = 0; i < 2; ++i)
                spec.ports.push_back({.device = ports_[i].id(),
                                      .peer = static_cast<std::uint16_t>(1 - i),
                                      .pool = pool_->get(),
                                      .link_up = &link_up_[i]});
            spec.queues = {{.port = 0, .queue = 0}, {.port = 1, .queue = 0}};
            spec.burst = burst_;
            spec.reply_rate = 1;
            spec.reply_burst = 3;
            spec.counters = &counters_;
            spec.outputs = {.counters = rules_.data(),
                            .annotations = annotations_.data(),
                            .slot_capacity = kTestSlots,
                            .log = log_,
                            .log_dropped = &counters_.log_dropped};
            worker_ = std::make_unique<Worker>(spec);
        }
        return *worker_;
    }

    std::uint64_t drops(DropReason reason) const {
        return counters_.drops[static_cast<std::size_t>(reason)];
    }

    unsigned burst_ = 16;
    RingPort a_, b_;
    std::unique_ptr<Mempool> pool_;
    std::vector<EthPort> ports_;
    std::atomic<bool> link_up_[2] = {true, true};
    contract::WorkerCounters counters_;
    std::vector<contract::RuleCounters> rules_{kTestSlots};
    std::vector<contract::SlotAnnotation> annotations_{kTestSlots};
    alignas(64) std::byte log_memory_[contract::log_ring_stride(64)] = {};
    contract::LogRing log_ = contract::LogRing::create(log_memory_, 64);
    std::unique_ptr<Worker> worker_;
    unsigned before_ = 0;
};

TEST_F(WorkerTest, DropsEverythingBeforeThereIsARuleset) {
    a_.receive(udp_frame(53));
    b_.receive(arp_frame());
    EXPECT_EQ(worker().turn(nullptr), 2u);
    EXPECT_EQ(a_.sent_count() + b_.sent_count(), 0u);
    EXPECT_EQ(drops(DropReason::no_ruleset), 2u);
    EXPECT_EQ(counters_.ports[0].received_packets, 1u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 1u);
    EXPECT_EQ(counters_.ports[1].dropped_packets, 1u);
    EXPECT_EQ(counters_.generation, 0u);
    EXPECT_EQ(counters_.heartbeat, 1u);
}

TEST_F(WorkerTest, AcceptedFramesLeaveByThePeerUnchangedAndInOrder) {
    const auto runtime = runtime_of({"100 allow udp from any to any"}, 7);
    for (unsigned port = 1; port <= 40; ++port)
        a_.receive(udp_frame(port));
    b_.receive(udp_frame(99));
    for (unsigned turns = 0; turns < 3; ++turns)
        worker().turn(runtime.get());
    for (unsigned port = 1; port <= 40; ++port)
        EXPECT_EQ(b_.sent(), udp_frame(port));
    EXPECT_EQ(a_.sent(), udp_frame(99));
    EXPECT_EQ(counters_.ports[0].received_packets, 40u);
    EXPECT_EQ(counters_.ports[0].received_bytes, 40 * udp_frame(1).size());
    EXPECT_EQ(counters_.ports[1].sent_packets, 40u);
    EXPECT_EQ(counters_.ports[1].sent_bytes, 40 * udp_frame(1).size());
    EXPECT_EQ(counters_.ports[0].sent_packets, 1u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 0u);
    EXPECT_EQ(counters_.generation, 7u);
    EXPECT_EQ(rules_[2].packets, 41u);
    EXPECT_EQ(rules_[2].bytes, 41 * (udp_frame(1).size() - 14));
    EXPECT_NE(rules_[2].last_match_s, 0u);
}

// More at once than are judged together, of all kinds: what passes, what is dropped, what no rule
// judges, what is malformed.
TEST_F(WorkerTest, LargeBurstsKeepTheirOrder) {
    burst_ = 200;
    const auto runtime = runtime_of(
        {"100 deny udp from any to any dst-port 1-100", "200 allow udp from any to any"}, 1);
    std::vector<Bytes> expected;
    unsigned denied = 0, malformed = 0;
    for (unsigned i = 0; i < 200; ++i) {
        Bytes frame = i % 7 == 3 ? arp_frame() : udp_frame(i);
        if (i % 11 == 5 && i % 7 != 3) {
            frame.resize(20);
            ++malformed;
        } else if (i % 7 != 3 && i >= 1 && i <= 100) {
            ++denied;
        } else {
            expected.push_back(frame);
        }
        a_.receive(frame);
    }
    EXPECT_EQ(worker().turn(runtime.get()), 200u);
    EXPECT_EQ(b_.sent_count(), expected.size());
    for (const Bytes& frame : expected)
        EXPECT_EQ(b_.sent(), frame);
    EXPECT_EQ(counters_.ports[0].received_packets, 200u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, denied + malformed);
    EXPECT_EQ(counters_.ports[1].sent_packets, expected.size());
    EXPECT_EQ(drops(DropReason::short_frame), malformed);
    EXPECT_EQ(rules_[2].packets, denied);
}

TEST_F(WorkerTest, DeniedPacketsAreDroppedByTheirRule) {
    const auto runtime = runtime_of({"100 deny udp from any to any dst-port 53 recv em0"});
    a_.receive(udp_frame(53));
    worker().turn(runtime.get());
    EXPECT_EQ(b_.sent_count(), 0u);
    EXPECT_EQ(rules_[2].packets, 1u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 1u);
    for (std::uint64_t count : counters_.drops)
        EXPECT_EQ(count, 0u);
}

TEST_F(WorkerTest, FramesThatAreNotIpPass) {
    const auto runtime = runtime_of({"100 deny ip from any to any"});
    a_.receive(arp_frame());
    worker().turn(runtime.get());
    EXPECT_EQ(b_.sent(), arp_frame());
    EXPECT_EQ(counters_.non_ip, 1u);
}

TEST_F(WorkerTest, AnswersLeaveByTheReceivingPortWithinTheBudget) {
    const auto runtime =
        runtime_of({"100 unreach port udp from any to any", "200 reset tcp from any to any"});
    for (int i = 0; i < 2; ++i) {
        a_.receive(udp_frame(53));
        a_.receive(tcp_syn_frame(23));
    }
    worker().turn(runtime.get());
    EXPECT_EQ(b_.sent_count(), 0u);
    ASSERT_EQ(a_.sent_count(), 3u);
    const Bytes icmp = a_.sent();
    ASSERT_EQ(icmp.size(), 14u + 20 + 8 + 28);
    EXPECT_EQ(icmp[34], 3);
    EXPECT_EQ(icmp[35], 3);
    EXPECT_EQ(a_.sent().at(47), 0x14);  // RST, ACK
    EXPECT_EQ(counters_.replies_sent, 3u);
    EXPECT_EQ(counters_.replies_limited, 1u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 4u);
    EXPECT_EQ(counters_.ports[0].sent_packets, 3u);
}

TEST_F(WorkerTest, TeeGoesOnAndDivertAndFwdDrop) {
    const auto runtime = runtime_of(
        {"100 tee 1000 ip from any to any", "200 divert 1001 udp from any to any dst-port 1",
         "300 fwd 10.0.0.9 udp from any to any dst-port 2", "400 allow udp from any to any"});
    for (unsigned port : {1, 2, 3})
        a_.receive(udp_frame(port));
    worker().turn(runtime.get());
    EXPECT_EQ(b_.sent(), udp_frame(3));
    EXPECT_EQ(b_.sent_count(), 0u);
    EXPECT_EQ(rules_[2].packets, 3u);
    EXPECT_EQ(rules_[5].packets, 1u);
    EXPECT_EQ(drops(DropReason::divert_without_listener), 1u);
    EXPECT_EQ(drops(DropReason::unsupported_on_bridge), 1u);
}

TEST_F(WorkerTest, HeadersThatRulesChangeAreChangedOnTheWayOut) {
    const auto runtime =
        runtime_of({"100 setdscp 9 udp from any to any 1-99", "200 allow ip from any to any"});
    const Bytes marked = udp_frame(7), plain = udp_frame(100);
    a_.receive(marked);
    a_.receive(plain);
    worker().turn(runtime.get());
    Bytes sent = b_.sent();
    ASSERT_EQ(sent.size(), marked.size());
    EXPECT_EQ(sent[15], 36);
    EXPECT_NE(sent[25], marked[25]);  // the checksum
    sent[15] = marked[15];
    sent[24] = marked[24];
    sent[25] = marked[25];
    EXPECT_EQ(sent, marked);
    EXPECT_EQ(b_.sent(), plain);
}

// A piece of the payload of an IPv4 frame.
Bytes piece_of(const Bytes& frame, std::size_t begin, std::size_t length, bool more) {
    Bytes piece(frame.begin(), frame.begin() + 34);
    piece.insert(piece.end(), frame.begin() + static_cast<std::ptrdiff_t>(34 + begin),
                 frame.begin() + static_cast<std::ptrdiff_t>(34 + begin + length));
    piece[16] = static_cast<std::uint8_t>((20 + length) >> 8);
    piece[17] = static_cast<std::uint8_t>(20 + length);
    piece[20] = static_cast<std::uint8_t>(begin / 8 >> 8 | (more ? 0x20 : 0));
    piece[21] = static_cast<std::uint8_t>(begin / 8);
    return piece;
}

TEST_F(WorkerTest, FragmentsArePutTogetherAndGoOnAsOne) {
    const auto runtime =
        runtime_of({"100 reass ip from any to any in", "200 deny ip from any to any frag",
                    "300 allow udp from any to any 7"});
    const Bytes whole = udp_frame(7, 400);
    a_.receive(piece_of(whole, 200, 208, false));
    a_.receive(piece_of(whole, 0, 200, true));
    worker().turn(runtime.get());
    Bytes sent = b_.sent();
    ASSERT_EQ(sent.size(), whole.size());
    sent[24] = whole[24];  // the checksum, which the test frame has not
    sent[25] = whole[25];
    EXPECT_EQ(sent, whole);
    EXPECT_EQ(counters_.fragments_kept, 2u);
    EXPECT_EQ(counters_.datagrams_reassembled, 1u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 0u);
    EXPECT_EQ(b_.sent_count(), 0u);
}

TEST_F(WorkerTest, WhatIsTooLongForThePortIsCutAgain) {
    const auto runtime =
        runtime_of({"100 reass ip from any to any in", "200 allow udp from any to any 7"});
    const Bytes whole = udp_frame(7, 1900);
    a_.receive(piece_of(whole, 0, 960, true));
    a_.receive(piece_of(whole, 960, 948, false));
    worker().turn(runtime.get());
    ASSERT_EQ(b_.sent_count(), 2u);
    const Bytes first = b_.sent(), second = b_.sent();
    EXPECT_EQ(first.size(), 14u + 1500);
    EXPECT_EQ(first[20], 0x20);
    EXPECT_EQ(second.size(), 34u + 1908 - 1480);
    EXPECT_EQ(second[21], 185);
    EXPECT_TRUE(std::equal(first.begin() + 34, first.end(), whole.begin() + 34));
    EXPECT_TRUE(std::equal(second.begin() + 34, second.end(), whole.begin() + 34 + 1480));
}

TEST_F(WorkerTest, FragmentsThatDoNotFitAreDroppedByReason) {
    const auto runtime =
        runtime_of({"100 reass ip from any to any in", "200 allow ip from any to any"});
    const Bytes whole = udp_frame(7, 400);
    a_.receive(piece_of(whole, 0, 200, true));
    a_.receive(piece_of(whole, 192, 200, true));
    worker().turn(runtime.get());
    EXPECT_EQ(b_.sent_count(), 0u);
    EXPECT_EQ(drops(DropReason::fragment_overlap), 2u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 1u);
}

TEST_F(WorkerTest, MalformedPacketsAreCountedByReason) {
    const auto runtime = runtime_of({"100 allow ip from any to any"});
    Bytes truncated = udp_frame(53, 0);
    truncated.resize(truncated.size() - 4);
    Bytes bad_version = udp_frame(53);
    bad_version[14] = 0x65;
    Bytes fragment = tcp_syn_frame(80);
    fragment[21] = 1;  // offset of 8 bytes
    a_.receive(truncated);
    a_.receive(bad_version);
    a_.receive(fragment);
    a_.receive(Bytes(13, 0));
    Bytes tagged = udp_frame(53);
    for (int i = 0; i < 5; ++i)
        tagged.insert(tagged.begin() + 12, {0x81, 0, 0, 100});
    a_.receive(tagged);
    worker().turn(runtime.get());
    EXPECT_EQ(b_.sent_count(), 0u);
    EXPECT_EQ(drops(DropReason::vlan_tags), 1u);
    EXPECT_EQ(drops(DropReason::bad_ipv4_length), 1u);
    EXPECT_EQ(drops(DropReason::bad_ipv4_header), 1u);
    EXPECT_EQ(drops(DropReason::tcp_fragment_offset_1), 1u);
    EXPECT_EQ(drops(DropReason::short_frame), 1u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 5u);
    contract::LogRecord record;
    for (std::uint64_t sequence = 0; sequence < 4; ++sequence) {
        ASSERT_TRUE(log_.pop(record));
        EXPECT_EQ(record.kind, contract::LogKind::refused);
        EXPECT_EQ(record.sequence, sequence);
        EXPECT_EQ(record.receive_interface, 0);
        EXPECT_NE(record.time_ms, 0u);
    }
}

TEST_F(WorkerTest, FramesInPiecesAreJudgedAndForwardedWhole) {
    const auto runtime = runtime_of({"100 allow udp from any to any dst-port 53"});
    // Headers over several buffers; and a frame that is longer than any buffer.
    for (const std::size_t piece : {5u, 14u, 35u}) {
        a_.receive(make_chain(udp_frame(53, 60), piece));
        a_.receive(make_chain(udp_frame(54, 60), piece));
    }
    a_.receive(make_chain(udp_frame(53, 8972), 1000));
    worker().turn(runtime.get());
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(b_.sent(), udp_frame(53, 60));
    EXPECT_EQ(b_.sent(), udp_frame(53, 8972));
    EXPECT_EQ(rules_[1].packets, 3u);
}

TEST_F(WorkerTest, ATagThatTheDriverTookOutIsPutBack) {
    const auto runtime = runtime_of({"100 allow udp from any to any"});
    rte_mbuf* packet = make_packet(udp_frame(53));
    packet->vlan_tci = 0x6005;
    packet->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
    a_.receive(packet);
    worker().turn(runtime.get());
    Bytes expected = udp_frame(53);
    const Bytes tag = be16(0x8100) + be16(0x6005);
    expected.insert(expected.begin() + 12, tag.begin(), tag.end());
    EXPECT_EQ(b_.sent(), expected);
}

TEST_F(WorkerTest, NothingIsSentToAPortThatIsDown) {
    const auto runtime = runtime_of({"100 allow ip from any to any"});
    link_up_[1] = false;
    a_.receive(udp_frame(1));
    b_.receive(udp_frame(2));
    worker().turn(runtime.get());
    EXPECT_EQ(b_.sent_count(), 0u);
    EXPECT_EQ(a_.sent(), udp_frame(2));
    EXPECT_EQ(drops(DropReason::port_down), 1u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 1u);
}

class SmallRingTest : public WorkerTest {
  protected:
    SmallRingTest() : WorkerTest(8) {}  // holds 7
};

TEST_F(SmallRingTest, WhatTheQueueDoesNotTakeIsDroppedAndCounted) {
    const auto runtime = runtime_of({"100 allow ip from any to any"});
    for (int i = 0; i < 10; ++i)
        a_.receive(udp_frame(1));
    worker().turn(runtime.get());
    EXPECT_EQ(b_.sent_count(), 7u);
    EXPECT_EQ(counters_.ports[1].sent_packets, 7u);
    EXPECT_EQ(counters_.ports[1].sent_bytes, 7 * udp_frame(1).size());
    EXPECT_EQ(drops(DropReason::transmit_full), 3u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 3u);
}

TEST_F(SmallRingTest, AnswersThatDoNotFitAreNoDropsOfThePort) {
    const auto runtime =
        runtime_of({"100 allow udp from any to any", "200 reset tcp from any to any"});
    for (int i = 0; i < 7; ++i)
        b_.receive(udp_frame(1));
    worker().turn(runtime.get());
    a_.receive(tcp_syn_frame(23));
    worker().turn(runtime.get());
    EXPECT_EQ(drops(DropReason::transmit_full), 1u);
    EXPECT_EQ(counters_.ports[1].dropped_packets, 0u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 1u);
}

}  // namespace
}  // namespace sluice::worker
