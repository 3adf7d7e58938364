#include "dataplane/host/socket_messages.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace sluice::host {
namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;

Ipv6 v4(const char* text) {
    Ipv6 address;
    const auto parsed = parse_ipv4(text);
    std::memcpy(address.bytes.data(), &*parsed, sizeof *parsed);
    return address;
}

sockets::Flow flow_of(std::uint8_t protocol) {
    return {.local = v4("192.0.2.1"),
            .remote = v4("198.51.100.2"),
            .local_port = 0x1234,
            .remote_port = 0x0050,
            .protocol = protocol,
            .ip_version = 4};
}

std::string hex(std::span<const std::byte> bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const std::byte byte : bytes) {
        text += kDigits[static_cast<unsigned>(byte) >> 4];
        text += kDigits[static_cast<unsigned>(byte) & 15];
    }
    return text;
}

std::vector<std::byte> bytes_of(const std::string& text) {
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
        bytes.push_back(static_cast<std::byte>(std::stoul(text.substr(i, 2), nullptr, 16)));
    return bytes;
}

const std::string kZeros4(8, '0'), kZeros12(24, '0'), kZeros16(32, '0');

// linux/inet_diag.h, inet_diag_req_v2; the machine is a little-endian one.
TEST(SocketMessages, AQuestionForTcp) {
    EXPECT_EQ(hex(socket_request(flow_of(kTcp), 7, 0x11)),
              "48000000"
              "1400"
              "0100"
              "11000000"
              "00000000"  // length, type, request, number
              "02"
              "06"
              "00"
              "00"
              "ffffffff"  // family, protocol, all states
              "1234"
              "0050"
              "c0000201" +
                  kZeros12 + "c6336402" + kZeros12 +
                  "07000000"
                  "ffffffffffffffff");  // link, no cookie
}

TEST(SocketMessages, AQuestionForUdpNamesTheOtherEndFirst) {
    EXPECT_EQ(hex(socket_request(flow_of(kUdp), 0, 1)).substr(48),
              "0050"
              "1234"
              "c6336402" +
                  kZeros12 + "c0000201" + kZeros12 + "00000000" + "ffffffffffffffff");
}

TEST(SocketMessages, AListOfSomeStates) {
    EXPECT_EQ(hex(socket_dump({.ip_version = 6, .protocol = kTcp, .states = 1u << 10}, 5)),
              "48000000"
              "1400"
              "0103"
              "05000000"
              "00000000"
              "0a"
              "06"
              "00"
              "00"
              "00040000" +
                  kZeros4 + kZeros16 + kZeros16 + kZeros4 + kZeros16.substr(16));
}

// inet_diag_msg: family, state, timer, retransmits, id, expires, queues, user, inode.
std::string answer(const std::string& family_and_state, const std::string& ports,
                   const std::string& local, const std::string& remote, const std::string& rest,
                   const std::string& attributes = "", const std::string& flags = "0200") {
    const std::string body = family_and_state + "0000" + ports + local + remote + kZeros4 +
                             kZeros4 + kZeros4 + kZeros12 + rest + attributes;
    const std::size_t length = 16 + body.size() / 2;
    return hex(std::as_bytes(std::span(&length, 1))).substr(0, 8) + "1400" + flags + "05000000" +
           kZeros4 + body;
}

const std::string kUser1000Inode7 =
    "e8030000"
    "07000000";
const std::string kDone =
    "14000000"
    "0300"
    "0200"
    "05000000"
    "00000000"
    "00000000";

TEST(SocketMessages, SocketsOfBothFamiliesAndTheEndOfTheList) {
    const std::string mapped = kZeros16.substr(0, 20) +
                               "ffff"
                               "c0000201";
    const std::string only_v6 =
        "05000b00"
        "01000000";
    const std::string both =
        "05000b00"
        "00000000";
    const auto got = parse_sockets(
        bytes_of(answer("0201", "00161234", "c0000201" + kZeros12, "c6336402" + kZeros12,
                        kUser1000Inode7) +
                 answer("0a01", "00161234", mapped, mapped, kUser1000Inode7) +
                 answer("0a0a", "00160000", kZeros16, kZeros16, kUser1000Inode7, only_v6) +
                 answer("0a07", "00350000", kZeros16, kZeros16, kUser1000Inode7, both) + kDone),
        5);
    EXPECT_TRUE(got.finished);
    EXPECT_FALSE(got.interrupted);
    EXPECT_EQ(got.problem, 0);
    ASSERT_EQ(got.sockets.size(), 4u);
    const SocketInfo& first = got.sockets[0];
    EXPECT_EQ(first.flow.local, v4("192.0.2.1"));
    EXPECT_EQ(first.flow.remote, v4("198.51.100.2"));
    EXPECT_EQ(first.flow.local_port, 22);
    EXPECT_EQ(first.flow.remote_port, 0x1234);
    EXPECT_EQ(first.flow.ip_version, 4);
    EXPECT_EQ(first.state, kEstablished);
    EXPECT_EQ(first.user, 1000u);
    EXPECT_EQ(first.inode, 7u);
    EXPECT_EQ(got.sockets[1].flow.ip_version, 4);
    EXPECT_EQ(got.sockets[1].flow.local, v4("192.0.2.1"));
    EXPECT_EQ(got.sockets[2].state, kListens);
    EXPECT_FALSE(got.sockets[2].takes_both_families);
    EXPECT_TRUE(got.sockets[3].takes_both_families);
}

TEST(SocketMessages, ErrorsInterruptionsAndAnswersToOthers) {
    const std::string error =
        "14000000"
        "0200"
        "0000"
        "05000000"
        "00000000"
        "feffffff";
    EXPECT_EQ(parse_sockets(bytes_of(error), 5).problem, ENOENT);
    EXPECT_TRUE(parse_sockets(bytes_of(error), 5).finished);
    EXPECT_FALSE(parse_sockets(bytes_of(error), 6).finished);
    const std::string socket =
        answer("0201", "00161234", kZeros16, kZeros16, kUser1000Inode7, "", "1200");
    EXPECT_TRUE(parse_sockets(bytes_of(socket), 5).interrupted);
    EXPECT_TRUE(parse_sockets(bytes_of(socket), 6).sockets.empty());
}

TEST(SocketMessages, WhatIsCutOffIsNoSocket) {
    const std::vector<std::byte> whole =
        bytes_of(answer("0a0a", "00160000", kZeros16, kZeros16, kUser1000Inode7,
                        "05000b00"
                        "01000000"));
    for (std::size_t length = 0; length < whole.size(); ++length) {
        const std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<long>(length));
        EXPECT_TRUE(parse_sockets(part, 5).sockets.empty()) << length;
    }
    EXPECT_EQ(parse_sockets(whole, 5).sockets.size(), 1u);
}

}  // namespace
}  // namespace sluice::host
