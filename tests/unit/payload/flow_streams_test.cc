#include "dataplane/payload/flow_streams.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "tests/unit/payload/pattern_bed.h"

namespace sluice::payload {
namespace {

using contract::DropReason;
using contract::PatternDirection;
using contract::PatternMode;
using contract::PayloadSkip;

constexpr Matcher::Capacity kCapacity{.readers = 1, .streams = 64, .stream_memory = 1 << 20};
constexpr std::uint32_t kStart = 1000;  // the first byte of each side

class FlowStreamsTest : public testing::Test {
  protected:
    explicit FlowStreamsTest(std::size_t flows = 16)
        : flows_({.cells = 100, .flows = flows, .segments = 64, .counters = &counters_}) {
        use({{.patterns = {{"attack", 7}, {"danger", 9}}, .mode = PatternMode::stream}});
    }

    void use(const std::vector<ObjectSpec>& specs) {
        std::vector<Object> next = make_objects(specs, kCapacity);
        flows_.use(next);
        objects_.swap(next);
    }

    struct Packet {
        std::uint32_t offset = 0;
        std::string bytes = {};
        bool forward = true;
        state::CellIndex cell = 5;
        std::uint32_t acknowledged = kStart;
        bool young = true;
        std::uint32_t object = 0;
    };

    FlowStreams::Answer ask_again(const Packet& packet) {
        return flows_.ask({.object = packet.object,
                           .cell = packet.cell,
                           .forward = packet.forward,
                           .sequence = kStart + packet.offset,
                           .bytes = bytes_of(packet.bytes),
                           .acknowledged = packet.acknowledged,
                           .young = packet.young,
                           .uptime_s = now_s_});
    }
    FlowStreams::Answer ask(const Packet& packet) {
        flows_.begin_packet();
        return ask_again(packet);
    }
    bool finds(const Packet& packet) { return ask(packet).finding.found(); }

    std::uint64_t skips(PayloadSkip why) const {
        return counters_.payload_skips[static_cast<std::size_t>(why)];
    }

