#include "replay/capture.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace sluice::replay {
namespace {

// A file that is gone when the test is over.
class TemporaryFile {
  public:
    explicit TemporaryFile(const std::string& content) {
        char name[] = "/tmp/sluice-capture-XXXXXX";
        const int descriptor = mkstemp(name);
        close(descriptor);
        path_ = name;
        std::ofstream(path_, std::ios::binary) << content;
    }
    ~TemporaryFile() { unlink(path_.c_str()); }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

std::string word(std::uint32_t value, bool big_endian = false) {
    std::string text;
    for (int i = 0; i < 4; ++i)
        text += static_cast<char>(value >> 8 * (big_endian ? 3 - i : i));
    return text;
}

std::string header(std::uint32_t magic, std::uint32_t link_type, bool big_endian = false) {
    return word(magic, big_endian) + word(0x00040002, big_endian) + word(0) + word(0) +
           word(65535, big_endian) + word(link_type, big_endian);
}

std::string record(const std::string& bytes, bool big_endian = false) {
    const auto length = static_cast<std::uint32_t>(bytes.size());
    return word(1) + word(2) + word(length, big_endian) + word(length, big_endian) + bytes;
}

constexpr std::uint32_t kMicroseconds = 0xa1b2c3d4, kNanoseconds = 0xa1b23c4d;

TEST(Capture, ReadsBothByteOrdersAndResolutions) {
    for (const std::uint32_t magic : {kMicroseconds, kNanoseconds})
        for (const bool big_endian : {false, true}) {
            const TemporaryFile file(header(magic, 1, big_endian) + record("abc", big_endian) +
                                     record("", big_endian) + record("defgh", big_endian));
            const auto frames = read_capture(file.path());
            ASSERT_TRUE(frames) << frames.error().message;
            ASSERT_EQ(frames->size(), 3u);
            EXPECT_EQ((*frames)[0].bytes.size(), 3u);
            EXPECT_EQ((*frames)[1].bytes.size(), 0u);
            EXPECT_EQ((*frames)[2].bytes[4], std::byte{'h'});
        }
}

void expect_refused(const std::string& content, const std::string& message) {
    const TemporaryFile file(content);
    const auto frames = read_capture(file.path());
    ASSERT_FALSE(frames);
    EXPECT_EQ(frames.error().status, ExitStatus::data);
    EXPECT_NE(frames.error().message.find(message), std::string::npos) << frames.error().message;
}

TEST(Capture, RefusesWhatIsNoEthernetCapture) {
    expect_refused("", "shorter than a pcap header");
    expect_refused(header(0x0a0d0d0a, 1), "this is no pcap file");
    expect_refused(header(kMicroseconds, 101), "the link type is not Ethernet");
}

TEST(Capture, RefusesWhatIsCutOff) {
    const std::string whole = header(kMicroseconds, 1) + record("abc");
    expect_refused(whole + record("defgh").substr(0, 10), "the header of packet 1 is cut off");
    expect_refused(whole + record("defgh").substr(0, 18), "packet 1 is cut off");
    expect_refused(header(kMicroseconds, 1) + word(0) + word(0) + word(0xffffffff) + word(0),
                   "packet 0 is cut off or too long");
}

TEST(Capture, RefusesWhatASnapLengthCut) {
    expect_refused(header(kMicroseconds, 1) + word(1) + word(2) + word(3) + word(1054) + "abc",
                   "packet 0 was captured only in part (3 of 1054 bytes); capture with a larger "
                   "snap length");
}

TEST(Capture, AFolderIsNoCapture) {
    const auto frames = read_capture("/tmp");
    ASSERT_FALSE(frames);
    EXPECT_EQ(frames.error().status, ExitStatus::unavailable);
}

TEST(Capture, SaysWhenThereIsNoFile) {
    const auto frames = read_capture("/nowhere/at/all.pcap");
    ASSERT_FALSE(frames);
    EXPECT_EQ(frames.error().status, ExitStatus::usage);
}

}  // namespace
}  // namespace sluice::replay
