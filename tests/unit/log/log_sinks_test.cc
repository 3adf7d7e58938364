#include "controlplane/log/log_sinks.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <vector>

namespace sluice::log {
namespace {

namespace fs = std::filesystem;

class FileSinkTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/sluice-log-XXXXXX";
        folder_ = mkdtemp(name);
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::unique_ptr<LogSink> sink(const std::string& path) {
        return make_file_sink(path, [this](const std::string& s) { complaints_.push_back(s); });
    }
    static std::string content(const std::string& path) {
        std::ifstream file(path);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::string folder_;
    std::vector<std::string> complaints_;
};

constexpr std::uint64_t kNovember2003 = 1068412338000;  // Sun Nov  9 21:12:18 2003 UTC

// The pipeline of the article, `s/.* ipfw: //`, has to find what it looks for.
TEST_F(FileSinkTest, LinesLookLikeSyslog) {
    setenv("TZ", "UTC", 1);
    tzset();
    const auto log = sink(folder_ + "/ipfw.log");
    log->write("ipfw: 2060 Accept TCP 1.2.3.4:119 10.0.0.1:54609 in via en0", kNovember2003,
               Priority::info);
    log->flush();
    const std::string text = content(folder_ + "/ipfw.log");
    EXPECT_TRUE(text.starts_with("Nov  9 21:12:18 ")) << text;
    EXPECT_EQ(std::regex_replace(text, std::regex(".* ipfw: "), ""),
              "2060 Accept TCP 1.2.3.4:119 10.0.0.1:54609 in via en0\n");
    EXPECT_TRUE(complaints_.empty());
}

TEST_F(FileSinkTest, ReopensAfterRotation) {
    const std::string path = folder_ + "/ipfw.log";
    const auto log = sink(path);
    log->write("ipfw: one", 0, Priority::info);
    log->flush();
    fs::rename(path, path + ".1");
    log->reopen();
    log->write("ipfw: two", 0, Priority::notice);
    log->flush();
    EXPECT_NE(content(path + ".1").find("one"), std::string::npos);
    EXPECT_EQ(content(path).find("one"), std::string::npos);
    EXPECT_NE(content(path).find("two"), std::string::npos);
}

TEST_F(FileSinkTest, AFileThatCannotBeOpenedIsComplainedAboutOnce) {
    const auto log = sink("/proc/no/such/folder/ipfw.log");
    for (int i = 0; i < 100; ++i)
        log->write("ipfw: lost", 0, Priority::info);
    log->flush();
    log->reopen();
    ASSERT_EQ(complaints_.size(), 1u);
    EXPECT_NE(complaints_[0].find("/proc/no/such/folder/ipfw.log"), std::string::npos);
}

TEST_F(FileSinkTest, AFullDiskIsComplainedAbout) {
    const auto log = sink("/dev/full");
    for (int i = 0; i < 10; ++i) {
        log->write("ipfw: lost " + std::string(100000, 'x'), 0, Priority::info);
        log->flush();
    }
    ASSERT_EQ(complaints_.size(), 1u);
    EXPECT_NE(complaints_[0].find("/dev/full"), std::string::npos);
}

TEST(SyslogSink, WritesWithoutADaemon) {
    const auto log = make_syslog_sink([](const std::string&) {});
    log->write("ipfw: 100 Deny MAC in via em0", 0, Priority::notice);
    log->flush();
    log->reopen();
}

}  // namespace
}  // namespace sluice::log
