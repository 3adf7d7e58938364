#include "replay/replay.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace sluice::replay {
namespace {

class ReplayTest : public testing::Test {
  protected:
    ReplayTest() {
        char name[] = "/tmp/sluice-replay-XXXXXX";
        folder_ = mkdtemp(name);
        std::ofstream(rules()) << "add allow ip from any to any\n";
        std::ofstream(packets(), std::ios::binary) << std::string("\xd4\xc3\xb2\xa1\2\0\4\0", 8) +
                                                          std::string(12, '\0') +
                                                          std::string("\1\0\0\0", 4);
    }
    ~ReplayTest() override {
        unlink(rules().c_str());
        unlink(packets().c_str());
        rmdir(folder_.c_str());
    }
    std::string rules() const { return folder_ + "/rules"; }
    std::string packets() const { return folder_ + "/packets"; }

    int replay(std::vector<std::string> words) {
        std::vector<char*> arguments;
        for (std::string& word : words)
            arguments.push_back(word.data());
        return run(static_cast<int>(arguments.size()), arguments.data());
    }

    std::string folder_;
};

TEST_F(ReplayTest, AFolderIsNoInput) {
    EXPECT_EQ(replay({"--rules", folder_, "--packets", packets()}), 69);
    EXPECT_EQ(replay({"--rules", rules(), "--packets", folder_}), 69);
    EXPECT_EQ(replay({"--rules", rules(), "--packets", packets(), "--env", folder_}), 69);
    EXPECT_EQ(replay({"--rules", rules(), "--packets", packets(), "--meta", folder_}), 69);
}

TEST_F(ReplayTest, SaysWhenItCannotPrint) {
    std::fflush(stdout);
    const int kept = dup(STDOUT_FILENO);
    const int full = open("/dev/full", O_WRONLY);
    dup2(full, STDOUT_FILENO);
    const int status = replay({"--rules", rules(), "--packets", packets()});
    std::clearerr(stdout);
    dup2(kept, STDOUT_FILENO);
    close(full);
    close(kept);
    EXPECT_EQ(status, 71);
}

}  // namespace
}  // namespace sluice::replay
