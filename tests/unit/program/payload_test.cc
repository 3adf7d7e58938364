// Rules that look into what packets carry.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/parser.h"
#include "dataplane/program/engine.h"
#include "dataplane/program/payload_tests.h"
#include "tests/unit/payload/pattern_bed.h"

namespace sluice::program {
namespace {

using contract::DropReason;
using contract::PatternMode;
using contract::PayloadPart;
using payload::bytes_of;
using Kind = Verdict::Kind;

constexpr std::uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kSctp = 132;
constexpr std::uint8_t kSyn = 2, kAck = 16;

struct FrameSpec {
    std::string payload;
    std::uint8_t protocol = kTcp;
    std::uint8_t flags = kAck;
    std::uint32_t sequence = 1001;
    std::uint32_t acknowledgement = 1;
    bool back = false;
    bool damaged = false;
    std::uint16_t fragment_units = 0;
};

void put(std::vector<std::byte>& frame, std::initializer_list<unsigned> values) {
    for (const unsigned value : values)
        frame.push_back(static_cast<std::byte>(value));
}
void put16(std::vector<std::byte>& frame, unsigned value) {
    put(frame, {value >> 8, value & 0xff});
}
void put32(std::vector<std::byte>& frame, std::uint32_t value) {
    put16(frame, value >> 16);
    put16(frame, value & 0xffff);
}

std::vector<std::byte> upper_layer(const FrameSpec& spec) {
    std::vector<std::byte> bytes;
    const unsigned from = spec.back ? 80 : 4000, to = spec.back ? 4000 : 80;
    switch (spec.protocol) {
        case kTcp:
            put16(bytes, from);
            put16(bytes, to);
            put32(bytes, spec.sequence);
            put32(bytes, spec.acknowledgement);
            put(bytes, {0x50, spec.flags, 0xff, 0xff, 0, 0, 0, 0});
            break;
        case kUdp:
            put16(bytes, from);
            put16(bytes, to);
            put16(bytes, static_cast<unsigned>(8 + spec.payload.size()));
            put16(bytes, 0);
            break;
        case kIcmp:
            put(bytes, {8, 0, 0, 0, 0, 0, 0, 0});
            break;
        case kSctp:
            put16(bytes, from);
            put16(bytes, to);
            put32(bytes, 7);
            put32(bytes, 0);
            put(bytes, {3, 0, 0, 5, 'a', 0, 0, 0});  // a chunk that is padded
            put(bytes, {0, 3});
            put16(bytes, static_cast<unsigned>(16 + spec.payload.size()));
            put32(bytes, 1);
            put32(bytes, 0);
            put32(bytes, 0);
            break;
    }
    const auto payload = bytes_of(spec.payload);
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
}

std::vector<std::byte> frame_of(const FrameSpec& spec) {
    std::vector<std::byte> upper = upper_layer(spec);
    std::vector<std::byte> frame;
    put(frame, {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0});
    put(frame, {0x45, 0});
    put16(frame, static_cast<unsigned>(20 + upper.size()));
    put16(frame, 1);
    put16(frame, spec.fragment_units);
    put(frame, {64, spec.protocol, 0, 0});
    const std::uint32_t client = 0x0a000001, server = 0x0a000002;
    put32(frame, spec.back ? server : client);
    put32(frame, spec.back ? client : server);
    if (spec.protocol == kTcp) {
        packet::Checksum sum;
        sum.add(Ipv4::from_host(client));
        sum.add(Ipv4::from_host(server));
        sum.add(std::uint16_t{kTcp});
        sum.add(static_cast<std::uint16_t>(upper.size()));
        sum.add(upper);
        const std::uint16_t checksum =
            static_cast<std::uint16_t>(sum.finish().host() ^ (spec.damaged ? 1 : 0));
        upper[16] = static_cast<std::byte>(checksum >> 8);
        upper[17] = static_cast<std::byte>(checksum & 0xff);
    }
    frame.insert(frame.end(), upper.begin(), upper.end());
    return frame;
}

contract::RuleRecord rule(std::uint16_t number, contract::RuleAction action) {
    contract::RuleRecord record;
    record.number = number;
    record.action = action;
    record.slot = record.id = number == 65535 ? 1 : number;
    return record;
}

// `10 deny … payload OBJECT`, `20 allow … keep-state`, and the default rule.
class PayloadTest : public testing::Test {
  protected:
    static constexpr std::uint32_t kSlots = 64;