    contract::WorkerCounters counters_;
    std::vector<Object> objects_;
    FlowStreams flows_;
    std::uint32_t now_s_ = 100;
};

TEST_F(FlowStreamsTest, FindsAcrossSegmentsAndRemembers) {
    EXPECT_FALSE(finds({0, "GET /att"}));
    EXPECT_TRUE(finds({8, "ack HTTP"}));
    EXPECT_TRUE(finds({16, "harmless"})) << "the flow is known for it";
    EXPECT_TRUE(finds({.bytes = "", .forward = false})) << "both of its sides";
    EXPECT_EQ(ask({16, "harmless"}).finding.value, 7u);
    EXPECT_EQ(counters_.payload_flows, 1u);
    EXPECT_EQ(counters_.payload_matches, 1u);
    EXPECT_EQ(objects_[0].matcher->streams(), 0u) << "it knows enough";
    flows_.state_gone(5);
    EXPECT_EQ(counters_.payload_flows, 0u);
    EXPECT_FALSE(finds({0, "a new flow in the same cell"}));
}

TEST_F(FlowStreamsTest, FlowsAndSidesAreApart) {
    EXPECT_FALSE(finds({0, "att"}));
    EXPECT_FALSE(finds({3, "ack", true, 6}));
    EXPECT_FALSE(finds({3, "ack", false}));
    EXPECT_FALSE(finds({.offset = 0, .bytes = "ack", .cell = 7}));
    EXPECT_TRUE(finds({3, "ack"}));
}

TEST_F(FlowStreamsTest, FindsWhateverTheOrder) {
    EXPECT_FALSE(finds({3, "ack"}));
    EXPECT_EQ(counters_.payload_kept, 1u);
    EXPECT_TRUE(finds({0, "att"}));
}

TEST_F(FlowStreamsTest, BytesThatCameAreNotLookedAtAgain) {
    EXPECT_FALSE(finds({0, "harmless"}));
    EXPECT_EQ(ask({0, "attack!!"}).drop, DropReason::payload_conflict)
        << "sent in place of the first";
    EXPECT_EQ(ask({.offset = 0, .bytes = "attack!!", .acknowledged = kStart + 8}).drop,
              DropReason::none)
        << "its receiver has the first";
    EXPECT_FALSE(finds({10, "xx"}));
    EXPECT_EQ(ask({10, "yy"}).drop, DropReason::payload_conflict);
    EXPECT_EQ(ask({70000, "far away"}).drop, DropReason::none) << "nobody will look at them";
    EXPECT_FALSE(finds({8, ".."}));
}

TEST_F(FlowStreamsTest, SeveralQuestionsOfOnePacketAreOneLook) {
    use({{.name = "a", .patterns = {{"attack", 1}}, .mode = PatternMode::stream},
         {.name = "b", .patterns = {{"attack", 2}}, .mode = PatternMode::stream}});
    Packet packet{.offset = 0, .bytes = "att"};
    EXPECT_FALSE(ask(packet).finding.found());
    packet.object = 1;
    EXPECT_FALSE(ask_again(packet).finding.found());
    EXPECT_EQ(counters_.payload_scans, 2u);
    packet = {.offset = 3, .bytes = "ack", .object = 1};
    EXPECT_TRUE(ask(packet).finding.found());
    EXPECT_EQ(counters_.payload_scans, 4u) << "both objects follow the flow";
    packet.object = 0;
    EXPECT_TRUE(ask_again(packet).finding.found());
    EXPECT_EQ(counters_.payload_scans, 4u);
    EXPECT_EQ(counters_.payload_skips[static_cast<std::size_t>(PayloadSkip::mid_flow)], 0u);
}

TEST_F(FlowStreamsTest, AnObjectThatComesLaterSaysSo) {
    use({{.name = "a", .patterns = {{"attack", 1}}, .mode = PatternMode::stream},
         {.name = "b", .patterns = {{"attack", 2}}, .mode = PatternMode::stream}});
    ask({.offset = 0, .bytes = "att"});
    EXPECT_EQ(ask({.offset = 3, .bytes = "ack", .object = 1}).skip, PayloadSkip::mid_flow);
    EXPECT_EQ(ask({.offset = 6, .bytes = "attack", .object = 1}).skip, PayloadSkip::mid_flow);
    EXPECT_EQ(skips(PayloadSkip::mid_flow), 1u) << "counted once";
}

TEST_F(FlowStreamsTest, DepthEndsTheLook) {
    use({{.patterns = {{"attack", 7}}, .mode = PatternMode::stream, .depth = 10}});
    EXPECT_FALSE(finds({0, "0123456"}));
    EXPECT_EQ(objects_[0].matcher->streams(), 1u);
    EXPECT_FALSE(finds({7, "attack"})) << "three bytes of it are within the depth";
    EXPECT_EQ(objects_[0].matcher->streams(), 0u);
    EXPECT_EQ(counters_.payload_bytes, 10u);
    EXPECT_FALSE(finds({13, "attack"}));
    EXPECT_EQ(counters_.payload_bytes, 10u);
    EXPECT_EQ(ask({5000, "out of order"}).drop, DropReason::none);
    EXPECT_EQ(counters_.payload_kept, 0u);
    EXPECT_EQ(skips(PayloadSkip::gap), 0u);
}

TEST_F(FlowStreamsTest, DirectionChoosesTheSide) {
    use({{.patterns = {{"attack", 7}},
          .mode = PatternMode::stream,
          .direction = PatternDirection::reverse}});
    EXPECT_FALSE(finds({0, "attack"}));
    EXPECT_EQ(counters_.payload_scans, 0u);
    EXPECT_TRUE(finds({0, "attack", false}));
}

TEST_F(FlowStreamsTest, MidFlowIsTold) {
    EXPECT_EQ(ask({.offset = 5, .bytes = "tack", .young = false}).skip, PayloadSkip::mid_flow);
    EXPECT_EQ(ask({.offset = 9, .bytes = "attack", .young = false}).skip, PayloadSkip::mid_flow);
    EXPECT_TRUE(finds({.offset = 15, .bytes = "", .young = false}));
    EXPECT_EQ(skips(PayloadSkip::mid_flow), 1u);
}

TEST_F(FlowStreamsTest, AGapIsToldAndNothingIsFoundAcrossIt) {
    EXPECT_FALSE(finds({0, "att"}));
    EXPECT_FALSE(finds({5, "ack"})) << "it waits for two bytes";
    const auto answer = ask({.offset = 8, .bytes = "..", .acknowledged = kStart + 5});
    EXPECT_EQ(answer.skip, PayloadSkip::gap);
    EXPECT_FALSE(answer.finding.found());
    EXPECT_EQ(skips(PayloadSkip::gap), 1u);
    EXPECT_TRUE(finds({.offset = 10, .bytes = "attack", .acknowledged = kStart + 8}));
}

TEST_F(FlowStreamsTest, TheFirstSegmentMayComeLast) {
    EXPECT_FALSE(finds({6, "!"}));
    EXPECT_FALSE(finds({3, "ack"}));
    EXPECT_TRUE(finds({0, "att"}));
}

TEST_F(FlowStreamsTest, ReloadsKeepFindingsAndBeginStreamsAnew) {
    EXPECT_FALSE(finds({0, "att"}));
    EXPECT_TRUE(finds({.offset = 0, .bytes = "danger", .cell = 6}));
    flows_.use(objects_);
    EXPECT_TRUE(finds({3, "ack"})) << "the same object goes on";
    EXPECT_FALSE(finds({.offset = 0, .bytes = "att", .cell = 8}));
    use({{.patterns = {{"attack", 7}, {"danger", 9}, {"more", 1}}, .mode = PatternMode::stream}});
    EXPECT_FALSE(finds({.offset = 3, .bytes = "ack", .cell = 8})) << "begun anew in between";
    EXPECT_EQ(counters_.payload_restarted, 1u);
    EXPECT_TRUE(finds({.offset = 6, .bytes = "attack", .cell = 8}));
    EXPECT_EQ(ask({.offset = 6, .bytes = "x", .cell = 6}).finding.value, 9u);
    use({{.name = "another", .patterns = {{"attack", 7}}, .mode = PatternMode::stream}});
    EXPECT_FALSE(finds({.offset = 7, .bytes = "x", .cell = 6}));
}

TEST_F(FlowStreamsTest, ValuesThatRulesAskForAreRemembered) {
    use({{.patterns = {{"attack", 7}, {"danger", 9}},
          .mode = PatternMode::stream,
          .asked = {7, 9}}});
    EXPECT_TRUE(finds({0, "danger"}));
    const auto first = ask({6, "."});
    EXPECT_TRUE(first.finding.has_value(9, objects_[0].asked));
    EXPECT_FALSE(first.finding.has_value(7, objects_[0].asked));
    const auto second = ask({7, "attack"});
    EXPECT_TRUE(second.finding.has_value(7, objects_[0].asked));
    EXPECT_TRUE(second.finding.has_value(9, objects_[0].asked));
    use({{.patterns = {{"attack", 7}, {"danger", 9}}, .mode = PatternMode::stream, .asked = {7}}});
    EXPECT_TRUE(ask({13, "."}).finding.has_value(7, objects_[0].asked));
}

TEST_F(FlowStreamsTest, NothingComesFarAheadOfTheBeginning) {
    EXPECT_EQ(ask({100'000, "Z"}).drop, DropReason::none) << "beyond the depth nobody looks";
    EXPECT_TRUE(finds({0, "attack"}));
}

TEST_F(FlowStreamsTest, TheSideThatSpeaksSecondIsFollowedFromItsBeginning) {
    EXPECT_FALSE(finds({0, "a long greeting"}));
    EXPECT_FALSE(ask({.offset = 3, .bytes = "ack", .forward = false, .young = false}).skip);
    EXPECT_TRUE(finds({.offset = 0, .bytes = "att", .forward = false, .young = false}));
}

TEST_F(FlowStreamsTest, AnObjectThatSeesLittleLeavesTheRestToOthers) {
    use({{.name = "little", .patterns = {{"z", 1}}, .mode = PatternMode::stream, .depth = 4},
         {.name = "web", .patterns = {{"attack", 2}}, .mode = PatternMode::stream}});
    Packet packet{.offset = 12, .bytes = "ack"};
    ask(packet);
    packet.object = 1;
    EXPECT_FALSE(ask_again(packet).finding.found());
    packet = {.offset = 0, .bytes = "XXXXXXXXXatt"};
    ask(packet);
    packet.object = 1;
    EXPECT_TRUE(ask_again(packet).finding.found());
}

TEST_F(FlowStreamsTest, AStateMayGetAnotherConnection) {
    EXPECT_FALSE(finds({0, "harmless att"}));
    flows_.reopened(5, true, kStart + 500'000, now_s_);
    EXPECT_EQ(counters_.payload_flows, 1u);
    EXPECT_FALSE(finds({500'003, "ack"}));
    const auto answer = ask({500'000, "att"});
    EXPECT_TRUE(answer.finding.found());
    EXPECT_FALSE(answer.skip);
}

TEST_F(FlowStreamsTest, BlockedFlowsStayBlocked) {
    ask({0, "harmless"});
    flows_.block(5);
    EXPECT_EQ(ask({8, "x"}).drop, DropReason::payload_unseen);
    EXPECT_EQ(ask({.offset = 0, .bytes = "x", .cell = 6}).drop, DropReason::none);
}

class FewFlowsTest : public FlowStreamsTest {
  protected:
    FewFlowsTest() : FlowStreamsTest(2) {}
};

TEST_F(FewFlowsTest, IdleOnesMakeRoom) {
    EXPECT_TRUE(finds({.offset = 0, .bytes = "attack", .cell = 1}));
    EXPECT_FALSE(finds({.offset = 0, .bytes = "att", .cell = 2}));
    const auto answer = ask({.offset = 0, .bytes = "attack", .cell = 3});
    EXPECT_EQ(answer.skip, PayloadSkip::no_flow);
    EXPECT_TRUE(answer.finding.found()) << "the packet is looked at by itself";
    EXPECT_EQ(skips(PayloadSkip::no_flow), 1u);
    now_s_ += FlowStreams::kIdle;
    EXPECT_TRUE(finds({.offset = 0, .bytes = "attack", .cell = 3})) << "the second was idle";
    EXPECT_EQ(counters_.payload_flows, 2u);
    now_s_ += FlowStreams::kIdle;
    EXPECT_EQ(ask({.offset = 0, .bytes = "attack", .cell = 4}).skip, PayloadSkip::no_flow)
        << "what was found is not forgotten";
    EXPECT_TRUE(finds({.offset = 6, .bytes = "", .cell = 1}));
}

TEST_F(FlowStreamsTest, SilentStreamsAreCompressed) {
    constexpr std::uint32_t kFlows = 12;
    const std::vector<ObjectSpec> specs = {
        {.patterns = {{"attack", 7}, {"dan.*ger", 9}}, .mode = PatternMode::stream}};
    // Room for four streams, and one for packets by themselves.
    std::vector<Object> few =
        make_objects(specs, {.readers = 1, .streams = 4, .stream_memory = 1 << 16});
    flows_.use(few);
    for (std::uint32_t cell = 1; cell <= kFlows; ++cell) {
        EXPECT_FALSE(
            ask({.offset = 0, .bytes = cell % 2 == 0 ? "att" : "dan..", .cell = cell}).skip)
            << cell;
        now_s_ += FlowStreams::kCold;
        EXPECT_LE(few[0].matcher->streams(), 5u);
    }
    EXPECT_EQ(counters_.payload_flows, kFlows);
    for (std::uint32_t cell = kFlows; cell >= 1; --cell) {
        EXPECT_TRUE(finds({cell % 2 == 0 ? 3u : 5u, cell % 2 == 0 ? "ack" : "ger", true, cell}))
            << cell;
        now_s_ += FlowStreams::kCold;
    }
    EXPECT_EQ(skips(PayloadSkip::no_stream), 0u);
    EXPECT_EQ(few[0].matcher->streams(), 0u);
    for (std::uint32_t cell = 1; cell <= kFlows; ++cell)
        flows_.state_gone(cell);
    // All at the same time there is no room.
    int refused = 0;
    for (std::uint32_t cell = 1; cell <= kFlows; ++cell)
        refused += ask({.offset = 0, .bytes = "att", .cell = cell}).skip == PayloadSkip::no_stream;
    EXPECT_EQ(refused, 7);
    EXPECT_EQ(skips(PayloadSkip::no_stream), 7u);
    now_s_ += FlowStreams::kCold;
    EXPECT_FALSE(ask({.offset = 0, .bytes = "att", .cell = 50}).skip);
    for (std::uint32_t cell = 1; cell <= 50; ++cell)
        flows_.state_gone(cell);
    EXPECT_EQ(few[0].matcher->streams(), 0u);
    flows_.use(objects_);
}

// The same bytes, cut and shuffled: found or not, as in the text.
TEST_F(FlowStreamsTest, SegmentsMakeNoDifference) {
    std::mt19937 random(8);
    int found = 0;
    for (int round = 0; round < 2000; ++round) {
        std::string stream(20 + random() % 3000, ' ');
        for (char& letter : stream)
            letter = "atck"[random() % 4];
        if (random() % 2 == 0)
            stream.replace(random() % (stream.size() - 6), 6, "attack");
        const bool there = stream.find("attack") != stream.npos;
        found += there ? 1 : 0;
        std::vector<Packet> packets;
        for (std::size_t at = 0; at < stream.size();) {
            const std::size_t length =
                std::min<std::size_t>(1 + random() % 500, stream.size() - at);
            packets.push_back({static_cast<std::uint32_t>(at), stream.substr(at, length)});
            if (random() % 4 == 0)
                packets.push_back(packets.back());
            at += length;
        }
        // Within the window that TcpOrder keeps.
        for (std::size_t i = 0; i + 1 < packets.size(); ++i)
            if (random() % 2 == 0)
                std::swap(packets[i], packets[i + 1]);
        bool result = false;
        for (const Packet& packet : packets) {
            const auto answer = ask(packet);
            ASSERT_EQ(answer.drop, DropReason::none);
            ASSERT_FALSE(answer.skip);
            result = answer.finding.found();
        }
        ASSERT_EQ(result, there) << round;
        flows_.state_gone(5);
        ASSERT_EQ(objects_[0].matcher->streams(), 0u);
    }
    EXPECT_GT(found, 500);
    EXPECT_LT(found, 1900);
}

}  // namespace
}  // namespace sluice::payload
