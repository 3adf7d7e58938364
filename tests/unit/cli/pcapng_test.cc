#include "controlplane/cli/pcapng.h"

#include <gtest/gtest.h>

#include <cstring>

namespace sluice::cli {
namespace {

std::uint32_t word_at(const std::string& bytes, std::size_t at) {
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    return word;
}

// (type, length) of each block; lengths stand at both ends.
std::vector<std::uint32_t> types_of(const std::string& file) {
    std::vector<std::uint32_t> types;
    for (std::size_t at = 0; at < file.size();) {
        const std::uint32_t length = word_at(file, at + 4);
        EXPECT_EQ(length % 4, 0u);
        EXPECT_LE(at + length, file.size());
        if (length < 12 || at + length > file.size())
            break;
        EXPECT_EQ(word_at(file, at + length - 4), length);
        types.push_back(word_at(file, at));
        at += length;
    }
    return types;
}

TEST(Pcapng, EachInterfaceIsToldOnceAndInFrontOfItsFirstPacket) {
    service::CapturedPacket in{.time_ns = 0x0000000500000007,
                               .generation = 42,
                               .rule = 100,
                               .length = 60,
                               .receive_interface = "em0",
                               .verdict = "pass",
                               .bytes = std::string(7, 'x')};
    service::CapturedPacket out = in;
    out.out = true;
    out.transmit_interface = "em1";
    PcapngWriter writer(96);
    std::string file = PcapngWriter::section();
    for (const auto& packet : {in, out, in, out})
        file += writer.packet(packet);
    EXPECT_EQ(types_of(file), (std::vector<std::uint32_t>{0x0a0d0d0a, 1, 6, 1, 6, 6, 6}));
    EXPECT_NE(file.find("em0"), std::string::npos);
    EXPECT_NE(file.find("em1"), std::string::npos);
    PcapngWriter another(96);
    another.packet(in);
    const std::string block = another.packet(in);
    EXPECT_EQ(word_at(block, 8), 0u);   // interface
    EXPECT_EQ(word_at(block, 12), 5u);  // time
    EXPECT_EQ(word_at(block, 16), 7u);
    EXPECT_EQ(word_at(block, 20), 7u);   // captured
    EXPECT_EQ(word_at(block, 24), 60u);  // on the wire
    EXPECT_EQ(block.substr(28, 8), std::string("xxxxxxx\0", 8));
}

TEST(Pcapng, TheCommentSaysWhatTheRulesSaid) {
    service::CapturedPacket packet{
        .generation = 7, .rule = 100, .out = true, .verdict = "drop and tell the sender"};
    EXPECT_EQ(comment_of(packet), "rule 100, generation 7, drop and tell the sender, out");
    packet.rule = -1;
    packet.out = false;
    packet.verdict = "drop (panic)";
    EXPECT_EQ(comment_of(packet), "no rule, generation 7, drop (panic), in");
}

TEST(Pcapng, BlocksAreWholeWhateverTheSizes) {
    for (std::size_t size = 0; size < 20; ++size) {
        PcapngWriter writer(1920);
        const std::string blocks = writer.packet({.receive_interface = std::string(size % 7, 'i'),
                                                  .verdict = std::string(size, 'v'),
                                                  .bytes = std::string(size, '\xff')});
        EXPECT_EQ(types_of(blocks), (std::vector<std::uint32_t>{1, 6}));
    }
}

}  // namespace
}  // namespace sluice::cli
