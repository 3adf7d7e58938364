// Divert and tee on a bridge of two ports, with programs that this test plays: real sockets, the
// real thread behind them, and one worker that is turned by hand.
#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "dataplane/divert/message.h"
#include "dataplane/worker/divert_path.h"
#include "dataplane/worker/mempool.h"
#include "dataplane/worker/port.h"
#include "dataplane/worker/worker.h"
#include "tests/unit/worker/divert_program.h"
#include "tests/unit/worker/support.h"

namespace sluice::worker {
namespace {

using contract::DropReason;
using divert::Header;

constexpr std::uint16_t kPort = 2000;

class DivertTest : public testing::Test {
  protected:
    DivertTest() : path_("/tmp/sluice-divert-test-" + std::to_string(getpid())) {}

    void SetUp() override {
        static unsigned count = 0;
        auto pool = Mempool::create(
            {.name = "d" + std::to_string(count++), .buffers = 1023, .room = 2048, .socket = -1});
        ASSERT_TRUE(pool) << pool.error().message;
        pool_ = std::make_unique<Mempool>(std::move(*pool));
        for (RingPort* ring : {&a_, &b_}) {
            auto port = EthPort::probe("em" + std::to_string(ports_.size()), ring->device());
            ASSERT_TRUE(port) << port.error().message;
            auto started = port->start({.pool = pool_->get()});
            ASSERT_TRUE(started) << started.error().message;
            ports_.push_back(std::move(*port));
        }
        auto divert = DivertPath::open(path_, 1);
        ASSERT_TRUE(divert) << divert.error().message;
        divert_ = std::move(*divert);
        divert_->start();
        WorkerSpec spec;
        for (std::uint16_t i = 0; i < 2; ++i)
            spec.ports.push_back({.device = ports_[i].id(),
                                  .peer = static_cast<std::uint16_t>(1 - i),
                                  .pool = pool_->get(),
                                  .link_up = &link_up_[i]});
        spec.queues = {{.port = 0, .queue = 0}, {.port = 1, .queue = 0}};
        spec.burst = 16;
        spec.counters = &counters_;
        spec.outputs = {.counters = rules_.data(),
                        .annotations = annotations_.data(),
                        .slot_capacity = kTestSlots,
                        .log = log_,
                        .log_dropped = &counters_.log_dropped};
        spec.divert = divert_.get();
        worker_ = std::make_unique<Worker>(spec);
    }

    void TearDown() override {
        a_.forget_sent();
        b_.forget_sent();
        worker_.reset();
        divert_.reset();
        struct stat status {};
        EXPECT_NE(stat(path_.c_str(), &status), 0) << "the socket file is still there";
    }

    void load(const std::vector<std::string>& rules) { runtime_ = runtime_of(rules); }
    void turn() { worker_->turn(runtime_.get()); }