    PayloadTest() : counters_(kSlots), annotations_(kSlots) {
        auto states = state::StateTable::create({.cells = 256,
                                                 .secret = {1, 2, 3, 4},
                                                 .counters = &worker_counters_,
                                                 .rules = counters_});
        EXPECT_TRUE(states);
        states_ = std::move(*states);
        flows_ = std::make_unique<payload::FlowStreams>(payload::FlowStreams::Spec{
            .cells = 256, .flows = 16, .segments = 16, .counters = &worker_counters_});
        states_->tell_ends(flows_->ends());
        engine_ = std::make_unique<Engine>(EngineOutputs{.counters = counters_.data(),
                                                         .annotations = annotations_.data(),
                                                         .slot_capacity = kSlots,
                                                         .log = {},
                                                         .log_dropped = nullptr,
                                                         .states = states_.get(),
                                                         .flows = flows_.get(),
                                                         .payload = &worker_counters_},
                                           1);
    }

    struct Rules {
        payload::ObjectSpec object;
        PayloadPart part = PayloadPart::payload;
        std::uint8_t flags = 0;
        std::uint32_t value = 0;
    };

    void load(const Rules& rules) {
        contract::SnapshotParts parts;
        payload::add_objects({rules.object}, parts);
        parts.header.sysctls = sysctls_;
        parts.header.generation = ++generation_;
        parts.instructions = {{.opcode = contract::Opcode::payload,
                               .flags = rules.flags,
                               .detail = static_cast<std::uint16_t>(rules.part),
                               .argument = 0,
                               .data = rules.value}};
        parts.rules = {rule(10, contract::RuleAction::deny), rule(20, contract::RuleAction::allow),
                       rule(65535, contract::RuleAction::deny)};
        parts.rules[0].residual_count = 1;
        parts.rules[1].state = contract::StateOption::keep;
        parts.rules[1].state_name = contract::state_name_id("default");
        parts.rules[1].flags = contract::rule_flag::probe;
        parts.header.live_rules = 3;
        auto runtime =
            Runtime::create(parts.image(), {}, kSlots,
                            {.previous = runtime_.get(),
                             .payload = {.readers = 1, .streams = 16, .stream_memory = 1 << 20}});
        ASSERT_TRUE(runtime) << runtime.error().message;
        runtime_ = std::move(*runtime);
    }

    Verdict pass(const FrameSpec& spec) {
        const std::vector<std::byte> frame = frame_of(spec);
        packet::Packet packet;
        packet.malformed = packet::parse_frame(frame, runtime_->parser_settings(), packet.headers);
        EXPECT_EQ(packet.malformed, DropReason::none);
        packet.passage = {.receive_interface = 0};
        packet.now_ms = now_ms_;
        packet.uptime_s = static_cast<std::uint32_t>(now_ms_ / 1000);
        Verdict verdict;
        PacketMarks marks;
        engine_->filter(*runtime_, {&packet, 1}, {&verdict, 1}, {&marks, 1});
        return verdict;
    }
    bool denied(const FrameSpec& spec) { return pass(spec).rule_number == 10; }

    // A connection up to its first byte, which has sequence 1001 from the client and 5001 back.
    void shake_hands() {
        EXPECT_EQ(pass({.payload = "", .flags = kSyn, .sequence = 1000}).rule_number, 20);
        pass({.payload = "",
              .flags = kSyn | kAck,
              .sequence = 5000,
              .acknowledgement = 1001,
              .back = true});
        pass({.payload = "", .sequence = 1001, .acknowledgement = 5001});
    }

