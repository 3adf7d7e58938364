#include "replay/environment_file.h"

#include <gtest/gtest.h>

namespace sluice::replay {
namespace {

TEST(EnvironmentFile, ReadsEveryStatement) {
    const auto file = parse_environment(
        "# a host\n"
        "default accept\n"
        "seed 41000\n"
        "if em0 10.0.0.1/24 2001:db8::1/64\n"
        "if lo0 127.0.0.1/8  # loopback\n"
        "\n"
        "route 0.0.0.0/0 em0\n"
        "route 10.9.0.0/16 blackhole\n"
        "sysctl net.inet.ip.fw.verbose=1\n",
        "env");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE(file->default_accept);
    EXPECT_EQ(file->seed, 41000u);
    ASSERT_EQ(file->environment.interfaces.size(), 2u);
    EXPECT_EQ(file->environment.interfaces[0].addresses.size(), 2u);
    EXPECT_EQ(file->environment.interfaces[0].addresses[1].prefix_length, 64u);
    ASSERT_EQ(file->environment.routes.size(), 2u);
    EXPECT_EQ(file->environment.routes[0].interface, 0);
    EXPECT_EQ(file->environment.routes[1].kind, packet::Route::Kind::blackhole);
    ASSERT_EQ(file->sysctls.size(), 1u);
    EXPECT_EQ(file->sysctls[0].name, "net.inet.ip.fw.verbose");
    EXPECT_EQ(file->sysctls[0].value, "1");
    EXPECT_EQ(find_interface(file->environment, "lo0"), 1);
    EXPECT_EQ(find_interface(file->environment, "em1"), packet::kNoInterface);
}

struct BadLine {
    const char* text;
    const char* message;
};

class EnvironmentFileErrors : public testing::TestWithParam<BadLine> {};

TEST_P(EnvironmentFileErrors, NameTheLine) {
    const auto file =
        parse_environment("if em0 10.0.0.1/24\n" + std::string(GetParam().text) + "\n", "env");
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().message.rfind("env:2: ", 0), 0u) << file.error().message;
    EXPECT_NE(file.error().message.find(GetParam().message), std::string::npos)
        << file.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    All, EnvironmentFileErrors,
    testing::Values(BadLine{"frob 1", "unknown word \"frob\""},
                    BadLine{"default maybe", "expected `default accept`"},
                    BadLine{"if", "expected `if NAME"},
                    BadLine{"if em1 10.0.0.1/33", "\"10.0.0.1/33\" is not ADDRESS/LENGTH"},
                    BadLine{"if em1 10.0.0", "\"10.0.0\" is not ADDRESS/LENGTH"},
                    BadLine{"route 10.0.0.0/8", "expected `route PREFIX"},
                    BadLine{"route 10.0.0.0/8 em9", "no interface \"em9\""},
                    BadLine{"sysctl verbose", "expected `sysctl NAME=VALUE`"},
                    BadLine{"seed -1", "expected `seed N`"}));

}  // namespace
}  // namespace sluice::replay