    // Turns until it is so.
    template <typename Condition>
    bool eventually(Condition condition) {
        for (int i = 0; i < 2000; ++i) {
            turn();
            if (condition())
                return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }

    std::uint64_t drops(DropReason reason) const {
        return counters_.drops[static_cast<std::size_t>(reason)];
    }

    std::string path_;
    RingPort a_, b_;
    std::unique_ptr<Mempool> pool_;
    std::vector<EthPort> ports_;
    std::atomic<bool> link_up_[2] = {true, true};
    contract::WorkerCounters counters_;
    std::vector<contract::RuleCounters> rules_{kTestSlots};
    std::vector<contract::SlotAnnotation> annotations_{kTestSlots};
    alignas(64) std::byte log_memory_[contract::log_ring_stride(64)] = {};
    contract::LogRing log_ = contract::LogRing::create(log_memory_, 64);
    std::unique_ptr<DivertPath> divert_;
    std::unique_ptr<Worker> worker_;
    std::unique_ptr<const program::Runtime> runtime_;
};

Bytes packet_of(const Bytes& frame) {
    return {frame.begin() + 14, frame.end()};
}

// The frames of the tests have none.
Bytes with_ip_checksum(Bytes frame) {
    divert::correct_checksum(std::as_writable_bytes(std::span(frame).subspan(14)));
    return frame;
}

TEST_F(DivertTest, APacketIsGivenToTheProgramAndGoesOnWhenItComesBack) {
    load({"100 divert 2000 udp from any to any", "100 deny udp from any to any",
          "200 allow udp from any to any recv em0"});
    Program program(path_);
    program.bound(kPort);
    a_.receive(udp_frame(53));
    turn();
    const auto message = program.receive();
    ASSERT_TRUE(message);
    EXPECT_EQ(message->packet, packet_of(udp_frame(53)));
    EXPECT_EQ(message->header.port, kPort);
    EXPECT_EQ(message->header.rule, 100);
    EXPECT_EQ(message->header.direction, SLUICE_DIVERT_IN);
    EXPECT_EQ(message->header.flags, 0);
    EXPECT_STREQ(message->header.receive_interface, "em0");
    EXPECT_STREQ(message->header.transmit_interface, "");
    EXPECT_EQ(b_.sent_count(), 0u);
    program.send(*message);
    ASSERT_TRUE(eventually([&] { return b_.sent_count() == 1; }));
    EXPECT_EQ(b_.sent(), with_ip_checksum(udp_frame(53)));
    EXPECT_EQ(counters_.diverted, 1u);
    EXPECT_EQ(counters_.injected, 1u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 0u);
}

TEST_F(DivertTest, WithoutAProgramItIsDropped) {
    load({"100 divert 2000 udp from any to any", "200 allow ip from any to any"});
    Program program(path_);
    program.bound(kPort + 1);
    a_.receive(udp_frame(53));
    turn();
    EXPECT_EQ(drops(DropReason::divert_without_listener), 1u);
    EXPECT_EQ(counters_.ports[0].dropped_packets, 1u);
    EXPECT_EQ(b_.sent_count(), 0u);
}

TEST_F(DivertTest, TeeGivesACopyAndThePacketGoesOn) {
    load({"100 tee 2000 udp from any to any", "200 tee 2001 udp from any to any",
          "300 allow ip from any to any"});
    Program program(path_);
    program.bound(kPort);
    a_.receive(udp_frame(53));
    turn();
    EXPECT_EQ(b_.sent(), udp_frame(53));
    const auto message = program.receive();
    ASSERT_TRUE(message);
    EXPECT_EQ(message->packet, packet_of(udp_frame(53)));
    EXPECT_EQ(message->header.flags, SLUICE_DIVERT_TEE);
    EXPECT_EQ(counters_.teed, 1u);
    EXPECT_EQ(drops(DropReason::divert_without_listener), 0u);
}

TEST_F(DivertTest, TheProgramMayChangePacketAndRule) {
    load({"100 divert 2000 udp from any to any", "200 deny ip from any to any",
          "300 allow udp from any to any dst-port 99"});
    Program program(path_);
    program.bound(kPort);
    a_.receive(udp_frame(53));
    turn();
    auto message = program.receive();
    ASSERT_TRUE(message);
    message->packet[23] = 99;    // destination port
    message->packet[10] = 0x77;  // checksum of the IP header
    message->header.rule = 250;
    program.send(*message);
    ASSERT_TRUE(eventually([&] { return b_.sent_count() == 1; }));
    const Bytes sent = b_.sent(), expected = with_ip_checksum(udp_frame(99));
    EXPECT_EQ(Bytes(sent.begin(), sent.begin() + 38),
              Bytes(expected.begin(), expected.begin() + 38));
}

TEST_F(DivertTest, OneProgramForAPortAtATime) {
    load({"100 divert 2000 udp from any to any"});
    Program first(path_), second(path_), third(path_);
    first.bound(kPort);
    const auto [type, reason] = second.bind(kPort);
    EXPECT_EQ(type, SLUICE_DIVERT_REFUSED);
    EXPECT_EQ(reason, "process " + std::to_string(getpid()) + " listens on divert port 2000");
    EXPECT_FALSE(second.receive());
    first.close();
    ASSERT_TRUE(eventually([&] { return !divert_->listens(kPort); }));
    third.bound(kPort);
}

TEST_F(DivertTest, AFirstMessageThatIsNoBindEndsTheConnection) {
    Program program(path_);
    program.send(divert::make_header(SLUICE_DIVERT_PACKET, kPort), {});
    const auto answer = program.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header.type, SLUICE_DIVERT_REFUSED);
    EXPECT_FALSE(program.receive());
}

TEST_F(DivertTest, GarbageIsCountedAndHurtsNobody) {
    load({"100 divert 2000 udp from any to any", "200 allow ip from any to any"});
    Program program(path_);
    program.bound(kPort);
    a_.receive(udp_frame(53));
    turn();
    auto message = program.receive();
    ASSERT_TRUE(message);
    Message wrong = *message;
    wrong.packet.pop_back();
    program.send(wrong);
    wrong = *message;
    wrong.header.magic = 0;
    program.send(wrong);
    wrong = *message;
    std::strcpy(wrong.header.receive_interface, "em9");
    program.send(wrong);
    wrong = *message;
    wrong.header.direction = SLUICE_DIVERT_OUT;  // which a bridge does not have
    program.send(wrong);
    wrong = *message;
    std::memset(wrong.header.cookie, 0, sizeof wrong.header.cookie);
    program.send(wrong);
    ASSERT_TRUE(eventually([&] { return drops(DropReason::divert_refused) == 5; }));
    // One whose transport header is cut short is the parser's to refuse.
    wrong = *message;
    wrong.packet.resize(24);
    wrong.packet[3] = 24;
    program.send(wrong);
    ASSERT_TRUE(eventually([&] { return drops(DropReason::short_transport) == 1; }));
    EXPECT_EQ(b_.sent_count(), 0u);
    program.send(*message);
    ASSERT_TRUE(eventually([&] { return b_.sent_count() == 1; }));
}

TEST_F(DivertTest, AProgramThatTakesNothingLosesPacketsAndTheOthersDoNot) {
    load({"100 divert 2000 udp from any to any dst-port 1", "200 divert 2001 udp from any to any"});
    Program slow(path_), other(path_);
    slow.bound(kPort);
    other.bound(kPort + 1);
    ASSERT_TRUE(eventually([&] {
        for (int i = 0; i < 16; ++i)
            a_.receive(udp_frame(1, 1400));
        return drops(DropReason::divert_queue_full) > 100;
    }));
    a_.receive(udp_frame(2));
    turn();
    turn();
    const auto message = other.receive();
    ASSERT_TRUE(message);
    EXPECT_EQ(message->packet, packet_of(udp_frame(2)));
}

// Two fragments, which come to the program as one packet and leave as two.
TEST_F(DivertTest, FragmentsAreGivenInOnePiece) {
    load({"100 divert 2000 udp from any to any", "200 allow ip from any to any"});
    Program program(path_);
    program.bound(kPort);
    const Bytes whole = udp_frame(53, 2000);
    const auto piece = [&](std::size_t from, std::size_t length, bool more) {
        Bytes frame(whole.begin(), whole.begin() + 34);
        frame.insert(frame.end(), whole.begin() + 34 + static_cast<std::ptrdiff_t>(from),
                     whole.begin() + 34 + static_cast<std::ptrdiff_t>(from + length));
        const std::size_t total = 20 + length;
        frame[16] = static_cast<std::uint8_t>(total >> 8);
        frame[17] = static_cast<std::uint8_t>(total);
        frame[20] = static_cast<std::uint8_t>((more ? 0x20 : 0) | from / 8 >> 8);
        frame[21] = static_cast<std::uint8_t>(from / 8);
        return frame;
    };
    a_.receive(piece(1480, 528, false));
    a_.receive(piece(0, 1480, true));
    turn();
    const auto message = program.receive();
    ASSERT_TRUE(message);
    EXPECT_EQ(message->packet.size(), 20u + 8 + 2000);
    EXPECT_EQ(Bytes(message->packet.begin() + 20, message->packet.end()),
              Bytes(whole.begin() + 34, whole.end()));
    program.send(*message);
    ASSERT_TRUE(eventually([&] { return b_.sent_count() == 2; }));
    EXPECT_EQ(b_.sent().size(), 14u + 20 + 1480);
    EXPECT_EQ(b_.sent().size(), 14u + 20 + 528);
}

TEST_F(DivertTest, ChangesByRulesAreInWhatTheProgramGets) {
    load({"50 setdscp ef ip from any to any", "100 divert 2000 udp from any to any",
          "200 allow ip from any to any"});
    Program program(path_);
    program.bound(kPort);
    a_.receive(udp_frame(53));
    turn();
    const auto message = program.receive();
    ASSERT_TRUE(message);
    EXPECT_EQ(message->packet[1], 46 << 2);
    program.send(*message);
    ASSERT_TRUE(eventually([&] { return b_.sent_count() == 1; }));
    EXPECT_EQ(b_.sent()[15], 46 << 2);
}

TEST_F(DivertTest, WhatWaitsForAProgramThatDiesIsLostAndCounted) {
    load({"100 divert 2000 udp from any to any"});
    {
        Program program(path_);
        program.bound(kPort);
    }
    ASSERT_TRUE(eventually([&] {
        a_.receive(udp_frame(53));
        return drops(DropReason::divert_without_listener) > 0;
    }));
}

}  // namespace
}  // namespace sluice::worker
