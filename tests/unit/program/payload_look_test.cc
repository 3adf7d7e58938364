// Rules that look into payload do to frames, which are judged from a glance where that will do, the
// same as to packets that have been parsed, which walk: random rules and packets, two engines.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "controlplane/compiler/compile.h"
#include "controlplane/language/names.h"
#include "controlplane/language/rule_parser.h"
#include "controlplane/ruleset/ruleset.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/program/engine.h"
#include "tests/reference/frame.h"
#include "tests/reference/random_source.h"

namespace sluice::program {
namespace {

using contract::PatternMode;
using reference::Frame;
using reference::FramePlan;
using reference::Random;

constexpr std::uint32_t kSlots = 64;
constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58, kSctp = 132;
constexpr std::uint8_t kSyn = 2, kAck = 16;
constexpr packet::Passage kPassage{.direction = packet::Direction::in, .receive_interface = 0};

// One engine with all that it writes to.
struct Subject {
    explicit Subject(unsigned reader) : counters(kSlots), annotations(kSlots) {
        auto made = state::StateTable::create(
            {.cells = 1024, .secret = {1, 2, 3, 4}, .counters = &worker, .rules = counters});
        EXPECT_TRUE(made);
        states = std::move(*made);
        flows = std::make_unique<payload::FlowStreams>(payload::FlowStreams::Spec{
            .cells = 1024, .flows = 6, .segments = 8, .reader = reader, .counters = &worker});
        states->tell_ends(flows->ends());
        engine = std::make_unique<Engine>(EngineOutputs{.counters = counters.data(),
                                                        .annotations = annotations.data(),
                                                        .slot_capacity = kSlots,
                                                        .log = {},
                                                        .log_dropped = &log_dropped,
                                                        .states = states.get(),
                                                        .reader = reader,
                                                        .flows = flows.get(),
                                                        .payload = &worker},
                                          1);
    }

    std::vector<std::uint64_t> counted() const {
        std::vector<std::uint64_t> all = {
            worker.payload_scans, worker.payload_bytes,     worker.payload_matches,
            worker.payload_flows, worker.payload_kept,      worker.payload_restarted,
            worker.states,        worker.unanswered_states, worker.states_made};
        all.insert(all.end(), std::begin(worker.payload_skips), std::end(worker.payload_skips));
        for (const contract::RuleCounters& rule : counters)
            all.insert(all.end(), {rule.packets, rule.bytes, rule.last_match_s, rule.states});
        return all;
    }

