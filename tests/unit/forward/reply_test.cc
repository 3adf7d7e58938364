#include "dataplane/forward/reply.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/parser.h"
#include "dataplane/packet/wire.h"

namespace sluice::forward {
namespace {

using program::Verdict;
namespace wire = packet::wire;

using Bytes = std::vector<std::uint8_t>;

Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

Bytes be16(unsigned v) {
    return {static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)};
}

Bytes be32(std::uint32_t v) {
    return be16(v >> 16) + be16(v & 0xffff);
}

const Bytes kServerMac = {0x02, 0, 0, 0, 0, 0x0b}, kClientMac = {0x02, 0, 0, 0, 0, 0x0a};
const Bytes kClient4 = {10, 0, 0, 1}, kServer4 = {192, 0, 2, 80};
const Bytes kClient6 = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
const Bytes kServer6 = {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50};

struct Ipv4Options {
    Bytes source = kClient4;
    Bytes destination = kServer4;
    unsigned fragment = 0;  // flags and offset as on the wire
    Bytes options;
    Bytes destination_mac = kServerMac;
    Bytes tags;
};

Bytes ipv4(unsigned protocol, const Bytes& payload, const Ipv4Options& o = {}) {
    const unsigned header = static_cast<unsigned>(20 + o.options.size());
    Bytes ip = Bytes{static_cast<std::uint8_t>(0x40 | header / 4), 0} +
               be16(static_cast<unsigned>(header + payload.size())) + be16(0x1234) +
               be16(o.fragment) + Bytes{57, static_cast<std::uint8_t>(protocol)} + be16(0) +
               o.source + o.destination + o.options;
    return o.destination_mac + kClientMac + o.tags + be16(0x0800) + ip + payload;
}

Bytes ipv6(unsigned next, const Bytes& payload, const Bytes& source = kClient6,
           const Bytes& destination = kServer6) {
    return kServerMac + kClientMac + be16(0x86dd) + be32(0x60000000) +
           be16(static_cast<unsigned>(payload.size())) +
           Bytes{static_cast<std::uint8_t>(next), 60} + source + destination + payload;
}

Bytes tcp(unsigned flags, std::uint32_t sequence, std::uint32_t acknowledgement) {
    return be16(40000) + be16(80) + be32(sequence) + be32(acknowledgement) +
           Bytes{0x50, static_cast<std::uint8_t>(flags)} + be16(1024) + be32(0);
}

Bytes udp(std::size_t payload) {
    return be16(40000) + be16(53) + be16(static_cast<unsigned>(8 + payload)) + be16(0) +
           Bytes(payload, 0x77);
}

Verdict verdict(Verdict::Kind kind, std::uint16_t argument = 0, std::uint16_t mtu = 0) {
    Verdict v;
    v.kind = kind;
    v.argument = argument;
    v.mtu = mtu;
    v.rule_number = 100;
    return v;
}

const Verdict kUnreachHost = verdict(Verdict::Kind::unreach, 1);
const Verdict kReset = verdict(Verdict::Kind::reset);
const Verdict kReset6 = verdict(Verdict::Kind::reset6);

// The bytes of the reply; parsed back by our own parser they must be a good packet.
Bytes reply(const Bytes& frame, const Verdict& v) {
    packet::Packet packet;
    EXPECT_EQ(packet::parse_frame(std::as_bytes(std::span(frame)), {}, packet.headers),
              contract::DropReason::none);
    std::array<std::byte, kMaximumReply> out;
    out.fill(std::byte{0xee});
    const std::size_t length = build_reply(packet, v, out);
    EXPECT_LE(length, out.size());
    Bytes result(length);
    if (length != 0)
        std::memcpy(result.data(), out.data(), length);
    return result;
}

Bytes part(const Bytes& bytes, std::size_t offset, std::size_t length) {
    EXPECT_LE(offset + length, bytes.size());
    return Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(offset),
                 bytes.begin() + static_cast<std::ptrdiff_t>(offset + length));
}

