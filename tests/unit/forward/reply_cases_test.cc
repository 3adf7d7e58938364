// Which packets get an answer, and which one, compared with the recorded answers of the real ipfw
// engine. SLUICE_CONFORMANCE names the folder of the cases.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "dataplane/forward/reply.h"
#include "dataplane/packet/parser.h"
#include "dataplane/packet/wire.h"

namespace sluice::forward {
namespace {

using program::Verdict;
namespace fs = std::filesystem;
namespace wire = packet::wire;

std::vector<std::string> split(const std::string& line) {
    std::vector<std::string> fields;
    std::istringstream stream(line);
    for (std::string field; std::getline(stream, field, ',');)
        fields.push_back(field);
    return fields;
}

std::vector<std::vector<std::byte>> read_pcap(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    file.ignore(24);
    std::vector<std::vector<std::byte>> frames;
    std::array<std::uint32_t, 4> header;
    while (file.read(reinterpret_cast<char*>(header.data()), sizeof header)) {
        frames.emplace_back(header[2]);
        file.read(reinterpret_cast<char*>(frames.back().data()), header[2]);
    }
    return frames;
}

// The text that stands for a built reply in events.csv, behind the index.
std::string describe(std::span<const std::byte> frame) {
    packet::Headers h;
    EXPECT_EQ(packet::parse_frame(frame, {}, h), contract::DropReason::none);
    std::ostringstream text;
    if (h.protocol == wire::protocol::icmp)
        text << "icmp," << int{h.icmp_type} << ',' << int{h.icmp_code};
    else if (h.protocol == wire::protocol::icmp6)
        text << "icmp6," << int{h.icmp_type} << ',' << int{h.icmp_code};
    else {
        const auto address = [&](const Ipv6& stored) {
            const auto& b = stored.bytes;
            return h.ip_version == 4 ? to_string(Ipv4{{b[0], b[1], b[2], b[3]}})
                                     : to_string(stored);
        };
        char flags[8];
        std::snprintf(flags, sizeof flags, "0x%02x", h.tcp_flags);
        text << "rst," << address(h.source) << ',' << h.source_port << ',' << address(h.destination)
             << ',' << h.destination_port << ',' << h.tcp_sequence << ',' << h.tcp_acknowledgement
             << ',' << flags;
    }
    return text.str();
}

// The recorded engine hands a reply to such a sender to its network stack, which does not send it.
bool is_single_host(const packet::Headers& h) {
    const auto& b = h.source.bytes;
    return h.ip_version == 4 ? b[0] != 0 && b[0] < 224 : b[0] != 0xff && h.source != Ipv6{};
}

// The recorded engine put the code of ICMP into ICMPv6 as it was; later ones translate it.
std::string translated(const packet::Headers& h, const Verdict& verdict,
                       const std::string& expected) {
    if (h.ip_version != 6 || verdict.kind != Verdict::Kind::unreach || expected.empty())
        return expected;
    return "icmp6,1," + std::to_string(unreach6_code(verdict.argument));
}

bool to_verdict(const std::string& word, Verdict& verdict) {
    const std::string name = word.substr(0, word.find(':'));
    const auto number = [&] {
        return static_cast<std::uint16_t>(std::stoi(word.substr(word.find(':') + 1)));
    };
    if (name == "reset")
        verdict.kind = Verdict::Kind::reset;
    else if (name == "reset6")
        verdict.kind = Verdict::Kind::reset6;
    else if (name == "unreach")
        verdict.kind = Verdict::Kind::unreach, verdict.argument = number();
    else if (name == "unreach6")
        verdict.kind = Verdict::Kind::unreach6, verdict.argument = number();
    else
        return false;
    return true;
}

TEST(ReplyCasesTest, TheSamePacketsGetTheSameAnswers) {
    const char* folder = std::getenv("SLUICE_CONFORMANCE");
    if (folder == nullptr || !fs::exists(folder))
        GTEST_SKIP() << "SLUICE_CONFORMANCE names no folder";
    unsigned compared = 0, answered = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
        const fs::path path = entry.path();
        if (!fs::exists(path / "events.csv"))
            continue;
        std::map<std::size_t, std::string> expected;
        std::ifstream events(path / "events.csv");
        for (std::string line; std::getline(events, line);) {
            const auto fields = split(line);
            if (fields.size() > 1 &&
                (fields[1] == "icmp" || fields[1] == "icmp6" || fields[1] == "rst"))
                expected[std::stoul(fields[0])] = line.substr(line.find(',') + 1);
        }
        const auto frames = read_pcap(path / "packets.pcap");
        std::ifstream verdicts(path / "expected.csv");
        std::string line;
        std::getline(verdicts, line);
        while (std::getline(verdicts, line)) {
            const auto fields = split(line);
            const std::size_t index = std::stoul(fields.at(0));
            std::string word = fields.at(1);
            if (word.rfind('>') != word.npos)
                word = word.substr(word.rfind('>') + 1);
            packet::Packet packet;
            Verdict verdict;
            if (!to_verdict(word, verdict))
                continue;
            ASSERT_LT(index, frames.size());
            ASSERT_EQ(packet::parse_frame(frames[index], {}, packet.headers),
                      contract::DropReason::none)
                << path << " " << index;
            std::array<std::byte, kMaximumReply> out;
            const std::size_t length = build_reply(packet, verdict, out);
            ++compared;
            answered += length != 0;
            if (!is_single_host(packet.headers)) {
                EXPECT_EQ(length, 0u);
                continue;
            }
            EXPECT_EQ(length == 0 ? "" : describe(std::span(out).first(length)),
                      translated(packet.headers, verdict, expected[index]))
                << path << " packet " << index << " " << word;
        }
    }
    EXPECT_GT(compared, 0u);
    std::printf("%u verdicts compared, %u answered\n", compared, answered);
}

}  // namespace
}  // namespace sluice::forward