    contract::WorkerCounters worker;
    std::vector<contract::RuleCounters> counters;
    std::vector<contract::SlotAnnotation> annotations;
    std::uint64_t log_dropped = 0;
    std::unique_ptr<state::StateTable> states;
    std::unique_ptr<payload::FlowStreams> flows;
    std::unique_ptr<Engine> engine;
};

std::unique_ptr<const Runtime> make_runtime(const std::vector<std::string>& rules,
                                            const contract::Sysctls& sysctls) {
    ruleset::Ruleset ruleset(false);
    ruleset.sysctls() = sysctls;
    ruleset::PatternCatalogue& patterns = ruleset.patterns();
    EXPECT_TRUE(patterns.create("web", {.depth = 40}));
    EXPECT_TRUE(patterns.create("flow", {.mode = PatternMode::stream, .depth = 60}));
    EXPECT_TRUE(patterns.create("back", {.mode = PatternMode::stream,
                                         .direction = contract::PatternDirection::reverse,
                                         .depth = 60}));
    for (const char* object : {"web", "flow", "back"}) {
        patterns.add(object, "\"attack\"", 7, false);
        patterns.add(object, "\"danger\"", 9, false);
    }
    for (const std::string& text : rules) {
        const auto rule = language::parse_rule(text, language::refusing_resolver());
        EXPECT_TRUE(rule) << text;
        const auto added = ruleset.add(*rule);
        EXPECT_TRUE(added) << text << ": " << added.error().message;
    }
    const auto complete = ruleset.complete_patterns();
    EXPECT_TRUE(complete) << complete.error().message;
    const auto image = compiler::compile(ruleset, 1);
    EXPECT_TRUE(image) << image.error().message;
    packet::Environment environment;
    environment.interfaces = {{.name = "em0", .addresses = {}}};
    auto runtime = Runtime::create(
        *image, environment, kSlots,
        {.payload = {.readers = 2, .streams = 8, .stream_memory = std::size_t{1} << 20}});
    EXPECT_TRUE(runtime) << runtime.error().message;
    return std::move(*runtime);
}

std::vector<std::string> draw_rules(Random& random) {
    static const std::vector<std::string> looking = {
        "deny tcp from any to any 80 payload web",
        "deny ip from any to any payload web",
        "allow ip from any to any payload web,9",
        "deny udp from any to any not payload web",
        "deny ip from any to any not payload web,7",
        "reset tcp from any to any 80 payload web",
        "unreach host ip from any to any payload web,7",
        "deny tcp from any to any payload flow",
        "deny ip from any to any payload flow,9",
        "reset tcp from any to any not payload flow",
        "deny ip from any to any payload back",
        "deny tcp from any to any http-host \"example.com\"",
        "deny ip from any to any { payload web or payload flow }",
        "deny log ip from any to any payload web",
        "count ip from any to any payload web",
        "allow tcp from any to any 80 payload web keep-state",
    };
    static const std::vector<std::string> others = {
        "allow udp from any to any 53",
        "count tcp from any to any",
        "deny ip from any to any frag",
        "allow ip from any to any iplen 60-70",
        "deny tcp from any to any tcpoptions mss",
        "allow tcp from 10.0.0.1 to any 80",
        "skipto 500 tcp from any to any 81",
    };
    static const std::vector<std::string> stateful = {
        "check-state",
        "allow tcp from any to any setup keep-state",
        "allow ip from any to any keep-state",
    };
    std::vector<std::string> rules;
    const bool keeps_states = !random.one_in(3);
    for (unsigned i = random.between(2, 7); i > 0; --i) {
        const bool state = keeps_states && random.one_in(3);
        rules.push_back(random.pick(state ? stateful : random.one_in(3) ? others : looking));
    }
    if (keeps_states)
        rules.push_back("allow tcp from any to any keep-state");
    rules.push_back(random.one_in(2) ? "500 allow ip from any to any"
                                     : "500 deny udp from any to any");
    return rules;
}

// Packets of some connections, some of them out of order, damaged, cut, or of something else.
class Packets {
  public:
    explicit Packets(Random& random) : random_(random) {}