bool checksum_ok(const Bytes& covered, const Bytes& pseudo_header = {}) {
    packet::Checksum sum;
    sum.add(std::as_bytes(std::span(pseudo_header)));
    sum.add(std::as_bytes(std::span(covered)));
    return sum.finish() == Be16{};
}

TEST(ReplyTest, UnreachableQuotesTheHeaderAndEightBytes) {
    const Bytes frame = ipv4(17, udp(100));
    const Bytes r = reply(frame, kUnreachHost);
    ASSERT_EQ(r.size(), 14u + 20 + 8 + 28);
    EXPECT_EQ(part(r, 0, 6), kClientMac);
    EXPECT_EQ(part(r, 6, 6), kServerMac);
    EXPECT_EQ(part(r, 12, 2), be16(0x0800));
    EXPECT_EQ(part(r, 14, 2), (Bytes{0x45, 0}));
    EXPECT_EQ(part(r, 16, 2), be16(20 + 8 + 28));
    EXPECT_EQ(part(r, 18, 4), be16(0) + be16(0x4000));
    EXPECT_EQ(part(r, 22, 2), (Bytes{64, 1}));
    EXPECT_EQ(part(r, 26, 4), kServer4);
    EXPECT_EQ(part(r, 30, 4), kClient4);
    EXPECT_TRUE(checksum_ok(part(r, 14, 20)));
    EXPECT_EQ(part(r, 34, 2), (Bytes{3, 1}));
    EXPECT_EQ(part(r, 38, 4), be32(0));
    EXPECT_EQ(part(r, 42, 28), part(frame, 14, 28));
    EXPECT_TRUE(checksum_ok(part(r, 34, 36)));
}

TEST(ReplyTest, UnreachableQuotesOptionsToo) {
    Ipv4Options o;
    o.options = {7, 7, 4, 0, 0, 0, 0, 0};
    const Bytes frame = ipv4(17, udp(1), o);
    const Bytes r = reply(frame, kUnreachHost);
    ASSERT_EQ(r.size(), 14u + 20 + 8 + 28 + 8);
    EXPECT_EQ(part(r, 42, 36), part(frame, 14, 36));
    EXPECT_TRUE(checksum_ok(part(r, 34, 44)));
}

TEST(ReplyTest, AShortPacketIsQuotedWholeAndTheFrameIsPadded) {
    const Bytes frame = ipv4(47, {1, 2, 3});
    const Bytes r = reply(frame, kUnreachHost);
    EXPECT_EQ(part(r, 16, 2), be16(20 + 8 + 23));
    EXPECT_EQ(part(r, 42, 23), part(frame, 14, 23));
    EXPECT_TRUE(checksum_ok(part(r, 34, 31)));
}

TEST(ReplyTest, OnlyNeedfragCarriesAnMtu) {
    const Bytes frame = ipv4(17, udp(8));
    EXPECT_EQ(
        part(reply(frame, verdict(Verdict::Kind::unreach, 4, 1400)), 34, 8),
        part(reply(frame, verdict(Verdict::Kind::unreach, 4, 1400)), 34, 4) + be16(0) + be16(1400));
    EXPECT_EQ(part(reply(frame, verdict(Verdict::Kind::unreach, 3, 1400)), 38, 4), be32(0));
    EXPECT_TRUE(checksum_ok(part(reply(frame, verdict(Verdict::Kind::unreach, 4, 1400)), 34, 36)));
}

Bytes sctp(std::uint32_t tag, const Bytes& chunk) {
    return be16(40000) + be16(2905) + be32(tag) + be32(0) + chunk;
}

// The checksum is the one that scapy gives for the same packet.
TEST(ReplyTest, AbortReflectsTheTag) {
    const Bytes data = {0, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 'x', 0, 0, 0};
    const Bytes r = reply(ipv4(132, sctp(0x11223344, data)), verdict(Verdict::Kind::abort));
    ASSERT_EQ(r.size(), 60u);
    EXPECT_EQ(part(r, 16, 2), be16(36));
    EXPECT_EQ(part(r, 23, 1), Bytes{132});
    EXPECT_EQ(part(r, 34, 8), be16(2905) + be16(40000) + be32(0x11223344));
    EXPECT_EQ(part(r, 42, 4), (Bytes{0xf7, 0x69, 0xe8, 0x9e}));
    EXPECT_EQ(part(r, 46, 4), (Bytes{6, 1, 0, 4}));
}

