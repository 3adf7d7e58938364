// Messages of divert sockets: every field that a program may have got wrong.
#include "dataplane/divert/message.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "dataplane/packet/checksum.h"

namespace sluice::divert {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint16_t kPort = 2000;

Bytes bytes_of(std::initializer_list<int> values) {
    Bytes bytes;
    for (const int value : values)
        bytes.push_back(static_cast<std::byte>(value));
    return bytes;
}

// A UDP packet without payload.
Bytes ipv4() {
    return bytes_of({0x45, 0, 0,  28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0,
                     0,    1, 10, 0,  0, 2, 0, 5, 0,  7,  0, 8, 0,  0});
}

Bytes ipv6() {
    Bytes packet = bytes_of({0x60, 0, 0, 0, 0, 8, 17, 64});
    packet.resize(40 + 8);
    return packet;
}

Header packet_header() {
    Header header = make_header(SLUICE_DIVERT_PACKET, kPort);
    header.direction = SLUICE_DIVERT_IN;
    std::strcpy(header.receive_interface, "em0");
    Origin origin;
    origin.worker = 1;
    origin.link_length = 18;
    origin.link[12] = std::byte{0x81};
    origin.link[16] = std::byte{0x08};
    put_cookie(origin, header);
    return header;
}

Bytes message_of(const Header& header, const Bytes& packet) {
    Bytes message(sizeof header + packet.size());
    std::memcpy(message.data(), &header, sizeof header);
    if (!packet.empty())
        std::memcpy(message.data() + sizeof header, packet.data(), packet.size());
    return message;
}

Fault fault_of(const Header& header, const Bytes& packet) {
    Header read;
    std::span<const std::byte> rest;
    return read_packet(message_of(header, packet), kPort, read, rest);
}

TEST(DivertMessage, APacketIsReadAsItWasWritten) {
    const Header header = packet_header();
    const Bytes message = message_of(header, ipv4());
    Header read;
    std::span<const std::byte> packet;
    ASSERT_EQ(read_packet(message, kPort, read, packet), Fault::none);
    EXPECT_EQ(std::memcmp(&read, &header, sizeof header), 0);
    EXPECT_EQ(Bytes(packet.begin(), packet.end()), ipv4());
    const Origin origin = read_cookie(read);
    EXPECT_EQ(origin.worker, 1);
    EXPECT_EQ(origin.link_length, 18);
    EXPECT_EQ(fault_of(header, ipv6()), Fault::none);
}

TEST(DivertMessage, EveryWrongFieldIsNamed) {
    const auto with = [](auto change) {
        Header header = packet_header();
        change(header);
        return fault_of(header, ipv4());
    };
    EXPECT_EQ(with([](Header& h) { h.magic ^= 1; }), Fault::magic);
    EXPECT_EQ(with([](Header& h) { h.version = 2; }), Fault::version);
    EXPECT_EQ(with([](Header& h) { h.header_length = 20; }), Fault::header_length);
    EXPECT_EQ(with([](Header& h) { h.type = SLUICE_DIVERT_BIND; }), Fault::type);
    EXPECT_EQ(with([](Header& h) { h.port = kPort + 1; }), Fault::port);
    EXPECT_EQ(with([](Header& h) { h.direction = 0; }), Fault::direction);
    EXPECT_EQ(with([](Header& h) { h.direction = 3; }), Fault::direction);
    EXPECT_EQ(with([](Header& h) { std::memset(h.receive_interface, 'x', 16); }),
              Fault::interface_name);
    EXPECT_EQ(with([](Header& h) { std::memset(h.transmit_interface, 'x', 16); }),
              Fault::interface_name);
    EXPECT_EQ(with([](Header& h) { h.receive_interface[0] = '\0'; }),
              Fault::no_receiving_interface);
    EXPECT_EQ(with([](Header& h) {
                  h.receive_interface[0] = '\0';
                  h.direction = SLUICE_DIVERT_OUT;
              }),
              Fault::none);
    EXPECT_EQ(with([](Header& h) { std::memset(h.cookie, 0, sizeof h.cookie); }), Fault::none);
    EXPECT_EQ(with([](Header& h) { h.cookie[1] = 13; }), Fault::cookie);
    EXPECT_EQ(with([](Header& h) { h.cookie[1] = 34; }), Fault::cookie);
    EXPECT_EQ(with([](Header& h) { h.cookie[1] = 22; }), Fault::cookie) << "the tag is none";
}

TEST(DivertMessage, APacketHasTheLengthThatItSays) {
    const Header header = packet_header();
    EXPECT_EQ(fault_of(header, {}), Fault::not_ip);
    Bytes packet = ipv4();
    packet.pop_back();
    EXPECT_EQ(fault_of(header, packet), Fault::ip_length);
    packet = ipv4();
    packet.push_back({});
    EXPECT_EQ(fault_of(header, packet), Fault::ip_length);
    EXPECT_EQ(fault_of(header, bytes_of({0x45, 0, 0, 4})), Fault::ip_header);
    packet = ipv4();
    packet[0] = std::byte{0x44};
    EXPECT_EQ(fault_of(header, packet), Fault::ip_header);
    packet[0] = std::byte{0x4f};
    EXPECT_EQ(fault_of(header, packet), Fault::ip_header);
    packet[0] = std::byte{0x55};
    EXPECT_EQ(fault_of(header, packet), Fault::not_ip);
    packet = ipv6();
    packet.push_back({});
    EXPECT_EQ(fault_of(header, packet), Fault::ip_length);
    packet.resize(39);
    EXPECT_EQ(fault_of(header, packet), Fault::ip_header);
}

TEST(DivertMessage, ShorterThanAHeader) {
    const Bytes message = message_of(packet_header(), ipv4());
    Header read;
    std::span<const std::byte> rest;
    for (std::size_t length = 0; length < sizeof read; ++length)
        EXPECT_EQ(read_packet(std::span(message).first(length), kPort, read, rest),
                  Fault::short_message);
}

TEST(DivertMessage, Bind) {
    const auto fault = [](std::uint8_t type, std::uint16_t port) {
        Header read;
        return read_bind(message_of(make_header(type, port), {}), read);
    };
    EXPECT_EQ(fault(SLUICE_DIVERT_BIND, kPort), Fault::none);
    EXPECT_EQ(fault(SLUICE_DIVERT_BIND, 0), Fault::port);
    EXPECT_EQ(fault(SLUICE_DIVERT_PACKET, kPort), Fault::type);
}

TEST(DivertMessage, TheChecksumIsPutRight) {
    Bytes packet = ipv4();
    packet[10] = std::byte{0x12};
    correct_checksum(packet);
    packet::Checksum sum;
    sum.add(std::span(packet).first(20));
    EXPECT_EQ(sum.finish().host(), 0);
    Bytes other = ipv6();
    correct_checksum(other);
    EXPECT_EQ(other, ipv6());
}

TEST(DivertMessage, TheFrameHeaderTakesThePacketsType) {
    const Origin origin = read_cookie(packet_header());
    Bytes frame(Origin::kMaximumLink);
    ASSERT_EQ(origin.write_frame_header(6, frame), 18u);
    EXPECT_EQ(frame[12], std::byte{0x81});
    EXPECT_EQ(frame[16], std::byte{0x86});
    EXPECT_EQ(frame[17], std::byte{0xdd});
}

TEST(DivertMessage, EveryFaultHasASentence) {
    for (unsigned fault = 0; fault < static_cast<unsigned>(Fault::count_); ++fault)
        EXPECT_GT(std::string(sentence(static_cast<Fault>(fault))).size(), 10u);
}

}  // namespace
}  // namespace sluice::divert
