#include "controlplane/compiler/group_users.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace sluice::compiler {
namespace {

class GroupUsers : public testing::Test {
  protected:
    void write(const std::string& users, const std::string& groups) {
        std::ofstream(files.users) << users;
        std::ofstream(files.groups) << groups;
    }
    void TearDown() override {
        unlink(files.users.c_str());
        unlink(files.groups.c_str());
    }
    std::vector<std::uint32_t> of(std::uint32_t group) {
        const auto users = users_of_group(group, files);
        EXPECT_TRUE(users) << users.error().message;
        return users ? *users : std::vector<std::uint32_t>{};
    }

    const std::string stem = testing::TempDir() + "group_users_" + std::to_string(getpid());
    UserFiles files{.users = stem + ".passwd", .groups = stem + ".group"};
};

using Users = std::vector<std::uint32_t>;

TEST_F(GroupUsers, PrimaryOnesAndListedOnesInOrder) {
    write(
        "root:x:0:0::/:/bin/sh\nzoe:x:30:100::/:/bin/sh\nadam:x:20:5::/:/bin/sh\n"
        "eve:x:10:100::/:/bin/sh\n",
        "staff:x:100:adam,zoe,gone\nadm:x:5:\nempty:x:7:\n");
    EXPECT_EQ(of(100), (Users{10, 20, 30}));
    EXPECT_EQ(of(5), Users{20});
    EXPECT_EQ(of(7), Users{});
    EXPECT_EQ(of(99), Users{});
}

TEST_F(GroupUsers, LongLinesAndBrokenOnes) {
    std::string members = "adam";
    for (int i = 0; i < 5000; ++i)
        members += ",user" + std::to_string(i);
    write("# nobody\nbroken\n\nadam:x:20:5::/:/bin/sh\nuser4999:x:21:5::/:/bin/sh",
          "nonsense\nstaff:x:100:" + members + "\n");
    EXPECT_EQ(of(100), (Users{20, 21}));
}

TEST_F(GroupUsers, AMachineWithoutTheFilesHasNoUsers) {
    EXPECT_EQ(of(0), Users{});
}

}  // namespace
}  // namespace sluice::compiler