TEST(ReplyTest, AbortOfAnInitTakesItsTag) {
    const Bytes init =
        Bytes{1, 0, 0, 20} + be32(0xcafebabe) + be32(1024) + be16(1) + be16(1) + be32(7);
    const Bytes r = reply(ipv4(132, sctp(0, init)), verdict(Verdict::Kind::abort));
    EXPECT_EQ(part(r, 38, 4), be32(0xcafebabe));
    EXPECT_EQ(part(r, 46, 4), (Bytes{6, 0, 0, 4}));
}

TEST(ReplyTest, AbortAnswersSctpOnlyAndNoAbort) {
    const Verdict abort = verdict(Verdict::Kind::abort), abort6 = verdict(Verdict::Kind::abort6);
    EXPECT_TRUE(reply(ipv4(132, sctp(5, {6, 0, 0, 4})), abort).empty());
    EXPECT_TRUE(reply(ipv4(132, sctp(0, {0, 0, 0, 4})), abort).empty());
    EXPECT_TRUE(reply(ipv4(132, sctp(5, {1, 0})), abort).size() == 60);
    EXPECT_TRUE(reply(ipv4(6, tcp(2, 1, 1)), abort).empty());
    EXPECT_TRUE(reply(ipv4(132, sctp(5, {0, 0, 0, 4})), abort6).empty());
    EXPECT_FALSE(reply(ipv6(132, sctp(5, {0, 0, 0, 4})), abort6).empty());
    EXPECT_FALSE(reply(ipv6(132, sctp(5, {0, 0, 0, 4})), abort).empty());
}

Bytes error_reply(const Bytes& frame, Obstacle obstacle, std::uint16_t mtu = 0,
                  const std::optional<Ipv6>& own = {}) {
    packet::Packet packet;
    EXPECT_EQ(packet::parse_frame(std::as_bytes(std::span(frame)), {}, packet.headers),
              contract::DropReason::none);
    std::array<std::byte, kMaximumReply> out;
    const std::size_t length = build_error(packet, obstacle, mtu, out, own);
    Bytes result(length);
    if (length != 0)
        std::memcpy(result.data(), out.data(), length);
    return result;
}

TEST(ReplyTest, ARouterAnswersByItsOwnAddress) {
    const Ipv6 own = {{192, 0, 2, 254}};
    const Bytes frame = ipv4(17, udp(100));
    const Bytes r = error_reply(frame, Obstacle::hop_limit, 0, own);
    ASSERT_EQ(r.size(), 14u + 20 + 8 + 28);
    EXPECT_EQ(part(r, 26, 4), (Bytes{192, 0, 2, 254}));
    EXPECT_EQ(part(r, 30, 4), kClient4);
    EXPECT_EQ(part(r, 34, 2), (Bytes{11, 0}));
    EXPECT_EQ(part(r, 38, 4), be32(0));
    EXPECT_TRUE(checksum_ok(part(r, 34, 36)));
    const Bytes big = error_reply(frame, Obstacle::too_big, 1400, own);
    EXPECT_EQ(part(big, 34, 2), (Bytes{3, 4}));
    EXPECT_EQ(part(big, 38, 4), be16(0) + be16(1400));
    EXPECT_EQ(part(error_reply(frame, Obstacle::no_route, 0, own), 34, 2), (Bytes{3, 0}));
    EXPECT_EQ(part(error_reply(frame, Obstacle::host_unreachable, 0, own), 34, 2), (Bytes{3, 1}));
    EXPECT_EQ(part(error_reply(frame, Obstacle::prohibited, 0, own), 34, 2), (Bytes{3, 13}));
    EXPECT_EQ(part(error_reply(frame, Obstacle::source_route_refused, 0, own), 34, 2),
              (Bytes{3, 5}));
    EXPECT_TRUE(error_reply(frame, Obstacle::none).empty());
}