    Frame draw() {
        static const std::vector<std::string> pieces = {
            "",
            "att",
            "ack",
            "attack",
            "dan",
            "danger",
            "x",
            "harmless",
            "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            std::string(45, '.') + "attack"};
        FramePlan plan;
        const std::string& text = random_.pick(pieces);
        plan.version = random_.one_in(4) ? 6 : 4;
        plan.ether_type = plan.version == 6 ? 0x86dd : 0x0800;
        plan.payload = static_cast<unsigned>(text.size());
        plan.padding = random_.one_in(4) ? 6 : 0;
        const unsigned which = random_.below(kConnections);
        const bool back = random_.one_in(3);
        set_ends(plan, which, back);
        static const std::vector<std::uint8_t> protocols = {kTcp, kTcp, kTcp,  kTcp,  kTcp,
                                                            kUdp, kUdp, kIcmp, kSctp, 99};
        plan.protocol = random_.pick(protocols);
        if (plan.protocol == kIcmp && plan.version == 6)
            plan.protocol = kIcmp6;
        plan.icmp_type = 8;
        plan.tcp_flags = kAck;
        if (plan.protocol == kTcp)
            set_segment(plan, connections_[which], back);
        if (random_.one_in(10))
            plan.tcp_options = {2, 4, 5, 0xb4};
        if (random_.one_in(12))
            plan.tags = {0x8100};
        if (plan.version == 4 && random_.one_in(12))
            plan.ip_options = {7, 3, 0};
        if (plan.version == 4 && random_.one_in(12))
            plan.flags = 1;
        if (plan.version == 4 && random_.one_in(16))
            plan.fragment_bytes = 16;
        if (random_.one_in(24))
            plan.claimed_length = static_cast<std::uint16_t>(random_.below(100));
        if (random_.one_in(16))
            plan.claimed_data_offset = static_cast<std::uint8_t>(random_.below(16));
        Frame frame = reference::build_frame(plan);
        if (frame.size() >= text.size() + plan.padding)
            std::memcpy(frame.data() + frame.size() - plan.padding - text.size(), text.data(),
                        text.size());
        if (plan.protocol == kTcp)
            make_right(frame);
        return frame;
    }

  private:
    static constexpr unsigned kConnections = 9;
    struct Side {
        std::uint32_t next = 1000;
        bool begun = false;
    };
    struct Connection {
        Side sides[2];
    };

    void set_ends(FramePlan& plan, unsigned which, bool back) {
        plan.source4 = Ipv4::from_host(0x0a000000 + which % 3);
        plan.destination4 = *parse_ipv4("192.0.2.1");
        plan.source6 = *parse_ipv6("2001:db8::1");
        plan.destination6 = *parse_ipv6("2001:db8::2");
        plan.source_port = static_cast<std::uint16_t>(2000 + which);
        plan.destination_port = which % 4 == 0 ? 81 : 80;
        if (!back)
            return;
        std::swap(plan.source4, plan.destination4);
        std::swap(plan.source6, plan.destination6);
        std::swap(plan.source_port, plan.destination_port);
    }

    void set_segment(FramePlan& plan, Connection& connection, bool back) {
        Side& side = connection.sides[back ? 1 : 0];
        const Side& other = connection.sides[back ? 0 : 1];
        plan.acknowledgement = other.next;
        plan.sequence = side.next;
        if (!side.begun || random_.one_in(30)) {
            side.begun = true;
            plan.payload = 0;
            plan.tcp_flags = back ? kSyn | kAck : kSyn;
            ++side.next;
        } else if (random_.one_in(5)) {
            plan.sequence += random_.below(12) - 6u;
        } else {
            side.next += plan.payload;
        }
    }

    // The checksum of TCP, mostly.
    void make_right(Frame& frame) {
        packet::Headers headers;
        if (packet::parse_frame(frame, {}, headers) != contract::DropReason::none ||
            headers.is_fragment() || random_.one_in(12))
            return;
        const std::span<std::byte> segment(
            frame.data() + headers.transport_offset,
            std::size_t{headers.network_offset} + headers.ip_length - headers.transport_offset);
        segment[16] = segment[17] = std::byte{0};
        packet::Checksum sum;
        const std::size_t size = headers.ip_version == 4 ? 4 : 16;
        sum.add(std::as_bytes(std::span(headers.source.bytes).first(size)));
        sum.add(std::as_bytes(std::span(headers.destination.bytes).first(size)));
        sum.add(std::uint16_t{kTcp});
        sum.add(static_cast<std::uint16_t>(segment.size()));
        sum.add(segment);
        segment[16] = static_cast<std::byte>(sum.finish().host() >> 8);
        segment[17] = static_cast<std::byte>(sum.finish().host());
    }

    Random& random_;
    Connection connections_[kConnections];
};

class Duel {
  public:
    Duel(const Runtime& runtime, Random& random) : runtime_(runtime), random_(random) {}

    // How many frames were judged without being walked cannot be seen; that they were looked into
    // can.
    std::uint64_t scans() const { return glancing_.worker.payload_scans; }

    void pass_burst(Packets& packets) {
        std::vector<Frame> frames(random_.between(1, 64));
        for (Frame& frame : frames)
            frame = packets.draw();
        now_ms_ += random_.below(400);
        const auto uptime_s = static_cast<std::uint32_t>(now_ms_ / 1000);
        burst_->begin({.parser_settings = runtime_.parser_settings(),
                       .first_sequence = 0,
                       .now_ms = now_ms_,
                       .uptime_s = uptime_s});
        for (const Frame& frame : frames)
            burst_->add(frame.data(), static_cast<std::uint32_t>(frame.size()), kPassage);
        judgement_->marked = 0;
        glancing_.engine->filter(runtime_, *burst_, *judgement_);
        for (std::size_t i = 0; i < frames.size(); ++i) {
            packet::Packet packet;
            packet.malformed =
                packet::parse_frame(frames[i], runtime_.parser_settings(), packet.headers);
            packet.passage = kPassage;
            packet.now_ms = now_ms_;
            packet.uptime_s = uptime_s;
            Verdict walked;
            PacketMarks marks;
            walking_.engine->filter(runtime_, {&packet, 1}, {&walked, 1}, {&marks, 1});
            const Verdict glanced = Engine::verdict(runtime_, *judgement_, i);
            ASSERT_EQ(glanced.kind, walked.kind) << reference::to_hex(frames[i]);
            ASSERT_EQ(glanced.reason, walked.reason) << reference::to_hex(frames[i]);
            ASSERT_EQ(glanced.rule_number, walked.rule_number) << reference::to_hex(frames[i]);
            ASSERT_EQ(glanced.argument, walked.argument);
        }
        ASSERT_EQ(glancing_.counted(), walking_.counted());
        for (Subject* subject : {&glancing_, &walking_})
            subject->engine->tend_states(runtime_, uptime_s, nullptr);
    }

