#include "dataplane/payload/parts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/payload/messages.h"

namespace sluice::payload {
namespace {

using contract::PayloadPart;

std::string from_hex(std::string_view digits) {
    std::string bytes;
    for (std::size_t i = 0; i < digits.size(); i += 2)
        bytes += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
    return bytes;
}

// `more`, `no` or what is found. The bytes are in memory of their own, so that a sanitizer sees
// when one too many is read.
std::string found(PayloadPart part, Transport transport, std::string_view message) {
    const std::vector<char> start(message.begin(), message.end());
    PartScratch scratch;
    const Part result = find_part(part, transport, std::as_bytes(std::span(start)), scratch);
    if (result.found == Found::more)
        return "more";
    if (result.found == Found::no)
        return "no";
    return "yes: " +
           std::string(reinterpret_cast<const char*>(result.bytes.data()), result.bytes.size());
}

// The answer for all of it. With fewer bytes it must be `more`, or that answer.
std::string answer(PayloadPart part, std::string_view message,
                   Transport transport = Transport::tcp) {
    const std::string all = found(part, transport, message);
    std::size_t length = 0;
    while (length < message.size() && found(part, transport, message.substr(0, length)) == "more")
        ++length;
    for (; length <= message.size(); ++length)
        EXPECT_EQ(found(part, transport, message.substr(0, length)), all) << length;
    return all;
}

std::string host(std::string_view message) {
    return answer(PayloadPart::http_host, message);
}

std::string target(std::string_view message) {
    return answer(PayloadPart::http_uri, message);
}

std::string server_name(std::string_view message) {
    return answer(PayloadPart::tls_sni, message);
}

std::string question(std::string_view message) {
    return answer(PayloadPart::dns_qname, message, Transport::udp);
}

// ---- HTTP --------------------------------------------------------------------------------------

TEST(PayloadPart, HostIsAField) {
    EXPECT_EQ(host("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), "yes: example.com");
    EXPECT_EQ(host("GET / HTTP/1.1\r\nAccept: */*\r\nhOST:WWW.Example.COM.:8080 \r\n"),
              "yes: www.example.com");
    EXPECT_EQ(host("GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n"), "yes: [2001:db8::1]");
    EXPECT_EQ(host("GET / HTTP/1.1\r\nX-Host: a\r\nHost: b\r\nHost: c\r\n\r\n"), "yes: b");
    EXPECT_EQ(host("GET / HTTP/1.1\r\nHosts: a\r\n\r\nHost: b\r\n"), "no");
    EXPECT_EQ(host("GET / HTTP/1.1\r\nHost:\r\nX: y\r\n\r\n"), "no");
    EXPECT_EQ(host("GET / HTTP/1.1\r\nHost: example.com"), "more");
    EXPECT_EQ(host("GET / HTTP/1.1\r\nAccept: text\r\n"), "more");
}

TEST(PayloadPart, HostOfTheTargetComesFirst) {
    EXPECT_EQ(host("GET http://Example.com/x HTTP/1.1\r\nHost: other\r\n"), "yes: example.com");
    EXPECT_EQ(host("GET http://user:word@example.com.:80?x HTTP/1.1\r\n\r\n"), "yes: example.com");
    EXPECT_EQ(host("CONNECT example.com:443 HTTP/1.1\r\nHost: other\r\n"), "yes: example.com");
    EXPECT_EQ(host("GET /http://a/ HTTP/1.1\r\nHost: other\r\n"), "yes: other");
    EXPECT_EQ(host("GET a:b//c/ HTTP/1.1\r\nHost: other\r\n"), "yes: other");
    EXPECT_EQ(host("GET http:///x HTTP/1.1\r\nHost: other\r\n"), "yes: other");
    EXPECT_EQ(host("OPTIONS * HTTP/1.1\r\nHost: other\r\n"), "yes: other");
}

TEST(PayloadPart, RequestsAreReadAsLenientServersDo) {
    EXPECT_EQ(host("\r\n\nGET \t/  HTTP/1.0 \nA: b\nhost :\r\n\t x.example \n\n"),
              "yes: x.example");
    EXPECT_EQ(host("GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n"), "yes: b");
    EXPECT_EQ(target("GET  /a b  HTTP/1.1\n"), "yes: /a b");
}

TEST(PayloadPart, TargetIsAsItIsWritten) {
    EXPECT_EQ(target("GET /A%20b?c=D HTTP/1.1\r\n"), "yes: /A%20b?c=D");
    EXPECT_EQ(target("GET http://Example.com/x HTTP/1.1\r\n"), "yes: http://Example.com/x");
    EXPECT_EQ(target("GET /x HTTP/1.1"), "more");
}

TEST(PayloadPart, OtherThingsAreNoRequests) {
    for (const char* message :
         {"GET /x\r\n", "GET /x HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\n", "GET HTTP/1.1\r\n",
          "HTTP/1.1 200 OK\r\nHost: a\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "(x) / HTTP/1.1\r\n"}) {
        EXPECT_EQ(host(message), "no") << message;
        EXPECT_EQ(target(message), "no") << message;
    }
    EXPECT_EQ(target(std::string(65, 'G')), "no");
    EXPECT_EQ(target(std::string(64, 'G')), "more");
    EXPECT_EQ(target(from_hex(kHello13)), "no");
    EXPECT_EQ(answer(PayloadPart::http_host, "GET / HTTP/1.1\r\nHost: a\r\n", Transport::udp),
              "no");
}

TEST(PayloadPart, OfALongHostTheEndCounts) {
    const std::string end = std::string(246, 'b') + ".evil.com.";
    EXPECT_EQ(host("GET / HTTP/1.1\r\nHost: " + std::string(500, 'a') + end + "\r\n"),
              "yes: a" + std::string(246, 'b') + ".evil.com");
}

// ---- TLS ---------------------------------------------------------------------------------------

constexpr std::size_t kRecordHeader = 5;

// The handshake in records of so many bytes each.
std::string in_records(const std::string& hello, std::size_t bytes) {
    std::string records;
    for (std::size_t at = kRecordHeader; at < hello.size(); at += bytes) {
        const std::string piece = hello.substr(at, bytes);
        records += {'\x16', '\x03', '\x01', static_cast<char>(piece.size() >> 8),
                    static_cast<char>(piece.size())};
        records += piece;
    }
    return records;
}

TEST(PayloadPart, ServerNamesOfRealClients) {
    EXPECT_EQ(server_name(from_hex(kHello13)), "yes: www.example.com");
    EXPECT_EQ(server_name(from_hex(kHello12)), "yes: www.example.com");
    EXPECT_EQ(server_name(from_hex(kHelloNoName)), "no");
    EXPECT_EQ(answer(PayloadPart::tls_sni, from_hex(kHello13), Transport::udp), "no");
}

TEST(PayloadPart, ServerNamesOverManyRecords) {
    for (const std::size_t bytes : {1u, 2u, 3u, 7u, 40u, 100u})
        EXPECT_EQ(server_name(in_records(from_hex(kHello12), bytes)), "yes: www.example.com")
            << bytes;
}

TEST(PayloadPart, BrokenHellosHaveNoName) {
    const std::string hello = from_hex(kHello12);
    for (const std::size_t at : {0u, 1u, 5u}) {  // content type, version, kind of message
        std::string other = hello;
        other[at] = 9;
        EXPECT_EQ(server_name(other), "no") << at;
    }
    std::string empty_record = hello.substr(0, 3) + std::string("\0\0", 2) + hello;
    EXPECT_EQ(server_name(empty_record), "yes: www.example.com") << "OpenSSL takes it";
    // The length of the message says that it ends in front of the name.
    std::string shorter = hello;
    shorter[7] = 0;
    shorter[8] = 60;
    EXPECT_EQ(server_name(shorter), "no");
    // A name that is longer than the list it is in.
    std::string longer = hello;
    longer[longer.find("www.Example.com") - 1] = 16;
    EXPECT_EQ(server_name(longer), "no");
}

// Any one byte of the lengths changed: an answer may be another, but not change its mind.
TEST(PayloadPart, AnyByteOfAHelloMayBeAnother) {
    const std::string hello = from_hex(kHello12);
    for (std::size_t at = 0; at < hello.size(); ++at)
        for (const char byte : {'\0', '\1', '\x7f', '\xff'}) {
            std::string other = hello;
            other[at] = byte;
            server_name(other);
        }
}

// ---- DNS ---------------------------------------------------------------------------------------

TEST(PayloadPart, NamesOfRealQuestions) {
    EXPECT_EQ(question(from_hex(kQuestion)), "yes: www.example.com");
    EXPECT_EQ(question(from_hex(kAnswer)), "yes: www.example.com");
    const std::string message = from_hex(kQuestion);
    const std::string length = {'\0', static_cast<char>(message.size())};
    EXPECT_EQ(answer(PayloadPart::dns_qname, length + message), "yes: www.example.com");
}

std::string question_for(const std::string& name) {
    return from_hex(kQuestion).substr(0, 12) + name;
}

TEST(PayloadPart, OtherNamesAreNone) {
    EXPECT_EQ(question(question_for(std::string("\0", 1))), "no");
    EXPECT_EQ(question(question_for("\xc0\x0c")), "no");
    EXPECT_EQ(question(question_for("\3www\xc0\x0c")), "no");
    EXPECT_EQ(question(question_for("\3www")), "more");
    std::string none = from_hex(kQuestion);
    none[5] = 0;
    EXPECT_EQ(question(none), "no");
    std::string long_name;
    for (int i = 0; i < 4; ++i)
        long_name += '\x3f' + std::string(63, 'a');
    EXPECT_EQ(question(question_for(long_name)), "no");
    const std::string longest = long_name.substr(0, 3 * 64) + '\x3d' + std::string(61, 'b');
    EXPECT_EQ(question(question_for(longest + '\0')).size(), 5u + 253);
}

TEST(PayloadPart, NamesEndWithTheirMessage) {
    const std::string message = from_hex(kQuestion);
    // header 12, then 3www 7Example 3com 0: 17 bytes
    for (unsigned length = 0; length < message.size(); ++length) {
        const std::string prefix = {'\0', static_cast<char>(length)};
        EXPECT_EQ(answer(PayloadPart::dns_qname, prefix + message),
                  length < 12 + 17 ? "no" : "yes: www.example.com")
            << length;
    }
}

TEST(PayloadPart, PayloadIsAll) {
    EXPECT_EQ(found(PayloadPart::payload, Transport::udp, "abc"), "yes: abc");
    EXPECT_EQ(found(PayloadPart::payload, Transport::udp, ""), "more");
}

}  // namespace
}  // namespace sluice::payload