TEST(ReplyTest, ARouterAnswersIpv6) {
    const Ipv6 own = {{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe}};
    const Bytes frame = ipv6(17, udp(1300));
    const Bytes r = error_reply(frame, Obstacle::too_big, 1280, own);
    ASSERT_EQ(r.size(), 14 + kMinimumMtu6);
    const Bytes own_bytes(own.bytes.begin(), own.bytes.end());
    EXPECT_EQ(part(r, 22, 16), own_bytes);
    EXPECT_EQ(part(r, 54, 2), (Bytes{2, 0}));
    EXPECT_EQ(part(r, 58, 4), be32(1280));
    EXPECT_TRUE(checksum_ok(part(r, 54, kMinimumMtu6 - 40),
                            own_bytes + kClient6 + be32(kMinimumMtu6 - 40) + be32(58)));
    EXPECT_EQ(part(error_reply(frame, Obstacle::hop_limit, 0, own), 54, 2), (Bytes{3, 0}));
    EXPECT_EQ(part(error_reply(frame, Obstacle::no_route, 0, own), 54, 2), (Bytes{1, 0}));
    EXPECT_EQ(part(error_reply(frame, Obstacle::beyond_scope, 0, own), 54, 2), (Bytes{1, 2}));
}

// Rules answer queries only, a router all messages but errors (RFC 1122 §3.2.2).
TEST(ReplyTest, ARouterAnswersEchoRepliesButNoErrors) {
    const auto icmp = [](unsigned type) {
        return ipv4(1, Bytes{static_cast<std::uint8_t>(type), 0, 0, 0, 0, 0, 0, 0});
    };
    EXPECT_FALSE(error_reply(icmp(0), Obstacle::hop_limit).empty());
    EXPECT_TRUE(reply(icmp(0), kUnreachHost).empty());
    for (const unsigned type : {3u, 4u, 5u, 11u, 12u})
        EXPECT_TRUE(error_reply(icmp(type), Obstacle::hop_limit).empty()) << type;
    const auto icmp6 = [](unsigned type) {
        return ipv6(58, Bytes{static_cast<std::uint8_t>(type), 0, 0, 0, 0, 0, 0, 0});
    };
    EXPECT_FALSE(error_reply(icmp6(129), Obstacle::hop_limit).empty());
    for (const unsigned type : {1u, 2u, 3u, 4u, 137u})
        EXPECT_TRUE(error_reply(icmp6(type), Obstacle::hop_limit).empty()) << type;
}

TEST(ReplyTest, VlanTagsStay) {
    Ipv4Options o;
    o.tags = be16(0x88a8) + be16(0x6064) + be16(0x8100) + be16(0x00c8);
    const Bytes frame = ipv4(6, tcp(0x02, 7, 0), o);
    const Bytes r = reply(frame, kReset);
    ASSERT_EQ(r.size(), 14u + 8 + 20 + 20);
    EXPECT_EQ(part(r, 0, 12), kClientMac + kServerMac);
    EXPECT_EQ(part(r, 12, 10), part(frame, 12, 10));
}

TEST(ReplyTest, ResetOfASynAcknowledgesIt) {
    const Bytes r = reply(ipv4(6, tcp(0x02, 0xfffffffe, 0)), kReset);
    ASSERT_EQ(r.size(), 60u);  // 54 and padding
    EXPECT_EQ(part(r, 16, 2), be16(40));
    EXPECT_EQ(part(r, 34, 4), be16(80) + be16(40000));
    EXPECT_EQ(part(r, 38, 8), be32(0) + be32(0xffffffff));
    EXPECT_EQ(part(r, 46, 2), (Bytes{0x50, 0x14}));
    EXPECT_EQ(part(r, 48, 2), be16(0));
    EXPECT_TRUE(checksum_ok(part(r, 34, 20), kServer4 + kClient4 + be16(6) + be16(20)));
    EXPECT_TRUE(checksum_ok(part(r, 14, 20)));
    EXPECT_EQ(part(r, 54, 6), Bytes(6, 0));
}