  private:
    const Runtime& runtime_;
    Random& random_;
    Subject glancing_{0}, walking_{1};
    std::uint64_t now_ms_ = 100'000;
    std::unique_ptr<packet::Burst> burst_ = std::make_unique<packet::Burst>();
    std::unique_ptr<Judgement> judgement_ = std::make_unique<Judgement>();
};

TEST(PayloadLook, DoesWhatTheWalkDoes) {
    std::uint64_t scans = 0;
    for (std::uint64_t seed = 0; seed < 120; ++seed) {
        Random random(seed);
        contract::Sysctls sysctls;
        sysctls.payload_fail = random.below(3);
        sysctls.enable = random.one_in(10) ? 0 : 1;
        const std::vector<std::string> rules = draw_rules(random);
        const auto runtime = make_runtime(rules, sysctls);
        std::string text;
        for (const std::string& rule : rules)
            text += rule + "\n";
        SCOPED_TRACE(text + "seed " + std::to_string(seed));
        Packets packets(random);
        Duel duel(*runtime, random);
        for (int burst = 0; burst < 40 && !testing::Test::HasFatalFailure(); ++burst)
            duel.pass_burst(packets);
        if (testing::Test::HasFatalFailure())
            return;
        scans += duel.scans();
    }
    EXPECT_GT(scans, 50'000u);
}

// Which packets are over budget is a matter of the clock; that all are counted is not.
TEST(PayloadLook, KeepsToTheBudget) {
    contract::Sysctls sysctls;
    sysctls.payload_budget = 1;
    sysctls.payload_fail = 1;
    const auto runtime = make_runtime(
        {"10 deny tcp from any to any 80 payload web", "20 allow ip from any to any"}, sysctls);
    Subject subject(0);
    FramePlan plan;
    plan.source4 = *parse_ipv4("10.0.0.1");
    plan.destination4 = *parse_ipv4("192.0.2.1");
    plan.destination_port = 80;
    plan.payload = 40;
    const Frame frame = reference::build_frame(plan);
    const auto burst = std::make_unique<packet::Burst>();
    const auto judgement = std::make_unique<Judgement>();
    std::uint64_t dropped = 0, passed = 0;
    for (std::uint64_t turn = 0; turn < 4000; ++turn) {
        burst->begin({.parser_settings = runtime->parser_settings(),
                      .first_sequence = 0,
                      .now_ms = 100'000 + turn / 1000 * 16,
                      .uptime_s = 100});
        for (int i = 0; i < 64; ++i)
            burst->add(frame.data(), static_cast<std::uint32_t>(frame.size()), kPassage);
        judgement->marked = 0;
        subject.engine->filter(*runtime, *burst, *judgement);
        for (std::size_t i = 0; i < 64; ++i) {
            const Verdict verdict = Engine::verdict(*runtime, *judgement, i);
            const bool unseen = verdict.reason == contract::DropReason::payload_unseen;
            ASSERT_TRUE(unseen ? verdict.rule_number == 10 : verdict.rule_number == 20);
            ++(unseen ? dropped : passed);
        }
    }
    EXPECT_EQ(subject.worker.payload_scans, passed);
    EXPECT_EQ(subject.worker.payload_skips[static_cast<std::size_t>(contract::PayloadSkip::budget)],
              dropped);
    EXPECT_GT(dropped, 1000u);
    EXPECT_GT(passed, 1000u);
}

}  // namespace
}  // namespace sluice::program
