// `uid`: which packets may belong to a socket of this machine, and which socket it is.
#include <gtest/gtest.h>

#include <cstring>

#include "controlplane/compiler/compile.h"
#include "dataplane/packet/parser.h"
#include "dataplane/program/socket_tests.h"
#include "tests/unit/program/bench.h"

namespace sluice::program {
namespace {

constexpr std::uint8_t kSyn = 0x02, kAck = 0x10;
constexpr sockets::UserId kListener = 1, kOwner = 2;

class Sockets : public testing::Test {
  protected:
    Sockets() {
        packet::Environment environment;
        environment.interfaces = {{"em0", {{*parse_ipv4("10.0.0.1"), 24}}}};
        const auto image = compiler::compile(ruleset::Ruleset(false), 1);
        auto made = Runtime::create(*image, environment, 16);
        EXPECT_TRUE(made);
        runtime_ = std::move(*made);
    }

    static sockets::Flow flow(std::uint8_t protocol) {
        sockets::Flow made{.local = {},
                           .remote = {},
                           .local_port = 80,
                           .remote_port = 5000,
                           .protocol = protocol,
                           .ip_version = 4};
        made.local.bytes = {10, 0, 0, 1};
        made.remote.bytes = {10, 9, 9, 9};
        return made;
    }

    static reference::FramePlan plan(const packet::Passage& passage, std::uint8_t protocol = 6,
                                     std::uint8_t flags = kAck) {
        reference::FramePlan made;
        made.protocol = protocol;
        made.tcp_flags = flags;
        made.source4 = *parse_ipv4("10.0.0.1");
        made.source_port = 80;
        made.destination4 = *parse_ipv4("10.9.9.9");
        made.destination_port = 5000;
        if (passage.direction == packet::Direction::in) {
            std::swap(made.source4, made.destination4);
            std::swap(made.source_port, made.destination_port);
        }
        return made;
    }

    std::optional<sockets::UserId> owner(const reference::FramePlan& plan,
                                         const packet::Passage& passage) {
        const reference::Frame frame = reference::build_frame(plan);
        packet::Packet packet;
        packet.passage = passage;
        EXPECT_EQ(packet::parse_frame(frame, {}, packet.headers), contract::DropReason::none);
        tests_.begin_packet();
        return tests_.owner(*runtime_, packet);
    }

    sockets::Owners owners_{7};
    SocketTests tests_{&owners_};
    std::unique_ptr<const Runtime> runtime_;
};

using Owner = std::optional<sockets::UserId>;

TEST_F(Sockets, WhatTheHostSendsAndReceives) {
    owners_.connections().set(flow(6), kOwner, 1);
    EXPECT_EQ(owner(plan(out_by(0)), out_by(0)), kOwner);
    EXPECT_EQ(owner(plan(in_by(0)), in_by(0)), kOwner);
}

TEST_F(Sockets, ForwardedAndBridgedPacketsAreOfNobody) {
    owners_.connections().set(flow(6), kOwner, 1);
    EXPECT_EQ(owner(plan(out_by(0, 0)), out_by(0, 0)), Owner());
    const packet::Passage bridged = in_by(0, packet::Entry::bridge);
    EXPECT_EQ(owner(plan(bridged), bridged), Owner());
    // To another host, with a listener here that takes any address.
    owners_.bound().set(sockets::without_addresses(flow(6)), kListener, 1);
    reference::FramePlan elsewhere = plan(in_by(0));
    elsewhere.destination4 = *parse_ipv4("10.0.0.2");
    EXPECT_EQ(owner(elsewhere, in_by(0)), Owner());
}

TEST_F(Sockets, GroupsAndBroadcastsAreForWhoeverIsOpenToThem) {
    owners_.bound().set(sockets::without_addresses(flow(17)), kListener, 1);
    for (const char* address : {"224.0.0.251", "255.255.255.255", "10.0.0.1"}) {
        reference::FramePlan wanted = plan(in_by(0), 17);
        wanted.destination4 = *parse_ipv4(address);
        EXPECT_EQ(owner(wanted, in_by(0)), kListener) << address;
    }
}

TEST_F(Sockets, TheFirstSegmentsOfAConnectionAreTheListeners) {
    owners_.connections().set(flow(6), kOwner, 1);  // of an earlier connection
    owners_.bound().set(sockets::without_addresses(flow(6)), kListener, 1);
    EXPECT_EQ(owner(plan(in_by(0), 6, kSyn), in_by(0)), kListener);
    EXPECT_EQ(owner(plan(out_by(0), 6, kSyn | kAck), out_by(0)), kListener);
    EXPECT_EQ(owner(plan(out_by(0), 6, kSyn), out_by(0)), kOwner);
    EXPECT_EQ(owner(plan(in_by(0), 6, kSyn | kAck), in_by(0)), kOwner);
}

TEST_F(Sockets, FragmentsWithoutPortsAndOtherProtocolsAreOfNobody) {
    owners_.bound().set(sockets::without_addresses(flow(17)), kListener, 1);
    reference::FramePlan fragment = plan(in_by(0), 17);
    fragment.fragment_bytes = 1480;
    EXPECT_EQ(owner(fragment, in_by(0)), Owner());
    EXPECT_EQ(owner(plan(in_by(0), 132), in_by(0)), Owner());
}

TEST_F(Sockets, OneAnswerForAPacket) {
    const reference::Frame frame = reference::build_frame(plan(out_by(0)));
    packet::Packet packet;
    packet.passage = out_by(0);
    packet::parse_frame(frame, {}, packet.headers);
    tests_.begin_packet();
    EXPECT_EQ(tests_.owner(*runtime_, packet), Owner());
    owners_.connections().set(flow(6), kOwner, 1);
    EXPECT_EQ(tests_.owner(*runtime_, packet), Owner());
    tests_.begin_packet();
    EXPECT_EQ(tests_.owner(*runtime_, packet), kOwner);
}

TEST(SocketsOfAReplay, BelongToNobody) {
    Bench bench({"100 deny tcp from any to any uid 0", "200 deny tcp from any to any gid 0",
                 "300 allow tcp from any to any not uid 0"});
    EXPECT_EQ(bench.pass(reference::FramePlan(), in_by(0)), "accept 300");
}

TEST(Rulesets, TellThatTheyAskForSockets) {
    const auto asks = [](const char* text) {
        ruleset::Ruleset ruleset(false);
        auto rule = language::parse_rule(text, language::refusing_resolver());
        EXPECT_TRUE(ruleset.add(*rule));
        const auto image = compiler::compile(ruleset, 1);
        EXPECT_TRUE(image) << image.error().message;
        auto runtime = Runtime::create(*image, {}, 16);
        return (*runtime)->asks_for_sockets();
    };
    EXPECT_TRUE(asks("100 allow ip from any to any { uid 7 or src-port 1 }"));
    EXPECT_TRUE(asks("100 allow ip from any to any gid 7"));
    EXPECT_FALSE(asks("100 allow ip from any to any src-port 1"));
}

}  // namespace
}  // namespace sluice::program