    std::uint64_t skips(contract::PayloadSkip why) const {
        return worker_counters_.payload_skips[static_cast<std::size_t>(why)];
    }

    static payload::ObjectSpec stream_object() {
        return {.patterns = {{"attack", 7}}, .mode = PatternMode::stream};
    }

    contract::Sysctls sysctls_;
    std::uint64_t generation_ = 0;
    std::uint64_t now_ms_ = 100'000;
    contract::WorkerCounters worker_counters_;
    std::vector<contract::RuleCounters> counters_;
    std::vector<contract::SlotAnnotation> annotations_;
    std::unique_ptr<const Runtime> runtime_;
    std::unique_ptr<state::StateTable> states_;
    std::unique_ptr<payload::FlowStreams> flows_;
    std::unique_ptr<Engine> engine_;
};

TEST_F(PayloadTest, EachProtocolHasItsPayload) {
    load({.object = {.patterns = {{"attack", 7}}}});
    for (const std::uint8_t protocol : {kTcp, kUdp, kIcmp, kSctp}) {
        EXPECT_TRUE(denied({.payload = "an attack", .protocol = protocol})) << int{protocol};
        EXPECT_FALSE(denied({.payload = "harmless", .protocol = protocol})) << int{protocol};
    }
    EXPECT_TRUE(denied({.payload = "attack", .protocol = 99})) << "behind the IP header";
    EXPECT_FALSE(denied({.payload = "attack of", .protocol = kUdp, .fragment_units = 10}))
        << "a fragment that has no header";
    EXPECT_FALSE(denied({.payload = ""}));
    EXPECT_EQ(counters_[10].packets, 5u);
    EXPECT_EQ(worker_counters_.payload_matches, 5u);
}

TEST_F(PayloadTest, ValuesAndNegation) {
    load({.object = {.patterns = {{"attack", 7}, {"danger", 9}}},
          .flags = contract::kPatternValue,
          .value = 9});
    EXPECT_FALSE(denied({.payload = "attack"}));
    EXPECT_TRUE(denied({.payload = "danger"}));
    load({.object = {.patterns = {{"attack", 7}}}, .flags = contract::kNegated});
    EXPECT_FALSE(denied({.payload = "attack"}));
    EXPECT_TRUE(denied({.payload = "danger"}));
}

TEST_F(PayloadTest, DepthBoundsPackets) {
    load({.object = {.patterns = {{"attack", 7}}, .depth = 10}});
    EXPECT_TRUE(denied({.payload = "....attack"}));
    EXPECT_FALSE(denied({.payload = ".....attack"}));
}

TEST_F(PayloadTest, PartsOfNames) {
    load({.object = {.patterns = {{"example.com", 7}, {"=only.org", 9}},
                     .type = contract::PatternType::names},
          .part = PayloadPart::http_host});
    const auto request = [](const std::string& host) {
        return FrameSpec{.payload = "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"};
    };
    EXPECT_TRUE(denied(request("example.com")));
    EXPECT_TRUE(denied(request("WWW.Example.com:80")));
    EXPECT_TRUE(denied(request("only.org")));
    EXPECT_FALSE(denied(request("www.only.org")));
    EXPECT_FALSE(denied(request("notexample.com")));
    EXPECT_FALSE(denied({.payload = "example.com"}));
}

TEST_F(PayloadTest, StreamsFollowAConnection) {
    load({.object = stream_object()});
    shake_hands();
    EXPECT_FALSE(denied({.payload = "att", .sequence = 1001, .acknowledgement = 5001}));
    EXPECT_TRUE(denied({.payload = "ack", .sequence = 1004, .acknowledgement = 5001}));
    EXPECT_TRUE(denied({.payload = "ack", .sequence = 1004, .acknowledgement = 5001})) << "again";
    EXPECT_TRUE(denied({.payload = "", .sequence = 1007, .acknowledgement = 5001}))
        << "the flow is denied";
    EXPECT_TRUE(denied({.payload = "x", .sequence = 5001, .back = true}));
    EXPECT_EQ(skips(contract::PayloadSkip::mid_flow), 0u);
    EXPECT_EQ(worker_counters_.payload_flows, 1u);
    now_ms_ += 1'000'000;
    engine_->tend_states(*runtime_, static_cast<std::uint32_t>(now_ms_ / 1000), nullptr);
    while (worker_counters_.states != 0)
        engine_->tend_states(*runtime_, static_cast<std::uint32_t>(now_ms_ / 1000), nullptr);
    EXPECT_EQ(worker_counters_.payload_flows, 0u) << "it ends with the state";
}

TEST_F(PayloadTest, SegmentsInTheWrongOrder) {
    load({.object = stream_object()});
    shake_hands();
    EXPECT_FALSE(denied({.payload = "ack", .sequence = 1004, .acknowledgement = 5001}));
    EXPECT_EQ(pass({.payload = "axk", .sequence = 1004, .acknowledgement = 5001}).reason,
              DropReason::payload_conflict);
    EXPECT_TRUE(denied({.payload = "att", .sequence = 1001, .acknowledgement = 5001}));
}

TEST_F(PayloadTest, ASegmentThatTheReceiverDropsIsNotBelieved) {
    load({.object = stream_object()});
    shake_hands();
    EXPECT_FALSE(
        denied({.payload = "attXXX", .sequence = 1001, .acknowledgement = 5001, .damaged = true}));
    EXPECT_TRUE(denied({.payload = "attack", .sequence = 1001, .acknowledgement = 5001}));
}

TEST_F(PayloadTest, AConnectionFromTheSamePortIsAnother) {
    load({.object = stream_object()});
    shake_hands();
    EXPECT_FALSE(denied({.payload = std::string(9000, 'x'), .acknowledgement = 5001}));
    pass({.payload = "", .flags = 4, .sequence = 10001});  // RST
    EXPECT_EQ(pass({.payload = "", .flags = kSyn, .sequence = 700}).rule_number, 20);
    EXPECT_FALSE(denied({.payload = "ack", .sequence = 704, .acknowledgement = 9001}));
    EXPECT_TRUE(denied({.payload = "att", .sequence = 701, .acknowledgement = 9001}));
}

TEST_F(PayloadTest, WhatASynCarriesHasNoPlaceInTheOrder) {
    load({.object = stream_object()});
    shake_hands();
    EXPECT_TRUE(denied({.payload = "attack", .flags = kSyn, .sequence = 1000})) << "by itself";
    EXPECT_FALSE(denied({.payload = "XXXXXX", .flags = kSyn, .sequence = 1000}));
    EXPECT_TRUE(denied({.payload = "attack", .acknowledgement = 5001}));
}

TEST_F(PayloadTest, WhatCannotBePutInOrderGoesTheWayOfThePolicy) {
    sysctls_.payload_fail = 1;
    load({.object = stream_object()});
    shake_hands();
    constexpr std::uint16_t kMoreFragments = 0x2000;
    for (const FrameSpec& spec :
         {FrameSpec{.payload = "attXack", .flags = kAck | 32, .acknowledgement = 5001},
          FrameSpec{
              .payload = "first of", .acknowledgement = 5001, .fragment_units = kMoreFragments}})
        EXPECT_EQ(pass(spec).reason, DropReason::payload_unseen);
    EXPECT_EQ(skips(contract::PayloadSkip::gap), 2u);
}

TEST_F(PayloadTest, WithoutAStateEachPacketIsLookedAtByItself) {
    load({.object = stream_object()});
    EXPECT_TRUE(denied({.payload = "attack"}));
    EXPECT_EQ(worker_counters_.payload_flows, 0u);
}

TEST_F(PayloadTest, MidFlowPacketsGoTheWayOfThePolicy) {
    load({.object = {.name = "another", .patterns = {{"zzzz", 0}}}});
    shake_hands();
    for (std::uint32_t at = 0; at < 5000; at += 1000)
        pass({.payload = std::string(1000, 'x'), .sequence = 1001 + at, .acknowledgement = 5001});
    const FrameSpec next{.payload = "more", .sequence = 6001, .acknowledgement = 5001};
    load({.object = stream_object()});
    EXPECT_EQ(pass(next).kind, Kind::accept) << "pass";
    EXPECT_EQ(skips(contract::PayloadSkip::mid_flow), 1u);
    sysctls_.payload_fail = 1;
    load({.object = stream_object()});
    EXPECT_EQ(pass(next).reason, DropReason::payload_unseen) << "drop";
    EXPECT_EQ(pass({.payload = "", .sequence = 6001, .acknowledgement = 5001}).kind, Kind::accept)
        << "there is nothing to see";
    sysctls_.payload_fail = 2;
    load({.object = stream_object()});
    EXPECT_EQ(pass(next).reason, DropReason::payload_unseen);
    EXPECT_EQ(pass({.payload = "", .sequence = 6001, .acknowledgement = 5001}).reason,
              DropReason::payload_unseen)
        << "with all that follows";
}

// A clock that nobody sets is behind it: so much work as surely takes longer than the budget.
TEST_F(PayloadTest, TheBudgetEndsTheLook) {
    sysctls_.payload_budget = 1;
    load({.object = {.patterns = {{"attack", 7}}}});
    const FrameSpec large{.payload = std::string(1400, 'a')};
    std::uint64_t scans = 0;
    for (int slice = 0; slice < 4; ++slice) {
        now_ms_ += 16;
        pass(large);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        scans = worker_counters_.payload_scans;
        for (int i = 0; i < 20'000; ++i)
            pass(large);
    }
    EXPECT_GT(skips(contract::PayloadSkip::budget), 1000u);
    EXPECT_GT(worker_counters_.payload_scans, scans) << "some are looked at";
    sysctls_.payload_fail = 1;
    load({.object = {.patterns = {{"attack", 7}}}});
    std::uint64_t dropped = 0;
    for (int i = 0; i < 20'000; ++i)
        dropped += pass(large).reason == DropReason::payload_unseen ? 1 : 0;
    EXPECT_GT(dropped, 1000u);
}

TEST_F(PayloadTest, TooManyValuesAreRefused) {
    contract::SnapshotParts parts;
    payload::add_objects({{.patterns = {{"attack", 7}}}}, parts);
    parts.instructions.clear();
    for (std::uint32_t value = 0; value < 257; ++value)
        parts.instructions.push_back(
            {.opcode = contract::Opcode::payload, .flags = contract::kPatternValue, .data = value});
    parts.rules = {rule(65535, contract::RuleAction::deny)};
    parts.header.live_rules = 1;
    const auto runtime = Runtime::create(parts.image(), {}, kSlots);
    ASSERT_FALSE(runtime);
    EXPECT_EQ(runtime.error().message,
              "rules ask the pattern object web for 257 different values; the engine takes 256");
}

TEST_F(PayloadTest, ObjectsThatStayAreShared) {
    load({.object = stream_object()});
    const auto* matcher = runtime_->payload_objects()[0].matcher.get();
    shake_hands();
    EXPECT_FALSE(denied({.payload = "att", .sequence = 1001, .acknowledgement = 5001}));
    load({.object = stream_object(), .flags = contract::kPatternValue, .value = 7});
    EXPECT_EQ(runtime_->payload_objects()[0].matcher.get(), matcher);
    EXPECT_TRUE(denied({.payload = "ack", .sequence = 1004, .acknowledgement = 5001}))
        << "the stream went on over the reload";
}

}  // namespace
}  // namespace sluice::program