TEST(ReplyTest, ResetOfASegmentWithAckTakesItsNumber) {
    const Bytes r = reply(ipv4(6, tcp(0x18, 5, 0xabcdef01)), kReset);
    EXPECT_EQ(part(r, 38, 8), be32(0xabcdef01) + be32(0));
    EXPECT_EQ(part(r, 46, 2), (Bytes{0x50, 0x04}));
}

TEST(ReplyTest, ResetWithoutSynOrAckAddsNothing) {
    const Bytes r = reply(ipv4(6, tcp(0x01, 77, 3)), kReset);
    EXPECT_EQ(part(r, 38, 8), be32(0) + be32(77));
}

TEST(ReplyTest, ResetAnswersTcpWithoutRstOnly) {
    EXPECT_TRUE(reply(ipv4(6, tcp(0x04, 1, 1)), kReset).empty());
    EXPECT_TRUE(reply(ipv4(6, tcp(0x14, 1, 1)), kReset).empty());
    EXPECT_TRUE(reply(ipv4(17, udp(4)), kReset).empty());
}

TEST(ReplyTest, Reset6) {
    const Bytes r = reply(ipv6(6, tcp(0x02, 99, 0)), kReset6);
    ASSERT_EQ(r.size(), 14u + 40 + 20);
    EXPECT_EQ(part(r, 12, 8), be16(0x86dd) + be32(0x60000000) + be16(20));
    EXPECT_EQ(part(r, 20, 2), (Bytes{6, 64}));
    EXPECT_EQ(part(r, 22, 32), kServer6 + kClient6);
    EXPECT_EQ(part(r, 54, 12), be16(80) + be16(40000) + be32(0) + be32(100));
    EXPECT_TRUE(checksum_ok(part(r, 54, 20), kServer6 + kClient6 + be32(20) + be32(6)));
}

TEST(ReplyTest, Unreach6QuotesWhatFitsTheLeastMtu) {
    const Bytes small = ipv6(17, udp(11));
    Bytes r = reply(small, verdict(Verdict::Kind::unreach6, 4));
    ASSERT_EQ(r.size(), 14u + 40 + 8 + 59);
    EXPECT_EQ(part(r, 20, 2), (Bytes{58, 64}));
    EXPECT_EQ(part(r, 54, 2), (Bytes{1, 4}));
    EXPECT_EQ(part(r, 58, 4), be32(0));
    EXPECT_EQ(part(r, 62, 59), part(small, 14, 59));
    EXPECT_TRUE(checksum_ok(part(r, 54, 67), kServer6 + kClient6 + be32(67) + be32(58)));
    const Bytes large = ipv6(17, udp(1400));
    r = reply(large, verdict(Verdict::Kind::unreach6, 1));
    ASSERT_EQ(r.size(), 14u + 1280);
    EXPECT_EQ(part(r, 62, 1232), part(large, 14, 1232));
    EXPECT_TRUE(checksum_ok(part(r, 54, 1240), kServer6 + kClient6 + be32(1240) + be32(58)));
}

TEST(ReplyTest, TheOldActionsAnswerBothFamilies) {
    const Bytes four = ipv4(6, tcp(2, 1, 0)), six = ipv6(6, tcp(2, 1, 0));
    EXPECT_TRUE(reply(four, verdict(Verdict::Kind::unreach6, 1)).empty());
    EXPECT_TRUE(reply(four, kReset6).empty());
    EXPECT_EQ(reply(six, kReset), reply(six, kReset6));
    // Codes are translated.
    EXPECT_EQ(part(reply(six, verdict(Verdict::Kind::unreach, 3)), 54, 2), (Bytes{1, 4}));
    EXPECT_EQ(part(reply(six, kUnreachHost), 54, 2), (Bytes{1, 0}));
    EXPECT_EQ(part(reply(six, verdict(Verdict::Kind::unreach, 13)), 54, 2), (Bytes{1, 1}));
}

