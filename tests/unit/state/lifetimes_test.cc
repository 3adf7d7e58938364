#include "dataplane/state/lifetimes.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/state/packets.h"

namespace sluice::state {
namespace {

constexpr Lifetimes kLifetimes = {
    .syn = 20, .unanswered_syn = 9, .established = 300, .fin = 2, .rst = 1, .udp = 10, .other = 5};

struct Segment {
    Step step = Step::forward;
    std::uint8_t flags = 0;
    std::uint32_t acknowledgement = 0;
    std::uint32_t left_s = 0;  // that the state has after it
};

// Each segment comes a second behind the one before it.
void expect_lives(const char* what, const std::vector<Segment>& segments) {
    Progress progress;
    std::uint32_t now_s = 1000;
    for (std::size_t i = 0; i < segments.size(); ++i, ++now_s) {
        const auto packet =
            make_tcp({1, 1}, {2, 2}, segments[i].flags, segments[i].acknowledgement, now_s);
        progress = advance(progress, packet.headers, segments[i].step, kLifetimes, now_s);
        EXPECT_EQ(progress.expires_s, now_s + segments[i].left_s) << what << ", segment " << i;
    }
}

constexpr Step kNew = Step::creation, kOut = Step::forward, kBack = Step::reverse;

TEST(TcpLifetime, SynOneWay) {
    expect_lives("syn", {{kNew, kSyn, 0, 9}, {kOut, kSyn, 0, 9}});
    expect_lives("answered without flags", {{kNew, kSyn, 0, 9}, {kBack, kAck, 5, 20}});
}

// The end of the life stays where it was until ACKs of both sides have moved on.
TEST(TcpLifetime, EstablishedWhenBothSidesHaveMovedOn) {
    expect_lives("handshake", {{kNew, kSyn, 0, 9},
                               {kBack, kSyn | kAck, 100, 8},
                               {kOut, kAck, 500, 300},
                               {kOut, kAck, 501, 299},
                               {kOut, kAck, 502, 298},
                               {kBack, kAck, 101, 300}});
    expect_lives("one side sends old ACKs", {{kNew, kSyn, 0, 9},
                                             {kBack, kSyn | kAck, 100, 8},
                                             {kOut, kAck, 500, 300},
                                             {kBack, kAck, 99, 299},
                                             {kOut, kAck, 501, 298},
                                             {kBack, kAck, 100, 300}});
}

TEST(TcpLifetime, AcknowledgementsWrapAround) {
    expect_lives("over zero", {{kNew, kSyn, 0, 9},
                               {kBack, kSyn | kAck, 0xfffffff0, 8},
                               {kOut, kAck, 0xffffff00, 300},
                               {kBack, kAck, 0x00000010, 299},
                               {kOut, kAck, 0x00000020, 300}});
    expect_lives("back over zero", {{kNew, kSyn, 0, 9},
                                    {kBack, kSyn | kAck, 0x00000010, 8},
                                    {kOut, kAck, 7, 300},
                                    {kBack, kAck, 0xfffffff0, 299},
                                    {kOut, kAck, 8, 298}});
}

TEST(TcpLifetime, FinOneWayIsStillEstablished) {
    expect_lives("from the initiator", {{kNew, kSyn, 0, 9},
                                        {kBack, kSyn | kAck, 100, 8},
                                        {kOut, kFin | kAck, 500, 300},
                                        {kBack, kAck, 101, 299},
                                        {kOut, kAck, 501, 300}});
    expect_lives("from the responder", {{kNew, kSyn, 0, 9},
                                        {kBack, kSyn | kAck, 100, 8},
                                        {kOut, kAck, 500, 300},
                                        {kBack, kFin | kAck, 101, 299},
                                        {kOut, kAck, 501, 300}});
}

TEST(TcpLifetime, FinBothWaysEnds) {
    expect_lives("fin", {{kNew, kSyn, 0, 9},
                         {kBack, kSyn | kAck, 100, 8},
                         {kOut, kFin | kAck, 500, 300},
                         {kBack, kFin | kAck, 101, 2},
                         {kOut, kAck, 501, 2}});
}

TEST(TcpLifetime, AnythingElseIsShort) {
    expect_lives("rst", {{kNew, kSyn, 0, 9},
                         {kBack, kSyn | kAck, 100, 8},
                         {kOut, kAck, 500, 300},
                         {kBack, kRst, 0, 1},
                         {kOut, kAck, 501, 1}});
    expect_lives("mid-stream", {{kNew, kAck, 500, 1}, {kBack, kAck, 100, 1}, {kOut, kAck, 501, 1}});
    expect_lives("refused", {{kNew, kSyn, 0, 9}, {kBack, kRst | kAck, 1, 1}});
    expect_lives("syn and fin", {{kNew, kSyn | kFin, 0, 1}});
    expect_lives("syn of the other side only", {{kNew, kAck, 1, 1}, {kBack, kSyn | kAck, 2, 1}});
}

// PUSH and URG play no part.
TEST(TcpLifetime, OnlyFinSynRstDecide) {
    expect_lives("urg", {{kNew, kSyn | 0x28, 0, 9}});
}

TEST(TcpLifetime, FragmentsBehindTheFirstHaveNoFlags) {
    auto packet = make_tcp({1, 0}, {2, 0}, kSyn, 7, 50);
    packet.headers.fragment_offset = 8;
    const Progress made = advance({}, packet.headers, Step::creation, kLifetimes, 50);
    EXPECT_EQ(made.tcp_seen, 0);
    EXPECT_EQ(made.expires_s, 51u);
    const Progress open{.marks = 0, .tcp_seen = tcp_seen::both_syn, .expires_s = 77};
    const Progress after = advance(open, packet.headers, Step::forward, kLifetimes, 50);
    EXPECT_EQ(after.expires_s, 77u);
    EXPECT_EQ(after.acknowledged_forward, 0u);
    EXPECT_EQ(after.marks, 0);
}

TEST(Lifetime, UdpAndOther) {
    for (const Step step : {Step::creation, Step::forward, Step::reverse}) {
        auto packet = make_packet({1, 1}, {2, 2}, kUdp, 50);
        EXPECT_EQ(advance({}, packet.headers, step, kLifetimes, 50).expires_s, 60u);
        packet.headers.protocol = kIcmp;
        EXPECT_EQ(advance({}, packet.headers, step, kLifetimes, 50).expires_s, 55u);
        packet.headers.protocol = 132;
        const Progress after = advance({}, packet.headers, step, kLifetimes, 50);
        EXPECT_EQ(after.expires_s, 55u);
        EXPECT_EQ(after.marks, step == Step::reverse ? mark::answered : 0);
    }
}

TEST(Lifetime, OfTheRuleReplacesAckUdpAndShort) {
    const Lifetimes own = kLifetimes.with(77);
    EXPECT_EQ(own.established, 77u);
    EXPECT_EQ(own.udp, 77u);
    EXPECT_EQ(own.other, 77u);
    EXPECT_EQ(own.syn, 20u);
    EXPECT_EQ(own.unanswered_syn, 9u);
    EXPECT_EQ(own.fin, 2u);
    EXPECT_EQ(own.rst, 1u);
    const Lifetimes same = kLifetimes.with(0);
    EXPECT_EQ(same.established, 300u);
    EXPECT_EQ(same.udp, 10u);
    EXPECT_EQ(same.other, 5u);
}

TEST(Lifetime, OfSysctls) {
    contract::Sysctls sysctls;
    sysctls.dyn_ack_lifetime = 11;
    sysctls.dyn_syn_lifetime = 12;
    sysctls.dyn_fin_lifetime = 3;
    sysctls.dyn_rst_lifetime = 4;
    sysctls.dyn_udp_lifetime = 15;
    sysctls.dyn_short_lifetime = 0;
    const Lifetimes lifetimes = Lifetimes::of(sysctls, 0);
    EXPECT_EQ(lifetimes.established, 11u);
    EXPECT_EQ(lifetimes.syn, 12u);
    EXPECT_EQ(lifetimes.unanswered_syn, 12u);
    EXPECT_EQ(lifetimes.fin, 3u);
    EXPECT_EQ(lifetimes.rst, 4u);
    EXPECT_EQ(lifetimes.udp, 15u);
    EXPECT_EQ(lifetimes.other, 1u);
}

TEST(Lifetime, OfUnansweredSynsShrinksAsTheTableFills) {
    contract::Sysctls sysctls;
    sysctls.dyn_max = 1000;
    sysctls.dyn_syn_lifetime = 30;
    auto at = [&](std::uint64_t states) { return Lifetimes::of(sysctls, states).unanswered_syn; };
    EXPECT_EQ(at(0), 30u);
    EXPECT_EQ(at(600), 30u);
    EXPECT_EQ(at(800), 20u);
    EXPECT_EQ(at(1000), 10u);
    EXPECT_EQ(at(5000), 10u);
    EXPECT_EQ(Lifetimes::of(sysctls, 1000).syn, 30u);
    sysctls.dyn_adaptive_start = 0;
    EXPECT_EQ(at(1000), 30u);
    sysctls.dyn_adaptive_start = 60;
    sysctls.dyn_syn_lifetime = 1;
    EXPECT_EQ(at(1000), 1u);
}

}  // namespace
}  // namespace sluice::state
