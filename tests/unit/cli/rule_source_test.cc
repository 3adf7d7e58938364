#include "controlplane/cli/rule_source.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace sluice::cli {
namespace {

class RuleSourceTest : public testing::Test {
  protected:
    RuleSourceTest() {
        char name[] = "/tmp/sluice-rules-XXXXXX";
        folder_ = mkdtemp(name);
        path_ = folder_ + "/rules";
        std::ofstream(path_) << "add allow ip from any to any via IFACE\n";
    }
    ~RuleSourceTest() override { std::filesystem::remove_all(folder_); }

    Result<std::string> read(std::string preprocessor, std::vector<std::string> arguments = {}) {
        return read_rules({.path = path_,
                           .preprocessor = std::move(preprocessor),
                           .preprocessor_arguments = std::move(arguments)});
    }

    std::string folder_, path_;
};

TEST_F(RuleSourceTest, AFileAsItIs) {
    EXPECT_EQ(*read(""), "add allow ip from any to any via IFACE\n");
}

TEST_F(RuleSourceTest, ThePreprocessorGetsTheFileOnStandardInput) {
    EXPECT_EQ(*read("sed", {"-e", "s/IFACE/em0/"}), "add allow ip from any to any via em0\n");
    EXPECT_EQ(*read("/bin/cat"), "add allow ip from any to any via IFACE\n");
}

TEST_F(RuleSourceTest, AFailingPreprocessorIs69) {
    const auto failed = read("false");
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().status, ExitStatus::unavailable);
    EXPECT_NE(failed.error().message.find("status 1"), std::string::npos);
    const auto killed = read("sh", {"-c", "kill -9 $$"});
    ASSERT_FALSE(killed);
    EXPECT_EQ(killed.error().status, ExitStatus::unavailable);
    EXPECT_NE(killed.error().message.find("signal 9"), std::string::npos);
}

TEST_F(RuleSourceTest, OneThatCannotBeStartedIs71) {
    for (const char* name : {"no-such-preprocessor-here", "/no/such/preprocessor"}) {
        const auto failed = read(name);
        ASSERT_FALSE(failed);
        EXPECT_EQ(failed.error().status, ExitStatus::os);
    }
}

TEST_F(RuleSourceTest, AFileThatIsNotThereIs64) {
    path_ = "/no/such/file";
    const auto failed = read("");
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().status, ExitStatus::usage);
    EXPECT_TRUE(failed.error().message.starts_with("/no/such/file: "));
}

TEST_F(RuleSourceTest, AFolderIsNoFile) {
    path_ = folder_;
    EXPECT_EQ(read("").error().status, ExitStatus::unavailable);
}

TEST_F(RuleSourceTest, EndlessOutputEnds) {
    const auto failed = read("yes");
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().status, ExitStatus::data);
}

}  // namespace
}  // namespace sluice::cli