TEST(ReplyTest, ErrorsNeverAnswerErrors) {
    for (unsigned type = 0; type < 256; ++type) {
        const Bytes icmp = Bytes{static_cast<std::uint8_t>(type), 0, 0, 0} + Bytes(8, 0);
        const bool query4 = type == 8 || type == 10 || type == 13 || type == 15 || type == 17;
        EXPECT_EQ(!reply(ipv4(1, icmp), kUnreachHost).empty(), query4) << type;
        const bool query6 = type == 128 || type == 130 || type == 139;
        EXPECT_EQ(!reply(ipv6(58, icmp), verdict(Verdict::Kind::unreach6, 1)).empty(), query6)
            << type;
    }
}

TEST(ReplyTest, OnlyFirstFragmentsAreAnswered) {
    Ipv4Options first, later;
    first.fragment = 0x2000;
    later.fragment = 0x2003;
    EXPECT_FALSE(reply(ipv4(17, udp(24), first), kUnreachHost).empty());
    EXPECT_TRUE(reply(ipv4(17, udp(24), later), kUnreachHost).empty());
    const Bytes fragment6 = Bytes{17, 0} + be16(0x0009) + be32(1);
    EXPECT_TRUE(reply(ipv6(44, fragment6 + udp(8)), verdict(Verdict::Kind::unreach6, 1)).empty());
}

TEST(ReplyTest, GroupsAndImpossibleSendersAreNotAnswered) {
    Ipv4Options o;
    o.destination_mac = Bytes(6, 0xff);
    EXPECT_TRUE(reply(ipv4(17, udp(8), o), kUnreachHost).empty());
    o.destination_mac = {0x01, 0, 0x5e, 0, 0, 1};
    EXPECT_TRUE(reply(ipv4(17, udp(8), o), kUnreachHost).empty());
    for (const Bytes& destination : {Bytes{224, 0, 0, 1}, Bytes{239, 255, 255, 255}}) {
        Ipv4Options p;
        p.destination = destination;
        EXPECT_TRUE(reply(ipv4(17, udp(8), p), kUnreachHost).empty());
    }
    for (const Bytes& source : {Bytes{0, 0, 0, 0}, Bytes{224, 0, 0, 1}, Bytes(4, 0xff)}) {
        Ipv4Options p;
        p.source = source;
        EXPECT_TRUE(reply(ipv4(17, udp(8), p), kUnreachHost).empty());
        EXPECT_TRUE(reply(ipv4(6, tcp(2, 1, 0), p), kReset).empty());
    }
    Bytes group6 = kServer6;
    group6[0] = 0xff;
    EXPECT_TRUE(reply(ipv6(6, tcp(2, 1, 0), kClient6, group6), kReset6).empty());
    EXPECT_TRUE(reply(ipv6(6, tcp(2, 1, 0), group6, kServer6), kReset6).empty());
    EXPECT_TRUE(reply(ipv6(6, tcp(2, 1, 0), Bytes(16, 0), kServer6), kReset6).empty());
}

// A rule's answer to 255.255.255.255 is the engine's business, and recorded; a router's is not.
TEST(ReplyTest, ARouterTellsNobodyThatHisBroadcastFailed) {
    Ipv4Options o;
    EXPECT_FALSE(error_reply(ipv4(17, udp(8), o), Obstacle::hop_limit).empty());
    for (const Bytes& destination : {Bytes(4, 0xff), Bytes{224, 0, 0, 1}}) {
        o.destination = destination;
        EXPECT_TRUE(error_reply(ipv4(17, udp(8), o), Obstacle::hop_limit).empty());
    }
}

TEST(ReplyTest, FramesThatAreNotIpAreNotAnswered) {
    const Bytes arp = kServerMac + kClientMac + be16(0x0806) + Bytes(28, 1);
    EXPECT_TRUE(reply(arp, kUnreachHost).empty());
}

TEST(ReplyTest, OtherVerdictsSendNothing) {
    for (const auto kind : {Verdict::Kind::accept, Verdict::Kind::deny, Verdict::Kind::divert,
                            Verdict::Kind::tee, Verdict::Kind::fwd})
        EXPECT_TRUE(reply(ipv4(6, tcp(2, 1, 0)), verdict(kind)).empty());
}

}  // namespace
}  // namespace sluice::forward
